"""Old form of commands with the bundle as the first argument: ``pcedge calibrate bottle new/good``.

The bundle is now named by ``--model``; the old form still works.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pcedge.errors import OptionError

# The second argument of an old form, hidden from the help.
Second = Annotated[str | None, typer.Argument(hidden=True)]


def bundle_and_one(
    first: str, second: str | None, model: str | None, models: Path, thing: str
) -> tuple[str | None, Path]:
    """Split arguments into the bundle, if named, and the command's one argument.

    Args:
        first: The argument, or with ``second`` a bundle.
        second: The argument, in the old form.
        model: Value of ``--model``.
        models: Directory of bundles.
        thing: Name of the argument, such as ``dataset``.

    Raises:
        OptionError: The bundle is named twice, or only a bundle is named.
    """
    if second is None:
        if _names_bundle(first, models) and not _is_something_else(first):
            raise OptionError(
                f"{first} is a bundle, and no {thing} is named; nor is there another {first} here.",
                f"Name both: --model {first} {thing.upper()}",
            )
        return model, Path(first)
    if model is not None:
        raise OptionError(
            f"{first} {second} names a bundle and the {thing} of it, and --model {model} names a bundle too.",
            f"Name one bundle and one {thing}: --model {model} {second}",
        )
    return first, Path(second)


def bundle_and_more(
    what: Sequence[str], model: str | None, models: Path, *, alone: bool = False
) -> tuple[str | None, list[str]]:
    """Split arguments into the bundle, if named, and the others.

    Args:
        what: The arguments: ``IMAGES...``, or in the old form ``BUNDLE IMAGES...``.
        model: Value of ``--model``.
        models: Directory of bundles.
        alone: Whether a bundle without other arguments is allowed.

    Raises:
        OptionError: The bundle is named twice.
    """
    first = what[0] if what else ""
    if not first or not _names_bundle(first, models):
        return model, list(what)
    folder = _is_something_else(first)
    if folder and (model is not None or (len(what) == 1 and not alone)):
        return model, list(what)
    if model is not None:
        raise OptionError(
            f"{first} is a bundle, and --model {model} names one too.", "Name the bundle once, by --model."
        )
    if folder:
        _say_both_readings(first, models)
    return first, list(what[1:])


def _names_bundle(word: str, models: Path) -> bool:
    """Whether an argument is a bundle's directory, or its name below ``models``."""
    from pcedge.bundles.bundle import bundle_names

    return not Path(word).is_file() and (_is_bundle(word) or word in bundle_names(models))


def _is_something_else(word: str) -> bool:
    """Whether there is a file or folder of that name that is not a bundle."""
    return Path(word).exists() and not _is_bundle(word)


def _is_bundle(word: str) -> bool:
    from pcedge.bundles.manifest import MANIFEST_FILE

    return (Path(word) / MANIFEST_FILE).is_file()


def _say_both_readings(name: str, models: Path) -> None:
    from pcedge.cli.console import say

    say(
        "[yellow]{name} is taken as the bundle in {models}/.[/] For the folder of that name write ./{name}",
        name=name,
        models=models,
    )
