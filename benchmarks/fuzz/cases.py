"""Cases, run one after the other in a process that is watched: time, memory, and files that are touched."""

import os
import random
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pcedge.errors import PcedgeError

from .mutations import mutated
from .targets import READERS, reseal

LIMIT_S = 20
# Servers and clients are started for every case.
_WEIGHTS = {"network": 0.2, "video": 0.5}
# Stands in mutated files for the path of a file that nothing may touch.
_DECOY = "@DECOY@"
_WRITTEN_INTO = frozenset({"out", "store"})
LIMIT_BYTES = 1 << 30
_CHANGES = frozenset(
    {
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "os.chown",
    }
)
_OURS = frozenset({"case", "state", "cache", "decoy"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        seed: The case: the same seed makes it again.
        kind: Which input was mutated, as in ``READERS``.
        file: The file of it that was mutated.
        ended: ``read``, ``refused``, ``over 1 GB``, ``traceback``, ``hang`` or ``crash``.
        detail: The end of the traceback.
        outside: Paths outside of the case's folder that were written to or removed.
        grown: Bytes by which the largest memory of the process has grown.
    """

    seed: int
    kind: str
    file: str
    ended: str
    detail: str = ""
    outside: tuple[str, ...] = ()
    grown: int = 0


def plan(seed: int, sound: Path) -> tuple[str, str]:
    """The kind and the file that a seed mutates."""
    dice = random.Random(seed)
    kinds = [kind for kind in READERS if (sound / kind).is_dir()]
    (kind,) = dice.choices(kinds, [_WEIGHTS.get(kind, 1.0) for kind in kinds])
    files = sorted(
        path.relative_to(sound / kind).as_posix() for path in (sound / kind).rglob("*") if path.is_file()
    )
    return kind, dice.choice(files)


def run_cases(seeds: Sequence[int], sound: Path, place: Path, answers: Connection) -> None:
    """Run cases, and send an outcome each; before it, the seed, so that a crash has a name."""
    watch = _Watch(place)
    sys.addaudithook(watch)
    _warm_up(sound, place)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (space + 2 * LIMIT_BYTES, space + 2 * LIMIT_BYTES))
    for seed in seeds:
        answers.send(seed)
        outcome = _run(seed, sound, place / "case", watch)
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answers.send(Outcome(**{**outcome, "grown": largest - used}))
        used = largest
    answers.send(None)


def _warm_up(sound: Path, place: Path) -> None:
    """Read everything once as it is, so that libraries are loaded; sound inputs must be read."""
    for kind, read in READERS.items():
        if (sound / kind).is_dir():
            with _copied(sound / kind, place / "case") as folder:
                read(folder)


def _run(seed: int, sound: Path, folder: Path, watch: "_Watch") -> dict[str, Any]:
    kind, name = plan(seed, sound)
    with _copied(sound / kind, folder):
        path = folder / name
        content = mutated(name, path.read_bytes(), random.Random(seed + 1))
        content = content.replace(_DECOY.encode(), str(folder.parent / "decoy" / "file").encode())
        path.unlink()
        path.write_bytes(content)
        if kind == "bundle" and seed % 4:
            reseal(folder)
        watch.touched.clear()
        ended, detail = _read(kind, folder)
        outside = (*watch.touched, *watch.changed())
    return {"seed": seed, "kind": kind, "file": name, "ended": ended, "detail": detail, "outside": outside}


def _read(kind: str, folder: Path) -> tuple[str, str]:
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LIMIT_S)
    try:
        READERS[kind](folder)
    except PcedgeError as error:
        # What is refused because memory could not be had was unpacked before it was checked.
        return ("over 1 GB", repr(error)) if _out_of_memory(error) else ("refused", "")
    except TimeoutError:
        return "hang", ""
    except BaseException:
        return "traceback", "".join(traceback.format_exc().splitlines(keepends=True)[-6:])
    finally:
        signal.alarm(0)
    return "read", ""


def _out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _too_long(*_: object) -> None:
    raise TimeoutError


@contextmanager
def _copied(source: Path, folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    # What readers write into is copied: through a link they would change the sound input.
    copy = shutil.copy2 if source.name in _WRITTEN_INTO else os.link
    shutil.copytree(source, folder, copy_function=copy)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Watch:
    """Notes what is written or removed outside of a folder.

    An audit hook sees what Python does anywhere. What a native library does is seen where mutated files point
    to, by looking: beside the case's folder, and in a folder with a file whose path stands in them.
    """

    def __init__(self, folder: Path) -> None:
        self._inside = f"{folder.resolve()}{os.sep}"
        self._folder = folder
        self.touched: list[str] = []
        (folder / "decoy").mkdir(exist_ok=True)
        (folder / "decoy" / "file").write_bytes(b"nobody touches this")
        self._before = self._look()

    def changed(self) -> list[str]:
        """Paths beside the case's folder that are new, gone or changed since the last look."""
        before, self._before = self._before, self._look()
        return sorted(path for path, _ in before ^ self._before)

    def _look(self) -> set[tuple[str, tuple[int, int, int]]]:
        found = set()
        for path in [*self._folder.iterdir(), *(self._folder / "decoy").iterdir()]:
            if path.name not in _OURS:
                status = path.lstat()
                found.add((str(path), (status.st_ino, status.st_size, status.st_mtime_ns)))
        return found

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self._note(path)
        elif event in _CHANGES:
            for path in arguments[:2]:
                self._note(path)

    def _note(self, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        try:
            real = os.path.realpath(os.fsdecode(path))
        except ValueError:
            return  # a name with a NUL, which no file has
        if not real.startswith((self._inside, "/dev/")):
            self.touched.append(real)
