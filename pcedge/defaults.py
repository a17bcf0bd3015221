"""Defaults that the command line shows before anything heavy is imported."""

from pathlib import Path

DEFAULT_MODELS = Path("models")
DEFAULT_DEMO = Path("demo")
DEFAULT_CACHE_GB = 8.0
DEFAULT_PICTURES_MB = 16.0
DEFAULT_BATCH = 8
