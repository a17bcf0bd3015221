"""Mutated folder trees as datasets: what becomes of every file.

``python -m benchmarks.folder_trees --cases 10000``. A sound dataset of some layout is made and changed: names
(case, encodings, control characters, length), links (to nowhere, upwards, in circles), suffixes, depths, and
what else lies in people's folders. A case is well if it is refused in words, or if every file is used once or
counted with a reason, so that the sums agree. ``--only SEED`` runs a single one.
"""

import os
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.command import Json, Seed, print_json, run
from pcedge.cli.console import err
from pcedge.datasets import Dataset, audit, categories, open_dataset
from pcedge.errors import PcedgeError

_SOUND: tuple[tuple[str, ...], ...] = (
    ("train/good", "test/good", "test/scratch", "ground_truth/scratch"),
    ("train/ok", "test/ok", "test/ko", "ground_truth/ko"),
    ("train/good", "validation/good", "test_public/good", "test_public/bad", "test_private"),
    ("train/good", "test/good", "test/logical_anomalies", "ground_truth/logical_anomalies/0"),
    ("good", "bad", "bad/dent", "masks", "masks/dent"),
    ("Data/Images/Normal", "Data/Images/Anomaly", "Data/Masks/Anomaly"),
    ("",),
)
_FOLDERS = (
    *("good", "Good", "OK", "ok", "NG", "bad", "Bad", "ko", "train", "Train", "test", "Testing", "masks"),
    *(
        "ground_truth",
        "GT",
        "conforme",
        "2024",
        "shift 1",
        "images",
        ".git",
        "not good",
        "Data",
        "validation",
    ),
)
_SUFFIXES = (".png", ".jpg", ".PNG", ".jfif", ".tif", ".txt", ".db", ".part", ".tmp.png", "", ".heic", ".raw")
_NAMES = (
    *(b"gr\xfcn", b"\x1b[31m", b"a\nb", b"tab\there", b"x" * 200, "検査".encode()),
    *(b" ", b"-x", b"0_mask", b"a.b.c"),
)
_AUDITED = 0.05


@dataclass(frozen=True)
class Outcome:
    """What became of a case: ``read``, ``refused``, or what is wrong with it."""

    kind: str
    detail: str = ""


def check_case(seed: int, root: Path) -> Outcome:
    """Make the tree of a seed in an empty folder, read it as a dataset, and compare the sums."""
    rng = random.Random(seed)
    make_tree(rng, root)
    layout = rng.choice((None, None, None, "plain", "mvtec-ad", "btad", "plain:good", "mvtec-ad:train/good"))
    try:
        categories(root)
        dataset = open_dataset(root, layout)
        if rng.random() < _AUDITED:
            audit(dataset).to_dict()
    except PcedgeError as error:
        return Outcome("refused") if str(error).encode() else Outcome("silent", "the error has no words")
    except Exception:  # this is what is looked for
        return Outcome("traceback", traceback.format_exc())
    return _summed(root, dataset)


def _summed(root: Path, dataset: Dataset) -> Outcome:
    used = list(map(str, dataset.used))
    there = set(_entries(str(root), {str(place) for path in dataset.used for place in path.parents}))
    left_out = sum(one.count for one in dataset.left_out)
    if twice := [path for path, times in Counter(used).items() if times > 1 and path not in _shared(dataset)]:
        return Outcome("twice", twice[0])
    if not there >= set(used):
        return Outcome("not there", next(iter(set(used) - there)))
    if len(set(used)) + left_out != len(there):
        return Outcome("sums", f"{len(set(used))} used + {left_out} left out, {len(there)} there")
    for one in dataset.left_out:
        "".join((one.reason, *one.names)).encode()
    return Outcome("read")


def _shared(dataset: Dataset) -> set[str]:
    """Masks that several images have: a folder may hold an image in two formats."""
    return {str(mask) for sample in dataset.test for mask in sample.masks}


def _entries(folder: str, through: set[str]) -> Iterator[str]:
    """Everything below a folder that is no folder; links to folders count unless what is in them is used."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False) or entry.path in through:
            yield from _entries(entry.path, through)
        else:
            yield entry.path


def make_tree(rng: random.Random, root: Path) -> None:
    """A sound dataset in an empty folder, changed a few times."""
    for folder in rng.choice(_SOUND):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(rng.randint(1, 4)):
            (root / folder / f"{number}.png").write_bytes(b"")
    for _ in range(rng.randint(0, 8)):
        try:
            rng.choice(_CHANGES)(rng, root)
        except OSError:
            continue  # a name that this file system does not take, or a place that an earlier change took


def _any_folder(rng: random.Random, root: Path) -> Path:
    found = [Path(place) for place, _, _ in os.walk(root)]
    return rng.choice(sorted(found))


def _any_file(rng: random.Random, root: Path) -> Path:
    found = sorted(Path(place, name) for place, _, names in os.walk(root) for name in names)
    return rng.choice(found) if found else root / "none.png"


def _name(rng: random.Random) -> str:
    return os.fsdecode(rng.choice(_NAMES)) + rng.choice(_SUFFIXES)


def _add_file(rng: random.Random, root: Path) -> None:
    (_any_folder(rng, root) / _name(rng)).write_bytes(b"junk")


def _add_folder(rng: random.Random, root: Path) -> None:
    folder = _any_folder(rng, root) / rng.choice((*_FOLDERS, os.fsdecode(rng.choice(_NAMES))))
    folder.mkdir()
    (folder / "1.png").write_bytes(b"")


def _rename_folder(rng: random.Random, root: Path) -> None:
    folder = _any_folder(rng, root)
    if folder != root:
        folder.rename(folder.with_name(rng.choice(_FOLDERS)))


def _rename_file(rng: random.Random, root: Path) -> None:
    file = _any_file(rng, root)
    file.rename(file.with_name(_name(rng)))


def _link(rng: random.Random, root: Path) -> None:
    targets = (Path("/nowhere/x.png"), _any_file(rng, root), _any_folder(rng, root), root, root.parent)
    name = rng.choice(("link.png", "link", *_FOLDERS))
    (_any_folder(rng, root) / name).symlink_to(rng.choice(targets))


def _pipe(rng: random.Random, root: Path) -> None:
    os.mkfifo(_any_folder(rng, root) / "pipe.png")


def _deepen(rng: random.Random, root: Path) -> None:
    file = _any_file(rng, root)
    deeper = file.parent / "a" / "b" / rng.choice(_FOLDERS)
    deeper.mkdir(parents=True, exist_ok=True)
    file.rename(deeper / file.name)


_CHANGES: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_add_file, _add_file, _add_folder, _rename_folder, _rename_file, _link, _link, _pipe, _deepen),
)


def main(
    cases: Annotated[int, typer.Option(help="Cases to run.", min=1)] = 10_000,
    seed: Seed = 0,
    only: Annotated[
        int | None, typer.Option(help="Run the case of this seed alone.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Read mutated folder trees as datasets, and count what became of them."""
    seeds = [only] if only is not None else range(seed * 10**9, seed * 10**9 + cases)
    counts: Counter[str] = Counter()
    for number in seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "case")
            root.mkdir()
            outcome = check_case(number, root)
        counts[outcome.kind] += 1
        if outcome.kind not in ("read", "refused"):
            err.print(f"{number}: {outcome.kind}: {outcome.detail}", markup=False)
    wrong = sum(count for kind, count in counts.items() if kind not in ("read", "refused"))
    if json:
        print_json({"cases": sum(counts.values()), **counts, "wrong": wrong})
    else:
        err.print(f"{sum(counts.values())} cases: {dict(counts)}; {wrong} went wrong.")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
