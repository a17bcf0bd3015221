"""Sinks that write local files: JSON lines, SQLite, images and clips."""
