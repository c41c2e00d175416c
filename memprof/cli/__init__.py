"""The command line: one thin file per command, imported only when that command is called.

    COMMANDS      the table of commands: a name, the module whose ``command`` it is, and its line in the help
    failures.py   every exception -> one message, one hint, one exit code
    output.py     where results go: stdout, stderr, files written whole or not at all
    options.py    flags that several commands share, and how their values are read
    analyze.py    one command per file: arguments, one call, one render, an exit code

A command's callback returns its exit code (``None`` is 0) and raises ``MemprofError`` for everything else. Nothing
here imports more than click at start-up.
"""

from __future__ import annotations

from memprof.cli.program import CommandEntry, Program

COMMANDS = {
    "analyze": CommandEntry("memprof.cli.analyze", "How much memory a model needs, where it goes and why."),
    "plan": CommandEntry("memprof.cli.plan", "The least memory a model needs: order, addresses, proof."),
    "fit": CommandEntry("memprof.cli.fit", "The largest batch, resolution or length that fits a memory."),
    "compare": CommandEntry("memprof.cli.compare", "Two models or saved reports side by side."),
    "check": CommandEntry("memprof.cli.check", "Does a model fit its budgets? For a CI job."),
    "boards": CommandEntry("memprof.cli.boards", "Boards by name, and which of them a model fits."),
    "bench": CommandEntry("memprof.cli.bench", "How long models take in onnxruntime, and what they allocate."),
    "verify": CommandEntry("memprof.cli.verify", "Predicted against measured, in a real run on this machine."),
    "nas": CommandEntry("memprof.cli.nas", "Search for a network that needs less (MemNAS)."),
    "completion": CommandEntry("memprof.cli.completion", "What a shell needs to complete commands; the man page."),
    "doctor": CommandEntry("memprof.cli.doctor", "What is installed here, and how to get what is missing."),
}
"""Every command by name, in the order of the help. The module holds ``command``, a ``click.Command``."""

main = Program(COMMANDS)
"""The program: ``main()`` exits with the code that ``main.main(args, standalone_mode=False)`` returns."""

__all__ = ["COMMANDS", "main"]
