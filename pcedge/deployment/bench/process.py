"""One measurement in a process of its own, which reports progress and errors to the caller."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from pcedge.bundles.bundle import Bundle
from pcedge.core.progress import Progress, silent
from pcedge.errors import PcedgeError, RuntimeUnavailableError
from pcedge.inspection.runtimes import Candidate

from .bench import measure
from .result import BenchMeasurement

_STOP_S = 5.0


def measure_apart(
    bundle: Bundle, candidate: Candidate, dataset: Path | None, frames: int, progress: Progress = silent
) -> BenchMeasurement:
    """Measure one runtime in a new process; see :func:`pcedge.deployment.bench.bench.measure`.

    Raises:
        RuntimeUnavailableError: The process ended without a result, killed perhaps because memory ran out.
        PcedgeError: As raised there.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=_run, args=(there, bundle.directory, candidate, dataset, frames), daemon=True
    )
    process.start()
    there.close()
    try:
        return _result(here, progress)
    except EOFError:
        process.join(_STOP_S)
        raise RuntimeUnavailableError(
            f"The process that measured it ended without a result (exit code {process.exitcode}).",
            "If the system killed it, memory was short: measure a smaller bank, or close other programs.",
        ) from None
    finally:
        here.close()
        process.join(_STOP_S)  # it ends by itself, unless something hangs
        process.kill()


def _result(here: Connection, progress: Progress) -> BenchMeasurement:
    while True:
        match here.recv():
            case BenchMeasurement() as measured:
                return measured
            case ("error", str() as what, str() as hint):
                raise PcedgeError(what, hint)
            case (str() as stage, int() as done, int() as total):
                progress(stage, done, total)


def _run(there: Connection, directory: Path, candidate: Candidate, dataset: Path | None, frames: int) -> None:
    try:
        bundle = Bundle.open(directory)
        there.send(measure(bundle, candidate, dataset, frames, lambda *step: there.send(step)))
    except PcedgeError as error:  # sent as text: not every error can be pickled
        there.send(("error", error.what, error.hint))
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # the one that asked was interrupted too, or is gone
