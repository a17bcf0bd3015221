"""Mutations of files whose structure a library knows: ONNX, safetensors, SQLite, zip, FAISS, messages."""

import io
import json
import random
import sqlite3
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import onnx

_SIZES = (0, 1, -1, 7, 2**31 - 1, 2**62)
_HALF = 0.5
_NAMES = ("", "../x", "/etc/passwd", "@DECOY@", "a\0b", "x" * 5000, "é")
_LENGTH = struct.Struct("<Q")
# Kind, dims and rows of a FAISS index come first; of one within another, soon after.
_FAISS_HEADER = 160
_STATEMENTS = (
    "DROP TABLE {table}",
    "ALTER TABLE {table} RENAME TO other",
    "PRAGMA user_version = 99",
    "PRAGMA user_version = -1",
    "DELETE FROM {table}",
    "UPDATE {table} SET {column} = x'ff00fe'",
    "UPDATE {table} SET {column} = NULL",
    "UPDATE {table} SET {column} = 1e308",
    "UPDATE {table} SET {column} = '[[[['",
    "CREATE TRIGGER t BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "CREATE VIEW v AS SELECT * FROM {table}",
    "PRAGMA page_size = 65536",
    "CREATE TABLE extra AS SELECT * FROM {table}",
)


def change_onnx(content: bytes, dice: random.Random) -> bytes:
    """A part of a graph is another: a shape, an operator, an input, an attribute, where its data lies."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception:  # protobuf's own class of error differs from build to build
        return content[: dice.randrange(len(content) + 1)]
    graph = model.graph
    if not graph.node or not graph.initializer:
        return content[::-1]
    dice.choice(_CHANGES)(model, dice)
    return bytes(model.SerializeToString())


def _other_operator(model: Any, dice: random.Random) -> None:
    node = dice.choice(model.graph.node)
    node.op_type = dice.choice(("", "NoSuch", "Loop", "If", "EPContext", "Identity", "x" * 3000))


def _other_domain(model: Any, dice: random.Random) -> None:
    dice.choice(model.graph.node).domain = dice.choice(("com.microsoft", "", "no.such", "ai.onnx.ml"))


def _other_weights(model: Any, dice: random.Random) -> None:
    weights = dice.choice(model.graph.initializer)
    if weights.dims and dice.random() < _HALF:
        weights.dims[dice.randrange(len(weights.dims))] = dice.choice(_SIZES)
    else:
        weights.data_type = dice.randrange(30)


def _weights_elsewhere(model: Any, dice: random.Random) -> None:
    weights = dice.choice(model.graph.initializer)
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    for key, value in (("location", dice.choice(_NAMES)), ("length", str(dice.choice(_SIZES)))):
        weights.external_data.add(key=key, value=value)


def _other_input(model: Any, dice: random.Random) -> None:
    node = dice.choice([node for node in model.graph.node if node.input])
    node.input[dice.randrange(len(node.input))] = dice.choice((*_NAMES, model.graph.output[0].name))


def _one_less(model: Any, dice: random.Random) -> None:
    del model.graph.node[dice.randrange(len(model.graph.node))]


def _other_attribute(model: Any, dice: random.Random) -> None:
    found = [attribute for node in model.graph.node for attribute in node.attribute]
    if found:
        attribute = dice.choice(found)
        attribute.i, attribute.s = dice.choice(_SIZES), dice.choice(_NAMES).encode()
        attribute.ints.append(dice.choice(_SIZES))


def _other_shape(model: Any, dice: random.Random) -> None:
    shape = dice.choice([*model.graph.input, *model.graph.output]).type.tensor_type.shape
    shape.dim.add().dim_value = dice.choice(_SIZES)


def _other_version(model: Any, dice: random.Random) -> None:
    model.opset_import[0].version = dice.choice((0, 1, 9, 99, 2**40))


_CHANGES = (
    *(_other_operator, _other_domain, _other_weights, _other_weights, _weights_elsewhere, _other_input),
    *(_one_less, _other_attribute, _other_shape, _other_version),
)


def change_safetensors(content: bytes, dice: random.Random) -> bytes:
    """A tensor's entry in the header of a weights file is another."""
    try:
        (length,) = _LENGTH.unpack_from(content)
        header: dict[str, Any] = json.loads(content[8 : 8 + length])
    except (struct.error, ValueError):
        return content[::-1]
    name = dice.choice(sorted(header))
    entry = header[name]
    change = dice.randrange(5)
    if change == 0:
        del header[name]
    elif change == 1:
        header[dice.choice(_NAMES)] = entry
    elif change == 2 and "shape" in entry:
        entry["shape"] = [*entry["shape"], dice.choice(_SIZES)]
    elif change == 3 and "data_offsets" in entry:
        entry["data_offsets"] = [dice.choice(_SIZES), dice.choice(_SIZES)]
    else:
        header[name] = dice.choice(({}, [], None, {**entry, "dtype": dice.choice(("F64", "BOOL", "NO", ""))}))
    written = json.dumps(header).encode()
    return _LENGTH.pack(len(written)) + written + content[8 + length :]


def change_database(content: bytes, dice: random.Random) -> bytes:
    """A sound database of another shape: tables gone or renamed, other values, triggers, versions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.sqlite")
        path.write_bytes(content)
        try:
            with sqlite3.connect(path) as database:
                tables = [
                    name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
                ]
                table = dice.choice([name for name in tables if not name.startswith("sqlite_")])
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                database.execute(dice.choice(_STATEMENTS).format(table=table, column=dice.choice(columns)))
            database.close()
        except (sqlite3.Error, IndexError):
            return content[: dice.randrange(len(content) + 1)]
        return path.read_bytes()


def change_zip(content: bytes, dice: random.Random) -> bytes:
    """Members of a zip file have other names, are compressed, or are larger than they say."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return content[::-1]
    if not members:
        return content[::-1]
    written = io.BytesIO()
    name = dice.choice(sorted(members))
    change = dice.randrange(5)
    kind = zipfile.ZIP_DEFLATED if change == 0 else zipfile.ZIP_STORED
    with zipfile.ZipFile(written, "w", kind) as archive:
        for one, data in members.items():
            if one == name and change == 1:
                archive.writestr(dice.choice(_NAMES).replace("\0", "") or "x", data)
            elif one == name and change == 2:
                archive.writestr(one, bytes(dice.choice((0, 3_000_000))))
            else:
                archive.writestr(one, data)
    found = written.getvalue()
    if change == 3:  # the sizes in the directory of the file
        place = found.rfind(b"PK\x01\x02") + 20
        return (
            found[:place] + struct.pack("<II", 0xFFFFFFF0, dice.choice((0, 0xFFFFFFF0))) + found[place + 8 :]
        )
    return found


def change_index(content: bytes, dice: random.Random) -> bytes:
    """A number in the head of a FAISS index is extreme, or it says that it is of another kind."""
    if len(content) < _FAISS_HEADER or dice.random() < 0.2:
        kind = dice.choice((b"IxF2", b"IxFI", b"IwFl", b"IwPQ", b"ilod", b"IHNf", b"Ix2L", b"IxRF", b"IxMp"))
        return kind + content[4:]
    place = dice.randrange(4, _FAISS_HEADER - 8)
    return content[:place] + struct.pack("<q", dice.choice(_SIZES)) + content[place + 8 :]


def change_message(content: bytes, dice: random.Random) -> bytes:
    """A line or a header of a message is another, is missing, or is very long."""
    lines = content.split(b"\r\n")
    number = dice.randrange(len(lines))
    lines[number] = dice.choice(
        (
            b"",
            b"x" * 70_000,
            b"\xff\xfe\x00",
            b"Content-Length: -1",
            b"Content-Length: 99999999999999999999",
            b"Content-Length: 1e3",
            b"Transfer-Encoding: chunked",
            b"Host: evil.example",
            b"Host: [::1",
            b"Host: [fe80::1%eth0]:80",
            b"Authorization: Bearer \xff\xfe",
            b"POST //..//trigger/left HTTP/9.9",
            b"POST http://127.0.0.1/trigger/left HTTP/1.1",
            b"BREW /trigger/left HTTP/1.1",
            lines[number] * 40,
        )
    )
    return b"\r\n".join(lines)
