"""A training step that computes activations of blocks anew in its backward pass instead of keeping them.

    forward    a block's inputs are kept, what is made inside of it is not
    backward   each block runs once more, from its inputs, right before its gradients are computed

The blocks are the members of sequences and lists of modules, where these hold several that have modules of their own:
the stages of a ResNet, the layers of a transformer. The outermost are taken. A model of transformers does it by its
own ``gradient_checkpointing_enable``, which leaves out the cache of keys and values too. Of a module of one's own:

    for block in blocks:
        block.forward = partial(torch.utils.checkpoint.checkpoint, block.forward, use_reentrant=False)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch.utils.checkpoint import checkpoint

from memprof.base.errors import UsageError

_LISTS = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)
_OWN = "gradient_checkpointing_enable"


@contextmanager
def checkpointed(module: torch.nn.Module) -> Iterator[None]:
    """Have the blocks of ``module`` computed again in a backward pass; it is as it was afterwards.

    Raises:
        UsageError: It has no blocks.
    """
    if getattr(module, "supports_gradient_checkpointing", False) and hasattr(module, _OWN):
        owner: Any = module
        if getattr(owner, "is_gradient_checkpointing", False):  # its own code has asked for it
            yield
            return
        owner.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        try:
            yield
        finally:
            owner.gradient_checkpointing_disable()
        return
    blocks = [*find_blocks(module)]
    if not blocks:
        raise UsageError(
            f"{type(module).__name__} has no repeated blocks whose activations could be computed again.",
            "Leave --checkpointing out, or keep the blocks in a torch.nn.Sequential or ModuleList.",
        )
    with ExitStack() as stack:
        for block in blocks:
            again = partial(checkpoint, block.forward, use_reentrant=False)
            stack.enter_context(patch.object(block, "forward", again))
        yield


def find_blocks(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yield the outermost blocks of ``module``, as this file's docstring says."""
    children = [*module.children()]
    members = [child for child in children if any(True for _ in child.children())]
    if isinstance(module, _LISTS) and len(members) > 1 and not any(isinstance(child, _LISTS) for child in members):
        yield from members
        return
    for child in children:
        yield from find_blocks(child)
