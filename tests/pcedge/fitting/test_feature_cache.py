"""What the feature cache gives back: what was stored, to the last byte, or nothing."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Damage = Callable[[Any], None]


def test_what_was_stored_is_found_byte_for_byte(shelf: Any) -> None:
    rows = shelf.rows(1)
    rows[0] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38]
    shelf.open().store(shelf.digest(1), rows)

    found = shelf.open().load(shelf.digest(1))

    assert found is not None
    assert found.dtype == np.float32
    assert found.tobytes() == rows.tobytes()
    assert found.flags.writeable
    assert [path.name for path in shelf.folder.glob("features/*")] == [f"{shelf.digest(1)}-{shelf.key}.f32"]


def test_a_view_of_a_larger_array_is_stored_as_it_is(shelf: Any) -> None:
    rows = np.arange(70, dtype=np.float32).reshape(10, 7)[::2]
    shelf.open().store(shelf.digest(1), rows)

    found = shelf.open().load(shelf.digest(1))

    assert found is not None
    assert (found == rows).all()


def test_another_image_or_embedder_finds_nothing(shelf: Any) -> None:
    shelf.fill(range(1))

    assert shelf.open().load(shelf.digest(1)) is None
    assert shelf.open(key="1" * 32).load(shelf.digest(0)) is None


def _flip(place: float) -> Damage:
    def damage(shelf: Any) -> None:
        content = bytearray(shelf.entry().read_bytes())
        content[int(place * (len(content) - 1))] ^= 4
        shelf.entry().write_bytes(content)

    return damage


def _cut(size: int) -> Damage:
    return lambda shelf: os.truncate(shelf.entry(), size)


def _longer(shelf: Any) -> None:
    shelf.entry().write_bytes(shelf.entry().read_bytes() + b"\0")


def _zeros(shelf: Any) -> None:
    shelf.entry().write_bytes(bytes(shelf.entry_bytes))


def _zero_values(shelf: Any) -> None:
    shelf.entry().write_bytes(shelf.entry().read_bytes()[:20].ljust(shelf.entry_bytes, b"\0"))


def _of_another_image(shelf: Any) -> None:
    path = shelf.entry()
    shelf.fill(range(9, 10))
    path.with_name(shelf.digest(9) + path.name[40:]).replace(path)


def _of_another_shape(shelf: Any) -> None:
    shelf.entry().unlink()
    shelf.open(shape=(7, 5)).store(shelf.digest(0), shelf.rows(0).reshape(7, 5))


def _of_a_smaller_shape(shelf: Any) -> None:
    shelf.entry().unlink()
    shelf.open(shape=(2, 5)).store(shelf.digest(0), np.ones((2, 5), np.float32))


@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(_flip(place), id=f"bit at {place}") for place in (0, 0.05, 0.07, 0.1, 0.12, 0.5, 1)),
        *(pytest.param(_cut(size), id=f"cut to {size}") for size in (0, 3, 19, 20, 21, 159)),
        _longer,
        _zeros,
        _zero_values,
        _of_another_image,
        _of_another_shape,
        _of_a_smaller_shape,
    ],
)
def test_a_damaged_entry_is_removed_and_kept_anew(shelf: Any, damage: Damage) -> None:
    shelf.fill(range(1))
    damage(shelf)
    cache = shelf.open()

    assert cache.load(shelf.digest(0)) is None
    assert shelf.known() == set()
    assert cache.problem == ""

    cache.store(shelf.digest(0), shelf.rows(0))
    again = shelf.open().load(shelf.digest(0))
    assert again is not None
    assert (again == shelf.rows(0)).all()


def test_an_entry_damaged_within_a_run_is_kept_anew(shelf: Any) -> None:
    cache = shelf.fill(range(1))
    _flip(1)(shelf)

    assert cache.load(shelf.digest(0)) is None
    cache.store(shelf.digest(0), shelf.rows(0))

    assert cache.load(shelf.digest(0)) is not None


def test_without_room_there_is_no_cache_and_nothing_is_touched(shelf: Any) -> None:
    cache = shelf.open(entries=0)
    cache.store(shelf.digest(0), shelf.rows(0))

    assert cache.load(shelf.digest(0)) is None
    assert not cache.active
    assert cache.problem == ""
    assert not shelf.folder.exists()


def test_a_limit_below_one_image_is_said(shelf: Any) -> None:
    cache = shelf.open(entries=159 / 160)

    assert not cache.active
    assert str(shelf.entry_bytes) in cache.problem
