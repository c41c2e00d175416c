"""Open sizes of a recording: bound by the caller's flags, or listed as unknown. Pure.

``--dim s17=8`` names a symbol, ``--input x=8x3x224x224`` gives a whole shape; both bind it everywhere at once. The
rules and the errors are those of ONNX models. PyTorch numbers its symbols (``s17``) and forgets their given names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from memprof.importers.request import Request
from memprof.importers.torch.layouts import tensor_type
from memprof.importers.torch.records import OpRecord, Recording, StorageRecord, TensorRecord
from memprof.importers.torch.symbols import evaluate, symbols_in
from memprof.ir import Dim, Role, Unknown


def bind_recording(recording: Recording, request: Request) -> Recording:
    """Return ``recording`` with the sizes that ``request`` fixes, and the rest listed as unknown.

    Raises:
        UsageError: A name does not exist, a shape does not fit, a size is impossible, or two flags disagree.
    """
    given = {s.name: s.window for s in recording.storages if s.role is Role.INPUT and s.window is not None}
    symbols = dict.fromkeys(name for text in _open_sizes(recording) for name in symbols_in(text))
    sizes: Mapping[str, int] = {}
    if request.fixes_sizes:
        from memprof.importers.onnx.symbols import bind  # with it comes onnx, which an archive without flags spares

        sizes = bind(
            request,
            graph_inputs={name: tensor_type(window) for name, window in given.items()},
            symbols=symbols,
            tensors=lambda: (),
        ).sizes
    unknown = [
        Unknown(
            kind="dimension",
            name=name,
            reason=f"the program leaves it open{_where(name, given)}",
            hint=f"--dim {name}=1",
        )
        for name in symbols
        if name not in sizes
    ]
    unknown += [
        Unknown(kind="dtype", name=name, reason="its element type is not known, and so its bytes are not")
        for name in dict.fromkeys(_names_without_type(recording))
    ]
    bound = _bound(recording, sizes) if sizes else recording
    return replace(bound, unknown=bound.unknown + tuple(unknown))


def _where(symbol: str, given: Mapping[str, TensorRecord]) -> str:
    holders = [
        f"dimension {axis} of the input {name}"
        for name, window in given.items()
        for axis, dim in enumerate(window.shape)
        if dim == symbol
    ]
    return f": {holders[0]}" if holders else ""


def _open_sizes(recording: Recording) -> Iterator[str]:
    for window in _windows(recording):
        yield from (dim for dim in window.shape if isinstance(dim, str))


def _names_without_type(recording: Recording) -> Iterator[str]:
    for storage in recording.storages:
        if storage.window is not None and storage.window.dtype is None:
            yield storage.name
    for op in recording.ops:
        if any(window.dtype is None for window in op.writes):
            yield op.name or op.op
        for body in op.bodies:
            yield from _names_without_type(body)


def _windows(recording: Recording) -> Iterator[TensorRecord]:
    yield from (storage.window for storage in recording.storages if storage.window is not None)
    for op in recording.ops:
        yield from op.writes
        for body in op.bodies:
            yield from _windows(body)


def _bound(recording: Recording, sizes: Mapping[str, int]) -> Recording:
    return replace(
        recording,
        ops=tuple(_bound_op(op, sizes) for op in recording.ops),
        storages=tuple(_bound_storage(storage, sizes) for storage in recording.storages),
        outputs=tuple(_bound_window(window, sizes) for window in recording.outputs),
    )


def _bound_op(op: OpRecord, sizes: Mapping[str, int]) -> OpRecord:
    return replace(
        op,
        reads=tuple(None if window is None else _bound_window(window, sizes) for window in op.reads),
        writes=tuple(_bound_window(window, sizes) for window in op.writes),
        bodies=tuple(_bound(body, sizes) for body in op.bodies),
    )


def _bound_storage(storage: StorageRecord, sizes: Mapping[str, int]) -> StorageRecord:
    return storage if storage.window is None else replace(storage, window=_bound_window(storage.window, sizes))


def _bound_window(window: TensorRecord, sizes: Mapping[str, int]) -> TensorRecord:
    return window._replace(
        shape=tuple(_bound_dim(dim, sizes) for dim in window.shape),
        strides=None if window.strides is None else tuple(_bound_dim(step, sizes) for step in window.strides),
        offset=_bound_dim(window.offset, sizes),
    )


def _bound_dim(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    return evaluate(dim, sizes) if isinstance(dim, str) else dim
