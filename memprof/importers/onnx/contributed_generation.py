"""Types of what onnxruntime's operations that generate texts write, whose decoders are graphs of their own.

    B batch, R sequences that each returns, K beams, L the most tokens of a sequence, V words

    GreedySearch                    ids [B,S], L             [B,L]
    Sampling                        ids [B,S], L             [B,L]; filtered logits [B,V]
    BeamSearch, WhisperBeamSearch   ids or features [B,...]  [B,R,L]; scores [B,R]; those of each step [L - S,B,K,V];
                                                             Whisper: attention [B,R,...], nobody speaks [B]
    Tokenizer                       texts [...]              [...,tokens], which the texts decide

Sequences are padded to L, which is an input: without its elements all are open. S is what a decoder starts with: the
ids of a decoder alone, the decoder's own or one token where an encoder is beside it. Sampling's logits are never
written by the kernels known here. What a decoder takes while it runs does not follow from these types. Source: the
operators' schemas and descriptions in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from memprof.importers.onnx.contributed_call import ContributedCall, OpenShape
from memprof.importers.onnx.types import UNKNOWN_TYPE
from memprof.ir import Dim, TensorType

Rule = Callable[[ContributedCall], list[TensorType]]

_LONGEST, _BEAMS, _RETURNED, _PENALTY, _STARTED = 1, 3, 4, 5, 10
"""Inputs of a search for beams."""


def _number(call: ContributedCall, i: int) -> Dim:
    """Return the one element of an input, ``None`` if it is not at hand."""
    try:
        (found,) = call.elements(i)
    except OpenShape:
        return None
    return int(found)


def _words(call: ContributedCall) -> Dim:
    """Return how many words there are: as stated, or else as many as the decoder's first output tells apart."""
    stated = call.get("vocab_size", -1)
    if stated > 0:
        return int(stated)
    decoder = next((a.g for a in call.node.attribute if a.name == "decoder"), None)
    if decoder is None or not decoder.output:
        return None
    shape = call.types.read(decoder.output[0].type).shape
    return shape[-1] if shape and isinstance(shape[-1], int) else None


def _greedy(call: ContributedCall) -> list[TensorType]:
    batch = call.shape(0)[0]
    sequences = call.types.of("int32", (batch, _number(call, _LONGEST)))
    return [sequences, call.types.of(call.of(3).dtype or "float32", (batch, _words(call)))]


def _beams(call: ContributedCall) -> list[TensorType]:
    batch, longest, returned = call.shape(0)[0], _number(call, _LONGEST), _number(call, _RETURNED)
    beams, start = _number(call, _BEAMS), _started(call)
    kind = call.of(_PENALTY).dtype or "float32"
    steps = longest - start if isinstance(longest, int) and isinstance(start, int) else None
    return [
        call.types.of("int32", (batch, returned, longest)),
        call.types.of(kind, (batch, returned)),
        call.types.of(kind, (steps, batch, beams, _words(call))),
    ]


def _started(call: ContributedCall) -> Dim:
    if not call.get("model_type", 0):
        return call.shape(0)[1]
    return 1 if call.of(_STARTED) is UNKNOWN_TYPE else call.shape(_STARTED)[1]


def _whisper(call: ContributedCall) -> list[TensorType]:
    kind = call.of(_PENALTY).dtype or "float32"
    return [*_beams(call), call.types.of(kind, None), call.types.of(kind, call.shape(0)[:1])]


def _tokens(call: ContributedCall) -> list[TensorType]:
    return [call.typed(0, (*call.shape(0), None))]


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        f"com.microsoft.{op}": rule
        for op, rule in (
            ("BeamSearch", _beams),
            ("GreedySearch", _greedy),
            ("Sampling", _greedy),
            ("Tokenizer", _tokens),
            ("WhisperBeamSearch", _whisper),
        )
    }
)
"""Rules by ``domain.Op``."""
