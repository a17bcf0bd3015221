"""Parsing and building by TensorRT for RTX, strongly typed, without a GPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pcedge.errors import ExportError

from ...graphs.input_shapes import Shapes
from .rtx_library import check_capabilities, keep_messages, rtx_capabilities, rtx_library

# The rows that a search finds are 64-bit, and so is the buffer that Polygraphy makes for them.
_EXPECTED = ("Make sure output rows has Int64 binding",)
_CUDA_CORES_ONLY = "7.5"


class Parsed(NamedTuple):
    """What NVIDIA's parser made of a file.

    Attributes:
        layers: Number of layers.
        warnings: What it warned of, without what is known and right.
    """

    layers: int
    warnings: tuple[str, ...]


class Plan(NamedTuple):
    """A serialised engine, and what the library warned of while it was built."""

    content: bytes
    layers: int
    warnings: tuple[str, ...]


def parse_by_rtx(onnx_path: Path) -> Parsed:
    """Let NVIDIA's parser read an ONNX file, as a strongly typed network; takes milliseconds.

    Raises:
        RuntimeUnavailableError: TensorRT for RTX is not installed.
        ExportError: The parser refuses the file; the message names node and operator.
    """
    parsing = _Parsing(rtx_library(), onnx_path)
    return Parsed(parsing.network.num_layers, parsing.warnings())


def build_by_rtx(onnx_path: Path, inputs: Mapping[str, Shapes], compute: Sequence[str]) -> Plan:
    """Build one engine for GPUs of one or several compute capabilities; takes a second.

    The precision is the file's: float32 (never TF32), float16 or int8.

    Args:
        onnx_path: An embedder, or the fused network, in any precision.
        inputs: Minimum, optimum and maximum shape of each input.
        compute: Compute capabilities, ``("8.6", "8.9")``.

    Raises:
        RuntimeUnavailableError: TensorRT for RTX is not installed.
        OptionError: It builds for no such compute capability.
        ExportError: The parser refuses the file, or the builder the network.
    """
    compute = check_capabilities(compute)
    library = rtx_library()
    parsing = _Parsing(library, onnx_path)
    config = parsing.builder.create_builder_config()
    config.clear_flag(library.BuilderFlag.TF32)
    config.add_optimization_profile(_profile(parsing.builder, inputs))
    known = rtx_capabilities(library)
    config.num_compute_capabilities = len(compute)
    for number, one in enumerate(compute):
        config.set_compute_capability(known[one], number)
    plan = parsing.builder.build_serialized_network(parsing.network, config)
    if plan is None:
        raise _not_built(onnx_path, compute, parsing.log.errors)
    return Plan(bytes(plan), parsing.network.num_layers, parsing.warnings())


class _Parsing:
    """Builder, network and parser, which must live as long as each other."""

    def __init__(self, library: Any, path: Path) -> None:
        self.log = keep_messages(library)
        self.builder = library.Builder(self.log)
        strong = 1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.network = self.builder.create_network(strong)
        self._parser = library.OnnxParser(self.network, self.log)
        if not self._parser.parse_from_file(str(path)):
            raise self._refused(library, path)

    def warnings(self) -> tuple[str, ...]:
        """What was warned of so far, without what is expected."""
        return tuple(one for one in self.log.warnings if not any(known in one for known in _EXPECTED))

    def _refused(self, library: Any, path: Path) -> ExportError:
        problems = [self._parser.get_error(number) for number in range(self._parser.num_errors)]
        what = "; ".join(
            f"{problem.node_operator()} (node {problem.node_name()!r}): {problem.desc()}"
            if problem.node_operator()
            else problem.desc()
            for problem in problems
        )
        return ExportError(
            f"TensorRT for RTX {library.__version__} refuses {path.name}: {what or 'it gives no reason'}.",
            "Use it with --runtime onnx. An int8 network for TensorRT is written by: "
            "pcedge export --int8 --trt-rtx",
        )


def _profile(builder: Any, inputs: Mapping[str, Shapes]) -> Any:
    profile = builder.create_optimization_profile()
    for name, (least, usual, most) in inputs.items():
        profile.set_shape(name, least, usual, most)
    return profile


def _not_built(path: Path, compute: Sequence[str], errors: Sequence[str]) -> ExportError:
    what = next(iter(errors), "it gives no reason")
    hint = "The ONNX file is unaffected: it runs with --runtime onnx."
    if "FP32 GEMM is not supported" in what and _CUDA_CORES_ONLY in compute:
        hint = (
            "For GPUs of compute capability 7.5 (Turing) it has no float32 matrix products, which the search "
            "in the network and transformers are made of: leave 7.5 out, or there use --runtime onnx."
        )
    return ExportError(
        f"TensorRT for RTX cannot build {path.name} for compute capability {', '.join(compute)}: {what}",
        hint,
    )
