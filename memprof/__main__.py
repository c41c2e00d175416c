"""``python -m memprof``, which puts the working folder first on the path: a ``json.py`` there would run.

It is taken off before anything is imported from it. (memprof's own name has been looked up there by then: in a folder
that holds a ``memprof.py`` from somebody else, only the command ``memprof`` or ``python -P -m memprof`` is safe.)
"""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - pathlib is not loaded
    del sys.path[0]

from memprof.cli import main

if __name__ == "__main__":
    main()
