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
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pcedge.feature_cache import FeatureCache, content_digest, default_cache_directory, embedder_key
from pcedge.preprocessing import Preprocessing

SHAPE = (5, 7)
KEY = "0" * 32
ENTRY = 20 + 4 * 5 * 7
ROOMY = 100 * ENTRY

# Keeps as many images as there is room for; all of an image's values are its number.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from pcedge.feature_cache import FeatureCache

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


def _rows(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).normal(size=SHAPE).astype(np.float32)


def _digest(number: int) -> str:
    return f"{number:040x}"


def _open(folder: Path, entries: float = 100, key: str = KEY) -> FeatureCache:
    return FeatureCache(folder, int(entries * ENTRY), key, SHAPE)


def _fill(folder: Path, numbers: range, entries: float = 100) -> FeatureCache:
    cache = _open(folder, entries)
    for number in numbers:
        cache.store(_digest(number), _rows(number))
    assert cache.problem == ""
    return cache


def _known(folder: Path) -> set[int]:
    """Which images are there, found without a cache that could remove or date anything."""
    return {int(path.name[:40], 16) for path in folder.glob("features/*.f32")}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("features/*"))


def _entry(folder: Path) -> Path:
    [path] = folder.glob("features/*.f32")
    return path


def test_what_was_stored_is_found_byte_for_byte(tmp_path: Path) -> None:
    rows = _rows(1)
    rows[0] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38]
    _open(tmp_path).store(_digest(1), rows)

    found = _open(tmp_path).load(_digest(1))

    assert found is not None
    assert found.dtype == np.float32
    assert found.tobytes() == rows.tobytes()
    assert found.flags.writeable
    assert [path.name for path in tmp_path.glob("features/*")] == [f"{_digest(1)}-{KEY}.f32"]


def test_a_view_of_a_larger_array_is_stored_as_it_is(tmp_path: Path) -> None:
    rows = np.arange(70, dtype=np.float32).reshape(10, 7)[::2]
    _open(tmp_path).store(_digest(1), rows)

    found = _open(tmp_path).load(_digest(1))

    assert found is not None
    assert (found == rows).all()


def test_another_image_or_embedder_finds_nothing(tmp_path: Path) -> None:
    _fill(tmp_path, range(1))

    assert _open(tmp_path).load(_digest(1)) is None
    assert _open(tmp_path, key="1" * 32).load(_digest(0)) is None


def _flip(place: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 4
        path.write_bytes(content)

    return damage


def _cut(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, size)


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(ENTRY))


def _zero_values(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20].ljust(ENTRY, b"\0"))


def _of_another_image(path: Path) -> None:
    other = path.with_name(_digest(9) + path.name[40:])
    _fill(path.parents[1], range(9, 10))
    other.replace(path)


def _of_another_shape(path: Path) -> None:
    path.unlink()
    FeatureCache(path.parents[1], ROOMY, KEY, (7, 5)).store(_digest(0), _rows(0).reshape(7, 5))


def _of_a_smaller_shape(path: Path) -> None:
    path.unlink()
    FeatureCache(path.parents[1], ROOMY, KEY, (2, 5)).store(_digest(0), np.ones((2, 5), np.float32))


@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(_flip(place), id=f"bit at {place}") for place in (0, 0.05, 0.07, 0.1, 0.12, 0.5, 1)),
        *(pytest.param(_cut(size), id=f"cut to {size}") for size in (0, 3, 19, 20, 21, ENTRY - 1)),
        _longer,
        _zeros,
        _zero_values,
        _of_another_image,
        _of_another_shape,
        _of_a_smaller_shape,
    ],
)
def test_a_damaged_entry_is_removed_and_kept_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    _fill(tmp_path, range(1))
    damage(_entry(tmp_path))
    cache = _open(tmp_path)

    assert cache.load(_digest(0)) is None
    assert _known(tmp_path) == set()
    assert cache.problem == ""

    cache.store(_digest(0), _rows(0))
    again = _open(tmp_path).load(_digest(0))
    assert again is not None
    assert (again == _rows(0)).all()


def test_an_entry_damaged_within_a_run_is_kept_anew(tmp_path: Path) -> None:
    cache = _fill(tmp_path, range(1))
    _flip(1)(_entry(tmp_path))

    assert cache.load(_digest(0)) is None
    cache.store(_digest(0), _rows(0))

    assert cache.load(_digest(0)) is not None


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    _fill(tmp_path, range(10))
    second = _open(tmp_path)
    for number in (3, 7, 2):
        assert second.load(_digest(number)) is not None

    _fill(tmp_path, range(20, 25), entries=10)
    assert {3, 7, 2, 20, 21, 22, 23, 24} < _known(tmp_path)
    assert len(_known(tmp_path)) == 10

    _fill(tmp_path, range(30, 34), entries=10)
    assert {20, 21, 22, 23, 24, 30, 31, 32, 33} < _known(tmp_path)
    assert len(_known(tmp_path)) == 10


def test_what_this_run_used_or_made_stays(tmp_path: Path) -> None:
    _fill(tmp_path, range(4))
    cache = _open(tmp_path, entries=4)
    assert cache.load(_digest(0)) is not None
    for number in range(10, 20):
        cache.store(_digest(number), _rows(number))

    assert _known(tmp_path) == {0, 10, 11, 12}
    assert cache.active


def test_a_second_run_over_too_many_images_finds_what_fits(tmp_path: Path) -> None:
    for _ in range(3):
        cache = _open(tmp_path, entries=10)
        found = []
        for number in range(15):
            if cache.load(_digest(number)) is None:
                cache.store(_digest(number), _rows(number))
            else:
                found.append(number)

    assert found == list(range(10))


def test_new_images_before_the_known_ones_push_out_as_many_and_no_more(tmp_path: Path) -> None:
    _fill(tmp_path, range(20), entries=20)
    cache = _open(tmp_path, entries=20)
    missed = 0
    for number in [100, 101, 102, *range(20)]:
        if cache.load(_digest(number)) is None:
            missed += 1
            cache.store(_digest(number), _rows(number))

    assert missed == 3 + 3


def test_storing_an_image_again_costs_no_other_its_place(tmp_path: Path) -> None:
    _fill(tmp_path, range(3))
    cache = _open(tmp_path, entries=4)
    for _ in range(3):
        cache.store(_digest(9), _rows(9))

    assert _known(tmp_path) == {0, 1, 2, 9}


def test_runs_at_once_share_the_limit_and_the_later_one_keeps_its_entries(tmp_path: Path) -> None:
    earlier, later = _open(tmp_path, entries=32), _open(tmp_path, entries=32)
    for number in range(60):
        earlier.store(_digest(number), _rows(number))
        later.store(_digest(100 + number), _rows(number))
        assert len(_known(tmp_path)) <= 32 * (1 + 2 / 16)

    assert {number for number in _known(tmp_path) if number >= 100} > set(range(100, 116))
    assert len(_known(tmp_path)) >= 32


def test_entries_from_a_clock_that_was_wrong_make_room_too(tmp_path: Path) -> None:
    _fill(tmp_path, range(4))
    for path in tmp_path.glob("features/*"):
        os.utime(path, (2**33, 2**33))

    _fill(tmp_path, range(10, 13), entries=4)

    assert {10, 11, 12} < _known(tmp_path)


@pytest.mark.parametrize("entries", [1, 1.5, 3, 7.99])
def test_the_limit_holds_at_any_moment(tmp_path: Path, entries: float) -> None:
    cache = _open(tmp_path, entries)
    for number in range(12):
        cache.store(_digest(number), _rows(number))
        assert _bytes(tmp_path) <= entries * ENTRY
    assert len(_known(tmp_path)) == int(entries)

    for number in range(20, 32):
        _fill(tmp_path, range(number, number + 1), entries)
        assert number in _known(tmp_path)
        assert _bytes(tmp_path) <= entries * ENTRY


def test_entries_of_other_embedders_count_and_make_room(tmp_path: Path) -> None:
    FeatureCache(tmp_path, ROOMY, "1" * 32, (9, 9)).store(_digest(1), np.ones((9, 9), np.float32))
    _fill(tmp_path, range(3), entries=3)

    assert _bytes(tmp_path) == 3 * ENTRY


def test_a_smaller_limit_holds_from_the_start(tmp_path: Path) -> None:
    _fill(tmp_path, range(10))

    cache = _open(tmp_path, entries=4)

    assert len(_known(tmp_path)) == 4
    assert cache.problem == ""


def test_without_room_there_is_no_cache_and_nothing_is_touched(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "new", 0, KEY, SHAPE)
    cache.store(_digest(0), _rows(0))

    assert cache.load(_digest(0)) is None
    assert not cache.active
    assert cache.problem == ""
    assert list(tmp_path.iterdir()) == []


def test_a_limit_below_one_image_is_said(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ENTRY - 1, KEY, SHAPE)

    assert not cache.active
    assert str(ENTRY) in cache.problem


def test_foreign_files_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    names = ["notes.txt", f"{_digest(1)}.f32", f"{_digest(1)}-{KEY}.f32.bak", f"x{_digest(1)}-{KEY}.f32"]
    for name in names:
        (folder / name).write_bytes(bytes(10 * ENTRY))
        os.utime(folder / name, (0, 0))

    _fill(tmp_path, range(3), entries=2)

    assert {path.name for path in folder.iterdir()} - set(names) == {
        f"{_digest(number)}-{KEY}.f32" for number in range(2)
    }
    assert all((folder / name).stat().st_size == 10 * ENTRY for name in names)


def test_what_a_killed_writer_left_counts_and_is_removed_when_old(tmp_path: Path) -> None:
    _fill(tmp_path, range(1))
    left = tmp_path / "features" / f"{_digest(5)}-{KEY}.f32.0123456789abcdef-3.tmp"
    left.write_bytes(bytes(ENTRY // 2))

    _fill(tmp_path, range(10, 20), entries=3.2)
    assert left.exists()
    assert len(_known(tmp_path)) == 2

    os.utime(left, (time.time() - 4000,) * 2)
    _open(tmp_path)
    assert not left.exists()


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
    tmp_path: Path, happens: Callable[[Path], Iterator[None]], reason: str
) -> None:
    folder = tmp_path / "cache"
    event = happens(folder)
    next(event)
    cache = _open(folder)
    next(event)

    for number in range(3):
        cache.store(_digest(number), _rows(number))
        assert cache.load(_digest(number)) is None

    assert not cache.active
    assert reason in cache.problem
    assert str(folder) in cache.problem


def _mount(place: Path, *options: str) -> None:
    place.mkdir(exist_ok=True)
    done = os.geteuid() == 0 and shutil.which("mount")
    if (
        not done
        or subprocess.run(["mount", *options, str(place)], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a file system")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB, mounted for real."""
    disk = tmp_path / "disk"
    _mount(disk, "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_half_of_a_small_disk_stays_free(small_disk: Path) -> None:
    empty = shutil.disk_usage(small_disk).free
    shape = (1, 4091)  # whole blocks
    for run in range(4):
        cache = FeatureCache(small_disk, 10**9, KEY, shape)
        for number in range(20):
            cache.store(_digest(100 * run + number), np.ones(shape, np.float32))

    assert cache.problem == ""
    assert empty * 0.4 < _bytes(small_disk) <= empty * 0.5


def test_a_full_disk_switches_the_cache_off_and_leaves_nothing_half_written(small_disk: Path) -> None:
    shape = (32, 100)
    cache = FeatureCache(small_disk, 10**9, KEY, shape)
    cache.store(_digest(0), np.ones(shape, np.float32))
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))

    cache.store(_digest(1), np.ones(shape, np.float32))

    assert "No space left" in cache.problem
    assert not cache.active
    assert _known(small_disk) == {0}
    assert list(small_disk.glob("features/*.tmp")) == []


def test_a_disk_that_is_full_from_the_start_is_said(small_disk: Path) -> None:
    (small_disk / "features").mkdir()
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free))

    cache = _open(small_disk)

    assert not cache.active
    assert "no room" in cache.problem


def test_a_read_only_disk_switches_the_cache_off(small_disk: Path) -> None:
    _fill(small_disk, range(2))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    cache = _open(small_disk)
    found = cache.load(_digest(0))
    cache.store(_digest(3), _rows(3))

    assert found is None or (found == _rows(0)).all()
    assert "Read-only" in cache.problem
    assert _known(small_disk) == {0, 1}


def _writer(folder: Path, *numbers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), *map(str, numbers)], stdout=subprocess.PIPE, text=True
    )


def test_processes_at_once_share_the_cache_and_its_limit(tmp_path: Path) -> None:
    rows, entries = 2000, 32
    size = 20 + 4 * rows * 7
    writers = [_writer(tmp_path, first, 120, entries * size, rows) for first in (0, 60, 1000)]

    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["began\n\n"] * 3
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    # Each may add what it writes between two looks.
    assert 0 < _bytes(tmp_path) <= entries * size * (1 + 3 / 16)
    assert list(tmp_path.glob("features/*.tmp")) == []
    whole = FeatureCache(tmp_path, 10**9, KEY, (rows, 7))
    for number in _known(tmp_path):
        found = whole.load(_digest(number))
        assert found is not None
        assert (found == number).all()


def test_a_kill_at_any_moment_leaves_whole_entries(tmp_path: Path) -> None:
    rows, moments = 20_000, random.Random(0)
    for kill in range(6):
        writer = _writer(tmp_path, 1000 * kill, 900, 10**9, rows)
        assert writer.stdout is not None
        with writer.stdout:
            assert writer.stdout.readline() == "began\n"
            time.sleep(moments.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            writer.wait()

    cache = FeatureCache(tmp_path, 10**9, KEY, (rows, 7))
    known = _known(tmp_path)
    assert len(known) >= 6
    for number in known:
        found = cache.load(_digest(number))
        assert found is not None
        assert (found == number).all()


def test_threads_at_once_keep_to_the_limit(tmp_path: Path) -> None:
    cache = _open(tmp_path, entries=20)
    together = threading.Barrier(4)

    def use(first: int) -> None:
        together.wait()
        for number in range(first, first + 30):
            if cache.load(_digest(number)) is None:
                cache.store(_digest(number), _rows(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, (0, 0, 15, 15)))

    assert cache.problem == ""
    assert len(_known(tmp_path)) == 20
    assert _bytes(tmp_path) == 20 * ENTRY


STATED: dict[str, Any] = {
    "backbone": "resnet18",
    "layers": ("layer2", "layer3"),
    "weights_sha256": "ab",
    "embedding": "reference",
    "preprocessing": Preprocessing(),
    "runtime": "torch (cpu)",
    "batch": 8,
}


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet50"},
        {"layers": ("layer3", "layer2")},
        {"layers": ("layer2", "layer3", "layer4")},
        {"backbone": "resnet18layer2", "layers": ("layer3",)},
        {"weights_sha256": "ac"},
        {"embedding": "mean"},
        {"preprocessing": Preprocessing(image_size=256, crop=224)},
        {"preprocessing": Preprocessing(mean=(0.5, 0.5, 0.5))},
        {"preprocessing": Preprocessing(std=(0.5, 0.5, 0.5))},
        {"runtime": "torch (cuda)"},
        {"batch": 16},
    ],
)
def test_everything_stated_is_in_the_key(change: dict[str, Any]) -> None:
    assert embedder_key(**STATED) == embedder_key(**STATED)
    assert embedder_key(**{**STATED, **change}) != embedder_key(**STATED)


@pytest.mark.parametrize("library", ["pcedge", "numpy", "pillow", "torch", "torchvision"])
def test_libraries_are_in_the_key(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    before = embedder_key(**STATED)
    monkeypatch.setattr("pcedge.feature_cache.version", lambda name: version(name) + ".1" * (name == library))

    assert embedder_key(**STATED) != before


@pytest.mark.parametrize("module", ["filterbank.py", "features.py", "images.py", "torch_runtime.py"])
def test_the_code_is_in_the_key(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    before = embedder_key(**STATED)
    read = Path.read_text

    def with_a_change(path: Path, *args: Any, **options: Any) -> str:
        return read(path, *args, **options) + "#" * (path.name == module)

    monkeypatch.setattr(Path, "read_text", with_a_change)

    assert embedder_key(**STATED) != before


def test_the_number_of_threads_is_in_the_key() -> None:
    threads, before = torch.get_num_threads(), embedder_key(**STATED)
    try:
        torch.set_num_threads(threads + 1)
        assert embedder_key(**STATED) != before
    finally:
        torch.set_num_threads(threads)

    assert embedder_key(**STATED) == before


def test_the_key_is_the_same_in_another_process() -> None:
    code = (
        "import torch, sys; from tests.pcedge.test_feature_cache import STATED, embedder_key;"
        "torch.set_num_threads(int(sys.argv[1])); print(embedder_key(**STATED))"
    )
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", code, str(torch.get_num_threads())],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "7"},
    )

    assert done.stdout.strip() == embedder_key(**STATED)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 21) + 5])
def test_the_digest_follows_from_the_bytes_alone(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    digests = []
    for name, written in (("a.png", content), ("b.jpg", content), ("c.png", content + b"x")):
        (tmp_path / name).write_bytes(written)
        digests.append(content_digest(tmp_path / name))

    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 40


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PCEDGE_CACHE": "/here", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/u"}, "/here"),
        ({"PCEDGE_CACHE": "", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/u"}, "/xdg/pcedge"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/u"}, "/home/u/.cache/pcedge"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/u"}, "/home/u/.cache/pcedge"),
        ({"HOME": "/home/u"}, "/home/u/.cache/pcedge"),
    ],
)
def test_where_the_cache_lies(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("PCEDGE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert default_cache_directory() == Path(expected)


def test_a_user_without_a_home_has_a_cache_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PCEDGE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)  # has no entry in the passwords either

    assert default_cache_directory() == Path(".cache/pcedge")
