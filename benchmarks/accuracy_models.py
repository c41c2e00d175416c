"""The models of the accuracy page: a catalogue of names, each with what writes its .onnx file.

    tv_        torchvision, exported by the TorchScript exporter; tvx_ by the graph exporter
    timm_      timm; hf_: transformers, small configurations of a sequence or an image
    own_       networks of this file: recurrent, U-Net, temporal convolutions, encoder and decoder
    q_         quantised by onnxruntime: QDQ, QOperator, dynamic, 4 bits, float16
    cf_        control flow (accuracy_control_flow.py)
    light_     the onnx package's own; zoo_: files of a folder of public packages, if one is given

Weights are random: sizes do not depend on them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

Writer = Callable[[Path], None]

_TORCHVISION_NAMES = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 mnasnet0_5
mobilenet_v2 mobilenet_v3_small mobilenet_v3_large regnet_y_400mf regnet_x_400mf resnet18 resnet50
resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_1 swin_t swin_v2_t
deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large
"""
TORCHVISION = _TORCHVISION_NAMES.split()
_BY_GRAPH_NAMES = """
mobilenet_v2 resnet18 efficientnet_b0 vit_b_32
"""
BY_GRAPH = _BY_GRAPH_NAMES.split()
_TIMM_NAMES = """
resnet10t resnet14t resnet18d seresnet18 skresnet18 resnest14d ecaresnet26t mobilenetv1_100 mobilenetv2_035
mobilenetv3_small_050 mobilenetv4_conv_small_035 efficientnet_lite0 tf_efficientnet_lite0 efficientnet_es
ghostnet_050 ghostnetv2_100 lcnet_035 tinynet_e mnasnet_small fbnetc_100 semnasnet_075 hardcorenas_a regnetx_002
regnety_002 regnetz_005 rexnet_100 repvgg_a0 mobileone_s0 fastvit_t8 efficientformer_l1 efficientformerv2_s0
edgenext_xx_small mobilevit_xxs mobilevitv2_050 convnext_atto convnextv2_atto convnext_zepto_rms
vit_tiny_patch16_224 vit_xsmall_patch16_clip_224 levit_128s pit_ti_224 xcit_nano_12_p16_224 coat_lite_tiny
convit_tiny crossvit_tiny_240 poolformer_s12 mixer_s32_224 resmlp_12_224 gmlp_ti16_224 cait_xxs24_224
visformer_tiny eva02_tiny_patch14_224 coatnet_pico_rw_224 dla46_c selecsls42b ese_vovnet19b_dw hrnet_w18_small
densenet121 gernet_s botnet26t_256 halonet26t lambda_resnet26t repghostnet_050 starnet_s1 tiny_vit_5m_224
repvit_m0_9 swiftformer_xs inception_next_atto hgnetv2_b0 mambaout_femto shvit_s1 res2net50_14w_8s nest_tiny
twins_svt_small focalnet_tiny_srf efficientvit_b0 efficientvit_m0 mvitv2_tiny pvt_v2_b0 gcvit_xxtiny
hiera_tiny_224 fasternet_t0 test_vit test_resnet test_convnext test_efficientnet
"""
TIMM = _TIMM_NAMES.split()
SIZES: Mapping[str, int] = {"inception_v3": 299, "test_vit": 160, "alexnet": 224}
"""Side of the image where it is not 224 by the name or 128 by default."""

SMALL: Mapping[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "vocab_size": 1000,
}
TEXT: Mapping[str, Mapping[str, Any]] = {
    "Bert": SMALL,
    "Roberta": SMALL,
    "Electra": {**SMALL, "embedding_size": 64},
    "Albert": {**SMALL, "embedding_size": 64},
    "DistilBert": {"dim": 128, "n_layers": 2, "n_heads": 4, "hidden_dim": 256, "vocab_size": 1000},
    "Camembert": SMALL,
    "MPNet": SMALL,
    "ConvBert": SMALL,
    "SqueezeBert": {**SMALL, "embedding_size": 128},
    "MobileBert": {"num_hidden_layers": 2, "vocab_size": 1000},
    "Nystromformer": {**SMALL, "segment_means_seq_len": 64},
    "FNet": SMALL,
    "ModernBert": {**SMALL, "global_attn_every_n_layers": 2, "pad_token_id": 0},
    "GPT2": {"n_embd": 128, "n_layer": 2, "n_head": 4, "vocab_size": 1000},
    "GPTNeoX": SMALL,
    "OPT": {**SMALL, "ffn_dim": 256, "word_embed_proj_dim": 128},
    "Bloom": {"hidden_size": 128, "n_layer": 2, "n_head": 4, "vocab_size": 1000},
    "Llama": {**SMALL, "num_key_value_heads": 2},
    "Mistral": {**SMALL, "num_key_value_heads": 2},
    "Qwen2": {**SMALL, "num_key_value_heads": 2},
    "Phi": SMALL,
    "Gemma": {**SMALL, "num_key_value_heads": 1, "head_dim": 32},
    "StableLm": {**SMALL, "num_key_value_heads": 2},
}
IMAGES: Mapping[str, Mapping[str, Any]] = {
    "ViT": {**SMALL, "image_size": 96},
    "DeiT": {**SMALL, "image_size": 96},
    "Beit": {**SMALL, "image_size": 96},
    "Dinov2": {**SMALL, "image_size": 98},
    "Segformer": {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]},
    "ConvNext": {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 2, 1]},
    "ResNet": {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1], "embedding_size": 32},
    "MobileNetV2": {},
    "PoolFormer": {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1]},
    "Swin": {"image_size": 96, "embed_dim": 32, "depths": [1, 1, 2, 1], "num_heads": [2, 2, 4, 4], "window_size": 3},
    "Yolos": {**SMALL, "image_size": [96, 96], "num_detection_tokens": 10},
    "Cvt": {},
}
_QUANTISED_NAMES = """
mobilenet_v2 squeezenet1_1 resnet18 shufflenet_v2_x0_5
"""
QUANTISED = _QUANTISED_NAMES.split()


def catalogue(zoo: Path | None = None) -> dict[str, Writer]:
    """Return all names, each with what writes its file.

    Args:
        zoo: A folder of .onnx files of public packages, one folder to a package.
    """
    import onnx

    found: dict[str, Writer] = {}
    found |= {f"tv_{name}": partial(_torchvision, name, False) for name in TORCHVISION}
    found |= {f"tvx_{name}": partial(_torchvision, name, True) for name in BY_GRAPH}
    found |= {f"timm_{name}": partial(_timm, name) for name in TIMM}
    found |= {f"hf_{name}": partial(_text, name) for name in TEXT}
    found |= {f"hf_{name}": partial(_image, name) for name in IMAGES}
    found |= {f"own_{name}": partial(_own, name) for name in _OWN}
    found |= {f"q_{kind}_{name}": partial(_quantised, kind, name) for kind in _KINDS for name in QUANTISED}
    found |= {f"cf_{name}": partial(_control_flow, name) for name in _control_flow_names()}
    for path in sorted(Path(onnx.__file__).parent.glob("backend/test/data/light/light_*.onnx")):
        found[path.stem] = partial(_copy, path)
    for folder in sorted(zoo.iterdir()) if zoo is not None else []:
        found |= {f"zoo_{folder.name}_{path.stem}": partial(_copy, path) for path in sorted(folder.glob("*.onnx"))}
    return found


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _export(module: Any, example: tuple[Any, ...], path: Path, *, by_graph: bool = False) -> None:
    """Export ``module``, weights embedded."""
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if by_graph:
            program = torch.onnx.export(module.eval(), example, dynamo=True, verbose=False, optimize=True)
            assert program is not None
            program.save(str(path), external_data=False)
        else:
            torch.onnx.export(module.eval(), example, str(path), dynamo=False, opset_version=17)


def _torchvision(name: str, by_graph: bool, path: Path) -> None:
    import torch
    import torchvision

    build = getattr(torchvision.models, name, None) or getattr(torchvision.models.segmentation, name)
    settings: dict[str, Any] = {"weights": None}
    if name.startswith(("deeplab", "lraspp")):
        settings["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        settings["init_weights"] = False
    side = SIZES.get(name, 224 if name.startswith(("vit", "swin")) or by_graph else 128)
    _export(build(**settings), (torch.zeros(1, 3, side, side),), path, by_graph=by_graph)


def _timm(name: str, path: Path) -> None:
    import torch

    timm = import_module("timm")

    timm.layers.set_exportable(True)
    module = timm.create_model(name, pretrained=False)
    side = module.default_cfg["input_size"][1] if module.default_cfg.get("fixed_input_size") else 128
    _export(module, (torch.zeros(1, 3, side, side),), path)


def _transformer(name: str, settings: Mapping[str, Any], **more: Any) -> Any:
    import torch

    transformers = import_module("transformers")

    class First(torch.nn.Module):
        """The first output alone: what a session returns of it."""

        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: Any) -> Any:
            found = self.module(*inputs, return_dict=False, **more)
            return found[0] if isinstance(found, tuple | list) else found

    config = getattr(transformers, f"{name}Config")(**settings)
    config._attn_implementation = "eager"
    return First(getattr(transformers, f"{name}Model")(config).eval())


def _text(name: str, path: Path) -> None:
    import torch

    _export(_transformer(name, TEXT[name]), (torch.ones(1, 64, dtype=torch.int64),), path)


def _image(name: str, path: Path) -> None:
    import torch

    side = IMAGES[name].get("image_size", 96)
    side = side if isinstance(side, int) else side[0]
    _export(_transformer(name, IMAGES[name]), (torch.zeros(1, 3, side, side),), path)


def _own(name: str, path: Path) -> None:
    from accuracy_networks import NETWORKS

    module, example = NETWORKS[name]()
    _export(module, example, path, by_graph=name in ("encoder", "decoder"))  # the other exporter lacks attention


def _control_flow_names() -> Iterator[str]:
    from accuracy_control_flow import models

    yield from models()


def _control_flow(name: str, path: Path) -> None:
    import onnx
    from accuracy_control_flow import models

    onnx.save(models()[name], path)


def _quantised(kind: str, name: str, path: Path) -> None:
    """Quantise an exported model, where that calibrates with random data."""
    source = path.with_suffix(".float.onnx")
    _torchvision(name, False, source)
    try:
        _KINDS[kind](source, path)
    finally:
        source.unlink(missing_ok=True)


def _static(form: str, source: Path, path: Path) -> None:
    import numpy as np
    import onnxruntime
    from onnxruntime import quantization

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            feeds = {i.name: rng.random(i.shape, dtype=np.float32) for i in session.get_inputs()}
            self._left = iter([feeds, feeds])

        def get_next(self) -> Any:
            return next(self._left, None)

    quantization.quantize_static(str(source), str(path), Reader(), quant_format=quantization.QuantFormat[form])


def _dynamic(source: Path, path: Path) -> None:
    from onnxruntime import quantization

    quantization.quantize_dynamic(str(source), str(path))


def _half(source: Path, path: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), path)


_KINDS: Mapping[str, Callable[[Path, Path], None]] = {
    "qdq": partial(_static, "QDQ"),
    "qoperator": partial(_static, "QOperator"),
    "dynamic": _dynamic,
    "float16": _half,
}

_OWN_NAMES = """
lstm gru rnn bi_lstm deep_lstm lstm_tagger unet unet_small autoencoder tcn wavenet seq2seq encoder decoder mlp
wide_mlp siamese keyword_spotter super_resolution yolo_head mixture fft_free_conv1d conv3d depthwise
"""
_OWN = _OWN_NAMES.split()


def main() -> None:
    """List the catalogue, or write some of it into a folder: ``accuracy_models.py FOLDER [WORD ...]``."""
    import sys

    if len(sys.argv) < 2:
        print("\n".join(catalogue()))
        return
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    for name, write in catalogue().items():
        path = folder / f"{name}.onnx"
        if path.exists() or (words and not any(word in name for word in words)):
            continue
        try:
            write(path)
        except Exception as error:
            print(name, "FAILED", type(error).__name__, str(error)[:300], flush=True)


if __name__ == "__main__":
    main()
