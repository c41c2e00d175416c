"""A plan as a C header: a macro per buffer and for the arena, a table of all buffers, assertions the compiler checks.

    #define MODEL_ARENA_BYTES 2031616ull
    #define MODEL_CONV1_OFFSET 0ull
    static const struct model_buffer model_buffers[] = {{"conv1", 0ull, 4096ull, 0ull, 3ull}, ...};

Names come from a model, so they are data: identifiers keep ASCII letters, digits and underscores, strings are escaped
byte by byte, and a comment never holds a name. Two names that become one identifier get a number behind it.
Compiles as C11 and as C++11 without warnings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TextIO

from memprof.planning.offsets.problem import MemoryPlan

_MAX_IDENTIFIER = 60
_PLAIN = frozenset(b" !#$%&'()*+,-./0123456789:;<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~")


def write_header(arena: MemoryPlan, stream: TextIO, prefix: str = "memprof") -> None:
    """Write ``arena`` to ``stream``; every name in the header begins with ``prefix``, made an identifier."""
    upper = _identifier(prefix).upper()
    lower = upper.lower()
    problem = arena.problem
    lines = [
        "/* Made by memprof plan. Offsets and sizes are bytes, lives are half-open ranges of steps. */",
        f"#ifndef {upper}_PLAN_H",
        f"#define {upper}_PLAN_H",
        "",
        f"#define {upper}_ARENA_BYTES {arena.arena_bytes}ull",
        f"#define {upper}_ARENA_ALIGNMENT {problem.alignment}ull",
        f"#define {upper}_BUFFER_COUNT {len(problem.buffers)}ull",
        "",
    ]
    for identifier, i in _identifiers(arena, upper):
        lines.append(f"#define {upper}_{identifier}_OFFSET {arena.offsets[i]}ull")
        lines.append(f"#define {upper}_{identifier}_BYTES {problem.buffers[i].size_bytes}ull")
    lines += ["", f"struct {lower}_buffer {{", "    const char *name;"]
    lines += [f"    unsigned long long {field};" for field in ("offset", "size_bytes", "start", "stop")]
    lines += ["};", ""]
    if problem.buffers:
        lines += [
            "#if defined(__GNUC__)",
            "__attribute__((unused))",
            "#endif",
            f"static const struct {lower}_buffer {lower}_buffers[{upper}_BUFFER_COUNT] = {{",
        ]
        for buffer, offset in zip(problem.buffers, arena.offsets, strict=True):
            numbers = f"{offset}ull, {buffer.size_bytes}ull, {buffer.start}ull, {buffer.stop}ull"
            lines.append(f"    {{{_string(buffer.name)}, {numbers}}},")
        lines += ["};", ""]
    lines += [
        "#if defined(__cplusplus)",
        "#define MEMPROF_PLAN_ASSERT(condition, message) static_assert(condition, message)",
        "#else",
        "#define MEMPROF_PLAN_ASSERT(condition, message) _Static_assert(condition, message)",
        "#endif",
    ]
    for identifier, _ in _identifiers(arena, upper):
        name = f"{upper}_{identifier}"
        condition = f"{name}_OFFSET + {name}_BYTES <= {upper}_ARENA_BYTES"
        lines.append(f'MEMPROF_PLAN_ASSERT({condition}, "a buffer lies outside the arena");')
        condition = f"{name}_OFFSET % {upper}_ARENA_ALIGNMENT == 0"
        lines.append(f'MEMPROF_PLAN_ASSERT({condition}, "a buffer is misaligned");')
    lines += ["#undef MEMPROF_PLAN_ASSERT", "", "#endif"]
    stream.write("\n".join(lines) + "\n")


def _identifiers(arena: MemoryPlan, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield an identifier for each buffer, unique, and the buffer's id."""
    taken = {"ARENA", "BUFFER"}  # what the header's own macros begin with
    uses: Counter[str] = Counter()
    for i, buffer in enumerate(arena.problem.buffers):
        wish = found = _identifier(buffer.name).upper()
        while found in taken:
            uses[wish] += 1
            found = f"{wish}_{uses[wish] + 1}"
        taken.add(found)
        yield found, i


def _identifier(name: str) -> str:
    """Return ``name`` with all but ASCII letters, digits and underscores replaced; a digit never comes first.

    >>> _identifier("conv1/Relu:0"), _identifier("3"), _identifier("é")
    ('conv1_Relu_0', 'B3', 'B')
    """
    plain = re.sub(r"[^0-9A-Za-z]+", "_", name[-4 * _MAX_IDENTIFIER :]).strip("_")[-_MAX_IDENTIFIER:].lstrip("_")
    return plain if plain[:1].isalpha() else f"B{plain}"


def _string(name: str) -> str:
    """Return a C string literal of the name in UTF-8."""
    data = name.encode("utf-8", "backslashreplace")
    # Octal with three digits: unlike \\x it cannot swallow what follows. Question marks would make trigraphs.
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in data) + '"'
