"""The child process: runs the command line on many hostile files, under the limits that each of them must respect.

Seconds are those of the processor, so that a busy machine fails nobody.

Usage: python attacker.py SECONDS ADDRESS_SPACE_BYTES < jobs > answers

A job is one line of JSON: the folder to run in and the arguments. The answer is one line: exit code, seconds, stdout
and stderr. A job that takes too long or crashes ends the process, and so its answer is missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import time


def main() -> None:
    """Answer every job on stdin."""
    seconds, space = int(sys.argv[1]), int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    from memprof.cli import main as program

    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    for line in sys.stdin:
        job = json.loads(line)
        os.chdir(job["folder"])
        out, err = io.StringIO(), io.StringIO()
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its action ends the process: native code cannot hold it up
        start = time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = program.main(job["arguments"], standalone_mode=False)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer = {
            "code": code,
            "seconds": time.process_time() - start,
            "stdout": out.getvalue(),
            "stderr": err.getvalue(),
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
