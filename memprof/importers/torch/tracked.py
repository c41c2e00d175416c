"""One inference or one training step under the tracker, on tensors without memory or on real ones.

    inference   module.eval(); torch.inference_mode(); output = module(*inputs); output is held to the end
    training    module.train(); the state of the optimiser exists already (the steady state), gradients do not
                forward    output = module(*inputs); loss = loss_of(output)
                backward   loss.backward()
                optimizer  optimizer.step()
                output and loss are held to the end, as the local variables of a training loop hold them

The same functions serve the prediction and the measurement, so that the two differ in their tensors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_leaves

from memprof.base.errors import InputError, UsageError
from memprof.base.text import first_line
from memprof.importers.torch.fakes import Placeholders, complete
from memprof.importers.torch.records import Run
from memprof.importers.torch.tracker import StorageTracker
from memprof.importers.torch.training import OPTIMIZER_NAMES, Training
from memprof.ir import Role
from memprof.ir.trace import Category, Phase

Parameters = list[torch.nn.Parameter]

_OPTIMIZERS: Mapping[str, Callable[[Parameters, bool | None], torch.optim.Optimizer]] = {
    "sgd": lambda parameters, foreach: torch.optim.SGD(parameters, lr=0.01, foreach=foreach),
    "momentum": lambda parameters, foreach: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, foreach=foreach),
    "adam": lambda parameters, foreach: torch.optim.Adam(parameters, foreach=foreach),
    "adamw": lambda parameters, foreach: torch.optim.AdamW(parameters, foreach=foreach),
}
"""``foreach``: whether one operation updates many parameters; ``None`` leaves it to PyTorch, which does so on CUDA
and then needs temporaries of all of them at once."""
assert tuple(_OPTIMIZERS) == OPTIMIZER_NAMES, "the names that people can choose are those of this table"


def mean_square(output: Any) -> torch.Tensor:
    """Return the loss that training uses if none is given: the mean square of each floating output, summed."""
    losses = [
        leaf.square().mean()
        for leaf in tree_leaves(output)
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and leaf.requires_grad
    ]
    if not losses:
        raise InputError("No output of the module depends on its parameters, so it cannot be trained.")
    return torch.stack(losses).sum() if len(losses) > 1 else losses[0]


def make_optimizer(
    training: Training, module: torch.nn.Module, foreach: bool | None = None
) -> torch.optim.Optimizer | None:
    """Return the optimiser of ``module``'s trainable parameters, ``None`` if training names none.

    Raises:
        UsageError: There is no optimiser of that name.
        InputError: The module has no trainable parameter.
    """
    if training.optimizer is None:
        return None
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise InputError("The module has no trainable parameter, so an optimiser has nothing to do.")
    if not isinstance(training.optimizer, str):
        made = training.optimizer(parameters)
        assert isinstance(made, torch.optim.Optimizer), "the function must return an optimiser"
        return made
    if training.optimizer not in _OPTIMIZERS:
        raise UsageError(
            f"There is no optimiser {training.optimizer!r}.", f"Choose from: {', '.join(OPTIMIZER_NAMES)}."
        )
    return _OPTIMIZERS[training.optimizer](parameters, foreach)


def run_without_data(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    *,
    training: Training | None = None,
    device: str = "cpu",
    name: str = "",
) -> Run:
    """Return what a run of ``module`` would do, found without running a kernel or allocating a tensor.

    Args:
        module: Any module; it is copied, the original is not touched and its weights are not copied.
        inputs: Its positional arguments; tensors are used for their shapes alone.
        training: How to train; ``None`` for inference.
        device: Device to ask about: ``cpu`` or ``cuda``.
        name: Name of the model.

    Raises:
        InputError: The module cannot be copied, or its forward pass needs the values of tensors.
    """
    wish = _Wish(training, device, name, "")
    try:
        return _run_on(Placeholders(device), module, inputs, wish)
    except UsageError:
        raise
    except Exception as fake_error:
        reason = first_line(fake_error)
        caveat = f"run on meta tensors, which may pick other kernels, since fake tensors failed: {reason}"
        try:
            return _run_on(Placeholders("meta"), module, inputs, wish._replace(caveat=caveat))
        except Exception as meta_error:
            raise InputError(
                f"The module cannot be run without data: {reason}; on meta tensors: {first_line(meta_error)}.",
                "Its forward pass may depend on the values of tensors; 'memprof verify' measures a real run.",
            ) from fake_error


class _Wish(NamedTuple):
    training: Training | None
    device: str
    name: str
    caveat: str


def _run_on(placeholders: Placeholders, module: torch.nn.Module, inputs: tuple[Any, ...], wish: _Wish) -> Run:
    copied, given = placeholders.module(module), placeholders.inputs(inputs)
    mode: AbstractContextManager[Any] = placeholders.mode or torch.device("meta")
    with mode:
        run = run_tracked(
            copied,
            given,
            training=wish.training,
            name=wish.name,
            device=wish.device,
            tensors="meta" if placeholders.mode is None else "fake",
        )
    return replace(run, caveat=wish.caveat)


def run_tracked(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    *,
    training: Training | None,
    name: str,
    device: str,
    tensors: str,
) -> Run:
    """Run ``module`` once on the tensors it has, as this file's docstring says, and return what happened."""
    # PyTorch does not recognise fake parameters when it decides, so the prediction decides as it does for real ones
    step = Step(module, inputs, training, None if tensors == "real" else device == "cuda")
    if step.optimizer is not None:
        _make_state(step.optimizer)
    paths = {id(child): path for path, child in module.named_modules()}
    tracker = StorageTracker(paths) if tensors == "real" else StorageTracker(paths, complete)
    categories = _introduce(tracker, module, inputs, step.optimizer)
    ends = [0]
    phases: list[Phase] = []

    def note(name: str) -> None:
        phases.append(Phase(name, ends[-1], tracker.step))
        ends.append(tracker.step)

    with tracker.watching():
        output, loss = step.run(note)
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    for gradient in gradients:
        if (index := tracker.storage_index(gradient)) is not None:
            categories[index] = Category.GRADIENT
    held = [*tree_leaves(output), loss, *gradients, *state_tensors(step.optimizer)]
    return Run(
        recording=tracker.recording(name, (leaf for leaf in held if isinstance(leaf, torch.Tensor))),
        phases=tuple(phases),
        categories=categories,
        device=device,
        tensors=tensors,
    )


def _introduce(
    tracker: StorageTracker, module: torch.nn.Module, inputs: Any, optimizer: torch.optim.Optimizer | None
) -> dict[int, Category]:
    """Tell the tracker of what exists before the run; return the categories of what the optimiser keeps."""
    for path, parameter in [*module.named_parameters(), *module.named_buffers()]:
        tracker.add_known(parameter, Role.PARAMETER, path, path.rpartition(".")[0])
    for i, tensor in enumerate(leaf for leaf in tree_leaves(inputs) if isinstance(leaf, torch.Tensor)):
        tracker.add_known(tensor, Role.INPUT, f"input_{i}" if i else "input")
    categories: dict[int, Category] = {}
    owners = {id(parameter): path for path, parameter in module.named_parameters()}
    for parameter, state in optimizer.state.items() if optimizer is not None else ():
        owner = owners.get(id(parameter), "")
        for key, tensor in state.items():
            if isinstance(tensor, torch.Tensor):
                tracker.add_known(tensor, Role.INPUT, f"{owner}.{key}", owner.rpartition(".")[0])
                if (index := tracker.storage_index(tensor)) is not None:
                    categories[index] = Category.OPTIMIZER_STATE
    return categories


class Step:
    """One inference or one training step, unwatched, as often as wanted; parts as in this file's docstring.

    Args:
        module: The module; its mode is set.
        inputs: Its positional arguments.
        training: How to train; ``None`` for inference.
        foreach: See ``make_optimizer``.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: tuple[Any, ...],
        training: Training | None,
        foreach: bool | None = None,
    ) -> None:
        self._module = module.train(training is not None)
        self._inputs = inputs
        self._training = training
        self.optimizer = make_optimizer(training, module, foreach) if training else None

    @property
    def state_bytes(self) -> int:
        """Bytes of the optimiser's state."""
        storages = {
            tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in state_tensors(self.optimizer)
        }
        return sum(storage.nbytes() for storage in storages.values())

    def run(self, note: Callable[[str], None] = lambda _: None) -> tuple[Any, torch.Tensor | None]:
        """Run it; return the output and the loss, for the caller to hold. ``note`` is told the end of each phase."""
        if self._training is None:
            with torch.inference_mode():
                output = self._module(*self._inputs)
            note("forward")
            return output, None
        output = self._module(*self._inputs)
        loss = (self._training.loss or mean_square)(output)
        note("forward")
        loss.backward()
        note("backward")
        if self.optimizer is not None:
            self.optimizer.step()
            note("optimizer")
        return output, loss


def _make_state(optimizer: torch.optim.Optimizer) -> None:
    """Take one step with gradients of zeros: the state that the optimiser keeps from then on comes to life."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def state_tensors(optimizer: torch.optim.Optimizer | None) -> Iterator[torch.Tensor]:
    """Yield what an optimiser keeps from step to step."""
    if optimizer is not None:
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, torch.Tensor))
