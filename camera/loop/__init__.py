"""The inspection loop: frames to verdicts, decisions and events."""
