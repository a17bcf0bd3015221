"""What is in a dataset's folder and not used: counted by reason, so that nothing goes missing in silence."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pcedge.camera import why_no_image
from pcedge.core.text import shown

# How many files are named for each reason; all are counted.
_NAMED = 20


@dataclass(frozen=True)
class LeftOut:
    """Files that are not used, for one reason.

    Attributes:
        reason: Why, as what follows the number: ``links that lead nowhere``.
        count: How many.
        names: The first of them, as they are called in the dataset's folder.
    """

    reason: str
    count: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > 1 else ""
        return f"{self.count} {self.reason} ({self.names[0]}{more})"


def find_left_out(root: Path, used: Collection[Path]) -> tuple[LeftOut, ...]:
    """Everything below a folder that is not used, by reason, the most frequent first.

    Links to folders are followed where something in them is used; others count as one.

    Args:
        root: A dataset's folder.
        used: The files that the dataset uses or knows, as paths that begin with ``root``.
    """
    kept = set(map(os.fspath, used))
    through = {os.fspath(place) for path in used for place in path.parents}
    found: dict[str, list[str]] = {}
    for path, reason in _unused("" if root == Path() else f"{root}{os.sep}", kept, through):
        found.setdefault(reason, []).append(path)
    return tuple(
        LeftOut(reason, len(paths), tuple(_name(path, root) for path in sorted(paths)[:_NAMED]))
        for reason, paths in sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    )


def _unused(
    folder: str, kept: Collection[str], through: Collection[str], *, hidden: bool = False
) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder or ".") as listed:
            entries = list(listed)
    except OSError:
        yield folder, "folders that cannot be listed"
        return
    for entry in entries:
        path = f"{folder}{entry.name}"
        unseen = hidden or entry.name.startswith(".")
        if entry.is_dir(follow_symlinks=False) or path in through:
            yield from _unused(f"{path}{os.sep}", kept, through, hidden=unseen)
        elif path not in kept:
            yield path, "hidden files" if unseen else _reason(entry)


def _reason(entry: os.DirEntry[str]) -> str:
    why = why_no_image(entry) or "images in a place that is not read"
    return "links to folders that are not read" if why == "folders" else why


def _name(path: str, root: Path) -> str:
    return shown(os.path.relpath(path, root))
