"""Engine files: a TensorRT plan with a header of metadata."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from pcedge.errors import ExportError

from ..graphs.search_graph import fuse
from .tensorrt_library import polygraphy_backend, tensorrt_gpu, tensorrt_version

# Two lines of text, so that `head -n 2` shows them; the plan follows.
_MAGIC = b"pcedge engine 1\n"
_DIGITS = 12
_FUSED = ".fused."
_AGAIN = "Build it again on this device with: pcedge export --trt"
_AGAIN_RTX = "Build it again, on any workstation, with: pcedge export --trt-rtx --compute {compute}"
# In the names of engines that TensorRT for RTX built.
_RTX = ".trtrtx"


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata of an engine file.

    Attributes:
        gpu: The GPU it was built on, and works on; empty if it was built ahead of time.
        tensorrt: The TensorRT version it was built with, and works with.
        compute: Compute capabilities that it was built for ahead of time, by TensorRT for RTX; else empty.
        source: Name of the ONNX file it was built from.
        source_sha256: Digest of that file.
        inputs: Minimum, optimum and maximum shape of each input.
        device_memory_bytes: Device memory without the weights; None if TensorRT does not report it.
        built: Build time as ISO 8601 with time zone.
        plan_sha256: Digest of the plan; empty in a file of an earlier version.
    """

    gpu: str
    tensorrt: str
    source: str
    source_sha256: str
    inputs: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
    device_memory_bytes: int | None
    built: str
    compute: tuple[str, ...] = ()
    plan_sha256: str = ""

    @property
    def again(self) -> str:
        """How to build it again, as a hint."""
        return _AGAIN_RTX.format(compute=",".join(self.compute)) if self.compute else _AGAIN


def engine_name(source: Path | None = None, part: Path | None = None) -> str:
    """File name of an engine for this machine: engines are tied to the GPU and the TensorRT version.

    Args:
        source: The ONNX file it is built from. Its digest becomes part of the name, so that an engine is
            never taken for that of another network or precision.
        part: For the fused network: the search behind that embedder.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
    """
    polygraphy_backend()
    machine = f"{slug(tensorrt_gpu())}.trt{slug(tensorrt_version())}"
    if source is None:
        return f"embedder.{machine}.engine"
    start, digest = _start_and_digest(source, part)
    return f"{start}.{machine}.{digest}.engine"


def rtx_engine_name(source: Path, compute: Sequence[str], version: str, part: Path | None = None) -> str:
    """File name of an engine built ahead of time: as ``engine_name``, without a machine.

    Args:
        source: The ONNX file it is built from.
        compute: Compute capabilities that it is built for.
        version: Of TensorRT for RTX.
        part: For the fused network: the search behind that embedder.
    """
    targets = "-".join(f"sm{one.replace('.', '')}" for one in compute)
    start, digest = _start_and_digest(source, part)
    return f"{start}{_RTX}{slug(version)}.{targets}.{digest}.engine"


def is_rtx_engine_of(engine: str, source: Path, part: Path | None = None) -> bool:
    """Whether an engine of that name was built ahead of time from these very files."""
    start, digest = _start_and_digest(source, part)
    return engine.startswith(f"{start}{_RTX}") and engine.endswith(f".{digest}.engine")


def is_rtx_engine(engine: str) -> bool:
    """Whether an engine of that name was built ahead of time, by TensorRT for RTX."""
    return _RTX in engine and engine.endswith(".engine")


def _start_and_digest(source: Path, part: Path | None) -> tuple[str, str]:
    if part is None:
        return source.stem, file_sha256(source)[:_DIGITS]
    return f"{source.stem}{_FUSED[:-1]}", sha256(fuse(source, part)).hexdigest()[:_DIGITS]


def is_fused(engine: str) -> bool:
    """Whether an engine of that name holds the search too."""
    return _FUSED in engine


def timing_cache_name() -> str:
    """File name of the measurements that speed up the next build on this machine.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
    """
    polygraphy_backend()
    return f"{slug(tensorrt_gpu())}.trt{slug(tensorrt_version())}.timing"


def write_engine(path: Path, info: EngineInfo, plan: bytes) -> EngineInfo:
    """Write an engine file, replacing an existing one; return its metadata with the plan's digest."""
    info = msgspec.structs.replace(info, plan_sha256=sha256(plan).hexdigest())
    path.unlink(missing_ok=True)
    path.write_bytes(_MAGIC + msgspec.json.encode(info) + b"\n" + plan)
    return info


def read_engine(path: Path) -> tuple[EngineInfo, bytes]:
    """Read an engine file: metadata and TensorRT plan.

    Raises:
        ExportError: It cannot be read, is cut off or changed, or is not an engine file of this version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}).", _AGAIN) from error
    header, _, plan = content.removeprefix(_MAGIC).partition(b"\n")
    if not content.startswith(_MAGIC) or not plan:
        raise ExportError(f"{path.name} is not an engine that this version of pcedge built.", _AGAIN)
    try:
        info = msgspec.json.decode(header, type=EngineInfo)
    except msgspec.MsgspecError as error:
        raise ExportError(f"The header of {path.name} cannot be read ({error}).", _AGAIN) from error
    if info.plan_sha256 and sha256(plan).hexdigest() != info.plan_sha256:
        raise ExportError(f"{path.name} is cut off or was changed.", info.again)
    return info, plan


def require_this_machine(path: Path, info: EngineInfo) -> None:
    """Check that an engine was built for this GPU and this TensorRT version.

    Raises:
        ExportError: It was built for another GPU or TensorRT version, or by TensorRT for RTX.
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
    """
    polygraphy_backend()
    if info.compute:
        raise ExportError(
            f"{path.name} was built by TensorRT for RTX, and only that runs it.",
            "Use --runtime tensorrt-rtx, or build one for TensorRT with: pcedge export --trt",
        )
    here = (tensorrt_gpu(), tensorrt_version())
    if here != (info.gpu, info.tensorrt):
        raise ExportError(
            f"{path.name} was built for {info.gpu} with TensorRT {info.tensorrt}; this machine has {here[0]} "
            f"and TensorRT {here[1]}.",
            _AGAIN,
        )


def file_sha256(path: Path) -> str:
    """Digest of a file's content, in hexadecimal.

    Raises:
        ExportError: The file cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ExportError(
            f"{path} cannot be read ({error.strerror}).", "Write it again with: pcedge export"
        ) from error


def slug(text: str) -> str:
    """Convert a name to part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
