"""How the feature cache keeps to its limit: what makes room, and what never does."""

import os
import time
from typing import Any

import numpy as np
import pytest


def test_the_least_recently_used_make_room(shelf: Any) -> None:
    shelf.fill(range(10))
    second = shelf.open()
    for number in (3, 7, 2):
        assert second.load(shelf.digest(number)) is not None

    shelf.fill(range(20, 25), entries=10)
    assert {3, 7, 2, 20, 21, 22, 23, 24} < shelf.known()
    assert len(shelf.known()) == 10

    shelf.fill(range(30, 34), entries=10)
    assert {20, 21, 22, 23, 24, 30, 31, 32, 33} < shelf.known()
    assert len(shelf.known()) == 10


def test_what_this_run_used_or_made_stays(shelf: Any) -> None:
    shelf.fill(range(4))
    cache = shelf.open(entries=4)
    assert cache.load(shelf.digest(0)) is not None
    for number in range(10, 20):
        cache.store(shelf.digest(number), shelf.rows(number))

    assert shelf.known() == {0, 10, 11, 12}
    assert cache.active


def test_a_second_run_over_too_many_images_finds_what_fits(shelf: Any) -> None:
    for _ in range(3):
        cache = shelf.open(entries=10)
        found = []
        for number in range(15):
            if cache.load(shelf.digest(number)) is None:
                cache.store(shelf.digest(number), shelf.rows(number))
            else:
                found.append(number)

    assert found == list(range(10))


def test_new_images_before_the_known_ones_push_out_as_many_and_no_more(shelf: Any) -> None:
    shelf.fill(range(20), entries=20)
    cache = shelf.open(entries=20)
    missed = 0
    for number in [100, 101, 102, *range(20)]:
        if cache.load(shelf.digest(number)) is None:
            missed += 1
            cache.store(shelf.digest(number), shelf.rows(number))

    assert missed == 3 + 3


def test_storing_an_image_again_costs_no_other_its_place(shelf: Any) -> None:
    shelf.fill(range(3))
    cache = shelf.open(entries=4)
    for _ in range(3):
        cache.store(shelf.digest(9), shelf.rows(9))

    assert shelf.known() == {0, 1, 2, 9}


def test_runs_at_once_share_the_limit_and_the_later_one_keeps_its_entries(shelf: Any) -> None:
    earlier, later = shelf.open(entries=32), shelf.open(entries=32)
    for number in range(60):
        earlier.store(shelf.digest(number), shelf.rows(number))
        later.store(shelf.digest(100 + number), shelf.rows(number))
        assert len(shelf.known()) <= 32 * (1 + 2 / 16)

    assert {number for number in shelf.known() if number >= 100} > set(range(100, 116))
    assert len(shelf.known()) >= 32


def test_entries_from_a_clock_that_was_wrong_make_room_too(shelf: Any) -> None:
    shelf.fill(range(4))
    for path in shelf.folder.glob("features/*"):
        os.utime(path, (2**33, 2**33))

    shelf.fill(range(10, 13), entries=4)

    assert {10, 11, 12} < shelf.known()


@pytest.mark.parametrize("entries", [1, 1.5, 3, 7.99])
def test_the_limit_holds_at_any_moment(shelf: Any, entries: float) -> None:
    cache = shelf.open(entries)
    for number in range(12):
        cache.store(shelf.digest(number), shelf.rows(number))
        assert shelf.bytes() <= entries * shelf.entry_bytes
    assert len(shelf.known()) == int(entries)

    for number in range(20, 32):
        shelf.fill(range(number, number + 1), entries)
        assert number in shelf.known()
        assert shelf.bytes() <= entries * shelf.entry_bytes


def test_entries_of_other_embedders_count_and_make_room(shelf: Any) -> None:
    other = shelf.open(key="1" * 32, shape=(9, 9))
    other.store(shelf.digest(1), np.ones((9, 9), np.float32))
    shelf.fill(range(3), entries=3)

    assert shelf.bytes() == 3 * shelf.entry_bytes


def test_a_smaller_limit_holds_from_the_start(shelf: Any) -> None:
    shelf.fill(range(10))

    cache = shelf.open(entries=4)

    assert len(shelf.known()) == 4
    assert cache.problem == ""


def test_foreign_files_are_neither_counted_nor_removed(shelf: Any) -> None:
    folder = shelf.folder / "features"
    folder.mkdir(parents=True)
    digest, key = shelf.digest(1), shelf.key
    names = ["notes.txt", f"{digest}.f32", f"{digest}-{key}.f32.bak", f"x{digest}-{key}.f32"]
    for name in names:
        (folder / name).write_bytes(bytes(10 * shelf.entry_bytes))
        os.utime(folder / name, (0, 0))

    shelf.fill(range(3), entries=2)

    assert {path.name for path in folder.iterdir()} - set(names) == {
        f"{shelf.digest(number)}-{shelf.key}.f32" for number in range(2)
    }
    assert all((folder / name).stat().st_size == 10 * shelf.entry_bytes for name in names)


def test_what_a_killed_writer_left_counts_and_is_removed_when_old(shelf: Any) -> None:
    shelf.fill(range(1))
    left = shelf.folder / "features" / f"{shelf.digest(5)}-{shelf.key}.f32.0123456789abcdef-3.tmp"
    left.write_bytes(bytes(shelf.entry_bytes // 2))

    shelf.fill(range(10, 20), entries=3.2)
    assert left.exists()
    assert len(shelf.known()) == 2

    os.utime(left, (time.time() - 4000,) * 2)
    shelf.open()
    assert not left.exists()
