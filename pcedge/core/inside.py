"""Paths and names that a file says: taken only where they are plain and stay in that file's own directory."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pcedge.errors import PcedgeError

# Controls, halves of characters, and what begins a line: no name needs them, and a terminal obeys some.
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LONGEST, _LONGEST_PART = 1024, 255
_TOO_LONG = "is longer than a file system takes"
_DRIVE = re.compile("[A-Za-z]:")


@dataclass(frozen=True)
class Inside:
    """A directory, and what is said to whoever names a file outside it.

    Attributes:
        directory: The only one that files may lie in.
        kind: What it is: ``bundle``, ``run``.
        error: Class of the errors.
        hint: What to do about one.
    """

    directory: Path
    kind: str
    error: type[PcedgeError]
    hint: str

    def plain(self, name: str, said_by: str) -> str:
        """A relative path as it is, if it can lie nowhere but in the directory, links aside.

        Args:
            name: The path, with ``/`` between its parts.
            said_by: Which file says it, and in what field, as the start of a sentence.

        Raises:
            PcedgeError: It is absolute, has ``..`` in it, or is not plainly written.
        """
        if PurePosixPath(name).is_absolute() or ".." in re.split(r"[/\\]", name):
            raise self.error(f"{said_by} names a file outside its {self.kind}: {name!r}.", self.hint)
        if problem := _problem(name):
            raise self.error(
                f"{said_by} must be a plain path within its {self.kind}; {name!r} {problem}.", self.hint
            )
        return name

    def single(self, name: str, said_by: str) -> str:
        """A name as it is, if it can be that of a file or a directory right below another.

        Raises:
            PcedgeError: It is a path, hidden, or not plainly written.
        """
        if "/" in name or not is_name(name):
            raise self.error(f"{said_by} must be a plain name, without a path; {name!r} is none.", self.hint)
        return name

    def path(self, name: str, said_by: str) -> Path:
        """Where a file lies, if neither it nor a folder on the way to it is a link; it may be missing.

        Raises:
            PcedgeError: Its path is not plain, or there is a link.
        """
        path = self.directory / self.plain(name, said_by)
        for place in (path, *path.parents[: len(PurePosixPath(name).parts) - 1]):
            if place.is_symlink():
                raise self.error(
                    f"{said_by} names {name!r}, but {place} is a link, which may lead outside.",
                    self.hint,
                )
        return path


def is_name(text: str) -> bool:
    """Whether a text can be the name of a file or a directory right below another, and is not hidden."""
    return "/" not in text and not text.startswith(".") and not _problem(text)


def _problem(name: str) -> str:
    """What is not plain about a relative path; nothing where it is."""
    parts = name.split("/")
    problems = (
        (not name, "is empty"),
        (any(unicodedata.category(letter) in _CONTROLS for letter in name), "has control characters in it"),
        (len(name) > _LONGEST or any(len(_bytes(part)) > _LONGEST_PART for part in parts), _TOO_LONG),
        ("\\" in name, "has a backslash in it"),
        (_DRIVE.match(name) is not None, "begins with a drive"),
        ("" in parts or "." in parts, "is written in a roundabout way"),
    )
    return next((words for found, words in problems if found), "")


def _bytes(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")
