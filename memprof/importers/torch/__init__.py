"""PyTorch in: modules, exported programs and their archives.

    ops.py       tables: which operations are elementwise, which are views; element types
    records.py   what a front end saw, as plain records: tensors by storage and layout, operations, storages
    graphs.py    records -> Graph, in-place operations made functional
    traces.py    records -> Trace, everything as it ran
    tracker.py   watches a run: every operation, every storage, when each dies
    fakes.py     modules and inputs without memory: tensors that know shape and device only
    running.py   one inference or one training step under the tracker
    export.py    torch.export -> records
    pt2.py       a .pt2 archive -> records; neither runs pickled code nor needs torch
    resolve.py   "torchvision:resnet18", "package.module:factory" -> a module

``ops``, ``records``, ``graphs``, ``traces`` and ``pt2`` are pure and never import torch; the others do when called.
"""
