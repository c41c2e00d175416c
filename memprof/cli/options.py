"""Flags that several commands share, each declared once, and how their values are read.

    source_options    what decides which network is asked about; the running command's Request is made from them
    run_options       limits of the commands that run a model in a child process, and what its inputs hold

Their values do not travel as arguments of the commands: ``read_request`` collects them where they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from memprof.base.errors import UsageError
from memprof.base.units import parse_bytes, parse_shape
from memprof.cli.output import OWN_PROCESS
from memprof.importers.torch.training import OPTIMIZER_NAMES, Training

if TYPE_CHECKING:
    from memprof.importers.request import Elements, Request
    from memprof.measure.child import Limits
    from memprof.runtimes import RuntimeModel

_Function = TypeVar("_Function", bound=Callable[..., Any])
_KEY = "memprof.given"
_BELOW_ONE = re.compile(r"-[0-9]{1,18}")
_NUMBER = re.compile(r"[0-9]{1,18}")


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    context.meta.setdefault(_KEY, {})[parameter.opts[0]] = value


def _kept(flag: str, **settings: Any) -> Callable[[_Function], _Function]:
    return click.option(flag, expose_value=False, callback=_keep, **settings)


def _complete_dims(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the dimensions that the file on the command line leaves open, for a shell; none if it cannot be read."""
    from memprof.base.errors import MemprofError

    found: dict[str, None] = {}
    for path in ctx.args:  # a flag without its value ends the parsing: what was typed before is left here
        try:
            from memprof.api import load

            graph = load(path).graph if path.lower().endswith((".onnx", ".tflite")) else None
        except MemprofError:
            continue
        if graph is not None:
            names = [note.name for note in graph.assumed if note.kind == "dimension"]
            names += [note.name for note in graph.unknown if note.kind == "dimension"]
            found |= dict.fromkeys(f"{name.partition('=')[0]}=" for name in names)
    return [CompletionItem(text) for text in found if text.startswith(incomplete)]


_SOURCE_OPTIONS = (
    _kept(
        "--dim",
        metavar="NAME=N",
        multiple=True,
        shell_complete=_complete_dims,
        help="Size of a named dimension: batch=1. Repeatable.",
    ),
    _kept(
        "--input",
        metavar="[NAME=][TYPE:]1x3x224x224",
        multiple=True,
        help="Shape of an input; the name may be left out if there is one. A PyTorch module's may have"
        " a type: ids=int64:1x512. Repeatable.",
    ),
    _kept("--training", is_flag=True, help="A PyTorch module's forward and backward pass, not inference."),
    _kept("--optimizer", type=click.Choice(OPTIMIZER_NAMES), help="Its step too; implies --training."),
    _kept(
        "--checkpointing",
        is_flag=True,
        help="Activations of repeated blocks are computed again, not kept; implies --training.",
    ),
    _kept("--device", type=click.Choice(["cpu", "cuda"]), help="Where a PyTorch module is to run; cpu."),
    _kept(
        "--precision",
        type=click.Choice(["bfloat16", "float16"]),
        help="What a PyTorch module and its inputs are converted to; as they are.",
    ),
    _kept("--trust", is_flag=True, help="Read a .pt2 file with PyTorch's own loader, which runs code in it."),
    _kept("--optimized", is_flag=True, help="Let the installed onnxruntime optimise an ONNX file first."),
    _kept("--from-file", is_flag=True, help="Never start onnxruntime: estimate from the ONNX file alone."),
    _kept("--threads", type=click.IntRange(min=1), metavar="N", help="Threads of the runtime; one for each core."),
    _kept(
        "--max-nodes", type=click.IntRange(min=1), metavar="N", help="Operations that an ONNX file may have; 100000."
    ),
    _kept(
        "--value",
        metavar="NAME=X",
        multiple=True,
        help="Elements of an input, where they decide shapes or a run: sr=16000, sizes=1,3,640,640. Repeatable.",
    ),
)
_RUN_OPTIONS = (
    _kept(
        "--timeout", type=float, default=600.0, show_default=True, metavar="SECONDS", help="How long a run may take."
    ),
    _kept("--memory-limit", metavar="BYTES", help="What a run may allocate: 4GB. [default: 90 % of RAM]"),
)
_REQUEST_FLAGS = (
    "--dim",
    "--input",
    "--training",
    "--optimizer",
    "--checkpointing",
    "--device",
    "--precision",
    "--run",
    "--trust",
    "--optimized",
    "--from-file",
    "--threads",
    "--max-nodes",
    "--value",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes as integers, unknown as null.")
top_option = click.option(
    "--top", type=click.IntRange(min=1), default=8, show_default=True, help="Rows in long lists."
)


class RuntimeOption(click.Option):
    """``--runtime``: its help ends with the names that would do, looked up in ``RUNTIMES`` when help is shown."""

    def __init__(self, *args: Any, takes: Callable[[RuntimeModel], bool], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._takes = takes

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return flag and help as click shows them, names added."""
        from memprof.runtimes import RUNTIMES

        record = super().get_help_record(ctx)
        if record is None:
            return None
        names = [name for name, row in RUNTIMES.items() if self._takes(row)]
        return record[0], f"{record[1]} One of: {', '.join(names)}."

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that would do, for a shell."""
        from memprof.runtimes import RUNTIMES

        names = [name for name, row in RUNTIMES.items() if self._takes(row)]
        return [CompletionItem(name, help=RUNTIMES[name].summary) for name in names if name.startswith(incomplete)]


def runtime_option(
    *names: str, takes: Callable[[RuntimeModel], bool] = lambda row: True, **settings: Any
) -> Callable[[_Function], _Function]:
    """Return ``--runtime``.

    Args:
        names: Of the argument, if not ``runtime``.
        takes: Whether a row of ``RUNTIMES`` can be named.
        settings: As for ``click.option``.
    """
    return click.option("--runtime", *names, cls=RuntimeOption, takes=takes, metavar="NAME", **settings)


measured_option = _kept(
    "--run", is_flag=True, help="Run a PyTorch module for real, with random weights, and show what was measured."
)
runtimes_option = runtime_option("runtimes", multiple=True, help="Runtime model; the first leads. Repeatable.")


def source_options(command: _Function) -> _Function:
    """Add the flags that decide which network is asked about; ``read_request`` returns what was given."""
    return _decorated(command, _SOURCE_OPTIONS)


def run_options(command: _Function) -> _Function:
    """Add the flags of a run in a child process; ``read_limits`` and ``read_request`` return what was given."""
    return _decorated(command, _RUN_OPTIONS)


def read_request(source: str) -> Request:
    """Return what the flags of the running command ask about ``source``.

    Raises:
        UsageError: A flag cannot be read, or does not fit the source.
    """
    from memprof.importers.request import Request  # here, since the help of a command needs none of it

    optimizer, checkpointing = _given("--optimizer"), bool(_given("--checkpointing"))
    is_training = optimizer or checkpointing or _given("--training")
    inputs = parse_inputs(_given("--input") or ())
    return Request(
        source=source,
        dims=parse_dims(_given("--dim") or ()),
        inputs={name: shape for name, (shape, _) in inputs.items()},
        dtypes={name: dtype for name, (_, dtype) in inputs.items() if dtype},
        values=parse_values(_given("--value") or ()),
        training=Training(optimizer, checkpointing=checkpointing) if is_training else None,
        device=_given("--device") or "cpu",
        precision=_given("--precision"),
        run=bool(_given("--run")),
        trust=bool(_given("--trust")),
        optimized=bool(_given("--optimized")),
        from_file=bool(_given("--from-file")),
        threads=_given("--threads"),
        max_nodes=_given("--max-nodes") or 100_000,
        ends_process=bool(click.get_current_context().meta.get(OWN_PROCESS)),
    )


def read_limits() -> Limits:
    """Return the limits of the child process that the flags of the running command set.

    Raises:
        UsageError: A limit is not above zero, or is no amount of bytes.
    """
    from memprof.measure.child import Limits

    most = _given("--memory-limit")
    return Limits(seconds=_given("--timeout"), memory_bytes=None if most is None else parse_bytes(most))


def request_flags() -> list[str]:
    """Return the flags of the request as they were given, to be repeated in a command that is suggested."""
    words: list[str] = []
    for flag in _REQUEST_FLAGS:
        value = _given(flag)
        if value is True:
            words.append(flag)
        elif value:
            texts = value if isinstance(value, tuple) else (value,)
            words += [word for text in texts for word in (flag, str(text))]
    return words


def pop_bare_dims() -> list[str]:
    """Return what ``--dim`` was given without a size, and have ``read_request`` see the others alone."""
    given = click.get_current_context().meta.setdefault(_KEY, {})
    texts = given.get("--dim") or ()
    given["--dim"] = tuple(text for text in texts if "=" in text)
    return [text for text in texts if "=" not in text]


def _decorated(command: _Function, options: Iterable[Callable[[_Function], _Function]]) -> _Function:
    for decorate in reversed(tuple(options)):
        command = decorate(command)
    return command


def _given(flag: str) -> Any:
    return click.get_current_context().meta.get(_KEY, {}).get(flag)


def parse_dims(texts: Iterable[str]) -> dict[str, int]:
    """Return the sizes of named dimensions.

    Raises:
        UsageError: A text is not NAME=N, or one name has two sizes.

    >>> parse_dims(["batch=1", "seq=128"])
    {'batch': 1, 'seq': 128}
    """
    found: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if name and _BELOW_ONE.fullmatch(size):
            raise UsageError(f"--dim {text}: {size} is no size.", "Give 1 or more.")
        if not name or not _NUMBER.fullmatch(size):
            raise UsageError(f"--dim {text} is not NAME=N.", "Write --dim batch=1.")
        if found.setdefault(name, int(size)) != int(size):
            raise UsageError(f"--dim gives {name!r} two sizes.", "Give each dimension once.")
    return found


def parse_inputs(texts: Iterable[str]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and element type of inputs; the key of one without a name is ``""``, a type left out is empty.

    Raises:
        UsageError: A text is not [NAME=][TYPE:]DIMxDIM..., or one input has two shapes or types.

    >>> parse_inputs(["1x3x224x224", "mask=bool:1x128"])
    {'': ((1, 3, 224, 224), ''), 'mask': ((1, 128), 'bool')}
    """
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    for text in texts:
        name, _, said = text.rpartition("=")
        dtype, _, dims = said.rpartition(":")
        shape = parse_shape(dims)
        if shape is None:
            raise UsageError(
                f"--input {text} is not a shape.",
                "Write --input 1x3x224x224, --input NAME=1x128 or --input NAME=int64:1x128.",
            )
        if found.setdefault(name, (shape, dtype)) != (shape, dtype):
            raise UsageError(f"--input gives {name or 'the input'!r} two shapes.", "Give each input once.")
    return found


def parse_values(texts: Iterable[str]) -> dict[str, Elements]:
    """Return the elements of single inputs: one number or text fills an input, several numbers are all of them.

    Raises:
        UsageError: A text is not NAME=NUMBERS or NAME=TEXT, or one input has two values.

    >>> parse_values(["sr=16000", "axes=0,2", "colour=red"])
    {'sr': 16000.0, 'axes': (0.0, 2.0), 'colour': 'red'}
    """
    found: dict[str, Elements] = {}
    for text in texts:
        name, _, shown = text.rpartition("=")
        if not name or not shown:
            raise UsageError(f"--value {text} is not NAME=NUMBERS.", "Write --value sr=16000 or sizes=1,3,640,640.")
        value: Elements
        try:
            numbers = tuple(map(float, shown.split(",")))
        except ValueError:
            value = shown
        else:
            value = numbers[0] if len(numbers) == 1 else numbers
        if found.setdefault(name, value) != value:
            raise UsageError(f"--value gives {name!r} two values.", "Give each input once.")
    return found


def pick_one(flags: Mapping[str, bool]) -> str | None:
    """Return the flag that is set, ``None`` if none is.

    Raises:
        UsageError: More than one is set.
    """
    chosen = [name for name, is_set in flags.items() if is_set]
    if len(chosen) > 1:
        raise UsageError(
            f"{' and '.join(chosen)} exclude each other.", "Give one of them; -o FILE writes the others."
        )
    return chosen[0] if chosen else None


def repeat_flags(flags: Mapping[str, Iterable[str]]) -> list[str]:
    """Return repeatable flags as the arguments they were.

    >>> repeat_flags({"--dim": ["batch=1", "seq=8"]})
    ['--dim', 'batch=1', '--dim', 'seq=8']
    """
    return [word for name, values in flags.items() for value in values for word in (name, value)]
