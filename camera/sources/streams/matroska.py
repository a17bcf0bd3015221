"""Length of a Matroska file as its header states it: FFmpeg reads one that was cut off without a word."""

from __future__ import annotations

from pathlib import Path

_EBML, _SEGMENT = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")
_HEAD_BYTES = 4096


def missing_bytes(path: Path) -> int:
    """How many bytes a Matroska file lacks; 0 for other files, and where the header states no length."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith(_EBML):
        return 0
    size, place = _length(head, len(_EBML))
    place += size or 0
    if size is None or not head[place:].startswith(_SEGMENT):
        return 0
    size, place = _length(head, place + len(_SEGMENT))
    return 0 if size is None else max(0, place + size - path.stat().st_size)


def _length(head: bytes, place: int) -> tuple[int | None, int]:
    """A length in EBML's form, and where it ends; None for one that was not known when it was written."""
    first = head[place] if place < len(head) else 0
    width = 9 - first.bit_length()  # the position of the first bit that is set
    value = int.from_bytes(head[place : place + width], "big") & ((1 << 7 * width) - 1)
    unknown = value == (1 << 7 * width) - 1
    return (None if unknown or not first else value), place + width
