"""Python in a fork of a process that has imported PyTorch already.

Importing PyTorch takes seconds, and the tests start the command some hundreds of times. Nothing of pcedge
is imported before the fork: each command reads its environment as one that was started anew.
"""

import atexit
import contextlib
import multiprocessing
import multiprocessing.process
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["torch", "torchvision", "onnx", "onnxruntime", "faiss", "numba", "cv2", "typer", "rich.console"]
)


def run_forked(
    code: str, arguments: Sequence[str], *, cwd: Path | None, timeout_s: float, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run ``python -c code arguments``, as ``subprocess.run`` does that captures text."""
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        place = (cwd or Path.cwd(), dict(env), output, errors)
        process = _FORKS.Process(target=_run, args=(code, list(arguments), *place))
        process.start()
        with _ended(process):
            process.join(timeout_s)
            if process.is_alive():
                raise subprocess.TimeoutExpired([*arguments], timeout_s)
        returned = process.exitcode
        assert returned is not None
        return subprocess.CompletedProcess([*arguments], returned, output.read_text(), errors.read_text())


@contextlib.contextmanager
def _ended(process: multiprocessing.process.BaseProcess) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.join()


def _run(code: str, arguments: list[str], cwd: Path, env: dict[str, str], output: Path, errors: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["-c", *arguments]
    sys.stdout, sys.stderr = _redirected(1, output), _redirected(2, errors)
    try:
        exec(code, {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # a forked process ends without
        sys.stdout.flush()
        sys.stderr.flush()


def _redirected(descriptor: int, path: Path) -> TextIO:
    with path.open("wb") as file:
        os.dup2(file.fileno(), descriptor)
    return open(descriptor, "w", encoding="utf-8", closefd=False)
