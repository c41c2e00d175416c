"""PyTorch in: modules, exported programs and their archives.

    records.py   what a front end saw, as plain records: tensors by storage and layout, operations, storages
    graphs.py    records -> Graph, in-place operations made functional
    traces.py    records -> Trace, everything as it ran
    binding.py   open sizes bound, or listed as unknown
    export.py    torch.export -> records
    pt2.py       a .pt2 archive -> records; neither runs pickled code nor needs torch
    running.py   one inference or one training step -> records
    tracker.py   watches a run: every operation, every storage, when each dies
    fakes.py     modules and inputs without memory: tensors that know shape and device only
    resolve.py   "torchvision:resnet18", "package.module:factory" -> a module
    loading.py   the order of the others' work
    ops.py, layouts.py, sharing.py, symbols.py, naming.py, training.py    tables and rules

Torch is imported by ``export``, ``running``, ``tracker``, ``fakes``, ``resolve`` and ``loading`` alone.
"""
