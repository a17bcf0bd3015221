"""The inspection loop: frames, verdicts, decisions, events."""
