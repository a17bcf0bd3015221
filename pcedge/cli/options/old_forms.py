"""Bundles that stand before what a command is about: ``pcedge calibrate bottle new/good``.

The bundle is named by ``--model``; this older form goes on working.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pcedge.errors import OptionError

# The second word of an old form, which the help does not show.
Second = Annotated[str | None, typer.Argument(hidden=True)]


def bundle_and_one(
    first: str, second: str | None, model: str | None, models: Path, thing: str
) -> tuple[str | None, Path]:
    """The bundle that was named, if any, and the one thing that a command is about.

    Args:
        first: The thing, or with ``second`` a bundle.
        second: The thing, in the old form.
        model: Of ``--model``.
        models: Where bundles have names.
        thing: What is needed, in a word, such as ``dataset``.

    Raises:
        OptionError: The bundle is named twice, or nothing but a bundle is named.
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
    """The bundle that was named, if any, and what follows it.

    Args:
        what: The words: ``IMAGES...``, or in the old form ``BUNDLE IMAGES...``.
        model: Of ``--model``.
        models: Where bundles have names.
        alone: Whether a bundle with nothing behind it makes sense.

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
    """Whether a word is a bundle's directory, or its name below ``models``."""
    from pcedge.bundles.bundle import bundle_names

    return not Path(word).is_file() and (_is_bundle(word) or word in bundle_names(models))


def _is_something_else(word: str) -> bool:
    """Whether there is a file or a folder of that name that is no bundle."""
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
