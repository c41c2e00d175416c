"""One inference or one training step under the tracker, on tensors without memory or on real ones.

    inference   module.eval(); torch.inference_mode(); output = module(*args, **kwargs); output is held to the end
    training    module.train(); the state of the optimiser exists already (the steady state), gradients do not
                forward    output = module(*args, **kwargs); loss = loss_of(output)
                backward   loss.backward()
                optimizer  optimizer.step()
                output and loss are held to the end, as the local variables of a training loop hold them

The same functions serve the prediction and the measurement, so that the two differ in their tensors alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from memprof.base.errors import InputError, MemprofError, UsageError
from memprof.base.text import first_line
from memprof.importers.torch.calls import Call, find_tensors, named_arguments
from memprof.importers.torch.causes import explain, quiet
from memprof.importers.torch.checkpointing import checkpointed
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
        found.tensor.square().mean()
        for found in find_tensors(output)
        if found.tensor.is_floating_point() and found.tensor.requires_grad
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
    call: Call,
    *,
    training: Training | None = None,
    device: str = "cpu",
    name: str = "",
) -> Run:
    """Return what a run of ``module`` would do, found without running a kernel or allocating a tensor.

    Args:
        module: Any module; it is copied, the original is not touched and its weights are not copied.
        call: Its arguments; tensors are used for their shapes alone.
        training: How to train; ``None`` for inference.
        device: Device to ask about: ``cpu`` or ``cuda``.
        name: Name of the model.

    Raises:
        InputError: The module cannot be copied, or its forward pass needs the values of tensors.
    """
    wish = _Wish(training, device, name, "")
    try:
        return _run_on(device, module, call, wish)
    except MemprofError:
        raise
    except Exception as fake_error:
        reason = first_line(fake_error)
        caveat = f"run on meta tensors, which may pick other kernels, since fake tensors failed: {reason}"
        try:
            return _run_on("meta", module, call, wish._replace(caveat=caveat))
        except Exception:  # the second choice has its own trouble; the first tells the cause
            raise explain(fake_error, name or type(module).__name__, module) from fake_error


class _Wish(NamedTuple):
    training: Training | None
    device: str
    name: str
    caveat: str


def _run_on(device: str, module: torch.nn.Module, call: Call, wish: _Wish) -> Run:
    """Run ``module`` on placeholders, and again if it imported something: imports keep frames and what they hold."""
    run, has_imported = _run_once(Placeholders(device), module, call, wish)
    return _run_once(Placeholders(device), module, call, wish)[0] if has_imported else run


def _run_once(placeholders: Placeholders, module: torch.nn.Module, call: Call, wish: _Wish) -> tuple[Run, bool]:
    copied, given = placeholders.module(module), placeholders.call(call)
    placeholders.forget()
    mode: AbstractContextManager[Any] = placeholders.mode or torch.device("meta")
    imported = len(sys.modules)
    with quiet(), mode:
        run = run_tracked(
            copied,
            given,
            training=wish.training,
            name=wish.name,
            device=wish.device,
            tensors="meta" if placeholders.mode is None else "fake",
        )
    return replace(run, caveat=wish.caveat), len(sys.modules) > imported


def run_tracked(
    module: torch.nn.Module,
    call: Call,
    *,
    training: Training | None,
    name: str,
    device: str,
    tensors: str,
) -> Run:
    """Run ``module`` once on the tensors it has, as this file's docstring says, and return what happened."""
    # PyTorch does not recognise fake parameters when it decides, so the prediction decides as it does for real ones
    step = Step(module, call, training, None if tensors == "real" else device == "cuda")
    if step.optimizer is not None:
        _make_state(step.optimizer)
    paths = {id(child): path for path, child in module.named_modules()}
    tracker = StorageTracker(paths) if tensors == "real" else StorageTracker(paths, complete)
    categories = _introduce(tracker, module, call, step.optimizer)
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
    returned = list(find_tensors(output))
    for found in (*returned, *find_tensors([call.args, call.kwargs])):  # what the run put into a given cache too
        if found.is_cache and (index := tracker.storage_index(found.tensor)) is not None:
            categories[index] = Category.CACHE
    held = [*(found.tensor for found in returned), *([] if loss is None else [loss]), *gradients]
    return Run(
        recording=tracker.recording(name, [*held, *state_tensors(step.optimizer)]),
        phases=tuple(phases),
        categories=categories,
        device=device,
        tensors=tensors,
    )


def _introduce(
    tracker: StorageTracker, module: torch.nn.Module, call: Call, optimizer: torch.optim.Optimizer | None
) -> dict[int, Category]:
    """Tell the tracker of what exists before the run; return the categories of caches and the optimiser's state."""
    for path, parameter in [*module.named_parameters(), *module.named_buffers()]:
        tracker.add_known(parameter, Role.PARAMETER, path, path.rpartition(".")[0])
    categories: dict[int, Category] = {}
    for found in find_tensors(dict(named_arguments(module, call))):
        tracker.add_known(found.tensor, Role.INPUT, found.path)
        if found.is_cache and (index := tracker.storage_index(found.tensor)) is not None:
            categories[index] = Category.CACHE
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
        call: Its arguments.
        training: How to train; ``None`` for inference.
        foreach: See ``make_optimizer``.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        call: Call,
        training: Training | None,
        foreach: bool | None = None,
    ) -> None:
        self._module = module.train(training is not None)
        self._call = call
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
                output = self._call.run(self._module)
            note("forward")
            return output, None
        with checkpointed(self._module) if self._training.checkpointing else nullcontext():
            output = self._call.run(self._module)
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
