"""From a file of weights, or a folder of them, to a Model: weights by their headers, the rest by a run without data.

found                                                       the model
weights and a configuration that transformers can make      the run of the module it describes, with the bytes of
                                                               weights that the headers say
a configuration that nothing here can make                  weights, and a key-value cache by its sizes; what is
                                                               alive besides stays unknown
weights alone                                               weights; all else stays unknown
a configuration alone                                       the run, with the module's own weights
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from memprof.base.errors import InputError, UsageError
from memprof.importers.request import Request
from memprof.importers.torch.configs import CONFIG_NAME, Config, config_of, read_config
from memprof.importers.weights.architectures import config_values
from memprof.importers.weights.attention import cache_bytes
from memprof.importers.weights.gguf import read_gguf
from memprof.importers.weights.safetensors import INDEX_NAME, read_index, read_safetensors
from memprof.importers.weights.stored import Stored, StoredTensor
from memprof.ir import Assumption, Graph, GraphBuilder, NewValue, TensorType, Unknown
from memprof.ir.model import Model

FORMAT = "weights"
_READERS: Mapping[str, Callable[[Path], Stored]] = MappingProxyType(
    {".safetensors": read_safetensors, ".gguf": read_gguf}
)
SUFFIXES = frozenset(_READERS)
"""Endings of the names of files that are read; a folder is read if it holds one, or a configuration."""

_USUAL: Mapping[str, int] = MappingProxyType({"batch": 1, "sequence": 128})


def read_weights(request: Request) -> Model:
    """Return the Model of a .safetensors or .gguf file, an index of the former, or a folder.

    Raises:
        InputError: A file is missing or invalid, or its configuration cannot be made.
        LimitError: A file asks for more than a limit allows.
        UsageError: A dimension does not exist.
    """
    path = request.path
    if not path.exists():
        raise InputError(f"There is no file {path}.", "Check the path.")
    stored = _stored(path)
    config = _config(path, stored)
    if config is None:
        assert stored is not None, "a folder without either is told before"
        return _known(request, stored, _alone(request, stored))
    if not (find_spec("torch") and find_spec("transformers")):
        why = _Why("transformers is not installed", "pip install transformers, where it knows the model, gives them.")
        return _known(request, stored, _by_sizes(request, config, stored, why))
    if stored is not None and not config.values.get("model_type"):
        return _known(request, stored, _by_sizes(request, config, stored, _unnamed(stored)))
    from memprof.importers.torch.loading import read_configuration

    try:
        model = read_configuration(config, request)
    except UsageError:
        raise
    except InputError as error:
        if stored is None:
            raise
        why = _Why(error.message, error.hint or "See whether a newer transformers knows the model.")
        return _known(request, stored, _by_sizes(request, config, stored, why))
    return _known(request, stored, replace(model.graph, assumed=(*model.graph.assumed, *_notes(path))), model)


class _Why(NamedTuple):
    """Why a network cannot be run, and what settles it."""

    reason: str
    hint: str


def _unnamed(stored: Stored) -> _Why:
    """Return why a file's architecture is none that transformers has."""
    architecture = stored.metadata.get("general.architecture")
    if architecture is None:
        return _Why("the configuration says no model_type", "Put the model's own config.json beside the file.")
    return _Why(
        f"memprof has no module for the architecture {architecture!r} with these sizes",
        "Name a module of it instead: transformers:CONFIG.json, file.py:function.",
    )


def _known(request: Request, stored: Stored | None, graph: Graph, run: Model | None = None) -> Model:
    made = run or Model(path=request.name, format=FORMAT, structure_sha256="", graph=graph)
    return replace(
        made,
        path=request.name,
        format=FORMAT,
        graph=graph,
        stored=None if stored is None else stored.bytes_by_dtype,
    )


def _stored(path: Path) -> Stored | None:
    """Return what the headers say that ``path`` stands for, ``None`` for a folder without weights."""
    if not path.is_dir():
        return _READERS[path.suffix.lower()](path)
    if (path / INDEX_NAME).is_file():
        return read_index(path / INDEX_NAME)
    try:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    except OSError as error:
        raise InputError(f"The folder {path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if (path / "model.safetensors") in files:
        return read_safetensors(path / "model.safetensors")
    packed = [file for file in files if file.suffix.lower() == ".gguf"]
    if len(packed) > 1 and "-of-" not in packed[0].name:
        raise UsageError(f"{path} holds several models: {packed[0].name}, {packed[1].name}.", "Name one of them.")
    if packed:
        return read_gguf(packed[0])
    if len(files) > 1:
        raise UsageError(f"{path} holds several files of weights and no {INDEX_NAME}.", "Name one of them.")
    if files:
        return read_safetensors(files[0])
    if not (path / CONFIG_NAME).is_file():
        raise InputError(f"{path} holds no {CONFIG_NAME} and no weights.", "Name a file, or a model's folder.")
    return None


def _config(path: Path, stored: Stored | None) -> Config | None:
    folder = path if path.is_dir() else path.parent
    if stored is not None and "general.architecture" in stored.metadata:
        values = config_values(stored)
        if values is not None and ("model_type" in values or not (folder / CONFIG_NAME).is_file()):
            return config_of(values, str(path))
    return read_config(str(folder)) if (folder / CONFIG_NAME).is_file() else None


def _notes(path: Path) -> tuple[Assumption, ...]:
    if path.suffix.lower() != ".gguf":
        return ()
    return (
        Assumption(
            kind="dtype",
            name="network",
            reason="it was run as transformers has it; llama.cpp keeps its own buffers",
            hint="",
        ),
    )


def _alone(request: Request, stored: Stored) -> Graph:
    builder = _builder(request, stored)
    builder.add_unknown(
        Unknown(
            kind="operator",
            name="network",
            reason="the file holds weights alone, and nothing says what computes with them",
            hint=f"Put the model's {CONFIG_NAME} beside it.",
        )
    )
    return _with_open_run(builder, None)


def _by_sizes(request: Request, config: Config, stored: Stored | None, why: _Why) -> Graph:
    sizes = {**_USUAL, **request.dims}
    if foreign := sizes.keys() - _USUAL.keys():
        raise UsageError(f"The model has no dimension {min(foreign)!r}.", "It has: batch, sequence.")
    builder = _builder(request, stored or Stored(()))
    if stored is None:
        builder.add_parameter("weights", TensorType(None, None))
    for name in _USUAL.keys() - request.dims.keys():
        builder.add_assumption(
            Assumption(
                kind="dimension",
                name=f"{name}={sizes[name]}",
                reason=f"the model leaves {name} open, and {sizes[name]} is usual",
                hint=f"--dim {name}={8 if name == 'batch' else 512}",
            )
        )
    builder.add_unknown(
        Unknown(
            kind="operator",
            name="activations" if stored else "weights and activations",
            reason=f"the network cannot be run: {why.reason.rstrip('.')}",
            hint=why.hint,
        )
    )
    return _with_open_run(builder, cache_bytes(config.values, sizes["batch"], sizes["sequence"]))


def _builder(request: Request, stored: Stored) -> GraphBuilder:
    builder = GraphBuilder(request.name)
    seen: dict[str, int] = {}
    for tensor in stored.tensors:
        count = seen[tensor.name] = seen.get(tensor.name, -1) + 1
        builder.add_parameter(f"{tensor.name}#{count}" if count else tensor.name, _type(tensor))
    return builder


def _type(tensor: StoredTensor) -> TensorType:
    return TensorType("uint8", (tensor.size_bytes,))


def _with_open_run(builder: GraphBuilder, cache: int | None) -> Graph:
    """Return a graph of one operation: it keeps the cache, and takes what is not known."""
    tokens = builder.add_input("tokens", TensorType("int64", None))
    outputs = [NewValue("activations", TensorType(None, None))]
    if cache is not None:
        outputs.append(NewValue("key-value cache", TensorType("uint8", (cache,))))
    written = builder.add_node("network", [tokens], outputs, is_foldable=False)
    return builder.build([i for i in written[1:] if i is not None])
