"""Common behaviour of all commands: error messages, old forms, hints for options of other commands."""

from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from pcedge.core.interrupts import no_interrupt_lost
from pcedge.errors import PcedgeError

from .closed_pipe import reader_is_gone
from .exit_codes import ERROR, INTERRUPTED
from .options import panels


class Command(TyperCommand):
    """A command with help in panels; ``--help`` is in the last one."""

    def get_help_option(self, ctx: Any) -> Any:
        """Typer's help option, in a panel."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = panels.OUTPUT
        return option

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line, without arguments that only exist for old forms."""
        arguments = (one for one in self.params if isinstance(one, TyperArgument))
        shown = (one for one in arguments if not one.hidden)
        return ["[OPTIONS]", *map(_usage, shown)]


def _usage(argument: TyperArgument) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


class CommandGroup(TyperGroup):
    """Turns every error for the user into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        from .console import say, show_error

        try:
            with no_interrupt_lost():
                return super().invoke(ctx)
        except PcedgeError as error:
            show_error(error)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and reader_is_gone():
                raise
            show_error(PcedgeError(f"{error.filename or 'The system'}: {error.strerror or error}."))
        except MemoryError as error:
            show_error(PcedgeError(f"There is not enough memory ({error}).", "Try a smaller --image-size."))
        except KeyboardInterrupt:
            say("Stopped.")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            self._say_whose_option_it_is(error)
            raise
        raise typer.Exit(ERROR)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; the old form ``evaluate --all`` is ``suite``."""
        if args[:1] == ["evaluate"] and "--all" in args:
            from .console import say

            say("[yellow]pcedge evaluate --all is pcedge suite now:[/] the options are the same.")
            args = ["suite", *(one for one in args[1:] if one != "--all")]
        return super().resolve_command(ctx, args)

    def _say_whose_option_it_is(self, error: Any) -> None:
        """Add the commands that do have an unknown option to the parser's error."""
        if type(error).__name__ != "NoSuchOption":  # a class of Typer's that is not public
            return
        owners = [
            name
            for name, command in self.commands.items()
            if any(error.option_name in (*one.opts, *one.secondary_opts) for one in command.params)
        ]
        if owners:
            error.message += f". It belongs to: pcedge {', '.join(owners)}."
