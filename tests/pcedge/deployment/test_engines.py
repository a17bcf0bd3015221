"""Engines of an export: with the search in them where TensorRT manages that, without it where not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.deployment.exporting import engines
from pcedge.deployment.exporting.export_bundle import export_bundle
from pcedge.errors import ExportError, PcedgeError, RuntimeUnavailableError
from pcedge.export import OnnxRuntime, OnnxSearchingRuntime

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
