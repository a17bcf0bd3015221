"""Categories in processes of their own: what kills one, as want of memory does, leaves the others be."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from pcedge.core.progress import Progress

from .options import TrialOptions
from .outcome import Outcome, run_one


class Workers:
    """Starts a process for each category, and stops those that still run when it is closed.

    Args:
        jobs: How many there are at once; they share the processors.
    """

    def __init__(self, jobs: int) -> None:
        self._threads = max(1, (os.cpu_count() or 1) // jobs)
        self._running: list[SpawnProcess] = []

    def run_one(
        self, name: str, folder: Path, options: TrialOptions, output: Path, progress: Progress
    ) -> Outcome:
        """As :func:`run_one`, in another process; its progress is passed on."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        work = (sender, self._threads, name, folder, options, output)
        process = context.Process(target=_work, args=work, daemon=True)
        process.start()
        self._running.append(process)
        sender.close()
        with receiver:
            try:
                while not isinstance(message := receiver.recv(), Outcome):
                    progress(*message)
                return message
            except EOFError:
                return Outcome(name, output / name, error=_end_of(process))
            finally:
                process.join()
                self._running.remove(process)

    def stop(self) -> None:
        """End what still runs; its unfinished files are hidden, and removed by the next call."""
        for process in list(self._running):
            process.terminate()


def _end_of(process: SpawnProcess) -> str:
    process.join()
    reason = f"its process ended with code {process.exitcode}"
    return f"{reason}: perhaps the memory was not enough" if process.exitcode == -signal.SIGKILL else reason


def _work(
    sender: Connection, threads: int, name: str, folder: Path, options: TrialOptions, output: Path
) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    torch.set_num_threads(threads)
    os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))

    def report(stage: str, done: int, total: int) -> None:
        sender.send((stage, done, total))

    sender.send(run_one(name, folder, options, output, report))
