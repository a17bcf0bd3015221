from pathlib import Path

import pytest

from pcedge.datasets import labelled_images, open_dataset, training_images
from pcedge.errors import DatasetError


def _made(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"")
    root.mkdir(exist_ok=True)
    return root


@pytest.mark.parametrize(
    ("files", "train"),
    [
        (["train/good/10.png", "train/good/9.png"], ["train/good/9.png", "train/good/10.png"]),
        (["b.jpg", "a.BMP", "notes.txt"], ["a.BMP", "b.jpg"]),
        (["good/a.png", "scratch/b.png"], ["good/a.png"]),
        (["train/good/a.png", "stray.png"], ["train/good/a.png"]),
        (["train/good/a.png", "train/good/.b.png", "train/good/c.png.part"], ["train/good/a.png"]),
        (["train/good/a.png", "train/good/late/b.png"], ["train/good/a.png", "train/good/late/b.png"]),
    ],
)
def test_the_good_images_are_found_in_natural_order(
    tmp_path: Path, files: list[str], train: list[str]
) -> None:
    dataset = open_dataset(_made(tmp_path / "part", *files))

    assert [dataset.relative(path) for path in dataset.train] == train
    assert dataset.test == ()


def test_the_mvtec_layout_with_kinds_and_masks(tmp_path: Path) -> None:
    root = _made(
        tmp_path / "lines" / "part",
        "train/good/0.png",
        "test/good/0.png",
        "test/scratch/1.png",
        "test/scratch/2.jpg",
        "test/dent/1.png",
        "test/.ipynb_checkpoints/1.png",
        "test/empty/",
        "ground_truth/scratch/1_mask.png",
        "ground_truth/scratch/2.png",
        "ground_truth/scratch/1.png",
    )

    dataset = open_dataset(root)

    found = {
        dataset.relative(s.path): (s.kind, s.is_defect, s.mask and dataset.relative(s.mask))
        for s in dataset.test
    }
    assert found == {
        "test/good/0.png": ("good", False, None),
        "test/dent/1.png": ("dent", True, None),
        "test/scratch/1.png": ("scratch", True, "ground_truth/scratch/1_mask.png"),
        "test/scratch/2.jpg": ("scratch", True, "ground_truth/scratch/2.png"),
    }
    assert (dataset.name, dataset.title) == ("part", "lines/part")
    assert labelled_images(dataset) == dataset.test


def test_a_dataset_may_be_for_testing_only(tmp_path: Path) -> None:
    dataset = open_dataset(_made(tmp_path / "part", "test/good/a.png"))

    assert len(dataset.test) == 1
    with pytest.raises(DatasetError, match=r"has 0 good images to fit on; at least 4"):
        training_images(dataset, at_least=4)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], r"(?s)no images to use.*\.png.*train/good below it"),
        (["notes.txt"], "no images to use"),
        (["train/a.png"], r"(?s)no images.*Images are in train \(1\).*--layout mvtec-ad:train, .*train/good"),
        (["bottle/train/good/a.png", "cable/train/good/a.png"], r"(?s)several datasets.*part/bottle"),
    ],
)
def test_a_folder_without_images_says_what_was_looked_for(
    tmp_path: Path, files: list[str], words: str
) -> None:
    root = _made(tmp_path / "part", *files)

    with pytest.raises(DatasetError, match=words) as caught:
        open_dataset(root)

    assert str(root) in caught.value.what


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DatasetError, match=f"no folder .*{name}"):
        open_dataset(tmp_path / name)


def test_too_few_good_images_and_no_test_images_are_errors(tmp_path: Path) -> None:
    dataset = open_dataset(_made(tmp_path / "part", "a.png", "b.png"))

    assert training_images(dataset, at_least=2) == dataset.train
    with pytest.raises(DatasetError, match="has 2 good images"):
        training_images(dataset, at_least=3)
    with pytest.raises(DatasetError, match="no test images"):
        labelled_images(dataset)


def test_the_working_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_made(tmp_path / "part", "a.png"))

    dataset = open_dataset(Path())

    assert dataset.name == "part"
    assert [dataset.relative(path) for path in dataset.train] == ["a.png"]
