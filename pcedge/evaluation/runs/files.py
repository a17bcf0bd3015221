"""Runs on disk: a directory each, written whole or not at all, read with every claim checked."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pcedge.core.files import recover, replace_directory
from pcedge.core.inside import Inside
from pcedge.core.text import csv_row
from pcedge.errors import OptionError, PcedgeError, ResultError

from .schema import SCHEMA_VERSION, Curves, ImageRow, Run

RUN_FILE = "run.json"
SCORES_FILE = "scores.csv"
CURVES_FILE = "curves.json"
PICTURES = "pictures"
_T = TypeVar("_T")


@contextmanager
def write_run(directory: Path) -> Iterator[Path]:
    """Yield an empty directory to put images and, last, ``finish_run`` into; then it becomes the run.

    An earlier run of that name is replaced whole; an exception or a kill leaves it as it was.

    Raises:
        OptionError: There is something else under that name.
    """
    if directory.exists() and not (directory / RUN_FILE).is_file() and not _is_empty(directory):
        raise OptionError(
            f"{directory} exists and is not a run; it was left as it is.",
            "Choose another --output, or move it away.",
        )
    with replace_directory(directory) as staging:
        (staging / PICTURES).mkdir()
        yield staging


def finish_run(staging: Path, run: Run, curves: Curves) -> None:
    """Write ``run.json``, ``scores.csv`` and ``curves.json``."""
    (staging / RUN_FILE).write_bytes(_indented(run))
    (staging / CURVES_FILE).write_bytes(msgspec.json.encode(curves) + b"\n")
    (staging / SCORES_FILE).write_text(_scores(run.images), encoding="utf-8")


def read_run(directory: Path) -> Run:
    """Read and check a run.

    Args:
        directory: That of one run, or its ``run.json``.

    Raises:
        ResultError: It is missing, damaged, of a newer schema, or names files outside its directory.
    """
    directory = directory.parent if directory.name == RUN_FILE else directory
    recover(directory, remove=False)
    path = _inside(directory).path(RUN_FILE, str(directory))
    content = _content(path)
    fields = _decode(content, path, dict[str, Any])
    version = fields.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ResultError(
            f"{path} has schema version {version}; this version reads up to {SCHEMA_VERSION}.",
            "Update it with: pip install --upgrade pcedge",
        )
    run = _checked(lambda: msgspec.convert(_with_scores(fields), Run), path)
    for picture in run.pictures:
        for name in filter(None, (picture.picture, picture.heatmap, picture.mask)):
            _inside(directory).path(name, f"{path}, pictures:")
    return run


def read_curves(directory: Path) -> Curves:
    """Read the curves of a run.

    Raises:
        ResultError: They are missing or damaged.
    """
    path = _inside(directory).path(CURVES_FILE, str(directory))
    return _decode(_content(path), path, Curves)


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """Directories of runs: each path is one, or holds some; in order, each once.

    Raises:
        ResultError: A path is not a run and holds none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        start = path.parent if path.name == RUN_FILE else path
        runs = [start] if (start / RUN_FILE).is_file() else _below(start)
        if not runs:
            raise ResultError(
                f"{path} is not a run and holds none: there is no {RUN_FILE}.",
                "Make one with: pcedge suite DATASET --output DIR",
            )
        found.update(dict.fromkeys(runs))
    return list(found)


def _inside(directory: Path) -> Inside:
    return Inside(
        directory, "directory", ResultError, "Do not use this run: evaluate again, or get it from its source."
    )


def _below(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob(f"[!.]*/{RUN_FILE}"))


def _is_empty(directory: Path) -> bool:
    return directory.is_dir() and not any(directory.iterdir())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultError(
            f"{path.parent} is not a run: {path.name} cannot be read ({error.strerror}).",
            "Make one with: pcedge suite DATASET --output DIR",
        ) from error


def _with_scores(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a run, the scores of INVALID images as they were: JSON has null for what is no number."""
    images = fields.get("images")
    for row in images if isinstance(images, list) else ():
        if isinstance(row, dict) and row.get("verdict") == "INVALID" and row.get("score", 0.0) is None:
            row["score"] = nan
    return fields


def _decode(content: bytes, path: Path, kind: type[_T]) -> _T:
    return _checked(lambda: msgspec.json.decode(content, type=kind), path)


def _checked(read: Callable[[], _T], path: Path) -> _T:
    try:
        return read()
    except PcedgeError as error:  # the preprocessing checks itself
        raise ResultError(f"{path}: {error.what}", error.hint) from error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ResultError(f"{path} is damaged: {error}.", "Restore the file, or evaluate again.") from error


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _scores(images: Iterable[ImageRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ImageRow.__struct_fields__)
    writer.writerows(csv_row(msgspec.structs.astuple(row)) for row in images)
    return text.getvalue()
