"""What every source of frames promises.

A source is opened by ``with``, asked for frames by ``read`` and closed by leaving the block::

    with open_source("folder:incoming") as source:
        while (got := source.read(timeout_s=0.2)) is not NoFrame.END:
            if isinstance(got, Frame):
                ...

Most callers let a :class:`~pcedge.camera.Stream` do this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol, runtime_checkable

from ..frames import Frame


class NoFrame(Enum):
    """Why ``read`` came back without a frame. A time-out is not an end."""

    YET = "nothing within the time-out; ask again"
    END = "the source has nothing more to give, now or later"


class Source(Protocol):
    """Something that gives one frame after another.

    ``read`` is called from one thread at a time, between ``__enter__`` and ``__exit__``, and the
    arrays in the frames it returns belong to the receiver: a source does not write to them again.
    """

    @property
    def name(self) -> str:
        """What a person calls this source; safe to print (no password)."""

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace: old ones are dropped rather than waited for."""

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
        """Close it and let go of the device; may be called once after every ``__enter__``."""

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next frame, waiting about ``timeout_s`` for it.

        An image that should be there but could not be had is a frame with ``fault`` set, not an
        exception: one bad image does not end an inspection. A driver may block for longer than
        ``timeout_s`` (its own time-outs apply); :class:`~pcedge.camera.Stream` allows for that.

        Raises:
            CameraError: The source has failed for good.
        """


@dataclass(frozen=True)
class Grabbed:
    """An image that was captured but not decoded.

    Attributes:
        decode: Returns it as a frame, with ``fault`` set if that fails; only before the next ``grab``.
    """

    decode: Callable[[], Frame]


@runtime_checkable
class GrabbingSource(Source, Protocol):
    """A source that captures and decodes apart, so that an image nobody looks at costs next to nothing."""

    def grab(self, timeout_s: float) -> Grabbed | Frame | NoFrame:
        """Like ``read``, but leave decoding to whoever wants the image."""


@runtime_checkable
class RenewableSource(Source, Protocol):
    """A source that can be given up, even in the middle of a read that hangs, and opened anew."""

    def renewed(self) -> Source:
        """Return an unopened source of the same images that shares nothing with this one."""


def frame_name(index: int) -> str:
    """Name of a frame that has no file name of its own, such as ``frame-000012``."""
    return f"frame-{index:06d}"
