"""The parent's side: gives jobs to a child process, starts a new one where a job killed it, and collects answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10
ADDRESS_SPACE_BYTES = 2**30
_ATTACKER = Path(__file__).with_name("attacker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one run of the command line ended.

    Attributes:
        code: Its exit code; negative for the signal that ended the process.
        seconds: How long it took.
        stdout: What it wrote there.
        stderr: What it wrote there, or what a dying process left.
    """

    code: int
    seconds: float
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.stdout)


def attack(
    folder: Path, jobs: Sequence[Sequence[str]], *, seconds: int = SECONDS, space: int = ADDRESS_SPACE_BYTES
) -> list[Answer]:
    """Run the command line in ``folder`` once per job, a list of arguments, and return the answers in order."""
    answers: list[Answer] = []
    while len(answers) < len(jobs):
        lines = [json.dumps({"folder": str(folder), "arguments": list(job)}) for job in jobs[len(answers) :]]
        child = subprocess.run(
            [sys.executable, str(_ATTACKER), str(seconds), str(space)],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=False,
        )
        found = [Answer(**json.loads(line)) for line in child.stdout.splitlines()]
        answers += found
        if len(found) < len(lines):
            answers.append(
                Answer(code=child.returncode or -1, seconds=seconds, stdout="", stderr=child.stderr[-2000:])
            )
    return answers
