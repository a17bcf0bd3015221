"""What everything else stands on: preprocessing, scoring, files that are replaced whole, progress."""
