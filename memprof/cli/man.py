"""The program's commands and flags as one man page, in roff: made from click, so that it cannot go stale."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

import memprof

_EXIT_CODES = (
    ("0", "fine"),
    ("1", "over a budget, or a promise that does not hold"),
    ("2", "the call does not fit"),
    ("3", "the input is missing, unreadable, invalid or over a safety limit"),
    ("4", "something stayed unknown and --strict asked for it, or a budget is undecided"),
    ("5", "an optional dependency is missing"),
    ("70", "a bug of memprof"),
    ("129, 130, 143", "ended by SIGHUP, Ctrl-C, SIGTERM"),
)


def man_page(program: click.Group) -> str:
    """Return the man page of ``program``: every command with its flags, and the exit codes."""
    context = click.Context(program, info_name="memprof")
    lines = [
        f'.TH MEMPROF 1 "" "memprof {memprof.__version__}"',
        ".SH NAME",
        f"memprof \\- {_escape(program.help or '')}",
    ]
    lines += [".SH SYNOPSIS", ".B memprof", ".I COMMAND", "[flags]", ".SH COMMANDS"]
    lines += _commands(program, context)
    lines.append(".SH EXIT STATUS")
    for code, meaning in _EXIT_CODES:
        lines += [".TP", f".B {_escape(code)}", _escape(meaning)]
    return "\n".join(lines)


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, "a group lists commands that it has"
        inner = click.Context(command, info_name=name, parent=context)
        words = " ".join(command.collect_usage_pieces(inner))
        yield f'.SS "{_escape(inner.command_path)} {_escape(words)}"'
        yield from _prose(command.help or "")
        for parameter in command.get_params(inner):
            record = parameter.get_help_record(inner)
            if record is not None and record[1]:
                yield from (".TP", f".B {_escape(record[0])}", _escape(" ".join(record[1].split())))
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _prose(text: str) -> Iterator[str]:
    """Yield a help text: paragraphs, and what click keeps as it is (after a line of ``\\b``) as examples."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield from (".PP", ".nf", *(_escape(line) for line in paragraph.splitlines()[1:]), ".fi")
        else:
            yield from (".PP", _escape(" ".join(paragraph.split())))


def _escape(text: str) -> str:
    """Return text that roff shows as it is: no request at the start of a line, no escape in it."""
    shown = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown
