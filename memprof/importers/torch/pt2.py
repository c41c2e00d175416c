"""A .pt2 archive (torch.export.save) -> records. Its JSON is read, no pickle is opened, no weight, and no torch.

    archive (zip)                                   what is taken
    */models/NAME.json                              graph, types of all tensors, signature, ranges of symbols
    */data/weights/*_weights_config.json            which parameters share one file: tied, counted once
    serialized_exported_program.json (torch < 2.7)  the same graph in the older layout
    anything else                                   never opened: weights, sample inputs (a pickle), code

The archive does not say which tensors share storage: that follows by the rules in ``sharing``. Everything read is
checked: what does not have the expected form is an InputError, never a surprise further in.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from memprof.base.errors import InputError, LimitError
from memprof.importers.documents import parse_json
from memprof.importers.request import Request
from memprof.importers.torch.binding import bind_recording
from memprof.importers.torch.graphs import build_graph
from memprof.importers.torch.lines import line_of
from memprof.importers.torch.ops import INLINED, MAX_BODY_DEPTH, RANDOM, autocast_note, base_name, is_in_place
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.importers.torch.sharing import Layout, shares_input
from memprof.importers.torch.symbols import describe
from memprof.ir import Assumption, Attribute, Dim, Role, TensorType
from memprof.ir.model import Model, Once

MAX_JSON_BYTES = 2**29
MAX_NODES = 2_000_000

_PROGRAM = re.compile(r"(?:^|/)models/[^/]+\.json$|^serialized_exported_program\.json$")
_WEIGHTS = re.compile(r"(?:^|/)data/weights/[^/]+_weights_config\.json$")

_SCALAR_TYPES: Mapping[int, str] = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "float32",  # two halves: the same four bytes
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8e4m3fn",
    30: "float8e5m2",
    31: "float8e4m3fnuz",
    32: "float8e5m2fnuz",
    33: "float8e8m0",
    34: "uint32",
    35: "uint64",
}
"""torch's codes of element types in the archive."""


def read_pt2(request: Request) -> Model:
    """Read a .pt2 file into a Model; weights are not read.

    Args:
        request: The file, sizes of its symbols (``{"s17": 8}``) and shapes of its inputs, which bind the symbols in
            them.

    Raises:
        InputError: The file is missing, no archive of torch.export.save, or broken.
        LimitError: It is larger than any real program.
        UsageError: A name does not exist in the program, or a shape does not fit.
    """
    recording, digest = read_archive(request.path)
    graph = build_graph(bind_recording(recording, request))
    ahead = Once(partial(build_graph, recording)) if request.fixes_sizes else None
    return Model(path=request.name, format="torch.export", structure_sha256=digest, graph=graph, ahead=ahead)


def read_archive(path: Path) -> tuple[Recording, str]:
    """Read a .pt2 file; return its program and the SHA-256 of its structure.

    Raises:
        InputError: The file is missing, no archive of torch.export.save, or broken.
        LimitError: It is larger than any real program.
    """
    structure, config = _open_archive(path)
    try:
        program = parse_json(structure, float)["graph_module"]
        reader = _Reader(program["graph"], _tied(config))
        recording = reader.main(path.stem, program["signature"])
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError, RecursionError) as error:
        raise InputError(
            f"{path} does not hold a program as torch.export.save writes it: {type(error).__name__} {error}.",
            "Save it again with this PyTorch, or add --trust to read it with PyTorch's own loader.",
        ) from error
    return recording, hashlib.sha256(structure).hexdigest()


def _open_archive(path: Path) -> tuple[bytes, bytes]:
    """Return the JSON of the program and that of its weights' names; the second is empty where there is none."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file.", "Name a .pt2 file.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            programs = sorted(name for name in names if _PROGRAM.search(name))
            if not programs:
                raise InputError(
                    f"{path} is a zip archive without an exported program.", "Write it with torch.export.save."
                )
            if len(programs) > 1:
                raise InputError(
                    f"{path} holds {len(programs)} programs; one can be analysed.", "Save each to a file of its own."
                )
            configs = [name for name in names if _WEIGHTS.search(name)]
            return _read_entry(archive, programs[0]), _read_entry(archive, configs[0]) if configs else b""
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError) as error:
        raise InputError(f"{path} is no .pt2 archive: {error}.", "Write it with torch.export.save.") from error


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        found = stream.read(MAX_JSON_BYTES + 1)  # not what the directory claims: that may be a lie
    if len(found) > MAX_JSON_BYTES:
        raise LimitError(f"{name} has more than {MAX_JSON_BYTES} bytes.")
    return found


def _tied(config: bytes) -> Mapping[str, str]:
    """Return, for each parameter, the file its weights are in: one file for several is one tensor."""
    if not config:
        return {}
    return {name: str(entry["path_name"]) for name, entry in parse_json(config)["config"].items()}


class _Tensor(NamedTuple):
    window: TensorRecord
    layout: Layout


class _Reader:
    """Turns one graph of the archive into records.

    Args:
        graph: Its JSON.
        tied: Parameter -> the file of its weights.
        depth: How deep it nests in others.
    """

    def __init__(self, graph: Any, tied: Mapping[str, str], depth: int = 0) -> None:
        if depth > MAX_BODY_DEPTH:
            raise LimitError(f"Bodies of control flow nest more than {MAX_BODY_DEPTH} deep.")
        if len(graph["nodes"]) > MAX_NODES:
            raise LimitError(f"The program has more than {MAX_NODES} operations.")
        self._graph = graph
        self._tied = tied
        self._depth = depth
        self._metas: dict[str, Any] = dict(graph["tensor_values"])
        self._tensors: dict[str, _Tensor] = {}
        self._storages: list[StorageRecord] = []
        self._ops: list[OpRecord] = []
        self._assumed: dict[Assumption, None] = {}

    def main(self, name: str, signature: Any) -> Recording:
        """Return the records of the whole program."""
        files: dict[str, int] = {}
        for spec in signature["input_specs"]:
            ((kind, body),) = spec.items()
            argument = body["arg"]
            tensor = argument.get("name") or argument.get("as_tensor", {}).get("name")
            if tensor not in self._metas:
                continue
            if kind == "user_input":
                self._add_known(tensor, Role.INPUT, tensor)
                continue
            target = str(body.get(f"{kind}_name", tensor))
            file = self._tied.get(target)
            if file is not None and file in files:
                self._define(tensor, files[file])
            else:
                self._add_known(tensor, Role.PARAMETER, target)
                if file is not None:
                    files[file] = self._tensors[tensor].window.storage
        self._walk(self._graph["nodes"])
        return self._recording(name)

    def body(self) -> Recording:
        """Return the records of a branch or a loop's body: what it is given comes from the graph around it."""
        for name in _names(self._graph["inputs"]):
            self._add_known(name, Role.CAPTURE, name)
        self._walk(self._graph["nodes"])
        return self._recording("")

    def _recording(self, name: str) -> Recording:
        outputs = [self._tensors[output].window for output in _names(self._graph["outputs"])]
        return Recording(
            name=name,
            ops=tuple(self._ops),
            storages=tuple(self._storages),
            outputs=tuple(outputs),
            assumed=tuple(self._assumed),
        )

    def _walk(self, nodes: Any) -> None:
        for node in nodes:
            target = str(node["target"]).removeprefix("torch.ops.")
            graphs = [value["graph"] for value in _arguments(node, "as_graph")]
            if graphs and target.removeprefix("higher_order.") in INLINED and len(graphs) == 1:
                self._note_casts(node, target.removeprefix("higher_order."))
                self._inline(node, graphs[0])
            else:
                self._record(node, target, graphs)

    def _note_casts(self, node: Any, target: str) -> None:
        flags = [argument["arg"]["as_bool"] for argument in node["inputs"] if "as_bool" in argument["arg"]]
        note = autocast_note(target, ("", "a shorter type", *flags[:1]))
        if note is not None:
            self._assumed[note] = None

    def _inline(self, node: Any, graph: Any) -> None:
        self._depth += 1
        if self._depth > MAX_BODY_DEPTH:
            raise LimitError(f"Blocks nest more than {MAX_BODY_DEPTH} deep.")
        given = [name for argument in node["inputs"] for name in _names([argument["arg"]])]
        outer = self._tensors
        inner = dict(zip(_names(graph["inputs"]), (outer[name] for name in given), strict=False))
        metas, self._metas, self._tensors = self._metas, dict(graph["tensor_values"]), inner
        self._walk(graph["nodes"])
        results = [self._tensors[name] for name in _names(graph["outputs"])]
        self._metas, self._tensors = metas, outer
        outer.update(zip(_names(node["outputs"]), results, strict=False))
        self._depth -= 1

    def _record(self, node: Any, target: str, graphs: list[Any]) -> None:
        namespace, _, rest = target.partition(".")
        op = f"{namespace}.{rest.partition('.')[0]}"
        reads = [self._tensors[name] for argument in node["inputs"] for name in _names([argument["arg"]])]
        names = [name for name in _names(node["outputs"]) if name in self._metas]
        if not names:
            return
        attributes = _attributes(node)
        for name in names:
            output = _tensor(self._metas[name], 0).layout
            shares = bool(reads) and shares_input(op, reads[0].layout, output, attributes)
            self._define(name, reads[0].window.storage if shares else None)
        self._ops.append(
            OpRecord(
                op=op,
                reads=tuple(tensor.window for tensor in reads),
                writes=tuple(self._tensors[name].window for name in names),
                changes=(reads[0].window.storage,) if reads and is_in_place(op) else (),
                name=str(node.get("name") or names[0]).rstrip("_"),
                module=_module_path(node),
                line=line_of((node.get("metadata") or {}).get("stack_trace")),
                attributes=attributes,
                is_random=base_name(op) in RANDOM,
                bodies=tuple(_Reader(graph, self._tied, self._depth + 1).body() for graph in graphs),
            )
        )

    def _add_known(self, name: str, role: Role, shown: str) -> None:
        self._define(name, None)
        window = self._tensors[name].window
        self._storages[window.storage] = replace(
            self._storages[window.storage],
            role=role,
            name=shown,
            module=shown.rpartition(".")[0] if role is Role.PARAMETER else "",
            window=window,
        )

    def _define(self, name: str, storage: int | None) -> None:
        if storage is None:
            storage = len(self._storages)
            tensor = _tensor(self._metas[name], storage)
            size = TensorType(tensor.window.dtype, tensor.window.shape).size_bytes
            self._storages.append(StorageRecord(size_bytes=size))
        else:
            tensor = _tensor(self._metas[name], storage)
        self._tensors[name] = tensor


def _tensor(meta: Any, storage: int) -> _Tensor:
    shape, strides = tuple(map(_dim, meta["sizes"])), tuple(map(_dim, meta["strides"]))
    window = TensorRecord(storage, _SCALAR_TYPES.get(meta["dtype"]), shape, strides, _dim(meta["storage_offset"]))
    example, steps = tuple(map(_hint, meta["sizes"])), tuple(map(_hint, meta["strides"]))
    if len(shape) != len(strides):
        raise ValueError("a tensor has more axes than strides")
    return _Tensor(window, Layout(window.dtype, example, steps, str(meta["device"])))


def _dim(size: Any) -> Dim:
    ((kind, value),) = size.items()
    if kind == "as_int":
        return int(value)
    return describe(str(value["expr_str"]))


def _hint(size: Any) -> int:
    ((kind, value),) = size.items()
    return int(value) if kind == "as_int" else int((value.get("hint") or {}).get("as_int", 2))


def _names(arguments: Any) -> list[str]:
    """Return the names of the tensors in a list of arguments, in order."""
    found: list[str] = []
    for argument in arguments:
        for kind, value in argument.items():
            if kind == "as_tensor":
                found.append(str(value["name"]))
            elif kind == "as_tensors":
                found += [str(item["name"]) for item in value]
            elif kind == "as_optional_tensor" and "as_tensor" in value:
                found.append(str(value["as_tensor"]["name"]))
            elif kind == "as_optional_tensors":
                found += [str(item["as_tensor"]["name"]) for item in value if "as_tensor" in item]
            elif kind == "as_nested_tensors":
                found += [str(item["name"]) for items in value for item in items]
    return found


def _arguments(node: Any, kind: str) -> Iterator[Any]:
    for argument in node["inputs"]:
        if kind in argument["arg"]:
            yield argument["arg"][kind]


def _attributes(node: Any) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for argument in node["inputs"]:
        ((kind, value),) = argument["arg"].items()
        name = str(argument["name"])
        if kind in ("as_int", "as_bool"):
            found[name] = int(value)
        elif kind == "as_float":
            found[name] = float(value)
        elif kind == "as_string":
            found[name] = str(value)
        elif kind == "as_ints" and value:
            found[name] = tuple(int(item) for item in value)
    return found


def _module_path(node: Any) -> str:
    stack = str((node.get("metadata") or {}).get("nn_module_stack", ""))
    last = stack.rpartition(";")[2].split(",")
    return last[1] if len(last) > 2 and not last[1].startswith("_empty") else ""
