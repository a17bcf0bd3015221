"""Which taught rows are in a bank, written short: lesson number to ``0-4,7``."""

from collections.abc import Mapping, Sequence

# Lesson number and place within the lesson's rows, in the order in which they follow the fitted rows.
TaughtRow = tuple[int, int]
_MOST_ROWS = 2_000_000


def write_ranges(rows: Sequence[TaughtRow]) -> dict[str, str]:
    """Write rows down; those of a lesson stand together and in order."""
    places: dict[int, list[int]] = {}
    for lesson, place in rows:
        places.setdefault(lesson, []).append(place)
    return {str(lesson): _shorten(found) for lesson, found in places.items()}


def read_ranges(written: Mapping[str, str]) -> list[TaughtRow]:
    """What ``write_ranges`` wrote.

    Raises:
        ValueError: It is something else, or more rows than any bank is taught.
    """
    spans = [
        (int(lesson), int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
        for lesson, ranges in written.items()
        for part in ranges.split(",")
    ]
    if sum(max(0, end - first) for _, first, end in spans) > _MOST_ROWS:
        raise ValueError(f"it names more than {_MOST_ROWS} taught rows")
    return [(lesson, place) for lesson, first, end in spans for place in range(first, end)]


def _shorten(places: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][1] + 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
