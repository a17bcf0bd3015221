"""What masks mean is decided from all of a set: however they were kept, the same pixels are defect."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcedge.camera import read_image, render_part, write_image
from pcedge.datasets import Dataset, audit, find_shared, open_dataset, read_ground_truth

Mask = NDArray[np.bool_]
COUNT, SIDE = 6, 96


def _marked(number: int) -> Mask:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[20 + number : 34 + number, 30 : 46 + 2 * number] = True
    return mask


def _levels(mask: Mask, bright: int, dark: int = 0) -> Image.Image:
    return Image.fromarray(np.where(mask, np.uint8(bright), np.uint8(dark)))


def _labels(mask: Mask) -> Image.Image:
    levels = np.where(mask, np.uint8(255), np.uint8(0))
    levels[:, 40:][mask[:, 40:]] = 1
    return Image.fromarray(levels)


def _in_alpha(mask: Mask) -> Image.Image:
    colours = np.zeros((SIDE, SIDE, 4), np.uint8)
    colours[..., 3] = np.where(mask, 255, 0)
    return Image.fromarray(colours)


def _red_on_grey(mask: Mask) -> Image.Image:
    return Image.fromarray(np.where(mask[..., None], np.array([255, 0, 0], np.uint8), np.uint8(90)))


KEPT: dict[str, tuple[Callable[[Mask], Image.Image], str, str]] = {
    "white": (lambda mask: _levels(mask, 255), ".png", "black and white"),
    "one": (lambda mask: _levels(mask, 1), ".png", "black and white"),
    "jpeg": (lambda mask: _levels(mask, 255), ".jpg", "saved with loss"),
    "grey jpeg": (lambda mask: _levels(mask, 200), ".jpg", "saved with loss"),
    "inverted": (lambda mask: _levels(~mask, 255), ".png", "inverted"),
    "inverted jpeg": (lambda mask: _levels(~mask, 255), ".jpg", "inverted"),
    "labels": (_labels, ".png", "several labels (1, 255)"),
    "alpha": (_in_alpha, ".png", "in the alpha channel"),
    "overlay": (_red_on_grey, ".png", "of two levels, 90 and 255"),
}


def _dataset(root: Path, draw: Callable[[Mask], Image.Image], suffix: str = ".png") -> Dataset:
    for folder in ("train/good", "test/good", "test/dent", "ground_truth/dent"):
        (root / folder).mkdir(parents=True)
    for number in range(COUNT):
        image = render_part(number, size=SIDE).image_rgb
        write_image(root / "train/good" / f"{number}.png", render_part(100 + number, size=SIDE).image_rgb)
        image[_marked(number)] = (250, 40, 230)
        write_image(root / "test/dent" / f"{number}.png", image)
        draw(_marked(number)).save(root / "ground_truth/dent" / f"{number}_mask{suffix}", quality=60)
    return open_dataset(root)


def _truths(dataset: Dataset) -> list[Mask]:
    found = []
    for sample in dataset.test:
        truth = read_ground_truth(dataset, sample, read_image(sample.path).shape)
        assert truth is not None
        found.append(truth > 127)
    return found


@pytest.mark.parametrize("kept", KEPT)
def test_a_mask_marks_the_same_however_it_was_kept(kept: str, tmp_path: Path) -> None:
    draw, suffix, said = KEPT[kept]
    dataset = _dataset(tmp_path, draw, suffix)

    for number, truth in enumerate(_truths(dataset)):
        assert (truth == _marked(number)).mean() > (0.995 if suffix == ".jpg" else 0.9999)
    assert said in dataset.masks.said
    assert dataset.masks.doubtful == {}


def test_a_soft_edge_stays_soft(tmp_path: Path) -> None:
    def soft(mask: Mask) -> Image.Image:
        big = _levels(mask, 255).resize((SIDE * 2, SIDE * 2), Image.Resampling.BICUBIC)
        return big.resize((SIDE, SIDE), Image.Resampling.BILINEAR)

    dataset = _dataset(tmp_path, soft)

    assert "soft edge" in dataset.masks.said
    truth = read_ground_truth(dataset, dataset.test[0], (SIDE, SIDE))
    assert truth is not None
    assert len(np.unique(truth)) > 2


def test_masks_of_half_the_size_are_stretched_and_it_is_said(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, lambda mask: _levels(mask[::2, ::2], 255))

    assert "0.5 times the size" in dataset.masks.said
    for number, truth in enumerate(_truths(dataset)):
        assert (truth == _marked(number)).mean() > 0.98


def test_one_mask_that_is_unlike_the_others_is_named(tmp_path: Path) -> None:
    _dataset(tmp_path, lambda mask: _levels(mask, 255))
    _levels(~_marked(3), 255).save(tmp_path / "ground_truth/dent/3_mask.png")

    found = audit(open_dataset(tmp_path))

    assert list(found.doubtful_masks) == ["ground_truth/dent/3_mask.png"]
    assert "marks 9" in found.doubtful_masks["ground_truth/dent/3_mask.png"]
    assert not found.trustworthy


def test_an_image_with_the_defect_drawn_on_it_is_doubtful(tmp_path: Path) -> None:
    def drawn(mask: Mask) -> Image.Image:
        image = 40 + render_part(7, size=SIDE).image_rgb // 2
        image[mask] = (255, 0, 0)
        return Image.fromarray(image)

    assert len(_dataset(tmp_path, drawn).masks.doubtful) == COUNT


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("stored", [True, False])
def test_masks_of_turned_images_are_laid_as_they_fit(orientation: int, stored: bool, tmp_path: Path) -> None:
    _dataset(tmp_path, lambda mask: _levels(mask, 255))
    turns = {3: 2, 6: 1, 8: 3}[orientation]  # how it is stored, so that the tag turns it upright
    exif = Image.Exif()
    exif[0x112] = orientation
    for path in sorted((tmp_path / "test/dent").iterdir()):
        turned = np.rot90(read_image(path), turns)
        Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
        mask = tmp_path / "ground_truth/dent" / f"{path.stem}_mask.png"
        if stored:
            Image.fromarray(np.rot90(np.asarray(Image.open(mask)), turns).copy()).save(mask)

    dataset = open_dataset(tmp_path)

    assert ("as stored" in dataset.masks.said) == stored
    for number, truth in enumerate(_truths(dataset)):
        assert (truth == _marked(number)).all()


def test_the_same_content_labelled_both_ways_is_named(tmp_path: Path) -> None:
    _dataset(tmp_path, lambda mask: _levels(mask, 255))
    for number in range(20, 32):
        write_image(tmp_path / f"test/good/{number}.png", render_part(number, size=SIDE).image_rgb)
    shutil.copy(tmp_path / "test/good/21.png", tmp_path / "test/dent/x21.png")
    Image.open(tmp_path / "train/good/2.png").save(tmp_path / "test/dent/y2.jpg", quality=85)

    found = audit(open_dataset(tmp_path)).contradictions

    assert [(one.defective, one.good, one.identical) for one in found] == [
        ("test/dent/x21.png", "test/good/21.png", True),
        ("test/dent/y2.jpg", "train/good/2.png", False),
    ]


def test_the_same_file_in_two_products_is_named(tmp_path: Path) -> None:
    products = {name: _dataset(tmp_path / name, lambda mask: _levels(mask, 255)) for name in ("a", "b")}
    for path in (tmp_path / "b/train/good").iterdir():
        write_image(path, render_part(500 + int(path.stem), size=SIDE).image_rgb)
    shutil.rmtree(tmp_path / "b/test/dent")
    shutil.copy(tmp_path / "a/train/good/4.png", tmp_path / "b/train/good/99.png")
    products["b"] = open_dataset(tmp_path / "b")

    assert find_shared(products) == (("a/train/good/4.png", "b/train/good/99.png"),)
