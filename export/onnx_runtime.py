"""An ONNX file as a runtime, through ONNX Runtime."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError, MissingExtraError, RuntimeUnavailableError

from .onnx_file import INPUT, OUTPUT

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class OnnxRuntime:
    """Runs ``embedder.onnx``.

    Args:
        path: The ONNX file.
        device: ``auto`` (CUDA where this build of ONNX Runtime has it), ``cpu`` or ``cuda``.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        RuntimeUnavailableError: The device does not exist here.
        ExportError: The file is not a usable network.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError("onnxruntime", "cpu", f"Running {path.name}") from None
        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        # Threads that spin between calls take the cores away from the search that follows.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=_providers(device, onnxruntime.get_available_providers())
            )
        except RuntimeUnavailableError:
            raise
        except Exception as error:  # ONNX Runtime raises a class of its own per error code
            raise ExportError(
                f"{path} cannot be loaded by ONNX Runtime ({str(error).splitlines()[0]}).",
                "Write it again with: pcedge export",
            ) from error

        if device.startswith("cuda") and self._session.get_providers()[0] != _PROVIDERS["cuda"]:
            raise RuntimeUnavailableError(
                "ONNX Runtime has CUDA but could not start it, and would have run on the CPU instead.",
                "Check the driver and the CUDA and cuDNN versions, or use --device cpu.",
            )

    @property
    def name(self) -> str:
        """``onnxruntime`` and the execution provider in use."""
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        return f"onnxruntime ({provider})"

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims]."""
        try:
            outputs = self._session.run([OUTPUT], {INPUT: images})
        except Exception as error:  # ONNX Runtime raises a class of its own per error code
            raise RuntimeUnavailableError(
                f"ONNX Runtime could not run the network ({str(error).splitlines()[0]}).",
                "Check the free memory of the device, or use another --device or --runtime.",
            ) from error
        return np.asarray(outputs[0], np.float32)

    def __enter__(self) -> "OnnxRuntime":
        return self

    def __exit__(self, *_: object) -> None:
        """Release the session's memory."""
        del self._session


def onnx_devices() -> list[str]:
    """Where this build of ONNX Runtime can run, the fastest first: ``cuda`` if it has it, and ``cpu``.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "cpu", "Running an exported network") from None
    return [device for device, name in _PROVIDERS.items() if name in onnxruntime.get_available_providers()]


def _providers(device: str, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    wanted, _, number = device.partition(":")
    if wanted not in ("auto", *_PROVIDERS):
        raise RuntimeUnavailableError(
            f"ONNX Runtime has no device {device!r}.", "Use --device auto, cpu or cuda."
        )
    if wanted == "cuda" and _PROVIDERS["cuda"] not in available:
        raise RuntimeUnavailableError(
            "This build of ONNX Runtime has no CUDA.",
            "Install it with: pip uninstall onnxruntime; pip install 'pcedge[gpu]'",
        )
    chosen: list[str | tuple[str, dict[str, str]]] = []
    if wanted != "cpu" and _PROVIDERS["cuda"] in available:
        # Scores are compared with those measured at fit: no TF32.
        chosen.append((_PROVIDERS["cuda"], {"use_tf32": "0", "device_id": number or "0"}))
    return [*chosen, _PROVIDERS["cpu"]]
