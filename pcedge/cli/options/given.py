"""Refusal of options that have no effect, so that none is silently ignored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import typer

from pcedge.errors import OptionError


@dataclass(frozen=True)
class Unused:
    """Options that have no effect in one mode of a command.

    Attributes:
        when: Whether the command is used in this mode, from the values of all its parameters.
        options: Names of the parameters.
        where: How the sentence "--batch has no effect ..." ends, with parameters in braces.
        hint: What to do.
    """

    when: Callable[[Mapping[str, Any]], bool]
    options: tuple[str, ...]
    where: str
    hint: str


def refuse_unused(ctx: typer.Context, rules: Iterable[Unused]) -> None:
    """Check the given options of a command.

    Raises:
        OptionError: One has no effect; the message names it.
    """
    for rule in rules:
        if rule.when(ctx.params):
            refuse(ctx, rule.options, rule.where.format_map(ctx.params), rule.hint)


def refuse(ctx: typer.Context, options: Iterable[str], where: str, hint: str) -> None:
    """Refuse these options if they were given, naming them as the command does.

    Raises:
        OptionError: One of them was given.
    """
    flags = [_flag(ctx, name) for name in options if is_given(ctx, name)]
    if flags:
        has = "has" if len(flags) == 1 else "have"
        raise OptionError(f"{', '.join(flags)} {has} no effect {where}.", hint)


def is_given(ctx: typer.Context, name: str) -> bool:
    """Whether an option was given explicitly, even with its default value."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flag(ctx: typer.Context, name: str) -> str:
    """The name of an option as given, such as ``--no-drift``."""
    option = next(one for one in ctx.command.params if one.name == name)
    off = option.secondary_opts and ctx.params[name] is False
    return (option.secondary_opts if off else option.opts)[0]
