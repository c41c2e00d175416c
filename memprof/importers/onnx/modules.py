"""Which module a node belongs to, where the exporter wrote it down.

torch's exporter (dynamo)      metadata  ['', 'features', 'features.3', 'conv2d_7']   ->  features.3
torch's older exporter         name      /features/features.3/conv/Conv               ->  features.3.conv
"""

from __future__ import annotations

import re

from memprof.importers.onnx.library import GraphProto, NodeProto

MODULE_KEY = "pkg.torch.onnx.name_scopes"
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_MAX_LENGTH = 4096


def tidy(graph: GraphProto) -> None:
    """Drop, in place, what exporters hang on the nodes of a graph, but for the module path."""
    for node in graph.node:
        metadata = node.metadata_props
        if metadata:
            path = next((entry.value for entry in metadata if entry.key == MODULE_KEY), None)
            node.ClearField("metadata_props")
            if isinstance(path, str):  # protobuf hands over bytes where a text is not UTF-8
                node.metadata_props.add(key=MODULE_KEY, value=path)
        if node.doc_string:
            node.ClearField("doc_string")


def module_path(node: NodeProto) -> str:
    """Return the dotted path of the module that ``node`` belongs to, empty if the file does not say."""
    metadata = node.metadata_props
    for entry in metadata if metadata else ():  # to look whether there is one costs a third of a loop over none
        if entry.key == MODULE_KEY:
            return _from_scopes(entry.value)
    name = node.name
    return _from_name(name) if name.startswith("/") and len(name) <= _MAX_LENGTH else ""


def _from_scopes(text: str) -> str:
    if len(text) > _MAX_LENGTH:
        return ""
    is_plain = '"' not in text and "\\" not in text
    scopes = text.split("'")[1::2] if is_plain else [a or b for a, b in _QUOTED.findall(text)]
    return scopes[-2] if len(scopes) > 1 else ""


def _from_name(name: str) -> str:
    path: list[str] = []
    for part in name.split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):  # the name of a list's child repeats the list's own
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
