"""A runtime that searches too: the inspector uses it, and parity catches one that finds the wrong rows."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.bundles.manifest import FileInfo
from pcedge.deployment.bench.bench import _time_stages
from pcedge.deployment.bench.result import STAGES
from pcedge.export import OnnxRuntime, OnnxSearchingRuntime, Runtime, TensorrtOptions
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtime_kinds import onnx_kind
from pcedge.inspection.runtimes import Candidate, candidates, open_runtime
from pcedge.inspection.verification.golden import read_golden
from pcedge.inspection.verification.parity import Parity, measure_frame_ms, measure_parity

Found = tuple[NDArray[np.float32], NDArray[np.int64]]
Change = Callable[[NDArray[np.float32], NDArray[np.int64]], Found]


class _Searching:
    """A searching runtime made of one that does not: the bank's own search stands for the device's."""

    def __init__(self, runtime: Runtime, bank: Bank, change: Change) -> None:
        self._runtime, self._bank, self._change = runtime, bank, change
        self.bound: list[NDArray[np.float32]] = []
        self.name = "searching"
        self.infer = runtime.infer

    def bind(self, bank_rows: NDArray[np.float32]) -> "_Searching":
        self.bound.append(bank_rows)
        return self

    def infer_nearest(self, images: NDArray[np.float32]) -> Found:
        embeddings = self._runtime.infer(images)
        distances, rows = self._bank.search(embeddings[0])
        return tuple(values[np.newaxis] for values in self._change(distances, rows))  # type: ignore[return-value]

    def __enter__(self) -> "_Searching":
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def bundle(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle(tmp_path / "part")


@pytest.fixture
def measure(bundle: Bundle, make_runtime: Callable[..., Runtime]) -> Callable[[Change], Parity]:
    def run(change: Change) -> Parity:
        bank = bundle.open_bank()
        runtime = _Searching(make_runtime(), bank, change)
        inspector = Inspector.of(bundle.manifest, runtime, bank)
        return measure_parity(inspector, read_golden(bundle))

    return run


def _failing(parity: Parity) -> list[str]:
    return [stage.stage for stage in parity.stages if not stage.holds]


def test_what_searches_on_the_device_is_given_the_rows_once_and_used(
    bundle: Bundle, make_runtime: Callable[..., Runtime], pictures: list[NDArray[np.uint8]]
) -> None:
    bank = bundle.open_bank()
    runtime = _Searching(make_runtime(), bank, lambda distances, rows: (distances + 1, rows))
    plain = Inspector.of(bundle.manifest, make_runtime(), bank)

    inspector = Inspector.of(bundle.manifest, runtime, bank)
    found, expected = inspector.stages(pictures[0]), plain.stages(pictures[0])
    inspector.inspect(pictures[1])

    assert found.embeddings is None
    assert inspector.searches_on_device
    assert not plain.searches_on_device
    assert found.score == pytest.approx(expected.score + 1)
    np.testing.assert_array_equal(found.rows, expected.rows)
    (bound,) = runtime.bound
    np.testing.assert_array_equal(bound, bank.rows)


def test_a_benchmark_counts_the_device_s_search_to_its_network(
    bundle: Bundle, make_runtime: Callable[..., Runtime], pictures: list[NDArray[np.uint8]]
) -> None:
    bank = bundle.open_bank()
    runtime = _Searching(make_runtime(), bank, lambda distances, rows: (distances, rows))

    times = list(_time_stages(Inspector.of(bundle.manifest, runtime, bank), pictures[0]))

    assert len(times) == len(STAGES)
    assert times[1] > times[2] == 0


def test_a_search_on_the_device_that_is_right_holds(measure: Callable[[Change], Parity]) -> None:
    parity = measure(lambda distances, rows: (distances, rows))

    assert parity.holds
    assert parity.rows_changed == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda distances, rows: (distances * np.float32(1.5), rows),
        lambda distances, rows: (distances + np.float32(0.5), rows),
        lambda distances, rows: (np.where(rows == rows.min(), np.nan, distances).astype("f4"), rows),
        lambda distances, rows: (distances[::-1].copy(), rows),
        lambda distances, rows: (distances[:-1], rows[:-1]),
    ],
    ids=["scaled", "shifted", "not a number", "another order", "one missing"],
)
def test_a_search_on_the_device_that_is_wrong_is_caught_at_the_search(
    measure: Callable[[Change], Parity], change: Change
) -> None:
    parity = measure(change)

    assert not parity.holds
    assert _failing(parity)[0] == "search"
    assert {"preprocessing", "embedding", "map"}.isdisjoint(_failing(parity))
    assert parity.failure().startswith("the search differs")


def _open(line: Any, part: Path | None = None) -> tuple[Bundle, OnnxSearchingRuntime]:
    bundle = Bundle.open(line.models / "line")
    file = part if part is not None else bundle.file(SEARCH_PART_FILE)
    return bundle, OnnxSearchingRuntime(bundle.file(EMBEDDER_FILE), file, "cpu")


def test_an_exported_bundle_holds_the_search_for_devices_and_it_is_proved(exported_line: Any) -> None:
    bundle, runtime = _open(exported_line)

    with runtime:
        inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
        parity = measure_parity(inspector, read_golden(bundle))
        assert parity.holds, parity.failure()
        assert measure_frame_ms(inspector, read_golden(bundle)) > 0


def test_a_wrong_search_in_a_real_network_is_caught(exported_line: Any, tmp_path: Path) -> None:
    """The factor -2 of the search becomes -1.9: rows that are not the nearest, distances that are theirs."""
    part = tmp_path / "wrong.onnxpart"
    right = (exported_line.models / "line" / SEARCH_PART_FILE).read_bytes()
    assert right.count(struct.pack("<f", -2)) == 1
    part.write_bytes(right.replace(struct.pack("<f", -2), struct.pack("<f", -1.9)))

    bundle, runtime = _open(exported_line, part)
    with runtime:
        inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
        parity = measure_parity(inspector, read_golden(bundle))

    assert not parity.holds
    assert parity.rows_changed > 0
    assert _failing(parity)[0] == "search"


@pytest.mark.parametrize(("device", "searches"), [("auto", False), ("cpu", False)])
def test_on_a_processor_the_bank_searches(exported_line: Any, device: str, searches: bool) -> None:
    bundle = Bundle.open(exported_line.models / "line")

    with open_runtime(bundle, "onnx", device) as runtime:
        assert isinstance(runtime, OnnxRuntime)
        assert isinstance(runtime, OnnxSearchingRuntime) is searches


class _OnGpu(OnnxSearchingRuntime):
    """Where a GPU would be: ONNX Runtime's own processor."""

    def __init__(self, embedder: Path, part: Path, device: str, options: Any) -> None:
        self.asked = (device, options)
        super().__init__(embedder, part, "cpu")

    @property
    def on_gpu(self) -> bool:
        return True


@pytest.mark.parametrize(("device", "cache"), [("auto", False), ("cuda:1", False), ("tensorrt", True)])
def test_on_a_gpu_the_network_searches(
    exported_line: Any, monkeypatch: pytest.MonkeyPatch, device: str, cache: bool
) -> None:
    monkeypatch.setattr(onnx_kind, "onnx_devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(onnx_kind, "OnnxSearchingRuntime", _OnGpu)
    bundle = Bundle.open(exported_line.models / "line")

    with open_runtime(bundle, "onnx", device) as runtime:
        assert isinstance(runtime, _OnGpu)
        asked, options = runtime.asked

    assert asked == device
    assert (options is not None) is cache
    if cache:
        rows, dims = bundle.manifest.bank.rows, bundle.manifest.embedding.dims
        assert options.shapes["bank"][2] == (rows, dims)


@pytest.mark.parametrize(
    ("precision", "half", "quantised"),
    [("fp16", True, False), ("int8", False, True), ("int8-trt", False, True)],
)
def test_tensorrt_chooses_types_for_itself_so_that_it_does_not_search_in_half_precision(
    exported_line: Any, monkeypatch: pytest.MonkeyPatch, precision: str, half: bool, quantised: bool
) -> None:
    told: list[TensorrtOptions] = []
    monkeypatch.setattr(onnx_kind, "OnnxRuntime", lambda _, __, options: told.append(options))
    bundle = Bundle.open(exported_line.models / "line")
    manifest = msgspec.structs.replace(bundle.manifest, precision=precision)

    open_runtime(Bundle(bundle.directory, manifest), "onnx", "tensorrt")

    (options,) = told
    assert (options.half, options.quantised) == (half, quantised)
    assert set(options.shapes) == {"images"}


def test_a_gpu_that_does_not_start_leaves_the_processor(
    exported_line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to choose for itself, ONNX Runtime goes on with the next provider."""
    monkeypatch.setattr(onnx_kind, "onnx_devices", lambda: ["cuda", "cpu"])

    with open_runtime(Bundle.open(exported_line.models / "line"), "onnx", "auto") as runtime:
        assert type(runtime) is OnnxRuntime


def test_a_bundle_of_an_earlier_version_is_searched_by_the_processor(
    exported_line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(onnx_kind, "onnx_devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(onnx_kind, "OnnxRuntime", lambda _, device, __: opened.append(device))
    bundle = Bundle.open(exported_line.models / "line")
    files = {name: info for name, info in bundle.manifest.files.items() if name != SEARCH_PART_FILE}

    open_runtime(
        Bundle(bundle.directory, msgspec.structs.replace(bundle.manifest, files=files)), "onnx", "cuda"
    )

    assert opened == ["cuda"]


def test_the_tensorrt_provider_is_a_candidate_once_it_has_made_its_engine(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PCEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(onnx_kind, "onnx_devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(onnx_kind, "has_tensorrt_provider", lambda: True)
    monkeypatch.setattr(Bundle, "file", lambda self, name: self.directory / name)
    files = {EMBEDDER_FILE: FileInfo(sha256="a" * 64, size=1)}
    bundle = Bundle(bundle.directory, msgspec.structs.replace(bundle.manifest, files=files))
    cuda, cpu, provider = (Candidate("onnx", device) for device in ("cuda", "cpu", "tensorrt"))

    assert candidates(bundle) == [cuda, cpu]
    assert candidates(bundle, "auto", "tensorrt") == candidates(bundle, "onnx", "tensorrt") == [provider]

    made = tmp_path / "cache" / "tensorrt" / f"provider-{'a' * 12}-{bundle.manifest.bank.rows}"
    made.mkdir(parents=True)
    (made / "TensorrtExecutionProvider_graph_0.engine").touch()
    assert candidates(bundle) == [provider, cuda, cpu]
