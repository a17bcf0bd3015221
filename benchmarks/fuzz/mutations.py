"""Mutations of files: of their bytes, and of their structure where it is known."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from .structures import (
    change_database,
    change_index,
    change_message,
    change_onnx,
    change_safetensors,
    change_zip,
)

Mutate = Callable[[bytes, random.Random], bytes]

_NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, -(2**63), 1e308, -0.5, 0.5)
_TEXTS = (
    "",
    "..",
    "../x",
    "/etc/passwd",
    "@DECOY@",
    "a\0b",
    "\x1b]0;x\x07",
    "é" * 300,
    "x" * 70_000,
    "=1+1",
    "nan",
    "\ud800",
)
_VALUES: tuple[Any, ...] = (*_NUMBERS, *_TEXTS, None, True, [], {}, [[[]]], {"a": {"b": []}})
_DEEP = b"[" * 100_000


def flip_bytes(content: bytes, dice: random.Random) -> bytes:
    """A few bytes anywhere, more often near the beginning, are others."""
    changed = bytearray(content or b"\0")
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        reach = dice.choice((16, 128, 1024, len(changed)))
        changed[dice.randrange(min(reach, len(changed)))] = dice.randrange(256)
    return bytes(changed)


def cut(content: bytes, dice: random.Random) -> bytes:
    """It ends somewhere."""
    return content[: dice.randrange(len(content) + 1)]


def splice(content: bytes, dice: random.Random) -> bytes:
    """A piece of it is repeated, removed, or replaced by zeros or by noise."""
    if not content:
        return dice.randbytes(64)
    start = dice.randrange(len(content))
    end = min(len(content), start + dice.choice((1, 4, 8, 100, 5000)))
    piece = content[start:end]
    new = dice.choice((b"", piece * 3, bytes(len(piece)), b"\xff" * len(piece), dice.randbytes(len(piece))))
    return content[:start] + new + content[end:]


def change_number(content: bytes, dice: random.Random) -> bytes:
    """Four or eight bytes are an extreme number: a length, perhaps."""
    width = dice.choice((2, 4, 8))
    place = dice.randrange(max(1, min(len(content), dice.choice((64, 512, 10_000))) - width))
    value = dice.choice(
        (0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (4 * width), dice.getrandbits(8 * width))
    )
    return content[:place] + value.to_bytes(width, dice.choice(("little", "big"))) + content[place + width :]


def replace_all(_content: bytes, dice: random.Random) -> bytes:
    """Something else altogether."""
    return dice.choice(
        (b"", b"\0" * 1000, _DEEP, b'{"a":' * 50_000, b"\xff\xfe", b"PK\x03\x04", dice.randbytes(500))
    )


def change_json(content: bytes, dice: random.Random) -> bytes:
    """A value of a JSON document (or of a line of several) is another, is missing, or is twice there."""
    lines = content.split(b"\n")
    where = [number for number, line in enumerate(lines) if line.strip()]
    whole = content.lstrip().startswith(b"{\n") or len(where) <= 1
    try:
        number = dice.choice(where) if where and not whole else -1
        document = json.loads(content if number < 0 else lines[number])
    except ValueError:
        return flip_bytes(content, dice)
    _change(document, dice)
    written = json.dumps(document).encode()
    if number < 0:
        return written
    return b"\n".join([*lines[:number], written, *lines[number + 1 :]])


def _change(document: Any, dice: random.Random) -> None:
    """Change one value at a random depth, in place."""
    here = document
    while True:
        keys = (
            list(here) if isinstance(here, dict) else list(range(len(here))) if isinstance(here, list) else []
        )
        if not keys:
            return
        key = dice.choice(keys)
        inside = here[key]
        if isinstance(inside, dict | list) and inside and dice.random() < 0.8:
            here = inside
            continue
        if dice.random() < 0.15:
            del here[key]
        else:
            here[key] = dice.choice(_VALUES)
        return


def change_arrays(content: bytes, dice: random.Random) -> bytes:
    """An array of an ``.npz`` file has another shape, kind or values, or is missing; or its header lies."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = dict(stored)
    except (ValueError, OSError, zipfile.BadZipFile):
        return flip_bytes(content, dice)
    name = dice.choice(sorted(arrays))
    changed = _other_array(arrays[name], dice)
    if changed is None:
        del arrays[name]
    else:
        arrays[name] = changed
    written = io.BytesIO()
    save = np.savez_compressed if dice.random() < 0.1 else np.savez
    save(written, **arrays)
    return written.getvalue()


def _other_array(array: Any, dice: random.Random) -> Any:
    """Another array; None for none."""
    makers = (
        lambda: None,
        lambda: np.asarray(array)[..., :-1] if np.ndim(array) else np.zeros(3),
        lambda: np.asarray(array)[None],
        lambda: np.zeros(0),
        lambda: np.array(["a", "../b", ""]),
        lambda: np.array(dice.choice(_NUMBERS)),
        lambda: np.zeros(10_000_000, np.uint8),
        lambda: _other_value(array, dice),
        lambda: np.full_like(array, -1) if np.asarray(array).dtype.kind in "fi" else np.zeros(2),
    )
    return dice.choice(makers)()


def _other_value(array: Any, dice: random.Random) -> Any:
    changed = np.array(array)
    if changed.dtype.kind in "fiu" and changed.size:
        odd = (np.nan, np.inf, -np.inf, -1, 1e38) if changed.dtype.kind == "f" else (0, 127, 1)
        changed.reshape(-1)[dice.randrange(changed.size)] = dice.choice(odd)
    return changed


def change_text(content: bytes, dice: random.Random) -> bytes:
    """A word of a text (TOML, CSV) is another."""
    words = content.split(b" ")
    words[dice.randrange(len(words))] = dice.choice(
        (
            b"",
            b'"',
            b"[",
            b"9" * 400,
            b"-1",
            b"nan",
            b"1e999",
            b"\xff",
            b"\0",
            b"\x1b[31m",
            b"../../x",
            b"true",
            b"[[[[",
        )
    )
    return b" ".join(words)


ANY: tuple[Mutate, ...] = (flip_bytes, cut, splice, change_number, replace_all)
BY_SUFFIX: dict[str, tuple[Mutate, ...]] = {
    ".json": (change_json, change_json, change_json, *ANY),
    ".jsonl": (change_json, change_json, *ANY),
    ".npz": (change_arrays, change_arrays, change_arrays, *ANY),
    ".toml": (change_text, change_text, *ANY),
    ".csv": (change_text, change_text, *ANY),
    ".txt": (change_text, *ANY),
    ".onnx": (change_onnx, change_onnx, change_onnx, *ANY),
    ".onnxpart": (change_onnx, change_onnx, *ANY),
    ".safetensors": (change_safetensors, change_safetensors, *ANY),
    ".sqlite": (change_database, change_database, *ANY),
    ".zip": (change_zip, change_zip, *ANY),
    ".faiss": (change_index, change_index, *ANY),
    ".http": (change_message, change_message, *ANY),
}


def mutated(name: str, content: bytes, dice: random.Random) -> bytes:
    """A mutated content of a file; its suffix says which structure it has."""
    suffix = name[name.rfind(".") :] if "." in name else ""
    return dice.choice(BY_SUFFIX.get(suffix, ANY))(content, dice)
