"""The layouts of public datasets, recognised by looking or as told."""

from pathlib import Path

import pytest

from pcedge.datasets import CATALOGUE, LAYOUTS, Dataset, categories, open_dataset, recognise
from pcedge.errors import DatasetError, OptionError

HEADER = "object,split,label,image,mask\n"


def _made(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def _names(dataset: Dataset) -> dict[str, tuple[str, list[str]]]:
    return {
        dataset.relative(sample.path): (sample.kind, [dataset.relative(mask) for mask in sample.masks])
        for sample in dataset.test
    }


def _visa(root: Path) -> Path:
    candle = _made(
        root / "candle",
        *(f"Data/Images/Normal/{number}.JPG" for number in range(4)),
        *(f"Data/Images/Anomaly/{number}.JPG" for number in range(2)),
        *(f"Data/Masks/Anomaly/{number}.png" for number in range(3)),
    )
    splits = root / "split_csv"
    splits.mkdir()
    normal, defect = "candle/Data/Images/Normal", "candle/Data/Images/Anomaly"
    masks = "candle/Data/Masks/Anomaly"
    (splits / "1cls.csv").write_text(
        f"{HEADER}candle,train,normal,{normal}/0.JPG,\ncandle,train,normal,{normal}/1.JPG,\n"
        f"candle,test,normal,{normal}/2.JPG,\ncandle,test,anomaly,{defect}/0.JPG,{masks}/0.png\n"
        f"cashew,train,normal,cashew/Data/Images/Normal/0.JPG,\n"
    )
    (splits / "2cls_fewshot.csv").write_text(
        f"{HEADER}candle,train,normal,{normal}/3.JPG,\ncandle,train,anomaly,{defect}/0.JPG,{masks}/0.png\n"
        f"candle,test,anomaly,{defect}/1.JPG,{masks}/1.png\n"
    )
    return candle


def test_loco_has_several_masks_an_image_and_a_validation_set(tmp_path: Path) -> None:
    root = _made(
        tmp_path,
        "train/good/0.png",
        "validation/good/0.png",
        "test/good/0.png",
        "test/logical_anomalies/0.png",
        "test/structural_anomalies/0.png",
        "ground_truth/logical_anomalies/0/000.png",
        "ground_truth/logical_anomalies/0/001.png",
        "ground_truth/structural_anomalies/0/000.png",
        "ground_truth/structural_anomalies/7/000.png",
    )

    dataset = open_dataset(root)

    logical = "ground_truth/logical_anomalies/0"
    assert _names(dataset) == {
        "test/good/0.png": ("good", []),
        "test/logical_anomalies/0.png": ("logical_anomalies", [f"{logical}/000.png", f"{logical}/001.png"]),
        "test/structural_anomalies/0.png": (
            "structural_anomalies",
            ["ground_truth/structural_anomalies/0/000.png"],
        ),
    }
    assert [path.name for path in dataset.stray_masks] == ["000.png"]
    assert len(dataset.train) == len(dataset.validation) == 1
    assert (dataset.layout, dataset.aupro_limit, dataset.any_mask_value) == ("mvtec-loco", 0.05, True)


def test_ad_2_is_tested_on_its_public_images(tmp_path: Path) -> None:
    root = _made(
        tmp_path,
        "train/good/000_regular.png",
        "validation/good/000_regular.png",
        "test_public/good/000_regular.png",
        "test_public/bad/000_overexposed.png",
        "test_public/ground_truth/bad/000_overexposed_mask.png",
        "test_private/000_regular.png",
        "test_private_mixed/000_mixed.png",
    )

    dataset = open_dataset(root)

    assert _names(dataset) == {
        "test_public/bad/000_overexposed.png": (
            "bad",
            ["test_public/ground_truth/bad/000_overexposed_mask.png"],
        ),
        "test_public/good/000_regular.png": ("good", []),
    }
    assert (len(dataset.validation), len(dataset.unlabelled), dataset.stray_masks) == (1, 2, ())
    assert (dataset.layout, dataset.aupro_limit) == ("mvtec-ad2", 0.05)


def test_btad_says_ok_and_ko_in_two_formats(tmp_path: Path) -> None:
    root = _made(
        tmp_path / "03",
        "train/ok/0.bmp",
        "test/ok/1.bmp",
        "test/ko/2.bmp",
        "test/ko/3.png",
        "ground_truth/ko/2.bmp",
        "ground_truth/ko/3.png",
        "ground_truth/ko/9.png",
    )

    dataset = open_dataset(root)

    assert _names(dataset) == {
        "test/ko/2.bmp": ("ko", ["ground_truth/ko/2.bmp"]),
        "test/ko/3.png": ("ko", ["ground_truth/ko/3.png"]),
        "test/ok/1.bmp": ("good", []),
    }
    assert [path.name for path in dataset.train] == ["0.bmp"]
    assert [path.name for path in dataset.stray_masks] == ["9.png"]
    assert (dataset.layout, dataset.aupro_limit) == ("btad", 0.3)


def test_visa_follows_its_table_and_another_by_name(tmp_path: Path) -> None:
    candle = _visa(tmp_path)

    first, second = open_dataset(candle), open_dataset(candle, "visa:2cls_fewshot")

    assert [path.name for path in first.train] == ["0.JPG", "1.JPG"]
    assert _names(first) == {
        "Data/Images/Normal/2.JPG": ("good", []),
        "Data/Images/Anomaly/0.JPG": ("anomaly", ["Data/Masks/Anomaly/0.png"]),
    }
    assert [path.name for path in first.stray_masks] == ["1.png", "2.png"]
    # Defects to learn from are none of PatchCore's business.
    assert [path.name for path in second.train] == ["3.JPG"]
    assert [sample.path.name for sample in second.test] == ["1.JPG"]
    assert (first.layout, first.any_mask_value) == ("visa", True)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, r"(?s)no .*1cls\.csv.*2cls_fewshot.*visa:NAME"),
        ("object,split\ncandle,train\n", "lacks columns"),
        (HEADER, "has no rows for candle"),
        (f"{HEADER}candle,test,normal,candle/../../secret.png,\n", "not in"),
        (f"{HEADER}candle,test,normal,cashew/Data/a.png,\n", "not in"),
        ("object,split,label,image,mask\ncandle,\xff", "not a table"),
    ],
)
def test_a_table_of_visa_that_does_not_serve_is_named(tmp_path: Path, table: str | None, words: str) -> None:
    candle = _visa(tmp_path)
    path = tmp_path / "split_csv" / "1cls.csv"
    if table is None:
        path.unlink()
    else:
        path.write_bytes(table.encode("latin-1"))

    with pytest.raises(DatasetError, match=words) as caught:
        open_dataset(candle)

    assert "split_csv" in str(caught.value)


def test_good_and_bad_are_split_by_name_and_stay_on_their_side(tmp_path: Path) -> None:
    root = _made(
        tmp_path,
        *(f"good/{number}.png" for number in range(60)),
        "bad/a.png",
        "bad/dent/b.png",
        "masks/a.png",
        "masks/dent/b_mask.png",
        "masks/7.png",
        "masks/8_mask.png",
        "masks/z.png",
        "masks/dent/y.png",
    )

    before = open_dataset(root)
    after = open_dataset(_made(root, *(f"good/new{number}.png" for number in range(40))))

    held_out = {s.path for s in before.test if not s.is_defect}
    assert 6 <= len(held_out) <= 18
    assert len(before.train) + len(held_out) == 60
    assert {s.path for s in after.test} >= held_out
    assert set(after.train) >= set(before.train)
    defects = {name: found for name, found in _names(before).items() if name.startswith("bad")}
    assert defects == {
        "bad/a.png": ("bad", ["masks/a.png"]),
        "bad/dent/b.png": ("dent", ["masks/dent/b_mask.png"]),
    }
    assert sorted(path.name for path in before.stray_masks) == ["y.png", "z.png"]
    assert before.layout == "plain"


def test_a_few_good_images_still_leave_one_to_test_on(tmp_path: Path) -> None:
    dataset = open_dataset(_made(tmp_path, "good/a.png", "good/b.png", "bad/c.png"))

    assert len(dataset.train) == 1
    assert [sample.kind for sample in dataset.test] == ["good", "bad"]


def test_a_layout_that_is_named_is_taken(tmp_path: Path) -> None:
    root = _made(tmp_path, "train/good/a.png", "test/ko/b.png", "stray.png")

    assert recognise(root) is not None
    assert open_dataset(root).layout == "mvtec-ad"
    assert open_dataset(root, "mvtec-ad").train[0].name == "a.png"
    assert open_dataset(root, "plain").train[0].name == "stray.png"
    with pytest.raises(DatasetError, match=r"(?s)in the layout mvtec-ad2.*test_public/good"):
        open_dataset(root / "test", "mvtec-ad2")


@pytest.mark.parametrize("name", ["mvtec", "btad:1cls", "VISA"])
def test_an_unknown_layout_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"(?s)no layout.*visa, mvtec-ad2"):
        open_dataset(_made(tmp_path, "a.png"), name)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["bottle/train/good/a.png", "cable/train/good/a.png", "license.txt"], ("bottle", "cable")),
        (["bottle/train/good/a.png", "cover.png"], ("bottle",)),
        (["01/train/ok/a.bmp", "02/test/ko/a.png", "docs/read.txt"], ("01", "02")),
        (["nut/good/a.png", "bolt/good/a.png"], ("bolt", "nut")),
        (["train/good/a.png", "test/dent/a.png"], ()),
        (["train/a.png"], ()),
        (["a.png"], ()),
    ],
)
def test_a_folder_of_products_lists_them(tmp_path: Path, files: list[str], expected: tuple[str, ...]) -> None:
    assert categories(_made(tmp_path, *files)) == expected


def test_visa_s_tables_are_no_product(tmp_path: Path) -> None:
    _visa(tmp_path)

    assert categories(tmp_path) == ("candle",)


def test_every_known_dataset_has_a_layout_a_licence_and_a_source() -> None:
    names = {layout.name for layout in LAYOUTS}

    assert {known.layout for known in CATALOGUE} == names - {"plain"}
    for known in CATALOGUE:
        assert known.licence
        assert known.homepage.startswith("https://")
        assert "doi:" in known.paper or "arXiv:" in known.paper


@pytest.mark.parametrize("good", ["train/good", "good"])
def test_good_images_may_lie_in_a_folder_for_each_batch(tmp_path: Path, good: str) -> None:
    root = _made(tmp_path, f"{good}/monday/1.png", f"{good}/friday/1.png", f"{good}/friday/.hidden/2.png")

    dataset = open_dataset(root)

    assert [dataset.relative(path) for path in dataset.train] == [
        f"{good}/friday/1.png",
        f"{good}/monday/1.png",
    ]
