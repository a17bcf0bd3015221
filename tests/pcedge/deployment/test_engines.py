"""Engines of an export: with the search in them where TensorRT manages that, without it where not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.cli import app
from pcedge.deployment.exporting import engines, rtx_engines
from pcedge.deployment.exporting import export_bundle as export_module
from pcedge.deployment.exporting.export_bundle import export_bundle
from pcedge.errors import BundleError, ExportError, OptionError, PcedgeError, RuntimeUnavailableError
from pcedge.export import OnnxRuntime, OnnxSearchingRuntime, read_engine, rtx_version
from pcedge.inspection.runtimes import candidates, runtime_file

Build = Callable[[PcedgeError | None], list[dict[str, Any]]]


@pytest.fixture
def bundle(line: Any) -> Bundle:
    return Bundle.open(line.models / "line")


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> Build:
    """TensorRT that builds what it is given, or cannot build the fused network; ONNX Runtime runs it.

    Returns what it was asked to build.
    """

    def pretend(fused_fails: PcedgeError | None) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def build(source: Path, target: Path, **options: Any) -> None:
            asked.append({"source": source.name, "content": source.read_bytes(), **options})
            if fused_fails is not None and "fused" in source.name:
                raise fused_fails
            target.write_bytes(source.read_bytes())

        def name(_: Path, part: Path | None = None) -> str:
            return "embedder.engine" if part is None else "embedder.fused.engine"

        def searching(engine: Path) -> OnnxSearchingRuntime:
            return OnnxSearchingRuntime(
                engine.with_name(EMBEDDER_FILE), engine.with_name(SEARCH_PART_FILE), "cpu"
            )

        monkeypatch.setattr(engines, "build_engine", build)
        monkeypatch.setattr(engines, "engine_name", name)
        monkeypatch.setattr(engines, "timing_cache_name", lambda: "here.timing")
        monkeypatch.setattr(engines, "TensorrtSearchingRuntime", searching)
        monkeypatch.setattr(engines, "TensorrtRuntime", lambda path: OnnxRuntime(path, "cpu"))
        return asked

    return pretend


def test_an_engine_holds_the_search_for_banks_of_this_size(bundle: Bundle, tensorrt: Build) -> None:
    asked = tensorrt(None)

    result = export_bundle(bundle, trt=True, batch=5)

    assert result.engines == ("embedder.fused.engine",)
    assert result.engine_problem is result.without_search is None
    assert [one.runtime for one in result.certificates] == ["onnx", "tensorrt"]
    (built,) = asked
    joined = bundle.file(EMBEDDER_FILE).read_bytes() + bundle.file(SEARCH_PART_FILE).read_bytes()
    assert (built["source"], built["content"]) == ("embedder.fused.onnx", joined)
    assert built["largest_bank"] == (bundle.manifest.bank.rows, bundle.manifest.embedding.dims)
    assert built["max_batch"] == 5
    listed = result.bundle.manifest.files
    assert "embedder.fused.engine" in listed
    assert not [name for name in listed if name.endswith("fused.onnx")]


@pytest.mark.parametrize("error", [ExportError("no tactic."), RuntimeUnavailableError("too old.")])
def test_where_tensorrt_cannot_build_the_search_the_processor_searches(
    bundle: Bundle, tensorrt: Build, error: PcedgeError
) -> None:
    asked = tensorrt(error)

    result = export_bundle(bundle, trt=True)

    assert (result.engines, result.without_search) == (("embedder.engine",), error)
    assert [(one["source"], one["largest_bank"] is None) for one in asked] == [
        ("embedder.fused.onnx", False),
        (EMBEDDER_FILE, True),
    ]
    assert "embedder.fused.engine" not in result.bundle.manifest.files


def test_a_bundle_of_an_earlier_version_gets_an_engine_without_the_search(
    bundle: Bundle, tensorrt: Build
) -> None:
    asked = tensorrt(None)
    del bundle.manifest.files[SEARCH_PART_FILE]
    (bundle.directory / "manifest.json").write_bytes(bundle.manifest.to_json())

    result = export_bundle(bundle, trt=True)

    assert (result.engines, result.without_search) == (("embedder.engine",), None)
    assert [one["source"] for one in asked] == [EMBEDDER_FILE]


RTX_LIBRARY = "pcedge.export.engines.rtx.rtx_library"
needs_rtx = pytest.mark.skipif(
    rtx_version() is None, reason="TensorRT for RTX is not here (x86-64 Linux: pcedge[trt-rtx])"
)


@needs_rtx
def test_engines_are_built_ahead_of_time_for_other_machines(bundle: Bundle) -> None:
    result = export_bundle(bundle, rtx_compute=("8.9", "8.6"), batch=2)

    (name,) = result.engines
    assert name.startswith(f"embedder.fused.trtrtx{rtx_version()}.sm86-sm89.")
    assert result.engine_problem is result.without_search is None
    info, _ = read_engine(result.bundle.file(name))
    assert info.compute == ("8.6", "8.9")
    assert info.inputs["images"][2][0] == 2
    assert info.inputs["bank"][2] == (bundle.manifest.bank.rows, bundle.manifest.embedding.dims)
    # Proved where it runs; here nothing else is chosen or said because of it.
    assert [one.runtime for one in result.certificates] == ["onnx"]
    assert [one.runtime for one in candidates(result.bundle)] == ["onnx"]


@needs_rtx
def test_the_command_says_where_the_engine_is_proved(bundle: Bundle) -> None:
    export_bundle(bundle)
    arguments = ["export", "--trt-rtx", "--compute", "8.6, 8.9", "--model", str(bundle.directory)]

    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})

    assert done.exit_code == 0, done.output
    assert "pcedge verify --runtime tensorrt-rtx" in done.output
    assert ".sm86-sm89." in done.output


@needs_rtx
def test_for_turing_the_processor_searches(bundle: Bundle) -> None:
    result = export_bundle(bundle, rtx_compute=("8.6", "7.5", "12.0"))

    searching, alone = result.engines
    assert searching.startswith("embedder.fused.trtrtx")
    assert ".sm86-sm120." in searching
    assert alone.startswith("embedder.trtrtx")
    assert ".sm75." in alone
    assert {searching, alone} <= set(result.bundle.manifest.files)
    assert result.without_search is not None
    assert "FP32 GEMM is not supported" in result.without_search.what


@needs_rtx
def test_a_workstation_finds_out_what_tensorrt_would_refuse(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise RuntimeUnavailableError("no GPU.")

    monkeypatch.setattr(export_module, "export_engine", unavailable)

    result = export_bundle(bundle, trt=True)
    assert result.engine_problem is not None
    assert result.accepted.startswith("parsed and built, not run, by TensorRT for RTX")

    monkeypatch.setattr(rtx_engines, "build_by_rtx", _refuse)
    with pytest.raises(ExportError, match="refuses embedder"):
        export_bundle(result.bundle, trt=True)


def _refuse(source: Path, *_: object) -> None:
    raise ExportError(f"TensorRT for RTX refuses {source.name}.")


def test_without_the_library_the_onnx_file_is_there_and_the_rest_is_said(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setattr(export_module, "rtx_version", lambda: None)

    result = export_bundle(bundle, rtx_compute=("8.6",))

    assert result.bundle.is_exported
    assert result.engines == ()
    assert result.engine_problem is not None
    assert "pip install 'pcedge[trt-rtx]'" in result.engine_problem.hint


@needs_rtx
def test_a_wrong_compute_capability_is_refused_before_the_long_work(bundle: Bundle) -> None:
    with pytest.raises(OptionError, match=r"'9\.9'"):
        export_bundle(bundle, rtx_compute=("9.9",))


@needs_rtx
def test_the_engine_of_this_machine_s_gpu_is_taken(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = export_bundle(bundle, rtx_compute=("8.6",)).bundle
    monkeypatch.setattr(f"{RTX_LIBRARY}.compute_capability", lambda: "8.6")
    assert [one.runtime for one in candidates(exported)] == ["tensorrt-rtx", "onnx"]
    assert runtime_file(exported, "tensorrt-rtx").name.startswith("embedder.fused.trtrtx")

    monkeypatch.setattr(f"{RTX_LIBRARY}.compute_capability", lambda: "8.9")
    assert [one.runtime for one in candidates(exported)] == ["onnx"]
    with pytest.raises(ExportError, match=r"built for compute capability 8\.6") as caught:
        runtime_file(exported, "tensorrt-rtx")
    assert "--compute 8.9" in caught.value.hint
    with pytest.raises(BundleError, match="no engine of TensorRT for RTX") as missing:
        runtime_file(bundle, "tensorrt-rtx")
    assert "pcedge export --trt-rtx" in missing.value.hint
