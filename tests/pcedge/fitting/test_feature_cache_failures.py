"""The feature cache on disks that fail, and used by several threads and processes at once."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Keeps as many images as there is room for; all of an image's values are its number.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from pcedge.fitting.feature_cache import FeatureCache

folder, first, count, limit, rows = Path(sys.argv[1]), *map(int, sys.argv[2:])
cache = FeatureCache(folder, limit, "0" * 32, (rows, 7))
for number in range(first, first + count):
    digest = f"{number:040x}"
    found = cache.load(digest)
    assert found is None or (found == number).all()
    cache.store(digest, np.full((rows, 7), number, np.float32))
    if number == first:
        print("began", flush=True)
print(cache.problem, flush=True)
"""


def _loses_directory(folder: Path) -> Iterator[None]:
    yield
    shutil.rmtree(folder)
    yield


def _becomes_a_file(folder: Path) -> Iterator[None]:
    folder.write_text("in the way")
    yield
    yield


@pytest.mark.parametrize(
    ("happens", "reason"), [(_loses_directory, "No such file"), (_becomes_a_file, "Not a directory")]
)
def test_a_broken_directory_switches_the_cache_off_and_says_so_once(
    shelf: Any, happens: Callable[[Path], Iterator[None]], reason: str
) -> None:
    event = happens(shelf.folder)
    next(event)
    cache = shelf.open()
    next(event)

    for number in range(3):
        cache.store(shelf.digest(number), shelf.rows(number))
        assert cache.load(shelf.digest(number)) is None

    assert not cache.active
    assert reason in cache.problem
    assert str(shelf.folder) in cache.problem


def _mount(place: Path, *options: str) -> None:
    place.mkdir(exist_ok=True)
    done = os.geteuid() == 0 and shutil.which("mount")
    if (
        not done
        or subprocess.run(["mount", *options, str(place)], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a file system")


@pytest.fixture
def small_disk(tmp_path: Path, shelf: Any) -> Iterator[Any]:
    """A cache's folder that is a file system of 256 kB, mounted for real."""
    disk = tmp_path / "disk"
    _mount(disk, "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    yield replace(shelf, folder=disk)
    subprocess.run(["umount", str(disk)], check=True)


def test_half_of_a_small_disk_stays_free(small_disk: Any) -> None:
    empty = shutil.disk_usage(small_disk.folder).free
    shape = (1, 4091)  # whole blocks
    for run in range(4):
        cache = small_disk.open(entries=10**9, shape=shape)
        for number in range(20):
            cache.store(small_disk.digest(100 * run + number), np.ones(shape, np.float32))

    assert cache.problem == ""
    assert empty * 0.4 < small_disk.bytes() <= empty * 0.5


def test_a_full_disk_switches_the_cache_off_and_leaves_nothing_half_written(small_disk: Any) -> None:
    shape = (32, 100)
    cache = small_disk.open(entries=10**9, shape=shape)
    cache.store(small_disk.digest(0), np.ones(shape, np.float32))
    (small_disk.folder / "other").write_bytes(bytes(shutil.disk_usage(small_disk.folder).free - 8192))

    cache.store(small_disk.digest(1), np.ones(shape, np.float32))

    assert "No space left" in cache.problem
    assert not cache.active
    assert small_disk.known() == {0}
    assert list(small_disk.folder.glob("features/*.tmp")) == []


def test_a_disk_that_is_full_from_the_start_is_said(small_disk: Any) -> None:
    (small_disk.folder / "features").mkdir()
    (small_disk.folder / "other").write_bytes(bytes(shutil.disk_usage(small_disk.folder).free))

    cache = small_disk.open()

    assert not cache.active
    assert "no room" in cache.problem


def test_a_read_only_disk_switches_the_cache_off(small_disk: Any) -> None:
    small_disk.fill(range(2))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk.folder)], check=True)

    cache = small_disk.open()
    found = cache.load(small_disk.digest(0))
    cache.store(small_disk.digest(3), small_disk.rows(3))

    assert found is None or (found == small_disk.rows(0)).all()
    assert "Read-only" in cache.problem
    assert small_disk.known() == {0, 1}


def _writer(folder: Path, *numbers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), *map(str, numbers)], stdout=subprocess.PIPE, text=True
    )


def test_processes_at_once_share_the_cache_and_its_limit(shelf: Any) -> None:
    rows, entries = 2000, 32
    size = 20 + 4 * rows * 7
    writers = [_writer(shelf.folder, first, 120, entries * size, rows) for first in (0, 60, 1000)]

    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["began\n\n"] * 3
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    # Each may add what it writes between two looks.
    assert 0 < shelf.bytes() <= entries * size * (1 + 3 / 16)
    assert list(shelf.folder.glob("features/*.tmp")) == []
    whole = shelf.open(entries=10**9, shape=(rows, 7))
    for number in shelf.known():
        found = whole.load(shelf.digest(number))
        assert found is not None
        assert (found == number).all()


def test_a_kill_at_any_moment_leaves_whole_entries(shelf: Any) -> None:
    rows, moments = 20_000, random.Random(0)
    for kill in range(6):
        writer = _writer(shelf.folder, 1000 * kill, 900, 10**9, rows)
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == "began\n"
            time.sleep(moments.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            writer.wait()

    cache = shelf.open(entries=10**9, shape=(rows, 7))
    known = shelf.known()
    assert len(known) >= 6
    for number in known:
        found = cache.load(shelf.digest(number))
        assert found is not None
        assert (found == number).all()


def test_threads_at_once_keep_to_the_limit(shelf: Any) -> None:
    cache = shelf.open(entries=20)
    together = threading.Barrier(4)

    def use(first: int) -> None:
        together.wait()
        for number in range(first, first + 30):
            if cache.load(shelf.digest(number)) is None:
                cache.store(shelf.digest(number), shelf.rows(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, (0, 0, 15, 15)))

    assert cache.problem == ""
    assert len(shelf.known()) == 20
    assert shelf.bytes() == 20 * shelf.entry_bytes
