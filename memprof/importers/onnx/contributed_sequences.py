"""Types of what onnxruntime's newer operations on sequences write: linear attention, states, n-grams, connections.

    AttnLSTM                    x [S,B,I]                              [S,directions,B,hidden]; two states without S
    WordConvEmbedding           words [...,characters], filters [E,..] [...,E]
    CausalConvWithState         x [B,C,L], kernel [C,1,k]              like x; state [B,C,(k - 1) dilation]
    VarlenCausalConvWithState   x [tokens,C]                           like x; state like the first; captured [B,n,C]
    LinearAttention             [B,T,heads x d]                        [B,T,most heads x dv]; state [B,heads,dk,dv]
    GatedDeltaNet               [...,heads,d]                          [...,most heads,dv]; state [B,heads,dv,dk]
    EngramGate                  keys                                   like keys, twice
    HyperConnectionPreMix       [...,C,H], or [...,C H]                [...,H]; PostMix like the streams
    MoEGroupRouter              [...,experts]                          [tokens,experts], up to three times
    NGramHashMapping            ids [B,S]                              [B,S,(n - 1) heads]; last ids [B,n - 1]
    VarlenNGramHashMapping      ids [tokens]                           the same; captured [B,capacity,n - 1]

``state_window`` puts a dimension in front of a state. Source: the operators' schemas and descriptions in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from memprof.importers.onnx.contributed_call import ContributedCall
from memprof.importers.onnx.types import UNKNOWN_TYPE
from memprof.ir import Dim, TensorType

Rule = Callable[[ContributedCall], list[TensorType]]


def _attended_lstm(call: ContributedCall) -> list[TensorType]:
    steps, batch = call.shape(0)[:2]
    directions, hidden = call.shape(2)[0], call.get("hidden_size")
    state = call.typed(0, (directions, batch, hidden))
    return [call.typed(0, (steps, directions, batch, hidden)), state, state]


def _words(call: ContributedCall) -> list[TensorType]:
    return [call.types.of("float32", (*call.shape(0)[:-1], call.shape(1)[0]))]


def _window(call: ContributedCall, shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    window = call.get("state_window", 0)
    return (window, *shape) if window else shape


def _causal(call: ContributedCall) -> list[TensorType]:
    shape, kernel = call.shape(0), call.shape(1)
    if call.get("channels_last", 0):
        return [call.of(0)]
    taps = kernel[-1]
    length = (taps - 1) * call.get("dilation", 1) if isinstance(taps, int) else None
    return [call.of(0), call.typed(0, _window(call, (*shape[:-1], length)))]


def _causal_packed(call: ContributedCall) -> list[TensorType]:
    state = call.of(4)
    captured = call.typed(0, (call.shape(4)[0], call.get("state_update_capacity", 0), call.shape(0)[1]))
    return [call.of(0), state, captured]


def _linear_attention(call: ContributedCall) -> list[TensorType]:
    heads, kept = call.get("q_num_heads"), call.get("kv_num_heads")
    query, key, value = call.shape(0), call.shape(1), call.shape(2)
    keys, values = _part(key[-1], kept), _part(value[-1], kept)
    width = None if values is None else max(heads, kept) * values
    state = call.typed(0, _window(call, (query[0], kept, keys, values)))
    return [call.typed(0, (*query[:2], width)), state if call.of(3) is UNKNOWN_TYPE else call.of(3)]


def _part(size: Dim, count: int) -> int | None:
    return size // count if isinstance(size, int) else None


def _delta_net(call: ContributedCall) -> list[TensorType]:
    query, value = call.shape(0), call.shape(2)
    heads = [size for size in (query[-2], value[-2]) if isinstance(size, int)]
    output = call.typed(0, (*query[:-2], max(heads) if len(heads) == 2 else None, value[-1]))
    if call.of(6) is not UNKNOWN_TYPE:
        return [output, call.of(6)]
    batch = query[0] if len(query) > 3 else 1
    if call.of(3).shape:
        ends = call.shape(3)[0]
        batch = ends - 1 if isinstance(ends, int) else None
    return [output, call.types.of("float32", (batch, value[-2], value[-1], query[-1]))]


def _streams(call: ContributedCall) -> list[TensorType]:
    shape, branches = call.shape(0), call.get("num_branches", 0)
    if not branches:
        return [call.typed(0, (*shape[:-2], shape[-1]))]
    return [call.typed(0, (*shape[:-1], _part(shape[-1], branches)))]


def _routed(call: ContributedCall) -> list[TensorType]:
    shape = call.shape(0)
    tokens: Dim = 1
    for size in shape[:-1]:
        tokens = tokens * size if isinstance(tokens, int) and isinstance(size, int) else None
    experts = shape[-1] if call.of(2) is UNKNOWN_TYPE else call.shape(2)[0]
    whole = call.types.of("float32", (tokens, experts))
    return [call.typed(0, (tokens, experts)), whole, whole]


def _hashed(call: ContributedCall) -> list[TensorType]:
    shape, orders = call.shape(0), call.get("max_ngram_size") - 1
    return [call.typed(0, (*shape, orders * call.get("n_head_per_ngram"))), call.typed(0, (shape[0], orders))]


def _hashed_packed(call: ContributedCall) -> list[TensorType]:
    shape, orders = call.shape(0), call.get("max_ngram_size") - 1
    ends = call.shape(3)[0]
    batch = ends - 1 if isinstance(ends, int) else None
    last = call.typed(0, (batch, orders))
    segments = UNKNOWN_TYPE if call.of(7) is UNKNOWN_TYPE else call.typed(7, (batch, orders))
    captured = call.typed(0, (batch, call.get("state_update_capacity", 0), orders))
    return [call.typed(0, (*shape, orders * call.get("n_head_per_ngram"))), last, segments, captured]


def _like(*inputs: int) -> Rule:
    return lambda call: [call.of(i) for i in inputs]


def _named(rules: Sequence[tuple[str, Rule]]) -> Mapping[str, Rule]:
    return MappingProxyType({f"com.microsoft.{op}": rule for op, rule in rules})


RULES = _named(
    (
        ("AttnLSTM", _attended_lstm),
        ("CausalConvWithState", _causal),
        ("EngramGate", _like(0, 0)),
        ("GatedDeltaNet", _delta_net),
        ("HyperConnectionPostMix", _like(0)),
        ("HyperConnectionPreMix", _streams),
        ("LinearAttention", _linear_attention),
        ("LinearAttentionGate", _like(0, 3)),
        ("MoEGroupRouter", _routed),
        ("NGramHashMapping", _hashed),
        ("VarlenCausalConvWithState", _causal_packed),
        ("VarlenNGramHashMapping", _hashed_packed),
        ("WordConvEmbedding", _words),
    )
)
"""Rules by ``domain.Op``."""
