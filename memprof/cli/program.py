"""The program: a click group whose commands are a table, and the one place where its exit code is decided."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import memprof
from memprof.base.errors import UsageError
from memprof.base.text import safe_text
from memprof.cli.failures import BUG_CODE, describe_failure, is_full, print_failure
from memprof.cli.output import OWN_PROCESS, silence
from memprof.cli.signals import Heard, ended_by_signals
from memprof.cli.waiting import WaitLine

_COMPLETION = "_MEMPROF_COMPLETE"
_SAFE_PATH = "PYTHONSAFEPATH"


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One row of the table of commands.

    Attributes:
        module: Module whose ``command`` is the ``click.Command``.
        summary: Its line in ``memprof --help``.
    """

    module: str
    summary: str


class Program(click.Group):
    """A group that looks its commands up in a table and maps every failure to one message and one exit code.

    (A subclass, since that is how click lets a group find its commands late.)
    """

    def __init__(self, entries: Mapping[str, CommandEntry]) -> None:
        super().__init__(
            name="memprof",
            help="How much memory a neural network needs, where it goes, why, and what a smaller one looks like.",
            epilog="memprof COMMAND --help shows what a command can do.",
            invoke_without_command=True,
            callback=click.pass_context(_show_help_without_command),
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self.entries = entries
        click.version_option(memprof.__version__, prog_name="memprof", message="%(prog)s %(version)s")(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command = import_module(entry.module).command
        assert isinstance(command, click.Command), f"{entry.module}.command is no click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table itself, so that the help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` starts with; an unknown one gets a suggestion."""
        name = args[0]
        if name not in self.entries and not name.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"There is no command {name!r}.", _suggest(name, self.entries))
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override] # click overloads on standalone_mode; here it only decides who exits
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> int:
        """Run the program and exit with its code, or return it if ``standalone_mode`` is false."""
        arguments = list(sys.argv[1:] if args is None else args)
        code = self._complete()
        if code is None:
            code = self._run(arguments, extra, {OWN_PROCESS: standalone_mode and args is None})
        if standalone_mode:
            gc.freeze()  # the last collection of torch's million objects would take a second after the last word
            sys.exit(code)
        return code

    def _run(self, arguments: list[str], extra: dict[str, Any], about: Mapping[str, Any]) -> int:
        heard = Heard()
        line = WaitLine(sys.stderr)
        try:
            with ended_by_signals(heard), _safe_path(), line.running():
                with self.make_context("memprof", list(arguments), obj=line, **extra) as ctx:
                    ctx.meta.update(about)
                    code = self.invoke(ctx)
                return code if isinstance(code, int) else 0
        except click.exceptions.Exit as done:
            return done.exit_code
        except BrokenPipeError:  # whoever read our output has seen enough: `memprof --help | head -1`
            silence(sys.stdout)
            return 0
        except (Exception, KeyboardInterrupt) as error:
            if is_full(error):  # what is left to write would fail once more at exit
                silence(sys.stdout)
            failure = describe_failure(error)
            if failure.code == BUG_CODE and heard.error is not None:  # native code made another error of a signal's
                failure = describe_failure(heard.error)
            print_failure(failure, as_json="--json" in arguments, error=error)
            return failure.code

    def _complete(self) -> int | None:
        instruction = os.environ.get(_COMPLETION)
        if not instruction:
            return None
        from click.shell_completion import shell_complete

        return shell_complete(self, {}, "memprof", _COMPLETION, instruction)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Have what a library starts (workers, trackers) look for no module in the working folder."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE_PATH]
        os.environ.update({} if before is None else {_SAFE_PATH: before})


def _show_help_without_command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _suggest(name: str, entries: Mapping[str, CommandEntry]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, entries, n=1)
    if close:
        return f"Did you mean: memprof {close[0]}"
    if Path(name).suffix and "analyze" in entries:
        return f"To analyse a model: memprof analyze {safe_text(name)}"
    return f"Commands: {', '.join(entries)}."
