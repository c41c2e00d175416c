"""A plan for TensorFlow Lite Micro as C++: the addresses for ``tflite::NonPersistentMemoryPlannerShim``.

The shim takes the buffers in the order in which the runtime tells of them: tensors that are no constants, subgraph by
subgraph, then the scratch of kernels. It goes with the file as it is, without addresses of its own.
Source: tensorflow/lite/micro/memory_planner/memory_plan_struct.h.
"""

from __future__ import annotations

import re

from memprof.planning.tflm import TflmPlan


def header_text(plan: TflmPlan, title: str) -> str:
    """Return the header; every name in it begins with ``title``, made an identifier.

    Names of tensors are data of a stranger and stay out of it.
    """
    name = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "model"
    name = f"model_{name}" if name[0].isdigit() else name
    upper = name.upper()
    offsets = plan.arena.offsets
    lines = [
        "// Made by memprof plan, for tflite::NonPersistentMemoryPlannerShim and the portable kernels.",
        f"#ifndef {upper}_TFLM_PLAN_H_",
        f"#define {upper}_TFLM_PLAN_H_",
        "",
        "#include <cstddef>",
        "#include <cstdint>",
        "",
        '#include "tensorflow/lite/micro/memory_planner/memory_plan_struct.h"',
        "",
        f"constexpr std::size_t k_{name}_head_bytes = {plan.head_bytes};",
        f"constexpr std::int32_t k_{name}_buffer_count = {len(offsets)};",
        "",
        f"static const std::int32_t {name}_plan_words[1 + {max(1, len(offsets))}] = {{",
        f"    {len(offsets)},",
    ]
    lines += [f"    {', '.join(map(str, offsets[i : i + 10]))}," for i in range(0, len(offsets), 10)]
    lines += [
        "};",
        "",
        f"static_assert(sizeof({name}_plan_words) >= tflite::SizeOfBufferPlan(k_{name}_buffer_count),",
        '              "the plan is shorter than its count says");',
        "",
        f"inline const tflite::BufferPlan* {name}_plan() {{",
        f"  return reinterpret_cast<const tflite::BufferPlan*>({name}_plan_words);",
        "}",
        "",
        f"#endif  // {upper}_TFLM_PLAN_H_",
    ]
    return "\n".join(lines) + "\n"
