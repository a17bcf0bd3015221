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
    return _of_this_user("XDG_CACHE_HOME", ".cache")


def state_directory() -> Path:
    """Where this machine keeps what it found out itself.

    ``$PCEDGE_STATE``; of a systemd service ``$STATE_DIRECTORY``; otherwise ``pcedge`` in the user's state
    directory.
    """
    service = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if chosen := os.environ.get("PCEDGE_STATE") or service:
        return Path(chosen)
    return _of_this_user("XDG_STATE_HOME", ".local/state")


def make_state_folder(name: str = "") -> Path:
    """A folder of the state directory, or that directory itself, for this user alone; made if it is missing.

    Raises:
        OSError: It cannot be made.
    """
    folder = state_directory() / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _of_this_user(variable: str, below_home: str) -> Path:
    directory = Path(os.environ.get(variable, ""))
    if directory.is_absolute():  # the XDG specification says to ignore relative paths
        return directory / "pcedge"
    try:
        return Path.home() / below_home / "pcedge"
    except RuntimeError:  # a user without a home directory, as in some containers
        return Path(below_home, "pcedge")
