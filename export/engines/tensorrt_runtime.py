"""TensorRT runtime, with NVIDIA's Polygraphy."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError, RuntimeUnavailableError

from ..graphs.onnx_file import INPUT, OUTPUT
from .engine_file import EngineInfo, read_engine, require_this_machine
from .tensorrt_library import first_line, polygraphy_backend, quiet_output

_Self = TypeVar("_Self", bound="TensorrtRuntime")


class TensorrtRuntime:
    """Runs an engine that was built on this device; the first run, which is slow, is done at once.

    Attributes:
        info: Metadata of the engine file.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
        ExportError: The engine was built for another GPU or TensorRT version, or is damaged.
    """

    def __init__(self, engine_path: Path) -> None:
        backend = polygraphy_backend()
        self.info, plan = read_engine(engine_path)
        require_this_machine(engine_path, self.info)
        try:
            with quiet_output():
                self._runner = backend.TrtRunner(backend.EngineFromBytes(plan))
                self._runner.activate()
        except Exception as error:  # Polygraphy and TensorRT raise classes of their own
            raise ExportError(
                f"{engine_path.name} cannot be loaded by TensorRT {self.info.tensorrt} on this GPU "
                f"({first_line(error)}).{_memory(self.info)}",
                "Free memory on the device, or build it again there with: pcedge export --trt "
                "(a smaller --batch needs less memory).",
            ) from error
        try:
            self.infer(np.zeros(self.info.inputs[INPUT][0], np.float32))
        except BaseException:
            self._runner.deactivate()
            raise

    @property
    def name(self) -> str:
        """``tensorrt`` and its version."""
        return f"tensorrt {self.info.tensorrt}"

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims]."""
        # Polygraphy hands out its own buffer, overwritten by the next call.
        return np.array(self._run({INPUT: images})[OUTPUT], np.float32)

    def _run(self, feed: dict[str, Any], **options: bool) -> dict[str, Any]:
        most = self.info.inputs[INPUT][2][0]
        if len(feed[INPUT]) > most:
            raise RuntimeUnavailableError(
                f"The engine takes at most {most} images a call, not {len(feed[INPUT])}.",
                f"Build it for more with: pcedge export --trt --batch {len(feed[INPUT])}",
            )
        try:
            outputs: dict[str, Any] = self._runner.infer(feed, **options)
        except Exception as error:  # Polygraphy and TensorRT raise classes of their own
            raise RuntimeUnavailableError(
                f"TensorRT could not run the network ({first_line(error)}).{_memory(self.info)}",
                "Free memory on the device, build the engine for fewer images a call (pcedge export --trt "
                "--batch 1), fit with a smaller --coreset, or use --runtime onnx.",
            ) from error
        return outputs

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Free the engine's device memory."""
        self._runner.deactivate()


def _memory(info: EngineInfo) -> str:
    if info.device_memory_bytes is None:
        return ""
    return f" It needs {info.device_memory_bytes / 2**20:.0f} MiB of device memory beside its weights."
