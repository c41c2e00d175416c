"""The steps of one training: each the same function, captured on a GPU as one CUDA graph and replayed.

    plan of an epoch -> columns of this step -> changed images -> network -> loss -> gradients -> new weights

A step reads where it is (column, number, learning rate) from tensors on the device and moves them on, so that nothing
comes from Python between two steps. On a GPU the first runs as it is, which also warms up what the libraries
set up lazily; the next is captured, and from then on one launch does a whole step. What cannot be captured, as a
module that looks at values, goes on step by step.

All steps have one size, and the images that are left over at the end of an epoch wait for the next: cuDNN plans every
convolution anew for each shape, which takes an H100 about as long as a whole epoch of a small network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Lock, local
from typing import Any

import torch
from torch import Tensor, nn

from memprof.nas.train.augmentation import PLAN_ROWS, Pictures
from memprof.nas.train.descent import Descent
from memprof.nas.train.images import AnyImages
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.sharing import ALONE, Share, averaged

WARM_UP_STEPS = 1
MOST_QUEUED = 64
"""Steps that a GPU may be behind: who trains looks at the clock between steps, not at what is only queued."""

MOST_RESERVED = 0.5
"""Share of a GPU's memory that may be held for the next training."""

_CAPTURING = Lock()
"""One capture at a time, and no memory is given back meanwhile: threads share what the allocator keeps for it."""

_OF_THREAD = local()
"""A stream for each device: torch hands streams out in turns, and two trainings must never share one."""


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return the precision of a device: bfloat16 where tensor cores are, else float32."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


class Steps:
    """Trains a module in place, a step at a time.

    Args:
        module: Images (n, c, h, w) to logits (n, classes), on the pictures' device.
        pictures: What it learns from.
        recipe: How.
        captures: Whether steps may be captured; only a GPU's are.
        share: What of each step is this process's.
    """

    def __init__(
        self, module: nn.Module, pictures: Pictures, recipe: Recipe, captures: bool = True, share: Share = ALONE
    ) -> None:
        self.descent = Descent(module.parameters(), recipe)
        self._share = share
        self._module = module if share.count == 1 else averaged(module, pictures.images.labels.device)
        self._pictures = pictures
        self._recipe = recipe
        self._device = pictures.images.labels.device
        self._captures = captures and self._device.type == "cuda" and pictures.images.is_held and share.count == 1
        self._graph: torch.cuda.CUDAGraph | None = None
        self._done = 0
        count, device = len(pictures), self._device
        self.size = min(recipe.batch, count) // share.count * share.count
        """Images of each step, of all processes together."""
        self.count = count // self.size
        """Steps of an epoch."""
        own = self.size // share.count
        self._lanes = torch.arange(share.rank * own, (share.rank + 1) * own, device=device)
        self._plan = torch.empty((PLAN_ROWS, count), dtype=torch.int64, device=device)
        self._rates = torch.empty(self.count, device=device)
        self._start = torch.zeros((), dtype=torch.int64, device=device)
        self._number = torch.zeros((1,), dtype=torch.int64, device=device)
        self._total = torch.zeros((), device=device)

    def begin(self, seed: int, epoch: int) -> None:
        """Draw an epoch and go to its first step.

        Args:
            seed: Of the training.
            epoch: From 0; what is drawn is a function of both.
        """
        self._module.train()
        generator = torch.Generator(self._device).manual_seed((seed * 100_003 + epoch) % 2**63)
        self._plan.copy_(self._pictures.draw(generator))
        steps = self._plan[0, : self.count * self.size].view(self.count, self.size)
        self._pictures.images.foresee(steps.index_select(1, self._lanes).flatten())
        rates = [self._recipe.rate_at(epoch + i / self.count) for i in range(self.count)]
        self._rates.copy_(torch.tensor(rates))
        for counter in (self._start, self._number, self._total):
            counter.zero_()

    def take(self) -> None:
        """Do the next step."""
        if self._graph is None and self._captures and self._done >= WARM_UP_STEPS:
            self._graph = self._capture()
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()
        self._done += 1

    def mean_loss(self) -> float:
        """Return the mean over the steps of the epoch, and over all processes; waits for the device."""
        return float(self._share.total(self._total)) / self.count / self._share.count

    def wait(self, number: int) -> None:
        """Let a GPU catch up now and then.

        Args:
            number: Of the step, from 0.
        """
        if self._device.type == "cuda" and number % MOST_QUEUED == MOST_QUEUED - 1:
            torch.cuda.current_stream(self._device).synchronize()

    def _step(self) -> None:
        plan = self._plan.index_select(1, self._start + self._lanes)
        with autocast(self._device):
            logits = self._module(self._pictures.changed(plan))
            loss = nn.functional.cross_entropy(
                logits.float(),
                self._pictures.images.labels[plan[0]],
                label_smoothing=self._recipe.label_smoothing,
            )
        torch.autograd.backward(loss)
        self.descent.step(self._rates.index_select(0, self._number).squeeze(0))
        self._total += loss.detach()
        self._start += self.size
        self._number += 1

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Return a step as a graph, ``None`` if it cannot be one."""
        graph = captured(self._step, self._device)
        self._captures = graph is not None
        return graph


class Scores:
    """Counts what a module gets right, a batch at a time, all of one size; on a GPU the same graph for each.

    Args:
        module: Images to logits, on the images' device; it is told to score, not to train.
        images: What to score on.
        normalized: From pixels to what the module reads.
        batch: Images at a time.
        captures: Whether batches may be captured; only a GPU's are.
    """

    def __init__(
        self,
        module: nn.Module,
        images: AnyImages,
        normalized: Callable[[Tensor], Tensor],
        batch: int,
        captures: bool = True,
    ) -> None:
        self._module = module.eval()
        self._images = images
        self._normalized = normalized
        self._device = images.labels.device
        self._batch = batch
        self._captures = captures and self._device.type == "cuda" and images.is_held
        self._places = torch.arange(batch, device=self._device)
        self._right = torch.zeros((), dtype=torch.int64, device=self._device)

    def count(self) -> int:
        """Return how many images are classified correctly; one wait for the device."""
        graph = None
        self._images.foresee(torch.arange(len(self._images)))
        with torch.inference_mode():
            for number in range(-(-len(self._images) // self._batch)):
                if graph is None and self._captures and number:
                    graph = captured(self._score, self._device)
                    self._captures = graph is not None
                if graph is None:
                    self._score()
                else:
                    graph.replay()
        return int(self._right)

    def _score(self) -> None:
        """Score the images at the next places; beyond the last one none counts."""
        count = len(self._images)
        chosen = self._places.clamp(max=count - 1)
        with autocast(self._device):
            logits = self._module(self._normalized(self._images.gather(chosen)))
        is_right = logits.argmax(1) == self._images.labels.index_select(0, chosen)
        self._right += (is_right & (self._places < count)).sum()
        self._places += self._batch


def captured(do: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph | None:
    """Return what a function does on a GPU as a graph, ``None`` if it cannot be one.

    The graphs of a thread share their memory: it is theirs one after the other, and the last is dropped before the
    next is replayed.
    """
    graph = torch.cuda.CUDAGraph()
    with _CAPTURING:
        torch.cuda.current_stream(device).synchronize()
        try:
            graph.capture_begin(pool=_pool_of_thread(device), capture_error_mode="thread_local")
            do()
            graph.capture_end()
        except torch.OutOfMemoryError:
            with suppress(RuntimeError):
                graph.capture_end()
            raise
        except RuntimeError:  # it looks at values: the device tells by refusing
            with suppress(RuntimeError):
                graph.capture_end()
            return None
    return graph


def _pool_of_thread(device: torch.device) -> Any:
    """Return the memory that graphs of this thread share; a graph that is never replayed keeps it."""
    keepers: dict[torch.device, torch.cuda.CUDAGraph] = _OF_THREAD.__dict__.setdefault("keepers", {})
    if device not in keepers:
        keeper = torch.cuda.CUDAGraph()
        keeper.capture_begin(capture_error_mode="thread_local")
        torch.zeros(1, device=device)
        keeper.capture_end()
        keepers[device] = keeper
    return keepers[device].pool()


@contextmanager
def on_own_stream(device: torch.device) -> Iterator[None]:
    """Do all work of one training on a GPU on a stream of its own: the default one can neither be captured nor run
    beside another; at the end the device is waited for, and memory is given back where half of it is held."""
    if device.type != "cuda":
        yield
        return
    streams = _OF_THREAD.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream = streams[device]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(stream):
        try:
            yield
        finally:
            stream.synchronize()
            total = torch.cuda.get_device_properties(device).total_memory
            if torch.cuda.memory_reserved(device) > MOST_RESERVED * total:
                with _CAPTURING:
                    torch.cuda.empty_cache()  # a wait for all lanes, and the driver is asked anew
