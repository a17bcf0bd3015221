"""The schema of ``line.toml``: cameras, triggers, watching, sinks and metrics."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from pcedge.camera import MetricsTable, SinksTable, TriggerTable, read_sinks, read_table, read_trigger
from pcedge.errors import OptionError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Positive = Annotated[float, Meta(gt=0)]
_Whole = Annotated[int, Meta(ge=1)]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]*$")]
_Box = tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)], _Whole, _Whole]


class _LineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table that rejects unknown keys."""


class CameraTable(_LineTable, frozen=True):
    """``[[camera]]``: one camera. ``source`` or ``source_env`` is required, everything else is optional.

    Attributes:
        source: ``0``, ``v4l2:///dev/video0``, ``rtsp://...``, ``http://...``, ``gst:PIPELINE``,
            ``folder:DIR``, ``FILE.mp4`` or ``synthetic:``.
        source_env: Environment variable that holds the source, for addresses with a password.
        name: Letters, digits, ``.``, ``_``, ``-``; required with several cameras.
        product: A bundle's directory or name; default: the current bundle.
        threshold: Score above which a part is NG; default: the bundle's.
        review: ``true`` for REVIEW above the bundle's second threshold, or a score to use instead.
        region: The part of the image that is judged: left, top, width, height in pixels.
        mask: A mask image, white where the image is ignored; stretched to the region.
        size: Requested width and height; an error if the camera does not support them.
        fps: Requested frames per second.
        exposure: Requested exposure, in the driver's units.
        focus: Requested focus, in the driver's units.
        ca_file: For ``rtsps://`` and ``https://``: certificates to trust instead of the system's, as for a
            camera that signed its own.
        insecure: For ``rtsps://`` and ``https://``: ``true`` accepts any certificate, and so any camera.
        gate: Whether images outside the limits learned at fit are INVALID.
        drift: Whether drift is monitored.
        frozen_after: Number of repeated images until INVALID; 0 disables the check.
        debounce: ``[n, m]``: NG when n of the last m frames do not pass; for cameras without a trigger.
        trigger: The trigger that announces a part; without it, every frame is judged.
    """

    source: str = ""
    source_env: str = ""
    name: _Name = ""
    product: str = ""
    threshold: float | None = None
    review: bool | float = False
    region: _Box | None = None
    mask: str = ""
    size: tuple[_Whole, _Whole] | None = None
    fps: _Positive | None = None
    exposure: float | None = None
    focus: float | None = None
    ca_file: str = ""
    insecure: bool = False
    gate: bool = True
    drift: bool = True
    frozen_after: Annotated[int, Meta(ge=0)] = 25
    debounce: tuple[_Whole, _Whole] | None = None
    trigger: TriggerTable | None = None

    def __post_init__(self) -> None:
        if bool(self.source) == bool(self.source_env):
            raise ValueError("one of source and source_env is needed")
        if self.debounce is not None and self.trigger is not None:
            raise ValueError("debounce is for cameras without trigger")
        if self.debounce is not None and self.debounce[0] > self.debounce[1]:
            raise ValueError("debounce = [n, m] needs n of at most m")

    @property
    def address(self) -> str:
        """The source's address, which may contain a password.

        Raises:
            OptionError: The environment variable is not set.
        """
        if self.source:
            return self.source
        if address := os.environ.get(self.source_env, ""):
            return address
        raise OptionError(
            f"The environment variable {self.source_env} is not set.",
            f"Put the camera's address in it: export {self.source_env}=rtsp://...",
        )


class WatchTable(_LineTable, frozen=True):
    """``[watch]``: settings for all cameras.

    Attributes:
        output: Directory for results; default: ``inspections/<bundle>``.
        runtime: Runtime of the network, as ``--runtime``.
        device: Device, as ``--device``.
        precision: Precision of the network, as ``--precision``.
        batch: Maximum number of frames of several cameras judged together on a GPU.
        stall_s: Seconds without an image after which a camera is restarted; 0 for never.
        open_s: Seconds that a network camera may take to answer when it is opened.
        reload: Whether a bundle that is replaced on disk is reloaded.
        drift_alarm_rate: Probability of any false alarm of drift at a camera in the whole run.
        trigger_host: Address at which HTTP triggers are received.
        trigger_port: Its port.
        trigger_token_env: The environment variable with a token that whoever announces parts over HTTP must
            send as ``Authorization: Bearer ...``; without it, only requests that no web page can make are
            taken.
    """

    output: str = ""
    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    batch: Annotated[int, Meta(ge=1, le=64)] = 8
    stall_s: Annotated[float, Meta(ge=0)] = 10.0
    open_s: Annotated[float, Meta(gt=0, le=600)] = 15.0
    reload: bool = True
    drift_alarm_rate: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    trigger_host: str = "127.0.0.1"
    trigger_port: Annotated[int, Meta(ge=0, le=65535)] = 9109
    trigger_token_env: str = ""


class LineFile(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``line.toml``, or the equivalent from the command line."""

    cameras: tuple[CameraTable, ...]
    watch: WatchTable = WatchTable()
    sinks: SinksTable = SinksTable()
    metrics: MetricsTable | None = None


def read_line_file(path: Path) -> LineFile:
    """Read and check a line's file; paths in it are relative to its folder.

    Raises:
        OptionError: It cannot be read, or a table or a key is unknown, missing or has an invalid value; the
            message names file, table and key.
    """
    content = _content(path)
    try:
        return _line(content)
    except OptionError as error:
        raise OptionError(f"{path}: {error.what}", error.hint) from error


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"{path}: cannot be read: {error.strerror}.", "Name the line's file: --config line.toml"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(
            f"{path}: is not TOML: {error}.", "docs/guide/watch.md shows a whole file."
        ) from error


def _line(content: dict[str, Any]) -> LineFile:
    known = {"camera", "watch", "sinks", "metrics"}
    if unknown := sorted(content.keys() - known):
        raise OptionError(
            f"there is no table [{unknown[0]}].", "There are [[camera]], [watch], [sinks] and [metrics]."
        )
    found = content.get("camera", [])
    if not isinstance(found, list) or not found:
        raise OptionError("there is no [[camera]].", 'Begin with:\n[[camera]]\nsource = "0"')
    cameras = tuple(_camera(one, f"camera[{number}]") for number, one in enumerate(found))
    names = [camera.name for camera in cameras]
    if len(cameras) > 1 and (len(set(names)) < len(names) or "" in names):
        raise OptionError(
            "of several cameras every one needs a name of its own.", 'Give each a name = "...".'
        )
    metrics = content.get("metrics")
    return LineFile(
        cameras=cameras,
        watch=_read(WatchTable, content.get("watch", {}), "watch"),
        sinks=read_sinks(content.get("sinks", {})),
        metrics=None if metrics is None else read_table(MetricsTable, metrics, "metrics"),
    )


def _camera(content: Any, name: str) -> CameraTable:
    """A camera with its trigger, whose keys depend on its kind."""
    if not isinstance(content, dict) or content.get("trigger") is None:
        return cast(CameraTable, _read(CameraTable, content, name))
    with _named(f"{name}.trigger"):
        trigger = read_trigger(content["trigger"])
    others = {key: value for key, value in content.items() if key != "trigger"}
    camera = _read(CameraTable, others, name)
    with _named(name):
        return cast(CameraTable, msgspec.structs.replace(camera, trigger=trigger))


def _read(kind: Any, content: Any, name: str) -> Any:
    with _named(name):
        return msgspec.convert(content, kind)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the name of the table to an error."""
    try:
        yield
    except ValueError as error:
        text = str(error).replace("`$", f"`{name}")
        where = "" if f"`{name}" in text else f"[{name}]: "
        raise OptionError(f"{where}{text}.", "docs/guide/watch.md describes every key.") from error
