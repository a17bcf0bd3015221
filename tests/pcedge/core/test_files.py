import ctypes
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pcedge.core.files import link_or_copy, recover, replace_directory, replace_file

WRITER = """
import sys
from pathlib import Path
from pcedge.core.files import replace_directory

version = 0
while True:
    version += 1
    with replace_directory(Path(sys.argv[1])) as staging:
        for number in range(5):
            (staging / str(number)).write_text(str(version) * 2000)
    print(version, flush=True)
"""

# Without an atomic exchange; killed at the given rename.
KILLED_AT_RENAME = """
import ctypes, os, sys
from pathlib import Path
from types import SimpleNamespace
from pcedge.core.files import replace_directory

renames = 0
rename = Path.rename

def count(self, target):
    global renames
    renames += 1
    if renames == int(sys.argv[2]):
        os._exit(9)
    return rename(self, target)

Path.rename = count
ctypes.CDLL = lambda *names, **options: SimpleNamespace()
with replace_directory(Path(sys.argv[1])) as staging:
    (staging / "file").write_text("new")
"""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fill(directory: Path, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "file").write_text(text)
    return directory


def _replace_and_fail(target: Path, error: type[BaseException]) -> None:
    with replace_directory(target) as staging:
        _fill(staging, "new")
        raise error


@pytest.fixture(params=["exchange", "two renames"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A name for a directory, on a file system with and without an atomic exchange."""
    if request.param == "two renames":
        monkeypatch.setattr(ctypes, "CDLL", lambda *names, **options: SimpleNamespace())
    return tmp_path / "folder" / "part"


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_new_directory_appears_whole(target: Path) -> None:
    with replace_directory(target) as staging:
        _fill(staging / "sub", "new")
        assert not target.exists()

    assert (target / "sub" / "file").read_text() == "new"
    assert _names(target.parent) == ["part"]


def test_an_old_directory_is_replaced_whole(target: Path) -> None:
    _fill(target, "old")
    _fill(target / "gone", "old")

    with replace_directory(target) as staging:
        assert _names(staging) == []
        _fill(staging, "new")
        assert (target / "file").read_text() == "old"

    assert _names(target) == ["file"]
    assert (target / "file").read_text() == "new"
    assert _names(target.parent) == ["part"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("exists", [True, False])
def test_an_exception_leaves_everything_as_it_was(
    target: Path, error: type[BaseException], exists: bool
) -> None:
    target.parent.mkdir()
    if exists:
        _fill(target, "old")

    with pytest.raises(error):
        _replace_and_fail(target, error)

    assert _names(target.parent) == (["part"] if exists else [])
    assert not exists or (target / "file").read_text() == "old"


def test_the_directory_can_be_read_by_others(target: Path) -> None:
    with replace_directory(target) as staging:
        _fill(staging, "new")

    assert target.stat().st_mode & 0o777 == 0o755


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    target = tmp_path / "part"
    moments = random.Random(0)
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer.stdout:
            writer.stdout.readline()
            time.sleep(moments.uniform(0, 0.03))
            writer.send_signal(signal.SIGKILL)
            writer.wait()

        assert _names(target) == ["0", "1", "2", "3", "4"]
        contents = {(target / str(number)).read_text() for number in range(5)}
        assert len(contents) == 1
        assert len(contents.pop()) >= 2000

    recover(target)
    assert _names(tmp_path) == ["part"]


@pytest.mark.parametrize("rename", [1, 2])
def test_a_kill_between_two_renames_is_repaired(tmp_path: Path, rename: int) -> None:
    target = _fill(tmp_path / "part", "old")

    killed = subprocess.run([sys.executable, "-c", KILLED_AT_RENAME, str(target), str(rename)], check=False)
    gap = not target.exists()
    recover(target)

    assert killed.returncode == 9
    assert gap == (rename == 2)
    assert (target / "file").read_text() == "old"
    assert _names(tmp_path) == ["part"]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path, dead: int) -> None:
    target = _fill(tmp_path / "part", "current")
    for name in (f".part.{dead}.abcdefgh", f".part.{dead}.abcd_fg8.old"):
        _fill(tmp_path / name, "left over")
    others = [
        f".part.{os.getpid()}.abcdefgh",  # a running process is still at work
        f".part.2.{dead}.abcdefgh",  # the leftover of part.2
        f".party.{dead}.abcdefgh",
        f".part.{dead}.notes",
        f"part.{dead}.abcdefgh",
        ".part",
    ]
    for name in others:
        _fill(tmp_path / name, "kept")
    (tmp_path / f".part.{dead}.filefile").write_text("a file")
    at_work = os.open(tmp_path / others[0], os.O_RDONLY)
    fcntl.flock(at_work, fcntl.LOCK_EX)  # as a process does, in whatever container, while it is at work

    recover(target, remove=False)
    assert len(_names(tmp_path)) == len(others) + 4, "those who only read remove nothing"
    recover(target)
    os.close(at_work)

    assert _names(tmp_path) == sorted([*others, "part", f".part.{dead}.filefile"])
    assert (target / "file").read_text() == "current"


@pytest.mark.parametrize("name", ["part[1]", "part*", "p.q", "ünï"])
def test_any_name_can_be_recovered(tmp_path: Path, dead: int, name: str) -> None:
    _fill(tmp_path / f".{name}.{dead}.abcdefgh.old", "old")

    recover(tmp_path / name)

    assert _names(tmp_path) == [name]


def test_recovering_where_there_is_nothing_does_nothing(tmp_path: Path) -> None:
    recover(tmp_path / "no" / "such" / "folder")

    assert _names(tmp_path) == []


def test_the_working_directory_can_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_fill(tmp_path / "part", "old"))

    with replace_directory(Path()) as staging:
        _fill(staging, "new")

    assert (tmp_path / "part" / "file").read_text() == "new"
    assert _names(tmp_path) == ["part"]


def test_a_link_to_a_directory_stays_a_link(tmp_path: Path) -> None:
    real = _fill(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(real)

    with replace_directory(tmp_path / "link") as staging:
        _fill(staging, "new")

    assert (tmp_path / "link").is_symlink()
    assert (real / "file").read_text() == "new"
    assert _names(tmp_path) == ["link", "real"]


def test_a_file_is_replaced_and_a_reader_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old content")
    with path.open("rb") as reader:
        replace_file(path, b"new")
        assert reader.read() == b"old content"

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert _names(tmp_path) == ["file"]


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    _fill(tmp_path / "taken", "old")

    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "taken", b"new")

    assert _names(tmp_path) == ["taken"]


def test_a_file_is_shared_where_possible_and_copied_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")

    link_or_copy(source, tmp_path / "a" / "shared")
    monkeypatch.setattr(os, "link", _refuse)
    link_or_copy(source, tmp_path / "b" / "copied")

    assert (tmp_path / "a" / "shared").samefile(source)
    assert not (tmp_path / "b" / "copied").samefile(source)
    assert (tmp_path / "b" / "copied").read_bytes() == b"content"


def _refuse(source: str, destination: str) -> None:
    raise OSError(18, "Invalid cross-device link")
