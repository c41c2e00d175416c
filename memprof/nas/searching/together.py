"""A final training by several processes of this machine: a GPU each, or CPU processes over gloo.

    parent    holds the lock, starts a process for each share, hears of epochs from the first
    process   loads the data, trains its share (``memprof.nas.train.sharing``); the first writes what comes of it

They meet in a file of a scratch folder, so no port is open beyond the machine. All end with the parent, and with each
other: where one dies, those that would wait for it are stopped. What was reached is in the checkpoint, from which any
number of processes goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from memprof.base.errors import MemprofError, RuntimeFailure, UsageError
from memprof.base.folders import scratch_folder
from memprof.base.processes import Bounds, ChildProcess, start_python, usable_cores
from memprof.base.text import first_line, safe_text
from memprof.nas.record.trainings import FinalTraining
from memprof.nas.searching.final import FinalPlan, hold_training, train_share
from memprof.nas.searching.worker import Trouble
from memprof.nas.train.sharing import Share

_HINT = "What was reached is kept: the same command goes on from there."


def train_together(
    plan: FinalPlan, devices: tuple[str, ...], on_epoch: Callable[[int, float], None] = lambda epoch, loss: None
) -> FinalTraining:
    """Train as ``memprof.nas.searching.final.train_final`` does, the batches shared by a process for each device.

    Args:
        plan: What to train; its batch is that of all together.
        devices: Device of each process; ``cpu`` may be there more than once.
        on_epoch: Called after each epoch with its number and mean loss.

    Raises:
        UsageError: As for ``train_final``, or the batch cannot be shared equally.
        RuntimeFailure: A process failed or died.
    """
    if plan.recipe.batch % len(devices):
        raise UsageError(
            f"A batch of {plan.recipe.batch} images cannot be shared equally by {len(devices)} processes.",
            f"Take a number of processes that divides {plan.recipe.batch}.",
        )
    with hold_training(plan), ExitStack() as closing:
        scratch = closing.enter_context(scratch_folder())
        children, pipes = list[ChildProcess](), list[Connection]()
        for rank, device in enumerate(devices):
            child, pipe = _start(rank, len(devices), scratch)
            children.append(closing.enter_context(child))
            pipes.append(closing.enter_context(pipe))
            with suppress(OSError):  # it died at once: whoever listens is told
                pipe.send(tuple(path for path in sys.path if Path(path).is_absolute()))
                pipe.send((plan, device))
        return _listen(children, pipes, on_epoch)


def _start(rank: int, count: int, scratch: Path) -> tuple[ChildProcess, Connection]:
    import socket

    ours, theirs = socket.socketpair()
    with theirs:
        child = start_python(
            "memprof.nas.searching.together:work",
            (str(rank), str(count), str(theirs.fileno()), str(scratch / "meeting")),
            folder=scratch,
            bounds=Bounds(),
            pass_fds=(theirs.fileno(),),
        )
    return child, Connection(ours.detach())


def _listen(
    children: list[ChildProcess], pipes: list[Connection], on_epoch: Callable[[int, float], None]
) -> FinalTraining:
    result: FinalTraining | None = None
    open_pipes = dict(zip(pipes, children, strict=True))
    while open_pipes:
        for pipe in wait(list(open_pipes)):
            assert isinstance(pipe, Connection)
            try:
                found: Any = pipe.recv()
            except (EOFError, OSError):
                found = None
            if isinstance(found, Trouble):
                raise RuntimeFailure(found.message, found.hint or _HINT)
            if isinstance(found, tuple):
                on_epoch(*found)
            elif isinstance(found, FinalTraining):
                result = found if pipe is pipes[0] else result
                del open_pipes[pipe]
            else:
                raise _death(open_pipes[pipe])
    assert result is not None, "the first process ended with a result"
    return result


def _death(child: ChildProcess) -> RuntimeFailure:
    said = safe_text(child.last_line())
    code = child.wait(5.0)
    return RuntimeFailure(
        f"A process of the training ended with code {code}{': ' + said if said and code and code > 0 else '.'}", _HINT
    )


def work(rank: str, count: str, handle: str, meeting: str) -> None:
    """Run in a process: train one share, and tell.

    Args:
        rank: Which share.
        count: Of how many.
        handle: Number of this end of its pipe.
        meeting: File in which the processes meet.
    """
    pipe = Connection(int(handle))
    sys.path += [path for path in pipe.recv() if path not in sys.path]
    plan, device = pipe.recv()
    share = Share(int(rank), int(count))
    try:
        pipe.send(_train(plan, device, share, meeting, pipe))
    except MemprofError as error:
        pipe.send(Trouble(error.message, error.hint))
    except Exception as error:  # the others would wait for this one for ever
        pipe.send(Trouble(f"A process failed: {type(error).__name__}: {safe_text(first_line(error))}.", ""))


def _train(plan: FinalPlan, device: str, share: Share, meeting: str, pipe: Connection) -> FinalTraining:
    import torch

    # One machine: the loopback interface, whatever its name resolves to.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    is_gpu = device.startswith("cuda")
    torch.set_num_threads(max(1, usable_cores() // share.count))
    if is_gpu:
        torch.cuda.set_device(device)
    from torch.distributed import FileStore  # type: ignore[attr-defined] # of native code, without types

    store = FileStore(meeting, share.count)
    torch.distributed.init_process_group(
        "nccl" if is_gpu else "gloo", store=store, rank=share.rank, world_size=share.count
    )

    def tell(epoch: int, loss: float) -> None:
        if share.rank == 0:
            pipe.send((epoch, loss))

    try:
        return train_share(plan, device, share, tell)
    finally:
        torch.distributed.destroy_process_group()
