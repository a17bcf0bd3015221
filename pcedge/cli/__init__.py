"""The command line: every command parses, makes one library call and prints."""

from .app import app, main

__all__ = ["app", "main"]
