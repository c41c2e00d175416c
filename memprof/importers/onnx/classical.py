"""Types of what the operations of ``ai.onnx.ml`` write: trees, linear models, support vectors, encoders, scalers.

    N rows: the first dimension, 1 where the input is a vector

    tree ensembles, classes     labels [N]; scores [N, classes]
    tree ensembles, targets     [N, targets]
    LinearClassifier            labels [N]; scores [N, intercepts], two for one intercept and two classes
    SVMClassifier               labels [N]; scores [N, classes], or one for each pair of them
    ArrayFeatureExtractor       [..., indices]; [1, indices] of a vector
    DictVectorizer, CastMap     [1, words]
    scalers, encoders           one number for each

ONNX's own inference leaves most of them open. Source: the operations' descriptions in ONNX and onnxruntime's kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

from memprof.importers.onnx.contributed_call import ContributedCall, OpenShape
from memprof.ir import Dim, TensorType

Rule = Callable[[ContributedCall], list[TensorType]]

_CAST: Mapping[bytes, str] = MappingProxyType({b"TO_FLOAT": "float32", b"TO_INT64": "int64", b"TO_STRING": "string"})


def _rows(call: ContributedCall) -> Dim:
    shape = call.shape(0)
    return shape[0] if len(shape) > 1 else 1


def _whole(dim: Dim) -> int:
    if not isinstance(dim, int):
        raise OpenShape
    return dim


def _labels(call: ContributedCall, *kinds: str) -> list[Any]:
    found: list[Any] = []
    for kind in kinds:
        found = found or list(call.get(kind) or [])
    return found


def _classes(call: ContributedCall) -> tuple[TensorType, int]:
    """Return the type of the labels, and how many classes there are."""
    texts = _labels(call, "classlabels_strings")
    count = len(texts or _labels(call, "classlabels_int64s", "classlabels_ints"))
    if not count:
        raise OpenShape
    return call.types.of("string" if texts else "int64", (_rows(call),)), count


def _scores(call: ContributedCall, count: int) -> TensorType:
    return call.types.of("float32", (_rows(call), count))


def _trees(call: ContributedCall) -> list[TensorType]:
    label, count = _classes(call)
    return [label, _scores(call, count)]


def _linear(call: ContributedCall) -> list[TensorType]:
    label, count = _classes(call)
    planes = len(_labels(call, "intercepts"))
    return [label, _scores(call, 2 if planes == 1 and count == 2 else planes)]


def _support_vectors(call: ContributedCall) -> list[TensorType]:
    label, count = _classes(call)
    has_vectors, has_odds = sum(_labels(call, "vectors_per_class")) > 0, bool(_labels(call, "prob_a"))
    pairs = count * (count - 1) // 2 if count > 2 else 2
    return [label, _scores(call, pairs if has_vectors and not has_odds else count)]


def _targets(call: ContributedCall) -> list[TensorType]:
    return [_scores(call, call.get("n_targets") or call.get("targets") or 1)]


def _ensemble(call: ContributedCall) -> list[TensorType]:
    return [call.typed(0, (_rows(call), call.get("n_targets") or 1))]


def _value(call: ContributedCall) -> list[TensorType]:
    return [_scores(call, 1)]


def _floats(call: ContributedCall) -> list[TensorType]:
    return [call.types.of("float32", call.shape(0))]


def _alike(call: ContributedCall) -> list[TensorType]:
    return [call.of(0)]


def _mapped(call: ContributedCall) -> list[TensorType]:
    return [call.types.of("int64" if call.of(0).dtype == "string" else "string", call.shape(0))]


def _joined(call: ContributedCall) -> list[TensorType]:
    sizes = call.get("inputdimensions") or [_whole(call.shape(i)[-1]) for i in range(len(call.inputs))]
    return [_scores(call, sum(sizes))]


def _extracted(call: ContributedCall) -> list[TensorType]:
    shape, indices = call.shape(0), prod(map(_whole, call.shape(1)))
    return [call.typed(0, (*(shape[:-1] or (1,)), indices))]


def _words(call: ContributedCall) -> list[TensorType]:
    return [call.types.of(None, (1, len(_labels(call, "string_vocabulary", "int64_vocabulary"))))]


def _cast(call: ContributedCall) -> list[TensorType]:
    size = call.get("max_map", 1) if call.get("map_form", b"DENSE") == b"SPARSE" else None
    return [call.types.of(_CAST[call.get("cast_to", b"TO_FLOAT")], (1, size))]


def _one_hot(call: ContributedCall) -> list[TensorType]:
    return [call.types.of("float32", (*call.shape(0), len(_labels(call, "cats_strings", "cats_int64s"))))]


_OPERATIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "TreeEnsembleClassifier": _trees,
        "TreeEnsembleRegressor": _targets,
        "TreeEnsemble": _ensemble,
        "LinearClassifier": _linear,
        "LinearRegressor": _targets,
        "SVMClassifier": _support_vectors,
        "SVMRegressor": _value,
        "Scaler": _floats,
        "Normalizer": _floats,
        "Imputer": _alike,
        "Binarizer": _alike,
        "CategoryMapper": _mapped,
        "LabelEncoder": _mapped,
        "FeatureVectorizer": _joined,
        "ArrayFeatureExtractor": _extracted,
        "DictVectorizer": _words,
        "CastMap": _cast,
        "OneHotEncoder": _one_hot,
    }
)
RULES: Mapping[str, Rule] = MappingProxyType({f"ai.onnx.ml.{op}": rule for op, rule in _OPERATIONS.items()})
"""Rules by ``domain.Op``."""
