"""One category of many: finished already, made now, or failed with a line that says why."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pcedge.core.progress import Progress, silent
from pcedge.datasets import audit, open_dataset
from pcedge.errors import PcedgeError, ResultError
from pcedge.evaluation.runs import Run, read_run

from .dataset_facts import data_digest, data_facts
from .ensemble import fit_and_evaluate_ensemble
from .options import TrialOptions, request_digest
from .record import Circumstances
from .trial import fit_and_evaluate

# Where bundles stay, and where they lie until a category is finished: nothing else is ever below the latter.
BUNDLES, _UNKEPT = "bundles", ".bundles"


@dataclass(frozen=True)
class Outcome:
    """What became of a category.

    Attributes:
        name: Of the category, and of its run.
        directory: Of the run.
        run: None where it failed.
        error: Why it failed; empty where it did not.
        hint: What to do about that; empty where nothing is known.
        resumed: Whether the run was there already, finished.
        seconds: Time taken now.
    """

    name: str
    directory: Path
    run: Run | None = None
    error: str = ""
    hint: str = ""
    resumed: bool = False
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether it was evaluated, and no image had to be left out."""
        return self.run is not None and not self.run.skipped


def run_one(
    name: str, folder: Path, options: TrialOptions, output: Path, progress: Progress = silent
) -> Outcome:
    """Fit and evaluate one category, unless that was done; an error becomes a line in the outcome."""
    began = time.perf_counter()
    directory = output / name
    try:
        run, resumed = _found_or_made(name, folder, options, output, progress)
    except PcedgeError as error:
        return Outcome(
            name, directory, error=error.what, hint=error.hint, seconds=time.perf_counter() - began
        )
    except Exception as error:  # the others must go on, whatever this one ran into
        reason = f"{type(error).__name__}: {error}"
        return Outcome(name, directory, error=reason, seconds=time.perf_counter() - began)
    return Outcome(name, directory, run, resumed=resumed, seconds=time.perf_counter() - began)


def _found_or_made(
    name: str, folder: Path, options: TrialOptions, output: Path, progress: Progress
) -> tuple[Run, bool]:
    dataset = open_dataset(folder, options.fit.layout)
    digest = data_digest(dataset, progress)
    request = request_digest(options, digest)
    directory = output / name
    if finished := _finished(directory, request):
        return finished, True
    facts = data_facts(dataset, digest, audit(dataset, progress))
    circumstances = Circumstances(name, request, facts, options.preset, options.command, options.label)
    models = output / BUNDLES if options.keep_bundles else output / _UNKEPT / name
    make = fit_and_evaluate_ensemble if options.members else fit_and_evaluate
    try:
        return make(dataset, options, models, directory, circumstances, progress), False
    finally:
        if not options.keep_bundles:
            shutil.rmtree(models, ignore_errors=True)
            with suppress(OSError):  # other categories' bundles may lie there
                models.parent.rmdir()


def _finished(directory: Path, request: str) -> Run | None:
    """The run that is there, if it is of this request."""
    try:
        run = read_run(directory)
    except ResultError:
        return None
    return run if run.request == request else None
