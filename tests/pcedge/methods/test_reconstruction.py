"""Autoencoder and GAN: what they learn on images simple enough that the right answer is known."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from pcedge.camera import read_image, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import silent
from pcedge.errors import OptionError
from pcedge.fitting.options import FitOptions
from pcedge.methods import (
    BaselineBundle,
    BaselineFit,
    export_baseline,
    find_method,
    fit_baseline,
    inspect_with,
    open_baseline_runtime,
)
from pcedge.methods.ae import AeSettings
from pcedge.methods.ae.networks.network import Dissimilarity
from pcedge.methods.gan.networks.network import GanCore
from pcedge.methods.reconstruction.networks.training import augmented, draws_one_picture, train
from pcedge.methods.reconstruction.settings import ReconstructionSettings

SIZE = 64
DEFECT = (slice(36, 44), slice(12, 20))
METHODS = ("ae", "gan")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Pictures as small as these gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _picture(dice: np.random.Generator) -> NDArray[np.uint8]:
    """A disc on a slope of grey, in a place and a light that differ a little."""
    y, x = np.mgrid[:SIZE, :SIZE]
    top, left = dice.uniform(30, 34, 2)
    disc = 90.0 * ((y - top) ** 2 + (x - left) ** 2 < 18**2)
    grey = 60 + 0.5 * x + disc + dice.uniform(-4, 4) + dice.normal(0, 2, (SIZE, SIZE))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good images, and test images of which half have a bright square."""
    root, dice = tmp_path_factory.mktemp("line") / "disc", np.random.default_rng(7)
    for number in range(24):
        write_image(_file(root / "train" / "good", number), _picture(dice))
    for number in range(4):
        write_image(_file(root / "test" / "good", number), _picture(dice))
        faulty = _picture(dice)
        faulty[DEFECT] = 250
        write_image(_file(root / "test" / "square", number), faulty)
    return root


def _file(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{number:02}.png"


def _fit(line: Path, method: str, models: Path, progress: Any = silent, **changes: Any) -> BaselineFit:
    seed = changes.pop("seed", 0)
    settings = {"epochs": 30, "minutes": 0, "learning_rate": 2e-3, "latent": 16, **changes}
    options = FitOptions(
        preprocessing=Preprocessing(image_size=SIZE), models=models, seed=seed, name=method, cache_gb=0
    )
    return fit_baseline(line, method, options, settings, progress)


@pytest.fixture(scope="module", params=METHODS)
def fitted(
    request: pytest.FixtureRequest, line: Path, tmp_path_factory: pytest.TempPathFactory
) -> BaselineFit:
    return _fit(line, request.param, tmp_path_factory.mktemp(request.param))


def test_good_pictures_are_learned(fitted: BaselineFit) -> None:
    manifest = fitted.bundle.manifest

    assert manifest.settings["loss_kept"] < 0.6 * manifest.settings["loss_first"]
    assert manifest.settings["epoch_kept"] > 1
    assert manifest.images == 24
    assert len(manifest.threshold.held_out) == 5
    assert manifest.settings["trained_on"] + manifest.settings["stopped_by"] == 19
    assert "not trained on" in manifest.threshold.method
    assert set(fitted.seconds) == {"load", "read", "train", "calibrate", "write"}


def test_a_defect_s_place_has_the_map_s_maximum(fitted: BaselineFit, line: Path) -> None:
    with open_baseline_runtime(fitted.bundle, "torch", "cpu") as runtime:
        inspector = inspect_with(fitted.bundle, runtime)
        for path in sorted((line / "test" / "square").iterdir()):
            score_map = inspector.stages(read_image(path)).score_map
            row, column = np.unravel_index(score_map.argmax(), score_map.shape)

            assert DEFECT[0].start - 4 <= row < DEFECT[0].stop + 4
            assert DEFECT[1].start - 4 <= column < DEFECT[1].stop + 4


def test_defective_pictures_score_higher(fitted: BaselineFit, line: Path) -> None:
    if fitted.bundle.manifest.method == "gan":
        pytest.skip("its image score compares codes, which a training as short as this does not order")
    with open_baseline_runtime(fitted.bundle, "torch", "cpu") as runtime:
        inspector = inspect_with(fitted.bundle, runtime)
        good, faulty = (
            [inspector.stages(read_image(path)).score for path in (line / "test" / kind).iterdir()]
            for kind in ("good", "square")
        )

    assert min(faulty) > max(good)


def test_the_exported_network_scores_the_same_without_torch(
    fitted: BaselineFit, line: Path, tmp_path: Path, pcedge: Callable[..., Any]
) -> None:
    shutil.copytree(fitted.bundle.directory, tmp_path / "own")  # others use the one that is fitted
    bundle, difference = export_baseline(BaselineBundle.open(tmp_path / "own"))
    with open_baseline_runtime(bundle, "onnx", "cpu") as runtime:
        found = inspect_with(bundle, runtime).stages(read_image(line / "test" / "square" / "00.png"))
    with open_baseline_runtime(bundle, "torch", "cpu") as runtime:
        expected = inspect_with(bundle, runtime).stages(read_image(line / "test" / "square" / "00.png"))
    done = pcedge("evaluate", line, "--model", bundle.directory, "--json", torch=False)

    assert difference < 1e-4
    np.testing.assert_allclose(found.score_map, expected.score_map, rtol=1e-3, atol=1e-6)
    assert done.returncode == 0, done.stderr
    assert '"image_auroc"' in done.stdout


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bytes(line: Path, tmp_path: Path, method: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, again, other = (
        _fit(line, method, tmp_path / name, epochs=1, seed=seed).bundle
        for name, seed in (("one", 3), ("again", 3), ("other", 4))
    )

    assert (
        one.manifest.files["reconstruction.safetensors"] == again.manifest.files["reconstruction.safetensors"]
    )
    assert one.manifest.threshold == again.manifest.threshold
    assert (
        one.manifest.files["reconstruction.safetensors"] != other.manifest.files["reconstruction.safetensors"]
    )
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers are left alone"


def test_squared_differences_can_be_chosen(line: Path, tmp_path: Path) -> None:
    bundle = _fit(line, "ae", tmp_path, epochs=1, loss="l2").bundle

    assert bundle.manifest.settings["loss"] == "l2"
    assert bundle.manifest.settings["loss_first"] < 0.2


def test_the_minutes_end_a_training_and_the_bundle_says_so(line: Path, tmp_path: Path) -> None:
    result = _fit(line, "ae", tmp_path, epochs=1000, minutes=1e-6)

    assert result.bundle.manifest.settings["epochs_done"] == 1
    assert "--set epochs=1 --set minutes=0" in result.bundle.manifest.notes[0]


def test_a_killed_training_leaves_the_bundle_before_it(line: Path, tmp_path: Path) -> None:
    before = _fit(line, "ae", tmp_path, epochs=1).bundle

    def kill(stage: str, done: int, total: int) -> None:
        if stage == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(line, "ae", tmp_path, kill)

    after = BaselineBundle.open(before.directory)
    after.check()
    assert after.manifest == before.manifest
    assert [path.name for path in tmp_path.iterdir() if path.is_dir() and not path.name.startswith(".")] == [
        "ae"
    ]


@pytest.mark.parametrize(
    ("method", "size", "settings", "words"),
    [
        ("ae", 100, {}, "no multiple of that"),
        ("gan", 32, {}, "or too small"),
        ("ae", SIZE, {"epochs": 0}, "epochs cannot be 0"),
        ("ae", SIZE, {"minutes": -1}, "makes no sense"),
        ("gan", SIZE, {"held_out": 0.9}, "held out for the threshold"),
        ("gan", SIZE, {"learning_rate": 0}, "learning rate"),
        ("ae", SIZE, {"loss": "l1"}, "cannot be used"),
        ("gan", SIZE, {"loss": "l2"}, "no setting 'loss'"),
        ("gan", SIZE, {"latent": 10**10}, "not narrow"),
        ("gan", SIZE, {"contextual": -5}, "weight of -5"),
        ("gan", SIZE, {"encoder": float("nan")}, "weight of nan"),
        ("gan", SIZE, {"contextual": 0}, "contextual loss"),
    ],
)
def test_what_makes_no_sense_is_refused(
    line: Path, tmp_path: Path, method: str, size: int, settings: dict[str, Any], words: str
) -> None:
    options = FitOptions(preprocessing=Preprocessing(image_size=size), models=tmp_path)

    with pytest.raises(OptionError, match=words) as caught:
        fit_baseline(line, method, options, settings)

    assert caught.value.hint


def test_a_rate_that_the_held_out_images_do_not_support_is_refused_before_training(
    line: Path, tmp_path: Path
) -> None:
    options = FitOptions(preprocessing=Preprocessing(image_size=SIZE), models=tmp_path, false_reject_rate=0.1)

    with pytest.raises(OptionError, match="5 good images held out of 24 cannot support") as caught:
        fit_baseline(line, "ae", options)

    assert "--set held_out=0.5" in caught.value.hint


def test_training_does_not_start_where_memory_would_not_do(line: Path, tmp_path: Path) -> None:
    options = FitOptions(preprocessing=Preprocessing(image_size=SIZE), models=tmp_path, memory_gb=0.1)

    with pytest.raises(OptionError, match=r"0\.10 GB may be used"):
        fit_baseline(line, "ae", options)


@pytest.mark.parametrize("side", [64, 112])
def test_pictures_that_differ_differ_behind_untrained_layers(side: int) -> None:
    """Where a signal fades from layer to layer, a training ends with one image that is drawn for all."""
    torch.manual_seed(0)
    grey = torch.linspace(0.2, 0.8, 8)[:, None, None, None].expand(8, 3, side, side)
    trainee = find_method("ae").trainee(AeSettings(), side)  # type: ignore[attr-defined]

    assert not draws_one_picture(trainee, grey)
    for layer in trainee.core.decoder:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.reset_parameters()
    assert draws_one_picture(trainee, grey)


def test_a_training_that_ends_with_one_picture_says_so(
    line: Path, tmp_path: Path, fitted: BaselineFit
) -> None:
    (note,) = _fit(line, "ae", tmp_path, epochs=1).bundle.manifest.notes

    assert not fitted.bundle.manifest.notes
    assert "the same image whatever it is shown" in note
    assert "learning_rate=0.0004" in note


def test_structural_dissimilarity_is_that_of_its_definition() -> None:
    dice = np.random.default_rng(1)
    one, other = dice.random((2, 3, 20, 24))
    other = 0.7 * one + 0.3 * other

    outside = one.mean(axis=(1, 2))

    def mean(values: NDArray[np.float64], power: int = 2) -> NDArray[np.float64]:
        around = zip(values, outside**power, strict=True)
        return np.stack([gaussian_filter(v, 1.5, radius=5, mode="constant", cval=o) for v, o in around])

    a, b = mean(one, 1), mean(other, 1)
    variances = mean(one**2) - a**2 + mean(other**2) - b**2
    covariance = mean(one * other) - a * b
    similar = (2 * a * b + 1e-4) * (2 * covariance + 9e-4) / ((a**2 + b**2 + 1e-4) * (variances + 9e-4))

    found = Dissimilarity()(*(torch.from_numpy(image)[None].float() for image in (one, other)))

    np.testing.assert_allclose(found[0].numpy(), 1 - similar, atol=1e-5)


def test_the_gan_s_image_score_is_the_distance_of_its_codes() -> None:
    torch.manual_seed(0)
    core, pixels = GanCore(latent=5, side=16).eval(), torch.rand(2, 3, 16, 16)

    with torch.no_grad():
        found, code = core(pixels), core.encoder(pixels)
        drawn = core.decoder(code)
        again = core.second(drawn)

    assert found.shape == (2, 16 * 16 + 1, 1)
    torch.testing.assert_close(found[:, -1, 0], (code - again).abs().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(found[:, :-1, 0], (pixels - drawn).abs().mean(dim=1).reshape(2, -1))


class _Scripted:
    """Networks whose losses are known beforehand; its only weight counts the epochs."""

    def __init__(self, losses: list[float]) -> None:
        self.core = nn.Linear(1, 1, bias=False)
        self.losses = losses
        self.validated = 0

    def start(self, learning_rate: float, device: str) -> None:
        nn.init.zeros_(self.core.weight)

    def step(self, pixels: Tensor) -> None:
        with torch.no_grad():
            self.core.weight += 1

    def loss(self, pixels: Tensor) -> Tensor:
        self.validated += 1
        return torch.tensor(self.losses[self.validated - 1])

    def draw(self, pixels: Tensor) -> Tensor:
        return pixels


def _train(losses: list[float], **settings: Any) -> tuple[_Scripted, Any]:
    trainee = _Scripted(losses)
    pixels = torch.rand(8, 3, 16, 16)
    told = ReconstructionSettings(minutes=0, **settings)
    return trainee, train(trainee, pixels, pixels[:2], told, seed=0, device="cpu", progress=silent)


def test_the_networks_of_the_best_epoch_are_kept() -> None:
    trainee, trained = _train([5.0, 3.0, 1.0, 2.0, 2.0, 2.0, 0.5], epochs=7, patience=3)

    assert (trained.epochs, trained.best) == (6, 3)
    assert trainee.core.weight.item() == 3.0
    assert trained.validation == (5.0, 3.0, 1.0, 2.0, 2.0, 2.0)


def test_a_training_that_diverges_is_an_error() -> None:
    with pytest.raises(OptionError, match="diverged in epoch 2") as caught:
        _train([1.0, float("nan")], epochs=5)

    assert "learning_rate=0.0001" in caught.value.hint


def test_augmentation_is_mild_and_repeats_with_its_seed() -> None:
    pixels = torch.full((4, 3, 16, 16), 0.5)
    pixels[:, :, 8, 8] = 1.0

    one, again = (augmented(pixels, torch.Generator().manual_seed(2)) for _ in range(2))

    assert torch.equal(one, again)
    assert one.shape == pixels.shape
    assert float((one.amin() - 0.5).abs()) <= 0.03
    places = [divmod(int(picture[0].argmax()), 16) for picture in one]
    assert all(abs(y - 8) <= 3 and abs(x - 8) <= 3 for y, x in places)
    assert len(set(places)) > 1


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_what_it_is(method: str) -> None:
    found = find_method(method)

    assert found.name == method
    assert "et al., 2018" in found.title
