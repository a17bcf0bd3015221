"""Sinks on this machine: JSON lines, SQLite, pictures, clips."""
