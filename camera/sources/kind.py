"""What a kind of source says of itself: which addresses are its own, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .base import Source
from .drivers import CameraSettings
from .journal import Journal


@dataclass(frozen=True)
class SourceOptions:
    """What is asked of a source, whatever its kind.

    Attributes:
        follow: Of a folder: wait for more images after those already there.
        max_reconnects: Of a live camera: give up after this many attempts; None never gives up.
        settings: Of a live camera: what the camera is asked for.
        done: Of a folder: the files that have had their verdict and are passed over.
        expected: Every kind of address there is, for messages.
    """

    follow: bool = True
    max_reconnects: int | None = None
    settings: CameraSettings | None = None
    done: Journal | None = None
    expected: str = ""


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        expected: How its addresses look, for messages.
        matches: Whether an address is one of its own.
        open: Makes the source that an address names, not yet opened.
        is_camera: Whether size, rate, exposure and focus can be asked for.
        is_path: Whether its addresses may be paths.
    """

    expected: str
    matches: Callable[[str], bool]
    open: Callable[[str, SourceOptions], Source]
    is_camera: bool = False
    is_path: bool = False


def scheme_of(uri: str) -> str:
    """What an address begins with, in small letters: ``rtsp`` of ``RTSP://...``."""
    return uri.partition(":")[0].lower()
