"""``memprof completion``: what a shell needs to complete commands, flags and values; and the man page."""

from __future__ import annotations

import click

from memprof.cli.output import open_stdout

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_MEMPROF_COMPLETE"


@click.command()
@click.argument("what", type=click.Choice([*_SHELLS, "man"]))
def command(what: str) -> None:
    """A script that completes commands, flags and values in a shell; or the man page.

    \b
    eval "$(memprof completion bash)"
    memprof completion zsh > ~/.zfunc/_memprof
    memprof completion fish > ~/.config/fish/completions/memprof.fish
    memprof completion man > memprof.1
    """
    from memprof.cli import main  # here, since this module serves one of its commands

    if what == "man":
        from memprof.cli.man import man_page

        text = man_page(main)
    else:
        from click.shell_completion import get_completion_class

        kind = get_completion_class(what)
        assert kind is not None, "click knows the three shells"
        completion = kind(main, {}, "memprof", _VARIABLE)
        text = completion.source_template % completion.source_vars()  # source() starts a shell to ask its version
    with open_stdout() as stream:
        stream.write(f"{text.rstrip()}\n")
