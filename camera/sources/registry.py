"""Registry of source kinds, and opening of a source by its address.

To add a kind of source: one file that defines ``KIND``, and one line in :data:`SOURCES`.
"""

from __future__ import annotations

from pathlib import Path

from pcedge.errors import CameraError, OptionError

from ..util.addresses import redact
from . import devices, folder, gstreamer
from .base import DEFAULT_OPEN_S, Source
from .drivers import CameraSettings
from .journal import Journal
from .kind import SourceKind, SourceOptions
from .streams import network, video
from .synthetic import address

# An address belongs to the first kind that it matches.
SOURCES: tuple[SourceKind, ...] = (
    devices.NUMBER,
    devices.DEVICE,
    network.KIND,
    gstreamer.KIND,
    folder.KIND,
    address.KIND,
    video.KIND,
)


def open_source(
    uri: str,
    *,
    follow: bool = True,
    max_reconnects: int | None = None,
    settings: CameraSettings | None = None,
    done: Journal | None = None,
    open_s: float = DEFAULT_OPEN_S,
    ca_file: str = "",
    insecure: bool = False,
) -> Source:
    """Return the source for an address; ``with`` opens it.

    ==========================  =====================================================
    ``0``, ``1``                camera by number
    ``v4l2:///dev/video0``      camera by device (Linux)
    ``rtsp://``, ``rtsps://``   network camera
    ``http://``, ``https://``   network camera, such as MJPEG, or the address of a single image
    ``gst:PIPELINE``            GStreamer pipeline ending in ``appsink``
    ``folder:DIR`` or a folder  the images in a folder, then new ones
    ``synthetic:``              a synthetic camera; ``synthetic:?frames=50&fps=10&seed=3&defects=0.2``
    anything else               path of a video file
    ==========================  =====================================================

    Args:
        uri: As above.
        follow: For a folder: wait for new images after the existing ones.
        max_reconnects: For live cameras: give up after this many attempts; None for no limit.
        settings: For live cameras: camera settings.
        done: For a folder: journal of the judged files, which are skipped.
        open_s: For a network camera: seconds that it may take to answer when it is opened.
        ca_file: For ``rtsps://`` and ``https://``: certificates to trust instead of the system's.
        insecure: For ``rtsps://`` and ``https://``: whether any certificate is accepted.

    Raises:
        CameraError: No kind of source matches ``uri``, or its file or device does not exist. A network
            camera is only contacted when it is opened.
        OptionError: An option of ``synthetic:`` is out of range, or ``ca_file`` cannot be used.
    """
    uri = uri.strip()
    kind = next((one for one in SOURCES if one.matches(uri)), None)
    if settings is not None and settings != CameraSettings() and not (kind and kind.is_camera):
        raise CameraError(
            f"{redact(uri)}: has no size, rate, exposure or focus that could be set.",
            "Leave these settings out: they are for cameras.",
        )
    if kind is None:
        raise _no_source(uri)
    if (ca_file or insecure) and kind is not network.KIND:
        raise OptionError(
            "ca_file and insecure are for rtsps:// and https:// cameras.", "Leave them out for this one."
        )
    return kind.open(
        uri,
        SourceOptions(follow, max_reconnects, settings, done, open_s, ca_file, insecure, _expected()),
    )


def may_be_path(uri: str) -> bool:
    """Whether an address may be a path; a GStreamer pipeline, for example, is too long for one."""
    if "://" in uri:
        return False
    return not any(one.matches(uri) for one in SOURCES if not one.is_path)


def _no_source(uri: str) -> CameraError:
    shown = redact(uri)
    if "://" in uri or uri in {"", "folder:"}:
        return CameraError(f"'{shown}' names no kind of source.", _expected())
    if Path(uri).is_file():
        return CameraError(f"{shown}: is an image, not a source.", "Name its folder: folder:DIR")
    return CameraError(f"{shown}: no such file or folder.", _expected())


def _expected() -> str:
    *most, last = (kind.expected for kind in SOURCES)
    return f"Expected {', '.join(most)} or {last}."
