"""Modules and inputs without memory: copies whose tensors know shape and device only.

PyTorch picks kernels by the device a tensor is on (fused attention, mkldnn or cuDNN operations), so the copies *say*
that they are on the device that is asked about although they hold nothing: torch's fake tensors. Plain ``meta``
tensors are the second choice, for modules that fake tensors cannot run: the same sizes, but the kernels of ``meta``.

Tensors that share a storage share one in the copy; a parameter used twice stays one. The original is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from memprof.base.errors import InputError
from memprof.base.text import first_line
from memprof.importers.torch.calls import Call, find_tensors
from memprof.importers.torch.workspaces import lstm_workspace_bytes


class Placeholders:
    """Makes tensors without memory, one for each tensor it is shown.

    Args:
        device: What they say they are on; ``meta`` for plain meta tensors.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.mode = None if device == "meta" else FakeTensorMode(allow_non_fake_inputs=True)
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._keep: list[torch.UntypedStorage] = []

    def tensor(self, original: torch.Tensor) -> torch.Tensor:
        """Return a tensor like ``original``: same layout, element type and shared storage, no memory."""
        if original.layout is not torch.strided:
            layout = str(original.layout).removeprefix("torch.").replace("_", " ")
            raise InputError(f"A tensor is {layout}; only dense tensors can be analysed.", "Convert it: to_dense().")
        storage = original.untyped_storage()
        if storage._cdata not in self._storages:
            empty = torch.empty(storage.nbytes(), dtype=torch.uint8, device="meta")
            self._storages[storage._cdata] = empty.untyped_storage()
            self._keep.append(storage)  # so that no other storage takes its address while this object lives
        with torch.no_grad():
            made = torch.empty(0, dtype=original.dtype, device="meta")
            made.set_(self._storages[storage._cdata], original.storage_offset(), original.size(), original.stride())
            if self.mode is not None:
                converter = self.mode.fake_tensor_converter
                made = converter.from_meta_and_device(self.mode, made, self.device)
        if isinstance(original, torch.nn.Parameter):
            return torch.nn.Parameter(made, requires_grad=original.requires_grad)
        return made.requires_grad_(original.requires_grad) if original.is_leaf and original.requires_grad else made

    def forget(self) -> None:
        """Let go of what was made, so that it dies with its last user; nothing shown later shares with it."""
        self._storages.clear()
        self._keep.clear()

    def call(self, call: Call) -> Call:
        """Return a copy of ``call`` with every tensor in it replaced, wherever it lies.

        Raises:
            InputError: An argument cannot be copied.
        """
        memo: dict[int, Any] = {}
        for found in find_tensors([call.args, call.kwargs]):
            memo[id(found.tensor)] = self.tensor(found.tensor)
        try:
            with _CopyTensors(self.tensor):
                return Call(copy.deepcopy(call.args, memo), copy.deepcopy(dict(call.kwargs), memo))
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"The inputs cannot be copied: {first_line(error)}.", "copy.deepcopy must work."
            ) from error

    def module(self, module: torch.nn.Module) -> torch.nn.Module:
        """Return a copy of ``module`` that holds no memory.

        Raises:
            InputError: The module cannot be copied.
        """
        memo: dict[int, Any] = {}
        for name, tensor in _registered(module):
            try:
                memo[id(tensor)] = self.tensor(tensor)
            except InputError as error:
                raise InputError(error.message.replace("A tensor is", f"{name} is", 1), error.hint) from error
        try:
            with _CopyTensors(self.tensor):
                return copy.deepcopy(module, memo)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"The module {type(module).__name__} cannot be copied: {error}.",
                "copy.deepcopy(module) must work; weights are not copied.",
            ) from error


class _CopyTensors(TorchFunctionMode):
    """Replaces tensors that deepcopy meets outside parameters and buffers."""

    def __init__(self, replace: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._replace = replace

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = self._replace(tensor)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _registered(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


_REDUCED_IN_PLACE = frozenset(
    {"aten.mse_loss", "aten.smooth_l1_loss", "aten.binary_cross_entropy", "aten.soft_margin_loss"}
)


def complete(op: str, named: Mapping[str, Any], run: Callable[[], Any]) -> Any:
    """Return the result of an operation that ``run`` runs, with what fake tensors leave out, see ``workspaces``.

    They also return one tensor for both biases of an LSTM where the kernel makes two, and a scalar with bytes of its
    own for a loss that is reduced in place: the kernel shrinks the tensor of single losses to a scalar, whose storage
    stays as it was. And they refuse products of groups in other types than bfloat16, which kernels take.
    """
    if op == "aten._grouped_mm" and named["self"].dtype is not torch.bfloat16:
        return _grouped_product(run, named)
    result = run()
    if op in _REDUCED_IN_PLACE and named.get("reduction", 1) != 0 and result.dim() == 0:
        single, _ = torch.broadcast_tensors(named["self"], named["target"])  # type: ignore[no-untyped-call]
        return result.new_empty(single.shape).resize_(())
    if op == "aten.mkldnn_rnn_layer" and named.get("train"):
        *tensors, workspace = result
        return (*tensors, workspace.new_empty(_lstm_workspace(named)))
    if op == "aten.mkldnn_rnn_layer_backward" and result[3] is result[4]:
        return (*result[:4], torch.empty_like(result[4]), *result[5:])
    return result


def _grouped_product(run: Callable[[], Any], named: Mapping[str, Any]) -> torch.Tensor:
    """Return what a mixture of experts writes: rows by the columns of the weights; rows begin at 16 bytes."""
    given, weights = named["self"], named["mat2"]
    groups = named.get("offs")
    if groups is None or given.dim() != 2 or weights.dim() != 3:
        return run()  # type: ignore[no-any-return] # it says what is wrong with it
    rows, columns, each = given.shape[0], weights.shape[-1], 16 // given.element_size()
    step = -(-columns // each) * each
    made: torch.Tensor = given.new_empty_strided(
        (rows, columns), (step, 1), dtype=named.get("out_dtype") or given.dtype
    )
    return made


def _lstm_workspace(named: Mapping[str, Any]) -> int:
    steps, batch = named["input"].shape[:2]  # time comes first here, whatever ``batch_first`` says
    return lstm_workspace_bytes(
        steps=int(steps),
        batch=int(batch),
        input_size=int(named["weight0"].shape[1]),
        hidden_size=int(named["hidden_size"]),
    )
