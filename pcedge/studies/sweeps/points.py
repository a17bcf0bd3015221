"""Points of a sweep: what each choice of settings gives, which of them nothing beats, and their file."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from pcedge.core.files import replace_file
from pcedge.core.text import csv_row
from pcedge.errors import ResultError

SWEEP_JSON, SWEEP_CSV = "sweep.json", "sweep.csv"
SCHEMA_VERSION = 1


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of settings and what it gave.

    Attributes:
        backbone: Architecture.
        image_size: Images were resized to so many pixels a side.
        coreset: As asked for: a fraction or a number of rows.
        neighbours: Bank rows that re-weight the image score; 1 for none.
        bank_rows: Rows in the bank.
        bank_bytes: Their size.
        image_auroc: None where it is not defined.
        pixel_auroc: None where it is not defined.
        aupro: None where it is not defined.
        frame_ms: Median time from decoded image to verdict and map.
    """

    backbone: str
    image_size: int
    coreset: str
    neighbours: int
    bank_rows: int
    bank_bytes: int
    image_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    frame_ms: float

    @property
    def key(self) -> tuple[str, int, str, int]:
        """What was chosen."""
        return (self.backbone, self.image_size, self.coreset, self.neighbours)

    def beats(self, other: "Point") -> bool:
        """Whether it is nowhere worse in accuracy, time and size, and somewhere better."""
        mine, its = self._costs(), other._costs()
        return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))

    def _costs(self) -> tuple[float, float, int]:
        accuracy = 0.0 if self.image_auroc is None else self.image_auroc
        return (-accuracy, self.frame_ms, self.bank_bytes)


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``sweep.json``.

    Attributes:
        schema_version: Of this structure.
        dataset: The folder and the one above.
        request: Digest of the data and of what all points have in common.
        points: In the order in which they were measured.
        failed: Backbone and image size to why they could not be measured.
        skipped: Images that could not be used, and why.
    """

    schema_version: int = SCHEMA_VERSION
    dataset: str
    request: str
    points: tuple[Point, ...] = ()
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in image AUROC, time and bank size at once, the fastest first."""
    kept = [point for point in points if not any(other.beats(point) for other in points)]
    return sorted(kept, key=lambda point: (point.frame_ms, point.bank_bytes))


def read_sweep(directory: Path) -> Sweep | None:
    """The sweep that a directory holds; None where it holds none.

    Raises:
        ResultError: It is damaged, or of another schema version.
    """
    path = directory / SWEEP_JSON
    try:
        sweep = msgspec.json.decode(path.read_bytes(), type=Sweep)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResultError(f"{path} cannot be read: {error}.", "Remove it, and sweep again.") from error
    if sweep.schema_version != SCHEMA_VERSION:
        raise ResultError(
            f"{path} has schema version {sweep.schema_version}; this version reads {SCHEMA_VERSION}.",
            "Sweep again into another --output.",
        )
    return sweep


def write_sweep(directory: Path, sweep: Sweep) -> None:
    """Write ``sweep.json`` and ``sweep.csv``."""
    directory.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(sweep), indent=2) + b"\n"
    replace_file(directory / SWEEP_JSON, content)
    replace_file(directory / SWEEP_CSV, _table(sweep.points).encode())


def _table(points: Iterable[Point]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Point.__struct_fields__)
    writer.writerows(csv_row(msgspec.structs.astuple(point)) for point in points)
    return text.getvalue()
