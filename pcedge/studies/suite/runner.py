"""Many categories, one after another or several at once; what fails costs itself and nothing else."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from pcedge.core.progress import Progress, silent
from pcedge.datasets import categories, recognise
from pcedge.errors import DatasetError

from .options import TrialOptions
from .outcome import Outcome, run_one
from .worker import Workers

# Stages of a category, in order; a category's progress is how many lie behind it.
_STAGES = ("data", "embed", "coreset", "calibrate", "write", "evaluate")


def find_categories(paths: Iterable[Path]) -> dict[str, Path]:
    """Name to folder of every category: each path is one, or holds some.

    Raises:
        DatasetError: A path is neither, or two categories have the same name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for folder in _inside(path):
            name = folder.resolve().name if folder.name in ("", "..") else folder.name
            if name in found:
                raise DatasetError(
                    f"Two categories are named {name!r}: {found[name]} and {folder}.",
                    "Evaluate them in two calls, each with an --output of its own.",
                )
            found[name] = folder
    return found


def _inside(path: Path) -> list[Path]:
    """The path itself, if it is a category; otherwise those it holds, also such as prove to be empty."""
    if names := categories(path) if path.is_dir() else ():
        begun = [folder.name for folder in path.iterdir() if (folder / "train").is_dir()]
        return [path / name for name in sorted({*names, *begun})]
    if path.is_dir() and recognise(path) is not None:
        return [path]
    raise DatasetError(
        f"{path} is not a category and holds none.",
        "Name a folder with test images, or one that holds several; pcedge datasets lists the layouts.",
    )


def run_campaign(
    folders: dict[str, Path],
    options: TrialOptions,
    output: Path,
    *,
    jobs: int = 1,
    progress: Progress = silent,
) -> list[Outcome]:
    """Fit and evaluate categories; those that are finished already are not done again.

    Args:
        folders: Name to folder, from :func:`find_categories`.
        options: How; a run in ``output`` that was asked for in another way is replaced.
        output: Receives a run for each category.
        jobs: How many categories at once; where there are several, each in a process of its own.
        progress: Called with categories done, as the stage ``categories``, and how far each is, in per cent.
    """
    output.mkdir(parents=True, exist_ok=True)
    finished = count(1)
    workers = Workers(jobs)
    trial = workers.run_one if jobs > 1 else run_one

    def one(name: str) -> Outcome:
        outcome = trial(name, folders[name], options, output, _overall(name, progress))
        progress(name, 100, 100)
        progress("categories", next(finished), len(folders))
        return outcome

    progress("categories", 0, len(folders))
    if jobs == 1:
        return [one(name) for name in folders]
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, name) for name in folders]
        try:
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C, above all
            pool.shutdown(wait=False, cancel_futures=True)
            workers.stop()
            raise


def _overall(name: str, progress: Progress) -> Progress:
    """Progress of a category's stages as one number, in per cent."""

    def report(stage: str, done: int, total: int) -> None:
        if stage in _STAGES:
            behind = _STAGES.index(stage) + done / max(total, 1)
            progress(name, round(behind / len(_STAGES) * 100), 100)

    return report
