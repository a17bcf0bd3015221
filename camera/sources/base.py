"""Protocols of the sources of frames.

A source is a context manager; ``read`` returns its frames::

    with open_source("folder:incoming") as source:
        while (got := source.read(timeout_s=0.2)) is not NoFrame.END:
            if isinstance(got, Frame):
                ...

Most callers let a :class:`~pcedge.camera.Stream` do this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol, runtime_checkable

from ..frames import Frame

# Seconds that a network camera may take to answer: some wake up first.
DEFAULT_OPEN_S = 15.0
# Seconds that a file must be unchanged where the system does not say whether somebody writes it.
DEFAULT_SETTLE_S = 0.2


class NoFrame(Enum):
    """Why ``read`` returned no frame. A time-out is not an end."""

    YET = "nothing within the time-out; ask again"
    END = "the source has nothing more to give, now or later"


@runtime_checkable
class LeavingSource(Protocol):
    """A source that may be away for a while, and says so itself: it may have no image for hours."""

    @property
    def away(self) -> str:
        """Why it cannot be read now; empty while it can."""


@runtime_checkable
class SelectingSource(Protocol):
    """A source that finds more than it gives."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """Number of things that are not judged, by reason."""


class Source(Protocol):
    """A source of frames.

    ``read`` is called from one thread at a time, between ``__enter__`` and ``__exit__``, and the
    arrays in the frames it returns belong to the receiver: a source does not write to them again.
    """

    @property
    def name(self) -> str:
        """Display name of the source; safe to print (no password)."""

    @property
    def live(self) -> bool:
        """Whether frames arrive in real time, so that old ones are dropped when the consumer is slow."""

    def __enter__(self) -> Source:
        """Open it.

        Raises:
            CameraError: It cannot be opened.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it and release the device; called at most once after every ``__enter__``."""

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next frame, waiting about ``timeout_s`` for it.

        An image that could not be read is a frame with ``fault`` set, not an
        exception: one bad image does not end an inspection. A driver may block for longer than
        ``timeout_s`` (its own time-outs apply); :class:`~pcedge.camera.Stream` allows for that.

        Raises:
            CameraError: The source has failed permanently.
        """


@dataclass(frozen=True)
class Grabbed:
    """An image that was captured but not decoded.

    Attributes:
        decode: Decodes the image to a frame, with ``fault`` set if that fails; only valid until the next
            ``grab``.
    """

    decode: Callable[[], Frame]


@runtime_checkable
class GrabbingSource(Source, Protocol):
    """A source that captures and decodes separately, so that dropped images need not be decoded."""

    def grab(self, timeout_s: float) -> Grabbed | Frame | NoFrame:
        """Like ``read``, but without decoding the image."""


@runtime_checkable
class RenewableSource(Source, Protocol):
    """A source that can be abandoned, even during a read that hangs, and opened again."""

    def renewed(self) -> Source:
        """Return an unopened source of the same images that shares no resources with this one."""


def frame_name(index: int) -> str:
    """Name of a frame that has no file name of its own, such as ``frame-000012``."""
    return f"frame-{index:06d}"
