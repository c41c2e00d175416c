from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import memprof
from memprof.base.errors import InputError, UsageError
from memprof.importers.torch.calls import Call, call_of, real_call, shaped_call
from memprof.importers.torch.resolve import resolve

HERE = "tests.importers.torch.networks"


def test_a_factory_is_called_without_making_weights() -> None:
    found = resolve(f"{HERE}:convolutional")
    assert {parameter.device.type for parameter in found.module.parameters()} == {"meta"}
    assert found.call is None


def test_code_that_reads_numbers_makes_no_weights_either_and_shared_ones_stay_one() -> None:
    name = f"{HERE}:deciding"
    module = resolve(name).module
    assert {parameter.device.type for parameter in module.parameters()} == {"meta"}
    assert len(list(module.parameters())) == 6  # five of the layers, one shared; and one of its own under two names
    assert module.get_buffer("table").device.type == "cpu"
    after = torch.nn.Linear(2, 2)
    assert after.weight.device.type == "cpu"

    images = (torch.empty(4, 8),)
    real = memprof.load(resolve(name, device="cpu").module, images).graph
    graph = memprof.load(name, inputs={"": (4, 8)}).graph
    assert graph.parameter_bytes == real.parameter_bytes
    assert [node.op for node in graph.nodes] == [node.op for node in real.nodes]


def test_code_that_reads_its_weights_has_them() -> None:
    module = resolve(f"{HERE}:deciding_by_weights").module
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}


def test_a_factory_may_bring_its_inputs() -> None:
    found = resolve(f"{HERE}:attention")
    assert found.call is not None
    assert [tensor.shape for tensor in found.call.args] == [(2, 7)]


def test_a_class_and_a_module_are_names_too() -> None:
    assert type(resolve(f"{HERE}:Dense").module).__name__ == "Dense"
    assert type(resolve(f"{HERE}:INSTANCE").module).__name__ == "Convolutional"


def test_a_model_of_torchvision_takes_an_image_of_the_size_that_its_weights_are_for() -> None:
    found = resolve("torchvision:squeezenet1_1")
    assert type(found.module).__name__ == "SqueezeNet"
    assert found.call is not None and [image.shape for image in found.call.args] == [(1, 3, 224, 224)]
    assert [note.name for note in found.assumed] == ["batch=1"]

    segmenting = resolve("torchvision:lraspp_mobilenet_v3_large", sizes={"batch": 2})
    assert segmenting.call is not None and [image.shape for image in segmenting.call.args] == [(2, 3, 520, 520)]
    assert segmenting.assumed == ()


def test_images_are_of_the_size_that_the_model_was_made_for_where_its_weights_are_for_a_larger_one() -> None:
    found = resolve("torchvision:vit_h_14")
    assert found.call is not None and [image.shape for image in found.call.args] == [(1, 3, 224, 224)]


def test_a_model_of_torchvision_that_takes_two_images_is_given_none() -> None:
    assert resolve("torchvision:raft_small").call is None
    with pytest.raises(UsageError, match="have no names"):
        resolve("torchvision:raft_small", sizes={"batch": 2})


def test_a_real_module_is_made_where_it_is_asked_for() -> None:
    module = resolve(f"{HERE}:convolutional", device="cpu").module
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}


def test_code_that_needs_values_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "picky_factory.py").write_text(
        "import torch\n"
        "def make():\n"
        "    rates = [rate.item() for rate in torch.linspace(0, 1, 3)]\n"
        "    return torch.nn.Sequential(*[torch.nn.Dropout(rate) for rate in rates], torch.nn.Linear(2, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert len(resolve("picky_factory:make").module) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("torchvision:resnet19", UsageError, "torchvision has no model 'resnet19'"),
        ("no_such_package:make", UsageError, "no Python module 'no_such_package'"),
        (f"{HERE}:convolutionl", UsageError, "has no 'convolutionl'"),
        (f"{HERE}:broken", InputError, "no such checkpoint"),
        (f"{HERE}:number", InputError, "returned a int"),
        (f"{HERE}:NETWORKS", InputError, "is a dict"),
        ("nonsense", UsageError, "names no module"),
        ("a:b:c", UsageError, "names no module"),
    ],
)
def test_a_bad_name_is_one_clear_error(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(name)


def test_close_names_are_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        resolve("torchvision:mobilenet_v22")
    assert "mobilenet_v2" in caught.value.hint


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, mask: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return x * mask * scale


def test_shapes_go_by_name_or_to_the_first_input() -> None:
    given = Call((torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.int64)))
    x, mask = shaped_call(TwoInputs(), given, {"": (2, 5), "mask": (2, 5)}, {}).args
    assert (x.shape, mask.shape, mask.dtype) == ((2, 5), (2, 5), torch.int64)
    x, mask = shaped_call(TwoInputs(), None, {"x": (4, 1), "mask": (4, 1)}, {}).args
    assert (x.shape, x.dtype, mask.shape) == ((4, 1), torch.float32, (4, 1))


def test_an_input_has_the_type_that_is_said() -> None:
    call = shaped_call(TwoInputs(), None, {"mask": (4, 1), "x": (4, 1)}, {"mask": "bool", "x": "float16"})
    found = {"x": torch.float16, "mask": torch.bool}
    assert {name: tensor.dtype for name, tensor in [*call.kwargs.items(), ("x", call.args[0])]} == found


def test_what_was_one_tensor_stays_one_when_it_has_another_shape() -> None:
    ids, other = torch.empty(4, 1, dtype=torch.int64), torch.empty(4, 1)
    shared = shaped_call(TwoInputs(), Call((), {"x": ids, "mask": ids}), {"x": (2, 1)}, {}).kwargs
    assert shared["mask"] is shared["x"]
    assert (shared["x"].shape, shared["x"].dtype) == ((2, 1), torch.int64)
    apart = shaped_call(TwoInputs(), Call((ids, other)), {"x": (2, 1)}, {}).args
    assert apart[1] is other
    both = shaped_call(TwoInputs(), Call((ids, ids)), {"x": (2, 1), "mask": (3, 1)}, {}).args
    assert [tensor.shape[0] for tensor in both] == [2, 3]


def test_inputs_that_do_not_fit_are_the_callers_error() -> None:
    with pytest.raises(UsageError, match="needs an input"):
        shaped_call(TwoInputs(), None, {}, {})
    with pytest.raises(UsageError, match="no input 'image'"):
        shaped_call(TwoInputs(), None, {"image": (1, 3)}, {})
    with pytest.raises(UsageError, match="missing a required argument: 'x'"):
        shaped_call(TwoInputs(), None, {"mask": (1, 3)}, {})


@dataclass
class Batch:
    x: torch.Tensor
    mask: torch.Tensor


class TakesBatch(nn.Module):
    def forward(self, batch: Batch) -> torch.Tensor:
        return batch.x * batch.mask


ONE = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("module", "given", "args", "names"),
    [
        (TwoInputs(), ONE, 1, []),
        (TwoInputs(), (ONE, ONE), 2, []),
        (TwoInputs(), {"x": ONE, "mask": ONE}, 0, ["x", "mask"]),
        (TwoInputs(), Batch(ONE, ONE), 0, ["x", "mask"]),
        (TakesBatch(), Batch(ONE, ONE), 1, []),
        (TakesBatch(), {"image": ONE}, 1, []),
    ],
)
def test_what_a_factory_gives_is_a_call(module: nn.Module, given: object, args: int, names: list[str]) -> None:
    call = call_of(module, given)
    assert (len(call.args), list(call.kwargs)) == (args, names)


def test_a_call_in_whole() -> None:
    call = call_of(TwoInputs(), (ONE,), {"mask": ONE})
    assert (len(call.args), list(call.kwargs)) == (1, ["mask"])


def test_real_inputs_have_data_and_keep_what_they_had() -> None:
    tokens = torch.tensor([3, 4])
    whole, mask = (torch.empty(2, dtype=torch.int64, device="meta") for _ in range(2))
    call = real_call(TwoInputs(), Call((tokens, mask), {"other": torch.empty(4, device="meta")}), {})
    assert (call.args[0], call.args[1].tolist(), call.kwargs["other"].device.type) == (tokens, [1, 1], "cpu")
    call = real_call(TwoInputs(), Call((whole, mask)), {"x": 16, "mask": (0, 1)})
    assert [tensor.tolist() for tensor in call.args] == [[16, 16], [0, 1]]
    for values, words in (({"y": 1.0}, "called with no 'y'"), ({"x": (1.0, 2.0, 3.0)}, "not the elements of 2")):
        with pytest.raises(UsageError, match=words):
            real_call(TwoInputs(), Call((whole, mask)), values)


def test_analyze_takes_modules_names_and_programs() -> None:
    with torch.device("meta"):
        module, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.zeros(1, 3, 8, 8)
    report = memprof.analyze(module, x)
    assert list(report.runtimes) == ["pytorch", "reference", "ideal", "paper", "pytorch-process"]
    assert report.runtimes["pytorch"].peak_intermediate_bytes == 2 * 4 * 36 * 4
    program = torch.export.export(module, (x,))
    assert memprof.analyze(program).runtimes["pytorch"].grade == "estimate"
    assert memprof.analyze(f"{HERE}:attention").model.format == "torch.export"


def test_analyze_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="A list cannot be analysed"):
        memprof.analyze([1, 2])
    with pytest.raises(UsageError, match="needs an input"):
        memprof.analyze(nn.ReLU())
    with pytest.raises(UsageError, match="no names"):
        memprof.analyze(nn.ReLU(), torch.zeros(3), dims={"batch": 1})
    with pytest.raises(UsageError, match="only PyTorch modules can be trained"):
        memprof.analyze("model.onnx", training=memprof.Training())


def test_a_name_that_a_file_lacks_brings_those_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "lacking_net.py"
    path.write_text("from random import Random\ndef make(): ...\nclass Net: ...\ndef _own(): ...\n")
    for name, hint in {"nope": "Did you mean Net, make?", "mak": "Did you mean make?"}.items():
        with pytest.raises(UsageError, match=f"has no '{name}'") as caught:
            resolve(f"{path}:{name}")
        assert caught.value.hint == hint


def test_videos_and_lists_of_pictures_are_made_for_models_of_torchvision() -> None:
    pytest.importorskip("torchvision")
    video = resolve("torchvision:r3d_18", sizes={"frames": 4})
    assert video.call is not None
    assert [tensor.shape for tensor in video.call.args] == [(1, 3, 4, 112, 112)]
    assert [note.name for note in video.assumed] == ["batch=1"]
    found = resolve("torchvision:ssdlite320_mobilenet_v3_large", sizes={"batch": 2}).call
    assert found is not None
    assert [tensor.shape for tensor in found.args[0]] == [(3, 480, 640)] * 2


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([nn.Conv1d(2, 4, 3)], "--input 1x2x16000,"),
        ([nn.ReLU(), nn.Conv3d(3, 4, 3)], "--input 1x3x16x112x112,"),
        ([nn.Linear(7, 3)], "--input 1x7,"),
        ([nn.Embedding(9, 3)], "--input int64:1x128,"),
    ],
)
def test_an_input_to_begin_with_fits_the_first_layer(layers: list[nn.Module], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        memprof.analyze(nn.Sequential(*layers))
    assert said in caught.value.hint


def test_each_input_that_is_wanted_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        memprof.analyze(nn.Bilinear(3, 4, 5))
    assert "--input input1=1x3x224x224 --input input2=1x3x224x224" in caught.value.hint
