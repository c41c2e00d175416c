"""Why a module could not be run without data, in one sentence: the cause, and where in the caller's own code.

what PyTorch raises                                         what is said
it was asked for the value of a tensor                      that, with the line; a real run has values
two devices met                                             that the code moves tensors, with the line
whole numbers were wanted where others came                 PyTorch's own sentence; how to say the type
anything else                                               its first line, with the line of the code
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from memprof.base.errors import InputError
from memprof.base.text import first_line

_LIBRARY = Path(torch.__file__).parent
_OURS = Path(__file__).parents[2]
_VALUE_ERRORS = (
    "DataDependentOutputException",
    "DynamicOutputShapeException",
    "GuardOnDataDependentSymNode",
    "UserError",
)
_VALUE_WORDS = ("Cannot copy out of meta tensor", "data-dependent", "_local_scalar_dense", "on meta tensors")
_DEVICE_WORDS = ("CUDA", "NVIDIA", "different devices", "cuda", "Device Propagation")
_TYPE_WORDS = re.compile(
    r"scalar types?:? (Long|Int)|indices must be|must be (Long|Int|long|int)|dtype|"
    r"scalar type \w+ but (found|got)|FloatTensor|LongTensor"
)
_NO_FORM = re.compile(r"^(?:Could not run |.*no fake impl.*|.*meta.*for )'?([\w:.]+)'?")
_RUN = "'memprof analyze --run' and 'memprof verify' measure a real run."


def explain(error: BaseException, name: str, module: torch.nn.Module) -> InputError:
    """Return the error that tells why ``module`` could not be run without data.

    Args:
        error: What the run raised.
        name: Of the module, for the message.
        module: The module.
    """
    where, text = _where(error), _say(error)
    missing = _NO_FORM.search(text)
    if missing:
        return InputError(f"{name} runs {missing[1]}{where}, which PyTorch cannot do without data.", _RUN)
    if _is_about_values(error):
        return InputError(f"{name} asks for the value of a tensor{where}, and without data there is none.", _RUN)
    if any(word in text for word in _DEVICE_WORDS):
        hint = "Leave devices to the caller: --device cuda asks about a GPU."
        return InputError(f"{name} moves tensors to another device{where}: {text}.", hint)
    if any(isinstance(each, torch.jit.ScriptModule) for each in module.modules()):
        return InputError(
            f"{name} is TorchScript, whose operations cannot be watched without data.",
            f"Name the Python module that it was made from. {_RUN}",
        )
    message = f"{name} fails{where}: {type(error).__name__}: {text}."
    if _TYPE_WORDS.search(text):
        return InputError(message, "Say the type of an input: --input NAME=int64:2x16.")
    return InputError(message, f"The same happens without memprof? Else {_RUN[0].lower()}{_RUN[1:]}")


def explain_real(error: BaseException, name: str) -> InputError:
    """Return the error that tells why ``module`` could not be run for real; arguments as ``explain``."""
    message = f"{name} fails{_where(error)}: {type(error).__name__}: {_say(error)}."
    return InputError(message, "It was run on a CPU with random data: does it run so without memprof?")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch prints, logs and warns of while it exports to itself: its failures are told in one line."""
    logger = logging.getLogger("torch")
    level = logger.level
    children = [found for name, found in logging.root.manager.loggerDict.items() if name.startswith("torch.")]
    loggers = [found for found in children if isinstance(found, logging.Logger)]
    were = [found.disabled for found in loggers]
    sink = io.StringIO()
    try:
        logger.setLevel(logging.CRITICAL)
        for found in loggers:
            found.disabled = True
        with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        for found, was in zip(loggers, were, strict=True):
            found.disabled = was


def _is_about_values(error: BaseException) -> bool:
    text = str(error)
    return type(error).__name__ in _VALUE_ERRORS or any(word in text for word in _VALUE_WORDS)


def _say(error: BaseException) -> str:
    return first_line(error).rstrip(".")


def _where(error: BaseException) -> str:
    """Return file and line of the innermost frame outside PyTorch and memprof, empty if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.suffix == ".py" and not path.is_relative_to(_LIBRARY) and not path.is_relative_to(_OURS):
            return f" in {path.name}, line {frame.lineno}"
    return ""
