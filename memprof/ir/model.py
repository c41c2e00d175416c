"""What every importer returns: the graph, where it came from, and what can still be found out about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from memprof.ir.graph import Graph
from memprof.ir.trace import Trace

_T = TypeVar("_T")

OPTIMIZED_FORMAT = "onnx.optimized"
"""The format of a graph that onnxruntime optimised and wrote: its nodes are listed in the order in which it runs."""

UNCHANGED_FORMAT = "onnx.unchanged"
"""The same where optimisation changed nothing: the nodes are listed as in the file, not as they run."""


class Once(Generic[_T]):
    """Something that is made when it is first asked for, and once."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: list[_T] = []

    def __call__(self) -> _T:
        """Return it."""
        if not self._made:
            self._made.append(self._make())
        return self._made[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """What a process held once it had made a default session of a model's structure, with zeros for weights.

    Attributes:
        library_bytes: Resident pages of files: code and tables of the library.
        anonymous_bytes: Resident pages of its own.
        taken_bytes: What the session keeps of the C library's heap.
        holes: Free pieces of the heap from about a kilobyte on, as (start, bytes); places are from its start.
        top: Where the last piece of the heap begins, which is free.
        end: Where the heap ends.
        threshold: Bytes from which on a request gets pages of its own.
        written: Resident pages of the heap as half-open runs, by number.
        given_back_bytes: What it held more at its most, and gave back.
        others: What other processes held, whose heaps had other free pieces before; asked where holes matter.
    """

    library_bytes: int
    anonymous_bytes: int
    taken_bytes: int
    holes: tuple[tuple[int, int], ...]
    top: int
    end: int
    threshold: int
    written: tuple[tuple[int, int], ...]
    given_back_bytes: int = 0
    others: tuple[Loading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How a default session of onnxruntime runs a model, asked of the installed one, which ran nothing.

    Attributes:
        model: The model as it was optimised there, ``None`` if it was not asked.
        threads: Threads of the session; 1 unless somebody says otherwise.
        reason: Why it was not asked, empty if it was.
        loading: What making it takes, ``None`` if nobody can say; it may say so only when asked.
    """

    model: Model | None = None
    threads: int = 1
    reason: str = ""
    loading: Once[Loading | None] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network as it was read.

    Attributes:
        path: The file or name it came from, as the caller wrote it.
        format: ``onnx``, ``onnx.optimized``, ``onnx.unchanged`` (optimised, and the same as before), ``tflite``,
            ``executorch``, ``torch.export``, ``torch.lowered`` (as ExecuTorch's exporter lowers it), ``torch.run``
            (what ran, where export fails), ``torch.training``, ``weights`` (a file of them, and the run of what its
            configuration says) or ``graph``.
        structure_sha256: Digest of what was read (weights are not), in hexadecimal; empty for a graph in memory.
        graph: The network.
        trace: What PyTorch did when it ran the network, ``None`` if it did not.
        ahead: The same graph, value by value, as its source alone tells it before a run, without what the caller
            settled; ``None`` if that is the graph. For runtime models that plan before a run.
        folded: The same with all worked out that follows from it, as an optimiser does; ``None`` if that is
            the graph.
        session: How a default session of onnxruntime runs it, ``None`` if nobody can say.
        installed: Version of the runtime of its format that is installed here, empty if none is or nobody looked.
        stored: Bytes of the weights by element type as a file stores them, where the graph was made of a
            configuration that knows no file; ``None`` if the graph's own count.
        wished: Sizes that were assumed for open dimensions instead of usual ones, which its graph does not fit.
    """

    path: str
    format: str
    structure_sha256: str
    graph: Graph
    trace: Trace | None = None
    ahead: Once[Graph] | None = field(default=None, repr=False, compare=False)
    folded: Once[Graph] | None = field(default=None, repr=False, compare=False)
    session: Once[Session] | None = field(default=None, repr=False, compare=False)
    installed: str = ""
    stored: Mapping[str, int] | None = None
    wished: Mapping[str, int] = field(default_factory=dict)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the weights, as the file stores them if it does."""
        return self.graph.parameter_bytes if self.stored is None else sum(self.stored.values())

    @classmethod
    def of(cls, graph: Graph) -> Model:
        """Return the model of a graph that came from no file."""
        return cls(path=graph.name, format="graph", structure_sha256="", graph=graph)
