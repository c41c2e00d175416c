"""onnxruntime's C interface through ctypes: as much of it as a traced allocator needs.

The interface is one table of function pointers that only grows, so a function keeps its index. The wheel brings it as
a shared library of its own beside the one that Python uses. Every status that comes back is checked; nothing else is
done here. Runs in a child process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from memprof.base.errors import RuntimeFailure
from memprof.measure.onnxruntime_optimizer import external_weights

API_VERSION = 24
"""The oldest version whose table has all that is used here."""


Pointer = ctypes.c_void_p
Array = np.ndarray[Any, Any]

_INDEX: Mapping[str, int] = MappingProxyType(
    {
        "GetErrorMessage": 2,
        "CreateEnv": 3,
        "CreateSession": 7,
        "Run": 9,
        "CreateSessionOptions": 10,
        "SetOptimizedModelFilePath": 11,
        "EnableProfiling": 14,
        "SetSessionGraphOptimizationLevel": 23,
        "SetIntraOpNumThreads": 24,
        "SetInterOpNumThreads": 25,
        "SessionGetOutputCount": 31,
        "SessionGetOutputName": 37,
        "CreateTensorAsOrtValue": 48,
        "CreateTensorWithDataAsOrtValue": 49,
        "FillStringTensor": 52,
        "CreateCpuMemoryInfo": 69,
        "GetAllocatorWithDefaultOptions": 78,
        "ReleaseSession": 95,
        "ReleaseValue": 96,
        "SessionEndProfiling": 110,
        "AddSessionConfigEntry": 130,
        "RegisterAllocator": 176,
        "CreateKeyValuePairs": 295,
    }
)
_ELEMENT_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "float32": 1,
        "uint8": 2,
        "int8": 3,
        "uint16": 4,
        "int16": 5,
        "int32": 6,
        "int64": 7,
        "bool": 9,
        "float16": 10,
        "float64": 11,
        "uint32": 12,
        "uint64": 13,
        "complex64": 14,
        "complex128": 15,
    }
)

_STRING = 8
_NONE: Mapping[str, int] = MappingProxyType({})

AllocFunction = ctypes.CFUNCTYPE(Pointer, Pointer, ctypes.c_size_t)
FreeFunction = ctypes.CFUNCTYPE(None, Pointer, Pointer)
InfoFunction = ctypes.CFUNCTYPE(Pointer, Pointer)
StatsFunction = ctypes.CFUNCTYPE(Pointer, Pointer, ctypes.POINTER(Pointer))


class AllocatorTable(ctypes.Structure):
    """What onnxruntime calls to take and give back memory."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("alloc", AllocFunction),
        ("free", FreeFunction),
        ("info", InfoFunction),
        ("reserve", AllocFunction),
        ("stats", StatsFunction),
        ("alloc_on_stream", Pointer),
        ("shrink", Pointer),
    )


class _ApiBase(ctypes.Structure):
    _fields_ = (
        ("get_api", ctypes.CFUNCTYPE(Pointer, ctypes.c_uint32)),
        ("get_version", ctypes.CFUNCTYPE(ctypes.c_char_p)),
    )


class Runtime:
    """onnxruntime's library, loaded, and one environment in it."""

    def __init__(self) -> None:
        library = ctypes.CDLL(str(_library_path()))
        library.OrtGetApiBase.restype = ctypes.POINTER(_ApiBase)
        base = library.OrtGetApiBase().contents
        self.version: str = base.get_version().decode()
        table = base.get_api(API_VERSION)
        if not table:
            raise RuntimeFailure(
                f"onnxruntime {self.version} is too old for a traced allocator.", "pip install 'onnxruntime>=1.28'"
            )
        self._table = ctypes.cast(table, ctypes.POINTER(Pointer))
        self.environment = self.create("CreateEnv", (ctypes.c_int, 4), (ctypes.c_char_p, b"memprof"))
        self.memory_info = self.create("CreateCpuMemoryInfo", (ctypes.c_int, 0), (ctypes.c_int, 0))

    def call(self, name: str, *arguments: tuple[Any, Any]) -> None:
        """Call a function that returns a status; ``arguments`` are (type, value).

        Raises:
            RuntimeFailure: The status is an error.
        """
        status = self._function(name, Pointer, [kind for kind, _ in arguments])(*[value for _, value in arguments])
        if status:
            message = self._function("GetErrorMessage", ctypes.c_char_p, [Pointer])(status)
            lines = message.decode("utf-8", "replace").strip().splitlines() or ["unknown error"]
            raise RuntimeError(lines[0])

    def create(self, name: str, *arguments: tuple[Any, Any]) -> Pointer:
        """Call a function that writes a pointer to its last argument; return it."""
        made = Pointer()
        self.call(name, *arguments, (ctypes.POINTER(Pointer), ctypes.byref(made)))
        return made

    def create_plain(self, name: str) -> int | None:
        """Call a function without a status that writes a pointer to its only argument; return its address."""
        made = Pointer()
        self._function(name, None, [ctypes.POINTER(Pointer)])(ctypes.byref(made))
        return made.value

    def release(self, name: str, pointer: Pointer) -> None:
        """Give an object back."""
        self._function(name, None, [Pointer])(pointer)

    def tensor(self, array: Array, element_type: int | None = None) -> Pointer:
        """Return a tensor over the memory of ``array``, which must outlive it.

        Args:
            array: Its elements.
            element_type: ONNX's number of their type, if numpy's name does not say it.
        """
        if element_type == _STRING or array.dtype == object:
            return self._texts(array)
        shape = (ctypes.c_int64 * max(1, array.ndim))(*array.shape)
        return self.create(
            "CreateTensorWithDataAsOrtValue",
            (Pointer, self.memory_info),
            (Pointer, array.ctypes.data),
            (ctypes.c_size_t, array.nbytes),
            (ctypes.POINTER(ctypes.c_int64), shape),
            (ctypes.c_size_t, array.ndim),
            (ctypes.c_int, element_type or _ELEMENT_TYPES[str(array.dtype)]),
        )

    def _texts(self, array: Array) -> Pointer:
        """Return a tensor of texts; the runtime copies them."""
        shape = (ctypes.c_int64 * max(1, array.ndim))(*array.shape)
        allocator = self.create("GetAllocatorWithDefaultOptions")
        tensor = self.create(
            "CreateTensorAsOrtValue",
            (Pointer, allocator),
            (ctypes.POINTER(ctypes.c_int64), shape),
            (ctypes.c_size_t, array.ndim),
            (ctypes.c_int, _STRING),
        )
        texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.reshape(-1).tolist()]
        strings = (ctypes.c_char_p * max(1, len(texts)))(*texts)
        self.call(
            "FillStringTensor",
            (Pointer, tensor),
            (ctypes.POINTER(ctypes.c_char_p), strings),
            (ctypes.c_size_t, len(texts)),
        )
        return tensor

    def _function(self, name: str, result: Any, arguments: Sequence[Any]) -> Callable[..., Any]:
        return ctypes.CFUNCTYPE(result, *arguments)(self._table[_INDEX[name]])


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How a session is made.

    Attributes:
        level: 0 for no optimisation, 99 for all.
        profile_prefix: Where its profile goes.
        target: Where the optimised graph goes, empty for nowhere.
        threads: Threads inside an operation.
    """

    level: int
    profile_prefix: str
    target: str = ""
    threads: int = 1


class Session:
    """A model in a runtime, one operation at a time, its memory taken from the environment's allocator."""

    def __init__(self, runtime: Runtime, model: str, settings: SessionSettings) -> None:
        self._runtime = runtime
        options = runtime.create("CreateSessionOptions")
        runtime.call("SetSessionGraphOptimizationLevel", (Pointer, options), (ctypes.c_int, settings.level))
        runtime.call("SetIntraOpNumThreads", (Pointer, options), (ctypes.c_int, settings.threads))
        runtime.call("SetInterOpNumThreads", (Pointer, options), (ctypes.c_int, 1))
        prefix = (ctypes.c_char_p, settings.profile_prefix.encode())
        runtime.call("EnableProfiling", (Pointer, options), prefix)
        entries = {"session.use_env_allocators": "1"}
        if settings.target:
            runtime.call("SetOptimizedModelFilePath", (Pointer, options), (ctypes.c_char_p, settings.target.encode()))
            entries.update(external_weights(settings.target))
        for key, value in entries.items():
            entry = ((ctypes.c_char_p, key.encode()), (ctypes.c_char_p, value.encode()))
            runtime.call("AddSessionConfigEntry", (Pointer, options), *entry)
        self._handle = runtime.create(
            "CreateSession", (Pointer, runtime.environment), (ctypes.c_char_p, model.encode()), (Pointer, options)
        )
        self._names = runtime.create("GetAllocatorWithDefaultOptions")
        self.outputs = self._output_names()

    def run(self, feeds: Mapping[str, Array], types: Mapping[str, int] = _NONE) -> list[Pointer]:
        """Run the model once; return its outputs, to be released by the caller.

        Args:
            feeds: An array for each input.
            types: ONNX's number of an input's element type, where numpy's name does not say it.
        """
        runtime = self._runtime
        arrays = {name: np.asarray(array, order="C") for name, array in feeds.items()}
        values = [runtime.tensor(array, types.get(name)) for name, array in arrays.items()]
        results = (Pointer * len(self.outputs))()
        strings, pointers = ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(Pointer)
        runtime.call(
            "Run",
            (Pointer, self._handle),
            (Pointer, None),
            (strings, (ctypes.c_char_p * max(1, len(values)))(*[name.encode() for name in arrays])),
            (pointers, (Pointer * max(1, len(values)))(*[value.value for value in values])),
            (ctypes.c_size_t, len(values)),
            (strings, (ctypes.c_char_p * len(self.outputs))(*self.outputs)),
            (ctypes.c_size_t, len(self.outputs)),
            (pointers, results),
        )
        for value in values:
            runtime.release("ReleaseValue", value)
        return [Pointer(result) for result in results]

    def close(self) -> None:
        """Give the session back."""
        self._runtime.release("ReleaseSession", self._handle)

    def end_profiling(self) -> Path:
        """Write the profile; return where it is."""
        name = ctypes.c_char_p()
        self._runtime.call(
            "SessionEndProfiling",
            (Pointer, self._handle),
            (Pointer, self._names),
            (ctypes.POINTER(ctypes.c_char_p), ctypes.byref(name)),
        )
        return Path((name.value or b"").decode())

    def _output_names(self) -> list[bytes]:
        count = ctypes.c_size_t()
        size = (ctypes.POINTER(ctypes.c_size_t), ctypes.byref(count))
        self._runtime.call("SessionGetOutputCount", (Pointer, self._handle), size)
        names: list[bytes] = []
        for i in range(count.value):
            name = ctypes.c_char_p()
            self._runtime.call(
                "SessionGetOutputName",
                (Pointer, self._handle),
                (ctypes.c_size_t, i),
                (Pointer, self._names),
                (ctypes.POINTER(ctypes.c_char_p), ctypes.byref(name)),
            )
            names.append(name.value or b"")
        return names


def _library_path() -> Path:
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    for pattern in ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll"):
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise RuntimeFailure("This onnxruntime brings no library of its own to trace.", "Use the wheel from PyPI.")
