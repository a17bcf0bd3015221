"""The most memory a piece of code held at once, on Linux exactly and without a second thread.

The kernel keeps the highest resident size of a process and sets it back to the present one on request, so
that several pieces of code can be measured one after the other in one process.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROCESS = Path("/proc/self")


@dataclass
class Peak:
    """What was held; both None where the system does not tell.

    Attributes:
        before_mb: Resident before, in units of 1e6 bytes.
        above_mb: The highest resident size above that; known when the block has ended.
    """

    before_mb: float | None = None
    above_mb: float | None = None


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the peak within the ``with`` block."""
    peak = Peak()
    try:
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")  # "set the highest to the present"
        peak.before_mb = _resident_mb("VmRSS")
    except OSError:
        yield peak
        return
    yield peak
    highest = _resident_mb("VmHWM")
    if highest is not None and peak.before_mb is not None:
        peak.above_mb = round(max(highest - peak.before_mb, 0.0), 1)


def _resident_mb(name: str) -> float | None:
    status = (_PROCESS / "status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None
