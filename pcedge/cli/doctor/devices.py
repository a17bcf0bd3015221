"""Check of cameras: which exist, and whether this user may open them."""

import os
from pathlib import Path

from .finding import CheckResult, ok, warn

DEVICES = Path("/dev")
DRIVERS = Path("/sys/class/video4linux")


def check_cameras(devices: Path = DEVICES, drivers: Path = DRIVERS) -> list[CheckResult]:
    """Check every /dev/video*.

    Args:
        devices: Directory of the devices.
        drivers: Directory with the names that drivers give them.
    """
    cameras = sorted(devices.glob("video[0-9]*"), key=lambda path: int(path.name.removeprefix("video") or 0))
    if not cameras:
        return [ok("Cameras", f"none under {devices}; network cameras, files and folders need none")]
    return [_check_camera(path, drivers) for path in cameras]


def _check_camera(path: Path, drivers: Path) -> CheckResult:
    name = _name(drivers / path.name / "name")
    shown = f"{path} ({name})" if name else str(path)
    if os.access(path, os.R_OK | os.W_OK):
        return ok(f"Camera {path.name}", f"{shown} may be opened: pcedge watch --camera v4l2://{path}")
    advice = "Add the user to the group video, then log in again: sudo usermod -aG video $USER"
    return warn(f"Camera {path.name}", f"{shown} may not be opened by this user", advice)


def _name(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
