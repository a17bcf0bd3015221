"""VisA (Zou et al. 2022): the images of a product together, and tables that say what each is for."""

import csv
from pathlib import Path, PurePosixPath

from pcedge.datasets.dataset import GOOD, Dataset, Sample
from pcedge.errors import DatasetError

from .base import Layout, images

_DEFAULT_SPLIT = "1cls"
_COLUMNS = ("object", "split", "label", "image", "mask")
_NORMAL = Path("Data", "Images", "Normal")
_MASKS = Path("Data", "Masks", "Anomaly")
_DEFECT = "anomaly"


def _matches(root: Path) -> bool:
    return (root / _NORMAL).is_dir()


def _read(root: Path, split: str) -> Dataset:
    table = root.resolve().parent / "split_csv" / f"{split or _DEFAULT_SPLIT}.csv"
    rows = [row for row in _rows(table) if row["object"] == root.resolve().name]
    if not rows:
        raise DatasetError(f"{table} has no rows for {root.resolve().name}.", "Is this the right dataset?")
    train = tuple(
        _inside(root, row["image"], table)
        for row in rows
        if row["split"] == "train" and row["label"] == "normal"
    )
    test = tuple(_sample(root, row, table) for row in rows if row["split"] == "test")
    named = {_inside(root, row["mask"], table) for row in rows if row["mask"]}
    return Dataset(
        root,
        train,
        test,
        stray_masks=tuple(path for path in images(root / _MASKS) if path not in named),
        layout=LAYOUT.name,
        any_mask_value=True,
    )


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        others = sorted(path.stem for path in table.parent.glob("*.csv"))
        raise DatasetError(
            f"There is no {table}, which says what each image of VisA is for.",
            f"Splits there: {', '.join(others)}; name one with --layout visa:NAME."
            if others
            else "Put the folder split_csv of VisA beside the products' folders.",
        )
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise DatasetError(f"{table} lacks columns.", f"Expected: {','.join(_COLUMNS)}")
            return [{name: row[name] or "" for name in _COLUMNS} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} is not a table: {error}.", f"Expected: {','.join(_COLUMNS)}") from error


def _sample(root: Path, row: dict[str, str], table: Path) -> Sample:
    masks = (_inside(root, row["mask"], table),) if row["mask"] else ()
    kind = GOOD if row["label"] == "normal" else _DEFECT
    return Sample(_inside(root, row["image"], table), kind, () if kind == GOOD else masks)


def _inside(root: Path, name: str, table: Path) -> Path:
    """A file that a table names from VisA's folder, as one in the product's folder."""
    path = PurePosixPath(name)
    if ".." in path.parts or path.parts[:1] != (root.resolve().name,):
        raise DatasetError(f"{table} names {name!r}, which is not in {root}.")
    return root.joinpath(*path.parts[1:])


LAYOUT = Layout(
    name="visa",
    expected="Data/Images/Normal, Data/Images/Anomaly, Data/Masks/Anomaly, and ../split_csv/1cls.csv",
    matches=_matches,
    read=_read,
    variants=True,
)
