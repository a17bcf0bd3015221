"""Description of a kind of source: which addresses it matches, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .base import DEFAULT_OPEN_S, Source
from .drivers import CameraSettings
from .journal import Journal


@dataclass(frozen=True)
class SourceOptions:
    """Options of a source, for all kinds.

    Attributes:
        follow: For a folder: wait for new images after the existing ones.
        max_reconnects: For a live camera: give up after this many attempts; None for no limit.
        settings: For a live camera: camera settings.
        done: For a folder: journal of the judged files, which are skipped.
        open_s: For a network camera: seconds that it may take to answer.
        ca_file: For an encrypted network camera: certificates to trust instead of the system's.
        insecure: For an encrypted network camera: whether any certificate is accepted.
        expected: All supported kinds of addresses, for messages.
    """

    follow: bool = True
    max_reconnects: int | None = None
    settings: CameraSettings | None = None
    done: Journal | None = None
    open_s: float = DEFAULT_OPEN_S
    ca_file: str = ""
    insecure: bool = False
    expected: str = ""


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        expected: Format of its addresses, for messages.
        matches: Whether an address belongs to this kind.
        open: Creates the source for an address, not yet opened.
        is_camera: Whether it supports camera settings: size, rate, exposure and focus.
        is_path: Whether its addresses may be paths.
    """

    expected: str
    matches: Callable[[str], bool]
    open: Callable[[str, SourceOptions], Source]
    is_camera: bool = False
    is_path: bool = False


def scheme_of(uri: str) -> str:
    """Return the scheme of an address in lower case: ``rtsp`` of ``RTSP://...``."""
    return uri.partition(":")[0].lower()
