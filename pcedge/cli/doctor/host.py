"""Checks of the machine: disk, clock, power, memory, CPU, user."""

import ctypes
import os
import shutil
import tempfile
from pathlib import Path

from pcedge.core.machine import describe_machine, power_mode

from .finding import CheckResult, CheckState, fail, ok, warn

_LITTLE_GB, _TOO_LITTLE_GB = 5.0, 1.0
_TIMEX_BYTES = 512  # larger than struct timex of any system
_NOT_SYNCHRONISED = 5  # TIME_ERROR
_SLOW_GOVERNORS = {"powersave", "conservative"}
_FAST_GOVERNORS = {"performance", "schedutil", "ondemand", "interactive", "userspace"}
MEMORY = Path("/proc/meminfo")


def check_disk(folder: Path, subject: str, *, little_gb: float = _LITTLE_GB) -> CheckResult:
    """Check that a folder, or its nearest existing parent, is writable and has free space."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x" * 4096)
            file.flush()
        free_gb = shutil.disk_usage(there).free / 1e9
    except OSError as error:
        return fail(
            subject,
            f"{folder} cannot be written to: {error.strerror}",
            "Name another, or let this user write.",
        )
    shown = f"{folder}: {free_gb:,.1f} GB free"
    if free_gb < _TOO_LITTLE_GB:
        return fail(subject, shown, "Make room: results would be lost.")
    if free_gb < little_gb:
        return warn(subject, shown, "Make room, or limit what is kept: max_age_days and max_count.")
    return ok(subject, shown)


def check_clock(synchronised: bool | None) -> CheckResult:
    """Check that the clock is synchronised.

    Args:
        synchronised: From :func:`clock_synchronised`.
    """
    if synchronised is None:
        return ok("Clock", "whether it is synchronised cannot be seen here")
    if synchronised:
        return ok("Clock", "synchronised")
    advice = "Events would have wrong times: sudo timedatectl set-ntp true, or set up chrony."
    return warn("Clock", "not synchronised with any other", advice)


def clock_synchronised() -> bool | None:
    """Whether the kernel's clock is synchronised, by adjtimex(2); None if unknown."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        return None
    return None if state < 0 else bool(state != _NOT_SYNCHRONISED)


def check_power(mode: str | None) -> CheckResult:
    """Check that the machine runs at full speed.

    Args:
        mode: From :func:`pcedge.core.machine.power_mode`: a Jetson's mode, otherwise the governor.
    """
    if mode is None:
        return ok("Power", "how the clock is governed cannot be seen here")
    if mode in _SLOW_GOVERNORS:
        advice = "Let it run faster: sudo cpupower frequency-set -g performance"
        return warn("Power", f"the processor is governed by {mode!r}", advice)
    if mode in _FAST_GOVERNORS or mode.startswith("MAXN"):
        return ok("Power", mode)
    advice = "Frames may take longer: sudo nvpmodel -m 0 && sudo jetson_clocks, if it is cooled well enough."
    return warn("Power", f"power mode {mode}, which is not the fastest", advice)


def check_memory(memory: Path = MEMORY) -> CheckResult:
    """Check that there is enough free memory."""
    try:
        lines = dict(line.split(":", 1) for line in memory.read_text(encoding="utf-8").splitlines())
        free_gb = int(lines["MemAvailable"].split()[0]) / 1e6
    except (OSError, KeyError, ValueError):
        return ok("Memory", "how much is available cannot be seen here")
    if free_gb < 1:
        return warn("Memory", f"{free_gb:.1f} GB available", "End other programs, or add swap (zram).")
    return ok("Memory", f"{free_gb:.1f} GB available")


def check_processor() -> CheckResult:
    """Report the CPU."""
    machine = describe_machine()
    parts = [machine.board, machine.processor, f"{machine.cores} cores", machine.gpu or "no NVIDIA GPU"]
    return ok("Machine", f"{machine.system}: {', '.join(part for part in parts if part)}")


def check_user(user: int | None = None) -> CheckResult:
    """Check that the user is not root."""
    user = os.geteuid() if user is None else user
    if user == 0:
        return CheckResult(
            "User",
            CheckState.OK,
            "root",
            "A service had better have a user of its own: pcedge service line.toml --user NAME",
        )
    return ok("User", f"number {user}")


def find_power_mode() -> str | None:
    """The power mode of a Jetson, or the CPU frequency governor."""
    return power_mode()
