"""The child process: changes models byte by byte and analyses what comes out.

Usage: python mutant.py COUNT MODEL... meets mutants 0 to COUNT - 1 and prints one JSON object: how many ended in a
report, in a refusal, and the tracebacks of those that ended in anything else: a number that is null without a reason
is one of these.
"""

from __future__ import annotations

import collections
import json
import random
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

SECONDS = 10
ADDRESS_SPACE_BYTES = 2**30
ASKED = 100
"""One mutant in so many has the installed onnxruntime asked, in a process of its own: most of the time."""


def mutate(original: bytes, rng: random.Random) -> bytes:
    """Return ``original`` with a few bytes replaced, flipped, removed, inserted or repeated."""
    found = bytearray(original)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(found))
        kind = rng.randrange(9)  # mostly in place: other lengths rarely fit what is around them
        if kind < 3:
            found[place] = rng.randrange(256)
        elif kind < 6:
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 6:
            del found[place : place + rng.randrange(1, 5)]
        elif kind == 7:
            found[place:place] = rng.randbytes(rng.randrange(1, 5))
        else:
            source = rng.randrange(len(found))
            found[place:place] = found[source : source + rng.randrange(1, 50)]
    return bytes(found)


def main() -> None:
    """Analyse the mutants."""
    from silence import assert_nothing_is_silent

    import memprof
    from memprof.base.errors import MemprofError

    names = [Path(name) for name in sys.argv[2:]]
    count, originals = int(sys.argv[1]), [name.read_bytes() for name in names]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    ends: collections.Counter[str] = collections.Counter()
    bugs: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mutant{names[0].suffix}"
        for i in range(count):
            path.write_bytes(mutate(originals[i % len(originals)], random.Random(i)))
            signal.alarm(SECONDS)
            try:
                report = memprof.analyze(path, from_file=i % ASKED != ASKED - 1)
                json.dumps(report.to_json(), allow_nan=False)
                assert_nothing_is_silent(report)
                ends["report"] += 1
            except MemprofError as error:
                ends[error.kind] += 1
            except Exception:
                bugs.append(f"mutant {i}: {traceback.format_exc()}")
            signal.alarm(0)
    print(json.dumps({"ends": ends, "bugs": bugs}))


if __name__ == "__main__":
    main()
