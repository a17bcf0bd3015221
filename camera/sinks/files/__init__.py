"""Sinks on this machine: JSON lines, SQLite, images, clips."""
