"""SPADE against scikit-learn's nearest neighbours on features that are concatenated plainly."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from pcedge.camera import read_image, render_part, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import OptionError
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import RuntimeKind
from pcedge.methods import BaselineBundle, export_baseline, fit_baseline, open_detector
from pcedge.methods.common.row_file import RowFile
from pcedge.methods.spade.correspondences import Correspondences
from pcedge.methods.spade.gallery import Gallery
from pcedge.methods.spade.layout import FeatureLayout
from pcedge.networks.embedder import restore_stored

SIZE = 64
PYRAMID = FeatureLayout(7, ((8, 12, 12), (6, 6, 6), (5, 3, 3)))
LAYOUTS = [
    PYRAMID,
    FeatureLayout(3, ((4, 9, 9),)),
    FeatureLayout(3, ((4, 7, 7), (3, 7, 7))),
    FeatureLayout(2, ((4, 8, 6), (3, 4, 3), (5, 2, 1), (2, 1, 1))),
    FeatureLayout(2, ((3, 7, 7), (6, 4, 4))),
]


def _concatenated(layout: FeatureLayout, row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [pixels, channels of all layers]: every pixel has those of the coarser cells it lies in."""
    _, height, width = layout.layers[0]
    grids = [
        layer.reshape(shape[1], shape[2], shape[0])
        for layer, shape in zip(layout.layers_of(row), layout.layers, strict=True)
    ]
    pixels = []
    for y in range(height):
        for x in range(width):
            place, values = (y, x), [grids[0][y, x]]
            for finer, coarser in pairwise(grids):
                place = (
                    place[0] * coarser.shape[0] // finer.shape[0],
                    place[1] * coarser.shape[1] // finer.shape[1],
                )
                values.append(coarser[place])
            pixels.append(np.concatenate(values))
    return np.stack(pixels)


def _rows(layout: FeatureLayout, count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).gamma(1.0, size=(count, layout.length)).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pictures", [1, 5])
def test_correspondences_are_those_of_a_plain_search(layout: FeatureLayout, pictures: int) -> None:
    gallery, query = _rows(layout, pictures), _rows(layout, 1, seed=9)[0]

    found = Correspondences(layout).distances(query, list(gallery))

    plain = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(
        np.concatenate([_concatenated(layout, row) for row in gallery])
    )
    expected = plain.kneighbors(_concatenated(layout, query).astype(np.float64))[0][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_picture_of_the_gallery_corresponds_to_itself() -> None:
    gallery = _rows(PYRAMID, 4) + 50  # far from the origin, where products of floats round most

    assert np.all(Correspondences(PYRAMID).distances(gallery[2], list(gallery)) == 0)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    with RowFile(tmp_path / "rows.npy", (PYRAMID.length,)) as file:
        file.append(_rows(PYRAMID, 20))
    return Gallery(tmp_path / "rows.npy", PYRAMID, neighbours=6)


@pytest.mark.parametrize("among", [None, [0, 3, 4, 9, 11, 12, 13, 19], [2, 7]])
def test_an_image_scores_its_mean_distance_to_the_nearest(gallery: Gallery, among: list[int] | None) -> None:
    numbers = np.arange(20) if among is None else np.array(among)
    query = _rows(PYRAMID, 1, seed=9)[0]
    count = min(6, len(numbers))

    cells, score = gallery.scores(query, among)

    plain = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(gallery.descriptors[numbers])
    distances, nearest = plain.kneighbors(query[np.newaxis, :7].astype(np.float64))
    assert score == pytest.approx(distances.mean(), rel=1e-5)
    chosen = [gallery.row(number) for number in numbers[nearest[0]]]
    np.testing.assert_array_equal(cells, Correspondences(PYRAMID).distances(query, chosen))


def test_rows_written_one_after_the_other_are_an_ordinary_array(tmp_path: Path) -> None:
    rows = np.arange(35, dtype=np.float32).reshape(7, 5)
    with RowFile(tmp_path / "a.npy", (5,)) as file:
        file.append(rows[:3])
        file.append(rows[3:3])
        file.append(rows[3:])

    modes: tuple[Literal["r"] | None, ...] = (None, "r")
    for mode in modes:
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode=mode), rows)
    with pytest.raises(ValueError, match="reshape"), RowFile(tmp_path / "b.npy", (3,)) as file:
        file.append(rows)
    with pytest.raises(ValueError, match="pickled"):  # what was not finished is no array
        np.load(tmp_path / "b.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spade")
    (root / "parts").mkdir()
    for seed in range(9):
        write_image(root / "parts" / f"{seed}.png", render_part(seed, size=96).image_rgb)
    return root


@pytest.fixture(scope="module")
def bundle(folder: Path) -> BaselineBundle:
    options = FitOptions(backbone="pcedge-s", preprocessing=Preprocessing(SIZE), models=folder / "models")
    fitted: BaselineBundle = fit_baseline(folder / "parts", "spade", options, {"neighbours": "4"}).bundle
    return export_baseline(fitted)[0]


def _plain_rows(bundle: BaselineBundle, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    info = bundle.manifest.backbone
    assert info is not None
    backbone = restore_stored(info, bundle.file("backbone.safetensors"))
    inputs = np.stack([bundle.manifest.preprocessing.apply(picture) for picture in pictures])
    with torch.inference_mode():
        layers = [layer.numpy() for layer in backbone(torch.from_numpy(inputs))]
    parts = [
        layers[-1].mean(axis=(2, 3)),
        *(one.transpose(0, 2, 3, 1).reshape(len(one), -1) for one in layers),
    ]
    return np.concatenate(parts, axis=1)


def test_a_fitted_detector_is_the_plain_implementation(folder: Path, bundle: BaselineBundle) -> None:
    layout = FeatureLayout(128, ((32, 16, 16), (96, 8, 8), (128, 4, 4)))
    train = _plain_rows(bundle, [read_image(path) for path in sorted((folder / "parts").iterdir())])
    picture = render_part(50, "missing_hole", size=96).image_rgb
    row = _plain_rows(bundle, [picture])[0]
    images = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(train[:, :128])
    apart, nearest = images.kneighbors(row[np.newaxis, :128])
    pixels = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(
        np.concatenate([_concatenated(layout, train[number]) for number in nearest[0]])
    )
    expected = pixels.kneighbors(_concatenated(layout, row))[0][:, 0]

    kinds: dict[RuntimeKind, float] = {"torch": 1e-5, "onnx": 1e-4}
    for kind, rel in kinds.items():
        with open_detector(bundle, runtime=kind) as detector:
            found = detector.stages(picture)
        np.testing.assert_allclose(found.cells, expected, rtol=rel, atol=rel, err_msg=kind)
        assert found.score == pytest.approx(apart.mean(), rel=rel)


def test_what_was_changed_in_a_picture_scores_highest_there(folder: Path, bundle: BaselineBundle) -> None:
    picture = read_image(folder / "parts" / "3.png")
    changed = picture.copy()
    changed[18:34, 60:78] = np.random.default_rng(0).integers(0, 256, (16, 18, 3))
    with open_detector(bundle) as detector:
        before, after = detector.stages(picture), detector.stages(changed)
        peak = np.unravel_index(detector.score_map(after).argmax(), (SIZE, SIZE))

    assert before.cells.max() < 0.01 * after.cells.max()  # it corresponds to itself
    assert after.score > before.score
    assert peak[0] * 96 / SIZE == pytest.approx(26, abs=10)
    assert peak[1] * 96 / SIZE == pytest.approx(69, abs=10)


def test_the_bundle_says_what_it_compares_by(bundle: BaselineBundle) -> None:
    manifest = bundle.manifest

    assert manifest.settings["image_layer"] == "stage3"
    assert manifest.settings["neighbours"] == 4
    assert "by stage3" in manifest.notes[0]
    features = np.load(bundle.file("features.npy"), mmap_mode="r", allow_pickle=False)
    assert features.shape == (9, 128 + 32 * 256 + 96 * 64 + 128 * 16)


@pytest.mark.parametrize("cut", [False, True])
def test_images_are_compared_by_the_last_block_where_the_weights_have_it(
    folder: Path, tmp_path: Path, cut: bool
) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    state = resnet18().state_dict()
    if cut:
        state = {name: value for name, value in state.items() if not name.startswith(("layer4.", "fc."))}
    torch.save(state, tmp_path / "weights.pth")
    options = FitOptions(
        backbone="resnet18",
        weights=tmp_path / "weights.pth",
        preprocessing=Preprocessing(SIZE),
        models=tmp_path / "models",
        cache_gb=0,
    )

    manifest = fit_baseline(folder / "parts", "spade", options).bundle.manifest

    last = "layer3" if cut else "layer4"
    assert manifest.backbone is not None
    assert manifest.backbone.layers == ("layer1", "layer2", "layer3", *(() if cut else ("layer4",)))
    assert manifest.settings["image_layer"] == last
    assert manifest.settings["neighbours"] == 9  # of 50: there are no more
    assert manifest.grid_hw == (16, 16)
    assert any("in the paper by layer4" in note for note in manifest.notes) == cut


@pytest.mark.parametrize(
    ("settings", "memory_gb", "words"),
    [
        ({"neighbours": "0"}, None, ("0 images", "neighbours=50")),
        ({"neighbours": "4000"}, 1.0, ("4000 neighbours", "--set neighbours=")),
        ({"neighbours": "1"}, 0.1, ("--memory-gb",)),
    ],
)
def test_settings_that_cannot_be(
    folder: Path, settings: dict[str, str], memory_gb: float | None, words: tuple[str, ...]
) -> None:
    options = FitOptions(
        backbone="pcedge-s", preprocessing=Preprocessing(SIZE), models=folder / "none", memory_gb=memory_gb
    )

    with pytest.raises(OptionError) as caught:
        fit_baseline(folder / "parts", "spade", options, settings)

    assert all(word in str(caught.value) for word in words)
    assert not (folder / "none").exists()
