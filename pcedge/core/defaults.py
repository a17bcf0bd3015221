"""Default values of options, free of heavy imports so that help texts stay fast."""

import os
from pathlib import Path

# The network that ships with the package.
COMPACT = "pcedge-s"
DEFAULT_MODELS = Path("models")
DEFAULT_DEMO = Path("demo")
DEFAULT_CACHE_GB = 8.0
DEFAULT_PICTURES_MB = 16.0
DEFAULT_BATCH = 8


def default_cache_directory() -> Path:
    """``$PCEDGE_CACHE``, or ``pcedge`` in the user's cache directory."""
    if chosen := os.environ.get("PCEDGE_CACHE"):
        return Path(chosen)
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if caches.is_absolute():  # the XDG specification says to ignore relative paths
        return caches / "pcedge"
    try:
        return Path.home() / ".cache" / "pcedge"
    except RuntimeError:  # a user without a home directory, as in some containers
        return Path(".cache", "pcedge")
