from pathlib import Path

import numpy as np
import pytest

from pcedge.core.npz import open_arrays, read_arrays, replace_arrays
from pcedge.errors import BundleError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    replace_arrays(tmp_path / "some.npz", {"a": np.arange(3), "b": np.eye(2)})
    return tmp_path / "some.npz"


def test_arrays_come_back_as_they_were_written(path: Path) -> None:
    found = read_arrays(path)

    assert sorted(found) == ["a", "b"]
    np.testing.assert_array_equal(found["b"], np.eye(2))


def test_what_is_not_a_file_of_arrays_is_named_with_what_to_do(path: Path) -> None:
    content = path.read_bytes()
    lone = path.with_name("lone.npz")
    with lone.open("wb") as file:
        np.save(file, np.arange(3))
    for damaged in (b"", b"PK", content[:-30], b"\x93NUMPY", lone.read_bytes()):
        path.write_bytes(damaged)

        with pytest.raises(BundleError, match=r"some\.npz cannot be read") as caught:
            read_arrays(path, "Restore it.")
        assert caught.value.hint == "Restore it."
    path.unlink()
    with pytest.raises(BundleError, match=r"some\.npz cannot be read"):
        read_arrays(path)


def test_an_array_that_is_missing_or_of_another_shape_is_a_fault_of_the_file(path: Path) -> None:
    with pytest.raises(BundleError, match=r"some\.npz"), open_arrays(path) as stored:
        assert stored["c"] is None
    with pytest.raises(BundleError, match=r"some\.npz"), open_arrays(path) as stored:
        dict([stored["a"].tolist()])  # three values are no pair
