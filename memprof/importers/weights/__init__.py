"""Files of weights in: what a header says of them, and the network that their configuration describes.

    stored.py         what a header holds, as records: tensors with type, shape and bytes
    safetensors.py    a .safetensors file, or an index of several -> records
    gguf.py           a .gguf file, or its parts -> records and metadata
    architectures.py  metadata of a .gguf file -> a configuration as transformers has it
    attention.py      a configuration -> what its key-value cache holds, for models that nothing here can run
    loading.py        the order of the others' work

Headers are read within bounds, weights never. Nothing here imports torch; what runs the network is found late.
"""

from memprof.importers.weights.loading import SUFFIXES, read_weights

__all__ = ["SUFFIXES", "read_weights"]
