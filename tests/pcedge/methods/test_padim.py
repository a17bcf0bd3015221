"""PaDiM against hand-made Gaussians and a plain implementation of the paper, written here."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis

from pcedge.camera import read_image, render_part, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError, OptionError
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import Candidate, RuntimeKind
from pcedge.methods import (
    BaselineBundle,
    export_baseline,
    find_method,
    fit_baseline,
    open_detector,
    open_network,
)
from pcedge.methods.networks.pyramid import Pyramid
from pcedge.methods.padim.gaussians import blocks, gaussians_of
from pcedge.methods.padim.learning import check_memory, read_gaussians
from pcedge.networks.embedder import restore_stored

SIZE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("padim")
    (root / "parts").mkdir()
    for seed in range(9):
        write_image(root / "parts" / f"{seed}.png", render_part(seed, size=96).image_rgb)
    return root


@pytest.fixture(scope="module")
def bundle(folder: Path) -> BaselineBundle:
    options = FitOptions(
        backbone="pcedge-s", preprocessing=Preprocessing(SIZE), models=folder / "models", cache_gb=0, seed=3
    )
    fitted: BaselineBundle = fit_baseline(folder / "parts", "padim", options, {"dims": "24"}).bundle
    return export_baseline(fitted)[0]


def _plain_distances(train: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mahalanobis distances [n, positions] of rows, position by position as the paper has it."""
    found = np.empty(rows.shape[:2])
    for position in range(rows.shape[1]):
        seen = train[:, position]
        covariance = np.cov(seen, rowvar=False) + 0.01 * np.eye(seen.shape[1])
        inverse = np.linalg.inv(covariance)
        for number, row in enumerate(rows[:, position]):
            found[number, position] = mahalanobis(row, seen.mean(axis=0), inverse)
    return found


def _plain_features(bundle: BaselineBundle, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Features [n, positions, dims]: layers repeated to the finest grid, concatenated, some dims kept."""
    info = bundle.manifest.backbone
    assert info is not None
    backbone = restore_stored(info, bundle.file("backbone.safetensors"))
    inputs = np.stack([bundle.manifest.preprocessing.apply(picture) for picture in pictures])
    with torch.inference_mode():
        layers = [layer.numpy() for layer in backbone(torch.from_numpy(inputs))]
    side = layers[0].shape[2]
    repeated = [np.kron(one, np.ones((1, 1, side // one.shape[2], side // one.shape[3]))) for one in layers]
    _, chosen = read_gaussians(bundle)
    together = np.concatenate(repeated, axis=1)[:, chosen]
    return together.reshape(*together.shape[:2], -1).transpose(0, 2, 1).astype(np.float64)


def test_a_distance_is_the_one_computed_by_hand() -> None:
    # Four images at one position, along two axes: the mean is 0, the variances are 2/3 and 8/3.
    cross = np.array([[1, 0], [-1, 0], [0, 2], [0, -2]], np.float32)[:, np.newaxis]

    mean, whitening, _ = gaussians_of(cross, [np.arange(2), np.arange(2, 4)])

    point = np.array([1.0, 1.0])
    by_hand = np.sqrt(1 / (2 / 3 + 0.01) + 1 / (8 / 3 + 0.01))
    assert mean == pytest.approx(np.zeros((1, 2)))
    assert np.linalg.norm((point - mean[0]) @ whitening[0]) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(("images", "dims"), [(30, 5), (7, 12)])
def test_gaussians_are_those_of_a_plain_implementation(images: int, dims: int) -> None:
    rng = np.random.default_rng(images)
    mixed = rng.normal(size=(dims, dims))
    features = (rng.normal(size=(images, 4, dims)) @ mixed + 100).astype(np.float32)  # far from the origin
    folds = np.array_split(rng.permutation(images), 3)

    mean, whitening, held_out = gaussians_of(features, folds)

    rows = features.astype(np.float64)
    found = np.linalg.norm(((rows - mean).transpose(1, 0, 2) @ whitening).transpose(1, 0, 2), axis=2)
    np.testing.assert_allclose(found, _plain_distances(rows, rows), rtol=1e-5)
    for fold in folds:
        others = np.delete(rows, fold, axis=0)
        np.testing.assert_allclose(held_out[fold], _plain_distances(others, rows[fold]), rtol=1e-5)


def test_blocks_cover_every_position_once_and_stay_small() -> None:
    for images, dims in ((10, 3), (209, 100), (209, 550), (20_000, 100)):
        slices = list(blocks(3136, images, dims, 5))
        assert np.array_equal(np.concatenate([np.arange(3136)[one] for one in slices]), np.arange(3136))
        assert max(one.stop - one.start for one in slices) * dims * (11 * dims + 3 * images) <= 16_000_000


def test_a_fitted_detector_is_the_plain_implementation(folder: Path, bundle: BaselineBundle) -> None:
    train = [read_image(path) for path in sorted((folder / "parts").iterdir())]
    new = [render_part(50, size=96).image_rgb, render_part(51, "missing_hole", size=96).image_rgb]
    seen, rows = _plain_features(bundle, train), _plain_features(bundle, new)

    expected = _plain_distances(seen, rows)

    kinds: tuple[RuntimeKind, ...] = ("torch", "onnx")
    for kind in kinds:
        with open_detector(bundle, runtime=kind) as detector:
            found = [detector.stages(picture).cells for picture in new]
            together = detector.runtime.infer(
                np.stack([detector.preprocessing.apply(picture) for picture in new])
            )
        np.testing.assert_allclose(np.stack(found), expected, rtol=2e-5, err_msg=kind)
        np.testing.assert_allclose(together[:, :, 0], expected, rtol=2e-5, err_msg=kind)


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("openvino", "There is no runtime 'openvino'", "auto, onnx, tensorrt, tensorrt-rtx, torch"),
        ("tensorrt", "tensorrt runs only bundles of PatchCore, and .* is of padim", "auto, onnx, torch"),
    ],
)
def test_a_runtime_that_cannot_run_it_is_refused(
    bundle: BaselineBundle, name: str, words: str, hint: str
) -> None:
    with pytest.raises(OptionError, match=words) as caught, open_detector(bundle, runtime=name):
        pass

    assert caught.value.hint == f"Choose one of: {hint}."


def test_held_out_scores_come_from_gaussians_without_the_image(folder: Path, bundle: BaselineBundle) -> None:
    held_out = bundle.manifest.threshold.held_out
    with open_detector(bundle, runtime="torch") as detector:
        known = {
            name: detector.stages(read_image(folder / "parts" / Path(name).name)).score for name in held_out
        }

    assert len(held_out) == 9
    assert all(held_out[name] > known[name] for name in known)


def test_what_was_changed_in_a_picture_scores_highest_there(bundle: BaselineBundle) -> None:
    picture = render_part(60, size=96).image_rgb
    changed = picture.copy()
    changed[18:34, 60:78] = np.random.default_rng(0).integers(0, 256, (16, 18, 3))
    with open_detector(bundle) as detector:
        before, after = detector.stages(picture), detector.stages(changed)
        peak = np.unravel_index(detector.score_map(after).argmax(), (SIZE, SIZE))

    assert after.score > 1.5 * before.score
    assert peak[0] * 96 / SIZE == pytest.approx(26, abs=10)
    assert peak[1] * 96 / SIZE == pytest.approx(69, abs=10)


def test_the_matrices_lie_in_the_bundle_once(bundle: BaselineBundle) -> None:
    positions, dims = 16 * 16, 24
    files = bundle.manifest.files

    matrices = np.load(bundle.file("whitening.npy"), mmap_mode="r", allow_pickle=False)
    assert matrices.shape == (positions, dims, dims)
    assert files["detector.onnx"].size < files["backbone.safetensors"].size + matrices.nbytes / 2
    assert bundle.manifest.settings == {"dims": dims, "of": 32 + 96 + 128}
    assert "no more than the 24 dims" in bundle.manifest.notes[0]


def test_another_seed_keeps_other_dims(folder: Path, bundle: BaselineBundle) -> None:
    options = FitOptions(backbone="pcedge-s", preprocessing=Preprocessing(SIZE), models=folder / "other")
    other = fit_baseline(folder / "parts", "padim", options, {"dims": 24}).bundle

    (_, dims), (_, others) = read_gaussians(bundle), read_gaussians(other)
    assert len(set(dims.tolist())) == len(set(others.tolist())) == 24
    assert dims.tolist() != others.tolist()
    assert others.tolist() == np.sort(np.random.default_rng(0).choice(256, 24, replace=False)).tolist()


@pytest.mark.parametrize("chosen", [None, (0, 5, 6, 7), (1,), (4, 11)])
def test_a_pyramid_has_every_layer_on_the_finest_grid(chosen: tuple[int, ...] | None) -> None:
    shapes = [(2, 5, 5), (4, 3, 3), (6, 2, 2)]
    rng = torch.Generator().manual_seed(0)
    layers = tuple(torch.rand((1, *shape), generator=rng) for shape in shapes)

    class Given(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            return layers

    found = Pyramid(Given(), shapes, chosen)(torch.zeros(1))

    numbers = range(12) if chosen is None else chosen
    for y in range(5):
        for x in range(5):
            here = torch.cat([one[0, :, y * one.shape[2] // 5, x * one.shape[3] // 5] for one in layers])
            assert torch.equal(found[0, 5 * y + x], here[list(numbers)])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dims": "300"}, ("300", "256")),
        ({"dims": "-1"}, ("-1", "dims=100")),
        ({"dims": "many"}, ("dims",)),
        ({"colour": "1"}, ("'colour'", "dims")),
    ],
)
def test_settings_that_cannot_be(folder: Path, settings: dict[str, str], words: tuple[str, ...]) -> None:
    options = FitOptions(backbone="pcedge-s", preprocessing=Preprocessing(SIZE), models=folder / "none")

    with pytest.raises(OptionError) as caught:
        fit_baseline(folder / "parts", "padim", options, settings)

    assert all(word in str(caught.value) for word in words)
    assert not (folder / "none").exists()


def test_matrices_that_do_not_fit_into_memory_say_what_would() -> None:
    check_memory(3136, 100, 1.0)
    with pytest.raises(OptionError, match=r"3\.79 GB") as caught:
        check_memory(3136, 550, 1.0)

    dims = int(caught.value.hint.split("dims=")[1].split()[0])
    check_memory(3136, dims, 1.0)
    with pytest.raises(OptionError):
        check_memory(3136, dims + 1, 1.0)
    with pytest.raises(OptionError, match="--memory-gb"):
        check_memory(3136, 100, 0.1)


def test_a_changed_matrix_is_refused(bundle: BaselineBundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.directory, copy)
    with (copy / "whitening.npy").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01")

    with pytest.raises(BundleError, match=r"whitening\.npy"):
        open_network(BaselineBundle.open(copy), Candidate("auto", "auto"))


def test_the_method_says_what_it_is() -> None:
    method = find_method("padim")

    assert "2021" in method.title
