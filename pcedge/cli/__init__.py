"""The command line: every command parses options, makes one library call and prints the result."""

from .app import app, main

__all__ = ["app", "main"]
