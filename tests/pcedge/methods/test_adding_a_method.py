"""A method is added by one line in the registry: all that is done with bundles is done with its own too."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import pcedge
from pcedge.camera import Frame, Verdict, read_image, write_dataset
from pcedge.cli.commands.bundle.models import _describe
from pcedge.cli.doctor.finding import CheckState
from pcedge.cli.doctor.models import check_bundle
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.core.scoring import anomaly_map
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import ImageError, OptionError
from pcedge.export import Runtime
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import Candidate
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.methods import METHODS, BaselineBundle, FitTask, Learned, NetworkMethod, method_for, open_network
from pcedge.studies.suite import TrialOptions, run_campaign

SIZE = 32
MEAN_FILE = "mean.npy"


class ToySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``power`` of the difference from the mean image."""

    power: int = 2


class _MeanRuntime:
    """The reference: the difference from the mean image, in NumPy."""

    name = "numpy"

    def __init__(self, mean: NDArray[np.float32], power: int) -> None:
        self._mean, self._power = mean, power

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        powers = np.abs(images - self._mean) ** np.float32(self._power)
        return np.asarray(powers.sum(axis=1).reshape(len(images), -1, 1), np.float32)

    def __enter__(self) -> "_MeanRuntime":
        return self

    def __exit__(self, *_: object) -> None: ...


class _Fitter:
    backbone = None
    offline_default = None

    def __init__(self, power: int) -> None:
        self._power = power

    def learn(self, task: FitTask, staging: Path, watch: StageTimer, progress: Progress) -> Learned:
        """The mean of all images but a third, which are held out for the threshold."""
        inputs, skipped = {}, {}
        for path in task.paths:
            try:
                inputs[path] = task.options.preprocessing.apply(read_image(path))
            except ImageError as error:
                skipped[path] = error.what
        held_out = tuple(inputs)[::3]
        learned = np.stack([one for path, one in inputs.items() if path not in held_out])
        mean = np.asarray(learned.sum(axis=0) / np.float32(len(learned)), np.float32)
        np.save(staging / MEAN_FILE, mean)
        cells = _MeanRuntime(mean, self._power).infer(np.stack([inputs[path] for path in held_out]))
        peaks = [anomaly_map(one[:, 0], (SIZE, SIZE), SIZE).max() for one in cells]
        return Learned(
            images=len(inputs),
            skipped=skipped,
            grid_hw=(SIZE, SIZE),
            held_out=held_out,
            scores=np.array(peaks, np.float32),
            map_peaks=np.array(peaks, np.float32),
            how="held out",
            settings={"power": self._power},
        )


class _Cells:
    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        return outputs[:, 0], None


class Toy(NetworkMethod):
    """How far an image is from the mean of the good ones. Needs no PyTorch."""

    name = "toy"
    title = "Mean image"
    settings = ToySettings

    def prepare(self, options: FitOptions, settings: ToySettings, progress: Progress) -> _Fitter:
        return _Fitter(settings.power)

    def reference(self, bundle: BaselineBundle, device: str) -> Runtime:
        return _MeanRuntime(np.load(bundle.file(MEAN_FILE)), bundle.manifest.settings["power"])

    def module(self, bundle: BaselineBundle) -> Any:
        raise NotImplementedError("the reference is not PyTorch's")

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        mean = np.load(bundle.file(MEAN_FILE))
        constants = [
            numpy_helper.from_array(mean, "mean"),
            numpy_helper.from_array(np.array(bundle.manifest.settings["power"], np.float32), "power"),
            numpy_helper.from_array(np.array([1], np.int64), "channels"),
            numpy_helper.from_array(np.array([0, SIZE * SIZE, 1], np.int64), "shape"),
        ]
        nodes = [
            helper.make_node("Sub", ["images", "mean"], ["difference"]),
            helper.make_node("Abs", ["difference"], ["distance"]),
            helper.make_node("Pow", ["distance", "power"], ["powers"]),
            helper.make_node("ReduceSum", ["powers", "channels"], ["sums"], keepdims=0),
            helper.make_node("Reshape", ["sums", "shape"], ["embeddings"]),
        ]
        graph = helper.make_graph(
            nodes,
            "toy",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", SIZE * SIZE, 1])],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path)

    def scorer(self, bundle: BaselineBundle) -> _Cells:
        return _Cells()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's folder and its line in the registry, where PyTorch is not installed."""
    module = ModuleType("toy_method")
    module.METHOD = Toy()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_method", module)
    monkeypatch.setitem(METHODS, "toy", "toy_method")
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "line", train=12, test_good=3, per_defect=1, size=64)
    return tmp_path / "line"


@pytest.mark.usefixtures("toy")
def test_a_line_in_the_registry_is_all_that_a_method_needs(line: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    options = FitOptions(preprocessing=Preprocessing(SIZE), models=models)

    fitted = pcedge.fit_baseline(line, "toy", options, {"power": "1"})
    unexported = pcedge.find_any_bundle(models=models)
    bundle, difference = pcedge.export_baseline(fitted.bundle)
    with pcedge.open_detector(pcedge.find_any_bundle("line", models)) as detector:
        result = pcedge.evaluate(pcedge.open_dataset(line), detector)
        alone = detector.inspect(read_image(line / "test" / "good" / "000.png"))

    assert not unexported.is_exported
    assert bundle.is_exported
    assert bundle.manifest.settings == {"power": 1}
    assert difference < 1e-4
    assert result.runtime.startswith("onnxruntime")
    assert result.image_auroc is not None
    assert result.good == 3
    assert method_for(bundle).choose_runtime(bundle, device="cpu").candidate == Candidate("onnx", "cpu")
    frame = Frame("s", 0, "0", 1e9, read_image(line / "test" / "good" / "000.png"), camera="left")
    with InspectorPool({"left": Assignment(bundle)}) as pool:  # proved first
        (found,) = pool.inspect([frame])
    assert found.score == pytest.approx(alone.score, rel=1e-4)
    assert found.verdict is not Verdict.INVALID
    assert [finding.state for finding in check_bundle("line", models)] == [CheckState.OK] * 2
    row = _describe(models, "line")
    assert (row["method"], row["exported"], row["rows"]) == ("toy", True, 0)


@pytest.mark.usefixtures("toy")
def test_a_new_method_is_a_method_of_a_suite_too(line: Path, tmp_path: Path) -> None:
    fit = FitOptions(preprocessing=Preprocessing(SIZE))
    options = TrialOptions(fit, preset="whole", method="toy", settings=(("power", "2"),), runtimes=("onnx",))

    (outcome,) = run_campaign({"line": line}, options, tmp_path / "out")

    assert outcome.run is not None, outcome.error
    assert (outcome.run.settings.method, outcome.run.settings.options) == ("toy", {"power": "2"})
    assert {image.verdict for image in outcome.run.images} <= {"OK", "NG"}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [("toy", {"speed": "1"}, "no setting 'speed'"), ("boy", {}, "no method 'boy'")],
)
def test_what_a_new_method_is_not_is_said_for_it(
    line: Path, tmp_path: Path, method: str, settings: dict[str, str], words: str
) -> None:
    options = FitOptions(preprocessing=Preprocessing(SIZE), models=tmp_path / "models")

    with pytest.raises(OptionError, match=words):
        pcedge.fit_baseline(line, method, options, settings)


@pytest.mark.usefixtures("toy")
def test_a_network_that_no_export_made_is_the_reference(line: Path, tmp_path: Path) -> None:
    options = FitOptions(preprocessing=Preprocessing(SIZE), models=tmp_path / "models")
    bundle = pcedge.fit_baseline(line, "toy", options).bundle

    with open_network(bundle, Candidate("torch", "cpu")) as runtime:
        assert runtime.name == "numpy"
