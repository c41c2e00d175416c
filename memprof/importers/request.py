"""The request: what a caller asks about, and all that decides how it is read. Every verb and command makes one.

The question and the answer are different types: a Request says which network, of which sizes, for which kind of run;
a Model is what an importer made of it. What is asked *of* the network (a report, a plan, a run) is no part of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, Unpack

from memprof.base.errors import UsageError
from memprof.importers.torch.training import TORCH_DTYPES, Training
from memprof.ir import Graph
from memprof.ir.model import Model

Source = Any
"""What can be asked about: a file (.onnx, .tflite, .pte, .pt2, .safetensors, .gguf), a folder
of a model's weights, the name of a PyTorch module ("torchvision:resnet18",
"timm:resnet50", "transformers:FOLDER", "package.module:factory", "file.py:factory"), a ``torch.nn.Module``, an
``ExportedProgram``, a Graph or a Model."""

Elements = float | tuple[float, ...] | str
"""The elements of an input: one number that fills it, or all of them in order."""

USUAL_TEXT = " ".join(["word"] * 16)
"""A text where nothing says how long texts are."""

DEVICES = ("cpu", "cuda")
"""What a PyTorch module may be asked to run on."""

PRECISIONS = ("bfloat16", "float16")
"""What a PyTorch module and its inputs may be converted to."""

_MODULE_NAME = re.compile(r"(?:[A-Za-z_][\w.]*|.+\.py):[A-Za-z_][\w.]*", re.DOTALL)
_FAMILIES = ("torchvision:", "timm:", "transformers:")
_FILE_SUFFIXES = frozenset({".onnx", ".pt2", ".pte", ".tflite", ".json", ".csv", ".gguf", ".safetensors"})


class RequestArguments(TypedDict, total=False):
    """The fields of a Request besides its source and example inputs, as keyword arguments of the verbs."""

    dims: Mapping[str, int]
    inputs: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    values: Mapping[str, Elements]
    training: Training | None
    device: str
    run: bool
    trust: bool
    optimized: bool
    lowered: bool
    from_file: bool
    threads: int | None
    max_nodes: int
    wished: Mapping[str, int] | None
    precision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which network, of which sizes, for which kind of run.

    Attributes:
        source: See ``Source``. The name of a PyTorch module runs the Python code that it names.
        example_inputs: The inputs to run a module on: a tensor, a tuple of arguments or a mapping of keyword
            arguments; only their shapes and types are used.
        dims: Sizes of named dimensions: ``{"batch": 1}``.
        inputs: Shapes of graph inputs: ``{"x": (1, 3, 224, 224)}``; the name ``""`` means the only input.
        dtypes: Element types of inputs of a PyTorch module: ``{"ids": "int64"}``, for those whose shape is given.
        values: Elements of single inputs, where they decide shapes or a run: ``{"sr": 16000, "axes": (0, 2)}``. One
            number, or a text, fills an input.
        training: The step to ask about instead of inference; for PyTorch modules.
        device: What a PyTorch module is to run on: ``cpu`` or ``cuda``.
        run: Run a PyTorch module for real, with random weights and data, and report what was measured.
        trust: Read a .pt2 file with PyTorch's own loader, which runs code that the file brings.
        optimized: Let the installed onnxruntime optimise an ONNX file first, in a child process that runs nothing.
        lowered: Read a PyTorch module as ExecuTorch's exporter lowers it, without that exporter.
        from_file: Never start onnxruntime: what a default session would make of an ONNX file is estimated.
        max_nodes: Operations that an ONNX file may have; what grows with them may be as much larger.
        threads: Threads of the runtime, ``None`` for one on each core; each adds to the scratch of some kernels.
        wished: Sizes that are assumed for open dimensions of an ONNX file, by name or ``INPUT[AXIS]``, instead of
            usual ones; ``None`` to look for sizes that its graph fits.
        precision: What the floating parameters, buffers and inputs of a PyTorch module are converted to, one of
            ``PRECISIONS``; ``None`` to leave them as they are.
        ends_process: The process ends with the answer, so that libraries which it does not need may be kept out.

    Raises:
        UsageError: A field does not fit the source.
    """

    source: Source
    example_inputs: Any = None
    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Elements] = field(default_factory=dict)
    training: Training | None = None
    device: str = "cpu"
    run: bool = False
    trust: bool = False
    optimized: bool = False
    lowered: bool = False
    from_file: bool = False
    threads: int | None = None
    max_nodes: int = 100_000
    wished: Mapping[str, int] | None = None
    precision: str | None = None
    ends_process: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("dims", "inputs", "dtypes", "values"):
            object.__setattr__(self, name, dict(getattr(self, name) or {}))
        if self.max_nodes < 1:
            raise UsageError(f"A model cannot have up to {self.max_nodes} operations.", "Give 1 or more.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"A runtime cannot have {self.threads} threads.", "Give 1 or more.")
        if self.device not in DEVICES:
            raise UsageError(f"There is no device {self.device!r}.", f"Choose from: {', '.join(DEVICES)}.")
        for does_not_fit, message, hint in _MISFITS:
            if does_not_fit(self):
                raise UsageError(message.format(name=self.name), hint)

    @property
    def is_file(self) -> bool:
        """Whether the source is a file rather than a module or something in memory."""
        return isinstance(self.source, str | PathLike) and not names_module(self.source)

    @property
    def path(self) -> Path:
        """The file; only where ``is_file``."""
        return Path(self.source)

    @property
    def name(self) -> str:
        """What people call the source: its path or name as they wrote it, or the kind of thing in memory."""
        return str(self.source) if isinstance(self.source, str | PathLike) else type(self.source).__name__

    @property
    def names_dims(self) -> bool:
        """Whether the source is of a family of modules whose dimensions have names."""
        return isinstance(self.source, str) and self.source.startswith(_FAMILIES)

    @property
    def fixes_sizes(self) -> bool:
        """Whether the caller settles open sizes."""
        return bool(self.dims or self.inputs)


_MISFITS: tuple[tuple[Callable[[Request], bool], str, str], ...] = (
    (
        lambda asked: bool(asked.dims) and _is_module(asked) and not asked.names_dims,
        "Dimensions of a PyTorch module have no names.",
        "Give the shape: --input 1x3x224x224.",
    ),
    (
        lambda asked: bool(asked.dtypes) and not _is_module(asked),
        "{name} says itself of which types its inputs are.",
        "Leave the type out: --input NAME=1x512.",
    ),
    (
        lambda asked: not asked.dtypes.keys() <= asked.inputs.keys(),
        "An input has a type and no shape.",
        "Give both: --input NAME=int64:1x512.",
    ),
    (
        lambda asked: not TORCH_DTYPES.issuperset(asked.dtypes.values()),
        "An input has a type that PyTorch does not know.",
        f"Choose from: {', '.join(sorted(TORCH_DTYPES))}.",
    ),
    (
        lambda asked: asked.run and not _is_module(asked),
        "{name} is no PyTorch module, and only those are measured so.",
        "'memprof verify' runs files.",
    ),
    (
        lambda asked: asked.precision is not None and not _is_module(asked),
        "{name} is no PyTorch module, and only those are converted.",
        "Leave --precision out.",
    ),
    (
        lambda asked: asked.precision not in (None, *PRECISIONS),
        "A module is not converted to such a precision.",
        f"Choose from: {', '.join(PRECISIONS)}.",
    ),
    (
        lambda asked: asked.training is not None and asked.is_file,
        "{name} is a file, and only PyTorch modules can be trained.",
        "Name the module instead.",
    ),
    (
        lambda asked: asked.optimized and not asked.is_file,
        "Only onnxruntime optimises graphs, and {name} is no ONNX file.",
        "Leave --optimized out, or name an .onnx file.",
    ),
    (
        lambda asked: asked.lowered and asked.training is not None,
        "ExecuTorch's exporter lowers no training step.",
        "Leave the training out.",
    ),
)
"""What does not fit: a test, the sentence, what to do."""


def names_module(source: str | PathLike[str]) -> bool:
    """Tell whether ``source`` is the name of a PyTorch module rather than a file."""
    if isinstance(source, str) and source.startswith(_FAMILIES):
        return True
    if not isinstance(source, str) or Path(source).suffix.lower() in _FILE_SUFFIXES:
        return False
    if os.path.exists(source):  # noqa: PTH110 - false, and no error, for a name that is too long for any file
        return False
    return _MODULE_NAME.fullmatch(source) is not None


def names_report(source: Source) -> bool:
    """Tell whether ``source`` is a saved report: a .json, and no configuration of a family of modules."""
    is_named = isinstance(source, str | PathLike) and Path(source).suffix.lower() == ".json"
    return is_named and not names_module(source)


def make_request(
    source: Source | Request, example_inputs: Any = None, **arguments: Unpack[RequestArguments]
) -> Request:
    """Return the request that a verb's arguments stand for; those given replace fields of a request.

    Raises:
        UsageError: There is no such field, or one does not fit the source.
    """
    given: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
    if example_inputs is not None:
        given["example_inputs"] = example_inputs
    unknown = given.keys() - {of.name for of in fields(Request)}
    if unknown:
        raise UsageError(
            f"A request has no {min(unknown)!r}.", f"It has: {', '.join(of.name for of in fields(Request))}."
        )
    return replace(source, **given) if isinstance(source, Request) else Request(source=source, **given)


def _is_module(asked: Request) -> bool:
    return not asked.is_file and not isinstance(asked.source, Graph | Model)
