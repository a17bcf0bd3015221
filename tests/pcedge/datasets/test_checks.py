"""What is wrong with a dataset is found, named and counted; what is right is not accused."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from pcedge.camera import render_part, write_image
from pcedge.cli import app
from pcedge.datasets import Audit, Sample, audit, open_dataset, read_ground_truth
from pcedge.errors import ImageError

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def parts() -> list[Picture]:
    return [render_part(seed, size=128).image_rgb for seed in range(30)]


@pytest.fixture
def root(tmp_path: Path, parts: list[Picture]) -> Path:
    """Twenty good parts to learn from, five good and five bad ones to test on, the bad ones with masks."""
    root = tmp_path / "part"
    for folder in ("train/good", "test/good", "test/dent", "ground_truth/dent"):
        (root / folder).mkdir(parents=True)
    for number, part in enumerate(parts):
        folder = "train/good" if number < 20 else "test/good" if number < 25 else "test/dent"
        write_image(root / folder / f"{number}.png", part)
        if number >= 25:
            _write_mask(root / "ground_truth" / "dent" / f"{number}_mask.png", 128)
    return root


def _write_mask(path: Path, size: int, value: int = 255) -> None:
    mask = np.zeros((size, size), np.uint8)
    mask[10:20, 10:20] = value
    Image.fromarray(mask).save(path)


def _audit(root: Path) -> Audit:
    return audit(open_dataset(root))


def test_a_sound_dataset_has_no_findings(root: Path) -> None:
    found = _audit(root)

    assert (found.train, found.test_good, found.test_defective) == (20, 5, 5)
    assert found.findings == 0
    assert found.trustworthy


def _same_file(source: Path, target: Path) -> None:
    shutil.copy(source, target)


def _same_pixels(source: Path, target: Path) -> None:
    Image.open(source).save(target, compress_level=9)


def _recompressed(source: Path, target: Path) -> None:
    encoded = io.BytesIO()
    Image.open(source).save(encoded, "JPEG", quality=60)
    Image.open(encoded).save(target)


def _half_the_size(source: Path, target: Path) -> None:
    Image.open(source).resize((64, 64), Image.Resampling.BICUBIC).save(target)


@pytest.mark.parametrize(
    ("copied", "identical"),
    [
        (_same_file, True),
        (_same_pixels, False),
        (_recompressed, False),
        (_half_the_size, False),
    ],
)
def test_a_copy_of_a_training_image_is_found_however_it_was_saved(
    root: Path, copied: Callable[[Path, Path], None], identical: bool
) -> None:
    copied(root / "train" / "good" / "7.png", root / "test" / "good" / "99.png")

    found = _audit(root)

    (leak,) = found.leaks
    assert (leak.test, leak.train) == ("test/good/99.png", "train/good/7.png")
    assert leak.identical == identical
    assert not found.trustworthy


def test_the_same_file_as_a_defect_is_a_leak_too(root: Path) -> None:
    shutil.copy(root / "train" / "good" / "3.png", root / "test" / "dent" / "3.png")

    found = _audit(root)

    assert [leak.test for leak in found.leaks] == ["test/dent/3.png"]
    assert found.defects_without_mask == ("test/dent/3.png",)


def test_masks_that_do_not_serve_are_named(root: Path) -> None:
    masks = root / "ground_truth" / "dent"
    _write_mask(masks / "25_mask.png", 64)
    _write_mask(masks / "26_mask.png", 128, value=0)
    (masks / "27_mask.png").write_bytes(b"not an image")
    (masks / "28_mask.png").unlink()
    _write_mask(masks / "77_mask.png", 128)

    found = _audit(root)

    assert {name: reason.split("dent/")[-1] for name, reason in found.unusable_masks.items()} == {
        "test/dent/25.png": "25_mask.png is 64x64, but its image 25.png is 128x128.",
        "test/dent/26.png": "26_mask.png: marks nothing, though 26.png shows a defect.",
        "test/dent/27.png": "27_mask.png: is not an image, or is damaged.",
    }
    assert found.defects_without_mask == ("test/dent/28.png",)
    assert found.masks_without_image == ("ground_truth/dent/77_mask.png",)
    assert found.findings == 5
    assert not found.trustworthy


def test_images_that_cannot_be_used_are_named_and_do_not_stop_the_rest(root: Path) -> None:
    (root / "train" / "good" / "0.png").write_bytes(b"")
    write_image(root / "test" / "good" / "20.png", np.zeros((64, 64, 3), np.uint8))

    found = _audit(root)

    assert found.unreadable.keys() == {"train/good/0.png", "test/good/20.png"}
    assert found.trustworthy


def test_defects_without_masks_leave_something_out_but_falsify_nothing(root: Path) -> None:
    shutil.rmtree(root / "ground_truth")

    found = _audit(root)

    assert len(found.defects_without_mask) == 5
    assert found.trustworthy


def test_whoever_stops_a_check_does_not_wait_for_the_rest(root: Path) -> None:
    seen = []

    def stop(_stage: str, done: int, _total: int) -> None:
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(open_dataset(root), stop)

    assert seen == [1]


def test_good_images_alone_can_be_checked(good_images: Callable[..., Path], tmp_path: Path) -> None:
    found = _audit(good_images(tmp_path / "plain", 3))

    assert (found.train, found.test_good, found.findings) == (3, 0, 0)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "leaks"),
    [
        ("mvtec/bottle", {}),
        # The same tiles under another exposure; one is a defect on the test side and good on the other.
        (
            "magnetic_tile",
            {
                "fray/exp0_num_797.jpg": "exp4_num_889.jpg",
                "fray/exp6_num_972.jpg": "exp4_num_889.jpg",
                "good/exp1_num_338856.jpg": "exp4_num_338897.jpg",
                "good/exp2_num_358960.jpg": "exp4_num_358985.jpg",
                "good/exp3_num_313866.jpg": "exp4_num_313877.jpg",
                "good/exp1_num_65001.jpg": "exp4_num_65043.jpg",
            },
        ),
    ],
)
def test_real_parts_that_differ_are_not_taken_for_copies(
    shared: Path, name: str, leaks: dict[str, str]
) -> None:
    found = _audit(shared / "data" / name)

    assert {
        leak.test.removeprefix("test/"): leak.train.removeprefix("train/good/") for leak in found.leaks
    } == leaks


def test_rendered_parts_that_differ_are_not_taken_for_copies() -> None:
    from pcedge.datasets.likeness import nearest, spectrum

    spectra = np.stack([spectrum(render_part(seed, size=128).image_rgb) for seed in range(200)])

    _, distances, limit = nearest(spectra[:150], spectra[150:])

    assert (distances > limit).all()


@pytest.mark.parametrize(("layout", "soft"), [("mvtec-ad", True), ("btad", False)])
def test_grey_is_a_soft_edge_or_a_label_as_the_layout_says(tmp_path: Path, layout: str, soft: bool) -> None:
    good = "good" if layout == "mvtec-ad" else "ok"
    for folder in (f"train/{good}", "test/ko", "ground_truth/ko"):
        (tmp_path / folder).mkdir(parents=True)
    picture = render_part(0, size=64).image_rgb
    write_image(tmp_path / "train" / good / "0.png", picture)
    write_image(tmp_path / "test" / "ko" / "1.png", picture)
    values = np.zeros((64, 64), np.uint8)
    values[0, :3] = (255, 100, 1)
    Image.fromarray(values).save(tmp_path / "ground_truth" / "ko" / "1.png")
    dataset = open_dataset(tmp_path, layout)

    truth = read_ground_truth(dataset, dataset.test[0], picture.shape)

    assert truth is not None
    assert truth[0, :4].tolist() == ([255, 100, 1, 0] if soft else [255, 255, 255, 0])


def test_several_masks_are_one_and_a_good_image_needs_none(root: Path, tmp_path: Path) -> None:
    dataset = open_dataset(root)
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    _write_mask(first, 128)
    Image.fromarray(np.full((128, 128), 254, np.uint8)).save(second)
    sample = dataset.test[0]

    whole = read_ground_truth(dataset, Sample(sample.path, "dent", (first, second)), (128, 128))
    nothing = read_ground_truth(dataset, Sample(sample.path, "good"), (128, 128, 3))

    assert whole is not None
    assert (whole == 255).all()
    assert nothing is not None
    assert not nothing.any()
    assert read_ground_truth(dataset, Sample(sample.path, "dent"), (128, 128)) is None
    with pytest.raises(ImageError, match=r"a\.png is 128x128, but its image .* is 60x50"):
        read_ground_truth(dataset, Sample(sample.path, "dent", (first,)), (50, 60))


def _command(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["datasets", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def test_the_command_explains_every_dataset() -> None:
    code, text, _ = _command()

    assert code == 0
    for words in (
        "MVTec LOCO AD",
        "CC BY 4.0",
        "split_csv/1cls.csv",
        "arXiv:2503.21622",
        "plain: image files",
    ):
        assert words in text
    assert {known["layout"] for known in json.loads(_command("--json")[1])} >= {"visa", "btad"}


def test_the_command_looks_at_one_product_and_warns_by_its_exit_code(root: Path) -> None:
    assert _command(root)[0] == 0
    shutil.copy(root / "train" / "good" / "3.png", root / "test" / "good" / "99.png")

    code, text, notes = _command(root)
    found = json.loads(_command(root, "--json")[1])

    assert code == 3
    assert "mvtec-ad" in text
    assert "test/good/99.png the same file as train/good/3.png" in notes
    assert not found["trustworthy"]
    assert found["categories"]["part"]["leaks"] == [
        {"test": "test/good/99.png", "train": "train/good/3.png", "distance": 0.0, "identical": True}
    ]


def test_the_command_looks_at_every_product_and_goes_on_after_one_that_cannot_be_opened(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "candle" / "Data" / "Images" / "Normal").mkdir(parents=True)

    code, text, notes = _command(tmp_path)

    assert code == 3
    assert "which says what each image of VisA is for" in notes
    assert root.name in text


@pytest.mark.parametrize("arguments", [("missing",), (".", "--layout", "wrong")])
def test_the_command_refuses_in_words(arguments: tuple[str, ...]) -> None:
    code, _, notes = _command(*arguments)

    assert code == 1
    assert "Error: There is no" in notes
