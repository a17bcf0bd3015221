"""The files that an ONNX network takes its weights or compiled parts from, found without ONNX.

No device has that library.
"""

from collections.abc import Iterator
from pathlib import Path

from pcedge.errors import BundleError

# Which fields of which of ONNX's messages hold others, down to the tensors (onnx.proto3).
_INNER: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10
# Graphs within graphs; ours have none.
_DEEPEST = 64
# A node of ONNX Runtime's that stands for what a provider compiled, such as an engine: its bytes, or the file
# that they are in. The provider reads that file, and may read the network that it was compiled from.
_COMPILED = "EPContext"
_EMBEDDED, _CONTEXT, _SOURCE = "embed_mode", "ep_cache_context", "onnx_model_filename"


def external_files(path: Path) -> list[str]:
    """What an ONNX file, or a part of one, says of where what is not in itself lies; each once.

    That is weights, and what an execution provider compiled.

    Raises:
        BundleError: It is no such file.
    """
    content = path.read_bytes()
    try:
        return list(dict.fromkeys(_locations(content, 0, len(content), "model", 0)))
    except (ValueError, IndexError) as error:
        raise BundleError(
            f"{path} is no ONNX network: {error}.", "Write it again with: pcedge export"
        ) from error


def _locations(content: bytes, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    for number, first, last in _fields(content, start, end):
        inner = _INNER[message].get(number)
        if inner == "entry":
            key, value = _entry(content, first, last)
            if key == "location":
                yield value
        elif inner is not None:
            if inner == "node":
                yield from _compiled(content, first, last)
            yield from _locations(content, first, last, inner, depth + 1)


def _compiled(content: bytes, start: int, end: int) -> Iterator[str]:
    """The files that a node names whose work a provider has compiled."""
    fields = [(number, content[first:last]) for number, first, last in _fields(content, start, end)]
    if (4, _COMPILED.encode()) not in fields:
        return
    attributes = [_attribute(field) for number, field in fields if number == 5]
    # What says so twice, or not clearly, counts as a file.
    embedded = all(mode == [1] for name, _, mode in attributes if name == _EMBEDDED)
    for name, value, _ in attributes:
        if name == _SOURCE or (name == _CONTEXT and not embedded):
            yield value.decode()


def _attribute(content: bytes) -> tuple[str, bytes, list[int]]:
    """Name, text and numbers of a node's attribute."""
    texts = {number: content[first:last] for number, first, last in _fields(content, 0, len(content))}
    numbers = _fields(content, 0, len(content), _VARINT)
    modes = [_varint(content, first)[0] for number, first, _ in numbers if number == 3]
    return texts.get(1, b"").decode(), texts.get(4, b""), modes


def _entry(content: bytes, start: int, end: int) -> tuple[str, str]:
    found = {number: content[first:last].decode() for number, first, last in _fields(content, start, end)}
    return found.get(1, ""), found.get(2, "")


def _fields(content: bytes, start: int, end: int, wanted: int = _BYTES) -> Iterator[tuple[int, int, int]]:
    """Number, beginning and end of every field of a message that is a string of bytes, or a number."""
    while start < end:
        tag, start = _varint(content, start)
        kind = tag & 7
        first = start
        if kind == _BYTES:
            length, first = _varint(content, start)
            start = first + length
        elif kind == _VARINT:
            _, start = _varint(content, start)
        elif kind in _SIZES:
            start += _SIZES[kind]
        else:
            raise ValueError("it has a field of no known kind")
        if start > end:
            raise ValueError("it is cut off")
        if kind == wanted:
            yield tag >> 3, first, start


def _varint(content: bytes, start: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = content[start + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError("it has a number of too many digits")
