"""Bundles that stand before what a command is about: ``pcedge calibrate bottle new/good``.

The bundle is named by ``--model``; this older form goes on working.
"""

from collections.abc import Sequence
from pathlib import Path

import typer

from pcedge.errors import OptionError


def bundle_and_one(
    what: Sequence[str], model: str | None, models: Path, thing: str
) -> tuple[str | None, str]:
    """The bundle that was named, if any, and the one thing that a command is about.

    Args:
        what: The words: ``DATASET``, or in the old form ``BUNDLE DATASET``.
        model: Of ``--model``.
        models: Where bundles have names.
        thing: What is needed, in a word, such as ``dataset``.

    Raises:
        OptionError: The bundle is named twice, or nothing but a bundle is named.
    """
    if len(what) > 2:
        raise typer.BadParameter(
            f"{len(what)} names were given, one or two are needed: the {thing}, or a bundle and the {thing}.",
            param_hint=thing.upper(),
        )
    *bundles, last = what
    if bundles and model is not None:
        raise OptionError(
            f"{bundles[0]} and {last} are a bundle and the {thing}, and --model {model} names a bundle too.",
            f"Name the bundle once: --model {model} {last}, or {bundles[0]} {last}",
        )
    if not bundles and names_bundle(last, models) and not Path(last).exists():
        raise OptionError(
            f"{last} is a bundle in {models}/, and no {thing} is named; there is no {thing} {last} here.",
            f"Name both: --model {last} {thing.upper()}",
        )
    return (bundles[0] if bundles else model), last


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
    if not first or not names_bundle(first, models):
        return model, list(what)
    folder = Path(first).exists() and not _is_bundle(first)
    if folder and (model is not None or (len(what) == 1 and not alone)):
        return model, list(what)
    if model is not None:
        raise OptionError(
            f"{first} is a bundle, and --model {model} names one too.", "Name the bundle once, by --model."
        )
    if folder:
        _say_both_readings(first, models)
    return first, list(what[1:])


def names_bundle(word: str, models: Path) -> bool:
    """Whether a word is a bundle's directory, or its name below ``models``."""
    from pcedge.bundles.bundle import bundle_names

    return not Path(word).is_file() and (_is_bundle(word) or word in bundle_names(models))


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
