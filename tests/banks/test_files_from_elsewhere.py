"""Files of a bank that a stranger wrote: sizes before memory, kinds before FAISS, arrays as they must be."""

import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import FLOAT, TEXT, WHOLE, ApproximateIndex, Bank, RowSources, map_array, open_stored
from pcedge.errors import BundleError

HINT = "Restore it."


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).random((40, 8), np.float32)
    zeros = np.zeros(40, np.int32)
    Bank.build(rows, RowSources(("a.png",), zeros, zeros, zeros)).save(tmp_path)
    return tmp_path


def _changed(path: Path, start: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("start", "value"),
    [
        (4, struct.pack("<i", -1)),
        (4, struct.pack("<i", 2**30)),
        (8, struct.pack("<q", 2**60)),
        (8, struct.pack("<q", -1)),
        (37, struct.pack("<Q", 2**37)),
        (0, b"IxFI"),
        (0, b"ilod"),
        (0, b"IwFl"),
    ],
)
def test_a_bank_that_claims_another_size_or_kind_is_refused_before_faiss_reads_it(
    bank: Path, start: int, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _changed(bank / "bank.faiss", start, value)
    monkeypatch.setattr(faiss, "read_index", None)

    with pytest.raises(BundleError, match=r"bank\.faiss"):
        Bank.open(bank)


@pytest.mark.parametrize("kept", [0, 3, 20, 44, 45, 600])
def test_a_bank_that_ends_too_early_is_refused(bank: Path, kept: int) -> None:
    path = bank / "bank.faiss"
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(BundleError, match=r"bank\.faiss"):
        Bank.open(bank)


def test_an_index_that_keeps_its_rows_in_another_file_is_not_opened(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((500, 8), np.float32)
    index: Any = faiss.index_factory(8, "IVF4,Flat")
    index.train(rows)
    index.add(rows)
    lists = faiss.OnDiskInvertedLists(4, index.code_size, str(tmp_path / "secret"))
    lists.merge_from(index.invlists, False)
    index.replace_invlists(lists)
    faiss.write_index(index, str(tmp_path / "on-disk.faiss"))

    with pytest.raises(BundleError, match="another file"):
        ApproximateIndex.open(tmp_path / "on-disk.faiss", "IVF4,Flat", rows=500, dims=8)


@pytest.mark.parametrize("factory", ["SQ8", "IVF4,Flat", "IVF4,SQ8", "HNSW8", "HNSW8,SQ8", "PQ4x4", "SQfp16"])
def test_the_kinds_that_are_written_are_read(tmp_path: Path, factory: str) -> None:
    rows = np.random.default_rng(0).random((700, 8), np.float32)
    ApproximateIndex.build(rows, factory).save(tmp_path / "index")

    assert ApproximateIndex.open(tmp_path / "index", factory, rows=700, dims=8)
    with pytest.raises(BundleError, match="700 rows"):
        ApproximateIndex.open(tmp_path / "index", factory, rows=699, dims=8)


def test_lengths_inside_an_index_that_are_longer_than_the_file_are_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((700, 8), np.float32)
    path = tmp_path / "index"
    ApproximateIndex.build(rows, "SQ8").save(path)
    content = path.read_bytes()
    _changed(path, content.index(struct.pack("<Q", 700 * 8)), struct.pack("<Q", 2**34))
    check = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "from pathlib import Path\n"
        "from pcedge.banks import ApproximateIndex\n"
        "from pcedge.errors import BundleError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    ApproximateIndex.open(Path(sys.argv[1]), 'SQ8', rows=700, dims=8)\n"
        "except BundleError:\n    pass\n"
        "else:\n    raise SystemExit('it was opened')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", check, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200_000, "kilobytes"


def _npz(path: Path, arrays: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return path


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _claims(shape: tuple[int, ...]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return content.getvalue() + bytes(16)


def _object() -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    return content.getvalue() + bytes(16)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: _npz(path, {"a": _npy(np.zeros(10**7))}, zipfile.ZIP_DEFLATED), "compressed"),
        (lambda path: _npz(path, {"a": _claims((10**12,))}), "does not describe"),
        (lambda path: _npz(path, {"a": _claims((2**62, 4))}), "does not describe"),
        (lambda path: _npz(path, {"a": _claims((2,))}), "does not describe"),
        (lambda path: _npz(path, {"a": _claims((-4,))}), "does not describe"),
        (lambda path: _npz(path, {"a": _object()}), "does not describe"),
        (lambda path: _npz(path, {"a": b"\x93NUMPY\x01\x00\xff\xff{" + b"[" * 3000}), "cannot be read"),
        (lambda path: _npz(path, {"b": _npy(np.zeros(2))}), "'a'"),
    ],
)
def test_arrays_that_are_not_what_the_file_says_are_refused(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    path = make(tmp_path / "some.npz")

    with pytest.raises(BundleError, match=words), open_stored(path, HINT) as stored:
        assert stored["a"] is None


def test_members_that_lie_on_top_of_each_other_are_refused(tmp_path: Path) -> None:
    path = _npz(tmp_path / "some.npz", {name: _npy(np.zeros(1000)) for name in ("a", "b")})
    content = path.read_bytes()
    # The second entry of the directory points to the first array; that of the first is cut away.
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1].header_offset
        directory = archive.start_dir
    path.write_bytes(content[:second] + content[directory:])

    with pytest.raises(BundleError, match=r"some\.npz"), open_stored(path, HINT) as stored:
        dict(stored)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 2)), "is float64"),
        (np.zeros((3, 3), np.int64), None),
        (np.full((3, 3), -1), "below 0"),
        (np.full((3, 3), 9), "above 8"),
        (np.zeros((3, 4), np.int64), "has the shape"),
        (np.zeros(3, np.int64), r"is int64 \(3,\)"),
        (np.array([["a"]]), "is <U1"),
    ],
)
def test_every_array_has_its_kind_its_shape_and_its_range(
    tmp_path: Path,
    array: NDArray[Any],
    words: str | None,
) -> None:
    np.savez(tmp_path / "some.npz", a=array)

    def read() -> None:
        with open_stored(tmp_path / "some.npz", HINT) as stored:
            stored.array("a", WHOLE, "side", "side", low=0, high=8)

    if words is None:
        read()
        return
    with pytest.raises(BundleError, match=words):
        read()


def test_an_array_that_is_mapped_is_as_the_file_says_and_as_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(path, rows)

    found = map_array(path, "Fit again.", FLOAT, "rows", 4)

    np.testing.assert_array_equal(found, rows)
    assert isinstance(found, np.memmap), "only what is used is read"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        _npy(np.zeros((3, 5), np.float32)),
        _npy(np.zeros(12, np.float32)),
        _npy(np.zeros((3, 4), np.int64)),
        _npy(np.asfortranarray(np.zeros((3, 4), np.float32))),
        _npy(np.zeros((3, 4), np.float32))[:-1],
        _npy(np.zeros((3, 4), np.float32)) + b"1",
        _claims((10**9, 4)),
        _claims((0, 4)),
        _object(),
    ],
)
def test_an_array_that_is_something_else_is_not_mapped(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.npy"
    path.write_bytes(content)

    with pytest.raises(BundleError, match=r"rows\.npy cannot be read"):
        map_array(path, "Fit again.", FLOAT, "rows", 4)


def test_what_is_not_a_number_is_out_of_every_range(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", a=np.array([0.5, np.nan]), names=np.array(["x", "y", "z"]))

    with pytest.raises(BundleError, match="below 0"), open_stored(tmp_path / "some.npz", HINT) as stored:
        stored.array("a", FLOAT, 2, low=0, high=1)
    with open_stored(tmp_path / "some.npz", HINT) as stored:
        stored.array("a", FLOAT, "images")
        with pytest.raises(ValueError, match="names has the shape"):
            stored.array("names", TEXT, "images")
