"""TensorRT runtime, with NVIDIA's Polygraphy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError, RuntimeUnavailableError

from ..graphs.onnx_file import INPUT, OUTPUT
from .engine_file import EngineInfo, read_engine, require_this_machine
from .tensorrt_library import first_line, polygraphy_backend, quiet_output

_Self = TypeVar("_Self", bound="TensorrtRuntime")


class EngineKind(NamedTuple):
    """Which TensorRT runs an engine.

    Attributes:
        name: As displayed before the version.
        command: What builds such an engine.
        open: Reads and checks an engine file; returns its metadata and Polygraphy's runner, activated.
    """

    name: str
    command: str
    open: Callable[[Path], tuple[EngineInfo, Any]]


def _open(engine_path: Path) -> tuple[EngineInfo, Any]:
    backend = polygraphy_backend()
    info, plan = read_engine(engine_path)
    require_this_machine(engine_path, info)
    try:
        with quiet_output():
            runner = backend.TrtRunner(backend.EngineFromBytes(plan))
            runner.activate()
    except Exception as error:  # Polygraphy and TensorRT raise classes of their own
        raise ExportError(
            f"{engine_path.name} cannot be loaded by TensorRT {info.tensorrt} on this GPU "
            f"({first_line(error)}).{memory_needed(info)}",
            "Free memory on the device, or build it again there with: pcedge export --trt "
            "(a smaller --batch needs less memory).",
        ) from error
    return info, runner


TENSORRT = EngineKind("tensorrt", "pcedge export --trt", _open)


class TensorrtRuntime:
    """Runs an engine for this device; the first run, which is slow, is done at once.

    Args:
        engine_path: The engine file.
        kind: Which TensorRT runs it.

    Attributes:
        info: Metadata of the engine file.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
        ExportError: The engine was built for another GPU or TensorRT version, or is damaged.
    """

    def __init__(self, engine_path: Path, kind: EngineKind = TENSORRT) -> None:
        self._kind = kind
        self.info, self._runner = kind.open(engine_path)
        try:
            self.infer(np.zeros(self.info.inputs[INPUT][0], np.float32))
        except BaseException:
            self._runner.deactivate()
            raise

    @property
    def name(self) -> str:
        """``tensorrt``, or ``tensorrt-rtx``, and its version."""
        return f"{self._kind.name} {self.info.tensorrt}"

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims]."""
        # Polygraphy hands out its own buffer, overwritten by the next call.
        return np.array(self._run({INPUT: images})[OUTPUT], np.float32)

    def _run(self, feed: dict[str, Any], **options: bool) -> dict[str, Any]:
        most = self.info.inputs[INPUT][2][0]
        if len(feed[INPUT]) > most:
            raise RuntimeUnavailableError(
                f"The engine takes at most {most} images a call, not {len(feed[INPUT])}.",
                f"Build it for more with: {self._kind.command} --batch {len(feed[INPUT])}",
            )
        try:
            outputs: dict[str, Any] = self._runner.infer(feed, **options)
        except Exception as error:  # Polygraphy and TensorRT raise classes of their own
            raise RuntimeUnavailableError(
                f"TensorRT could not run the network ({first_line(error)}).{memory_needed(self.info)}",
                f"Free memory on the device, build the engine for fewer images a call ({self._kind.command} "
                "--batch 1), fit with a smaller --coreset, or use --runtime onnx.",
            ) from error
        return outputs

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Free the engine's device memory."""
        self._runner.deactivate()


def memory_needed(info: EngineInfo) -> str:
    """What an engine needs, as a sentence; empty if it is not known."""
    if info.device_memory_bytes is None:
        return ""
    return f" It needs {info.device_memory_bytes / 2**20:.0f} MiB of device memory beside its weights."
