"""Which module a node belongs to, where the exporter wrote it down.

torch's exporter (dynamo)      metadata  ['', 'features', 'features.3', 'conv2d_7']   ->  features.3
torch's older exporter         name      /features/features.3/conv/Conv               ->  features.3.conv
"""

from __future__ import annotations

import re

from onnx import NodeProto

_KEY = "pkg.torch.onnx.name_scopes"
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_MAX_LENGTH = 4096


def module_path(node: NodeProto) -> str:
    """Return the dotted path of the module that ``node`` belongs to, empty if the file does not say."""
    for entry in node.metadata_props:
        if entry.key == _KEY and isinstance(entry.value, str) and len(entry.value) <= _MAX_LENGTH:
            scopes = [a or b for a, b in _QUOTED.findall(entry.value)]
            return scopes[-2] if len(scopes) > 1 else ""
    name = node.name
    return _from_name(name) if name.startswith("/") and len(name) <= _MAX_LENGTH else ""


def _from_name(name: str) -> str:
    path: list[str] = []
    for part in name.split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):  # the name of a list's child repeats the list's own
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
