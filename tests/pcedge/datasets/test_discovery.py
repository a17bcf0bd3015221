"""What people's folders look like: everything is used, or counted with a reason, or asked about."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pcedge.datasets import GOOD, Dataset, open_dataset, training_images
from pcedge.errors import DatasetError


def _made(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def _several(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number}.png" for number in range(count)]


def _train(dataset: Dataset) -> list[str]:
    return [dataset.relative(path) for path in dataset.train]


def _kinds(dataset: Dataset) -> dict[str, str]:
    return {dataset.relative(sample.path): sample.kind for sample in dataset.test}


def _left_out(dataset: Dataset) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {one.reason: (one.count, one.names) for one in dataset.left_out}


@pytest.mark.parametrize(
    ("files", "layout", "places"),
    [
        (["good/a.png", "bad/b.png", "setup.png"], "plain", (".", "good")),
        (["Good/a.png", "ok/b.png", "bad/c.png"], "plain", ("Good", "ok")),
        (["test/dent/a.png", "good/b.png", "c.png"], "mvtec-ad", (".", "good")),
        (["train/good/a.png", "good/b.png"], "mvtec-ad", ("train/good", "good")),
        (["train/OK/a.png", "train/normal/b.png", "test/ng/c.png"], "mvtec-ad", ("train/OK", "train/normal")),
    ],
)
def test_two_readings_are_an_error_that_names_both_and_how_to_choose(
    files: Sequence[str], layout: str, places: tuple[str, str], tmp_path: Path
) -> None:
    root = _made(tmp_path / "part", *files)

    with pytest.raises(DatasetError, match="two ways") as found:
        open_dataset(root)

    for place in places:
        option = f"{layout}:{place}"
        assert f"--layout {option}" in found.value.hint
        [image] = open_dataset(root, option).train
        assert image.parent == root / place


@pytest.mark.parametrize("folder", ["nowhere", "../other", "/tmp"])
def test_a_folder_that_is_named_must_be_in_the_dataset(folder: str, tmp_path: Path) -> None:
    _made(tmp_path / "other", "a.png")

    with pytest.raises(DatasetError, match="names no folder"):
        open_dataset(_made(tmp_path / "part", "a.png"), f"plain:{folder}")


@pytest.mark.parametrize(
    "twice", [["test/good/a.png", "Test/b/a.png"], ["masks/a.png", "Ground Truth/b.png"]]
)
def test_two_folders_of_one_meaning_are_named(twice: list[str], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="several folders of"):
        open_dataset(_made(tmp_path, "train/good/a.png", *twice))


@pytest.mark.parametrize(
    ("files", "good", "bad"),
    [
        (
            ["train/good/0.png", "test/Good/1.png", "test/broken/2.png"],
            "test/Good/1.png",
            "test/broken/2.png",
        ),
        (["train/good/0.png", "test/OK/1.png", "test/NG/2.png"], "test/OK/1.png", "test/NG/2.png"),
        (["train/good/0.png", "test/ok/1.png", "test/ko/2.png"], "test/ok/1.png", "test/ko/2.png"),
        (
            ["train/good/0.png", "test/good/1.png", "test/not good/2.png"],
            "test/good/1.png",
            "test/not good/2.png",
        ),
        (
            ["Train/Normal/0.png", "Testing/Nominal/1.png", "Testing/x/2.png"],
            "Testing/Nominal/1.png",
            "Testing/x/2.png",
        ),
        (["train/io/0.png", "test/io/1.png", "test/nio/2.png"], "test/io/1.png", "test/nio/2.png"),
    ],
)
def test_common_names_of_good_and_bad_are_known_in_any_case(
    files: list[str], good: str, bad: str, tmp_path: Path
) -> None:
    dataset = open_dataset(_made(tmp_path, *files))

    assert _train(dataset) == files[:1]
    kinds = _kinds(dataset)
    assert kinds[good] == GOOD
    assert kinds[bad] not in (GOOD, "")
    assert dataset.left_out == ()


@pytest.mark.parametrize(
    "names", [("OK", "NG"), ("Pass", "Fail"), ("normal", "abnormal"), ("Good", "Defects")]
)
def test_a_plain_folder_has_common_names_too(names: tuple[str, str], tmp_path: Path) -> None:
    dataset = open_dataset(_made(tmp_path, *_several(names[0], 10), f"{names[1]}/x.png"))

    assert {path.parent.name for path in dataset.train} == {names[0]}
    assert [sample.path.parent.name for sample in dataset.test if sample.is_defect] == [names[1]]


@pytest.mark.parametrize(
    ("files", "asked"),
    [
        ([*_several("train/conforme", 4), "test/rotto/1.png"], "mvtec-ad:train/conforme"),
        ([*_several("conforme", 4), "rotto/1.png"], "plain:conforme"),
        (_several("images/parts", 4), "plain:images/parts"),
    ],
)
def test_an_unknown_name_is_asked_about(files: list[str], asked: str, tmp_path: Path) -> None:
    root = _made(tmp_path / "part", *files)

    with pytest.raises(DatasetError) as found:
        training_images(open_dataset(root), at_least=4)

    assert f"--layout {asked}" in str(found.value)
    assert len(open_dataset(root, asked).train) == 4


def test_a_name_that_was_given_is_that_of_good_test_images_too(tmp_path: Path) -> None:
    root = _made(tmp_path, "train/conforme/0.png", "test/Conforme/1.png", "test/rotto/2.png")

    dataset = open_dataset(root, "mvtec-ad:train/conforme")

    assert _kinds(dataset) == {"test/Conforme/1.png": GOOD, "test/rotto/2.png": "rotto"}


def test_folders_in_folders_are_read_to_the_bottom(tmp_path: Path) -> None:
    dataset = open_dataset(
        _made(
            tmp_path,
            "train/good/0.png",
            "train/good/2024/shift1/1.png",
            "test/good/monday/2.png",
            "test/scratch/batch1/a/3.png",
            "test/scratch/batch2/4.png",
            "ground_truth/scratch/batch1/a/3_mask.png",
            "ground_truth/scratch/4_mask.png",
            "ground_truth/scratch/batch1/a/9_mask.png",
        )
    )

    assert _train(dataset) == ["train/good/0.png", "train/good/2024/shift1/1.png"]
    assert _kinds(dataset) == {
        "test/good/monday/2.png": GOOD,
        "test/scratch/batch1/a/3.png": "scratch",
        "test/scratch/batch2/4.png": "scratch",
    }
    assert all(sample.masks for sample in dataset.test if sample.is_defect)
    assert [path.name for path in dataset.stray_masks] == ["9_mask.png"]
    assert dataset.left_out == ()


def test_what_is_not_used_is_counted_by_reason_and_named(tmp_path: Path) -> None:
    root = _made(
        tmp_path / "part",
        "train/good/0.png",
        "train/good/bad/1.png",
        "setup.JPG",
        "good.txt",
        "train/good/Thumbs.db",
        "train/good/.DS_Store",
        ".git/a/b.png",
        "train/good/x.png.part",
        "train/good/lid.tmp.png",
        "extra/7.png",
    )
    for number in range(30):
        (root / f"train/good/{number}_link.png").symlink_to(f"/mnt/nowhere/{number}.png")
    os.mkfifo(root / "train/good/pipe.png")
    (root / "again").symlink_to(root / "train")

    dataset = open_dataset(root)

    found = _left_out(dataset)
    assert _train(dataset) == ["train/good/0.png"]
    assert {reason: count for reason, (count, _) in found.items()} == {
        "links that lead nowhere": 30,
        "images in a place that is not read": 3,
        "hidden files": 2,
        "files that are no images by their names": 2,
        "files that end like unfinished ones": 2,
        "pipes, sockets or devices": 1,
        "links to folders that are not read": 1,
    }
    assert found["images in a place that is not read"][1] == (
        "extra/7.png",
        "setup.JPG",
        "train/good/bad/1.png",
    )
    assert "30 links that lead nowhere (train/good/0_link.png, ...)" in map(str, dataset.left_out)
    with pytest.raises(DatasetError) as error:
        training_images(dataset, at_least=4)
    assert "30 links that lead nowhere" in error.value.hint


def test_links_are_followed_once_and_never_upwards(tmp_path: Path) -> None:
    elsewhere = _made(tmp_path / "elsewhere", "1.png", "deep/2.png")
    root = _made(tmp_path / "part", "train/good/0.png", "test/dent/3.png")
    (root / "train/good/more").symlink_to(elsewhere)
    (root / "train/good/twice").symlink_to(elsewhere)
    (root / "train/good/up").symlink_to(root)
    (elsewhere / "round").symlink_to(elsewhere)

    dataset = open_dataset(root)

    assert _train(dataset) == ["train/good/0.png", "train/good/more/1.png", "train/good/more/deep/2.png"]
    assert _left_out(dataset)["links to folders that are not read"] == (
        3,
        ("train/good/more/round", "train/good/twice", "train/good/up"),
    )


def test_names_that_are_no_text_are_used_and_shown_escaped(tmp_path: Path) -> None:
    root = _made(tmp_path / "part", "good/n.png")
    latin = os.fsencode(root) + b"/good/gr\xfcn_%02d.png"
    for number in range(10):
        Path(os.fsdecode(latin % number)).write_bytes(b"")
    _made(root, "good/\x1b[31mred.png", "good/" + "x" * 240 + ".png", "good/A.png", "good/a.png", "bad/1.png")

    dataset = open_dataset(root)

    names = [*_train(dataset), *_kinds(dataset)]
    assert len(names) == 16
    assert {"good/gr\\xfcn_00.png", "good/\\x1b[31mred.png", "good/A.png", "good/a.png"} < set(names)
    assert all(name.encode() for name in names)


@pytest.mark.parametrize("mark", ["_mask", "", "_gt", "-mask", "_label"])
def test_a_mask_is_known_by_the_usual_ends_of_its_name(mark: str, tmp_path: Path) -> None:
    dataset = open_dataset(
        _made(tmp_path, "train/good/0.png", "test/Dent/1.png", f"ground_truth/dent/1{mark}.bmp")
    )

    [sample] = dataset.test
    assert [path.name for path in sample.masks] == [f"1{mark}.bmp"]
    assert dataset.stray_masks == ()


def test_the_working_directory_is_counted_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(_made(tmp_path, "a.png", "b.txt", "c/d.png"))

    dataset = open_dataset(Path())

    assert _left_out(dataset) == {
        "files that are no images by their names": (1, ("b.txt",)),
        "images in a place that is not read": (1, ("c/d.png",)),
    }
