"""Modules as people have them: token ids, keyword arguments, quantised weights, caches, code that needs values."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional

import memprof
from memprof.base.errors import InputError, UsageError

TABLE = nn.Parameter(torch.zeros(50, 8))


class Looked(nn.Module):
    """Looks up by its first input in one of several ways, and weighs the result by its second."""

    def __init__(self, how: str = "module") -> None:
        super().__init__()
        self.how = how
        self.embedding = nn.Embedding(50, 8)

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        found = {
            "module": lambda: self.embedding(ids),
            "function": lambda: functional.embedding(ids.view(2, 3), self.embedding.weight),
            "brackets": lambda: self.embedding.weight[ids],
            "gather": lambda: torch.index_select(self.embedding.weight, 0, ids.flatten()).view(2, 3, 8),
        }
        return found[self.how]() * weight


@pytest.mark.parametrize("how", ["module", "function", "brackets", "gather"])
def test_an_input_that_is_an_index_is_whole_and_said_so(how: str) -> None:
    report = memprof.analyze(Looked(how), inputs={"ids": (2, 3), "weight": (1,)})
    (note,) = report.assumed
    assert (note.kind, note.name) == ("input", "ids=int64:2x3")
    said = memprof.analyze(Looked(how), inputs={"ids": (2, 3), "weight": (1,)}, dtypes={"ids": "int64"})
    assert said.assumed == ()
    assert report.peak_intermediate_bytes == said.peak_intermediate_bytes == 2 * 192


class Annotated(nn.Module):
    def forward(self, ids: torch.LongTensor | None = None) -> torch.Tensor:
        assert ids is not None
        return ids + 1


def test_an_annotation_says_the_type() -> None:
    report = memprof.analyze(Annotated(), inputs={"": (4,)})
    assert (report.peak_intermediate_bytes, report.assumed) == (4 * 8, ())


class Deciding(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool((x == 0).all()):
            return x
        return x[x > 0].repeat(2) + 1


class OnCuda(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(3, device="cuda:0")


class WrongShape(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ torch.zeros(4, 4)


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3).to_sparse())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Deciding(), r"asks for the value of a tensor in test_sources\.py, line \d+, and without data there is none"),
        (OnCuda(), r"moves tensors to another device in test_sources\.py, line \d+"),
        (WrongShape(), r"fails in test_sources\.py, line \d+: RuntimeError"),
        (Sparse(), r"^weight is sparse coo; only dense tensors"),
    ],
)
def test_the_cause_is_told_once_and_nothing_is_printed(
    module: nn.Module, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        memprof.analyze(module, torch.zeros(3))
    assert "on meta tensors" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_a_run_of_a_module_in_memory_is_measured_as_it_is() -> None:
    x = torch.tensor([1.0, -1.0, 2.0])
    report = memprof.analyze(Deciding(), x, run=True)
    assert report.headline.grade == "measured"
    # x > 0, the indices that PyTorch makes of it are inside the operation; chosen, repeated, added
    assert report.peak_intermediate_bytes == 4 * 4 + 4 * 4
    assert report.runtimes["reference"].peak_intermediate_bytes is not None


SOURCE = """
import torch
from torch import nn
from beside import SIZE

class Deciding(nn.Module):
    def forward(self, x, scale=1):
        print("a line that is no result")
        return x * scale if bool((x == x).all()) else x

def make():
    return Deciding(), (torch.zeros(SIZE),), {"scale": 2}

def calm():
    return nn.Linear(SIZE, 2), {"input": torch.zeros(1, SIZE)}
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "beside.py").write_text("SIZE = 5\n")
    (tmp_path / "deciding.py").write_text(SOURCE)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    return str(tmp_path / "deciding.py")


def test_a_file_is_a_source_and_what_lies_beside_it_is_found(source: str) -> None:
    assert memprof.analyze(f"{source}:calm").peak_intermediate_bytes == 8
    with pytest.raises(UsageError, match="has no 'cal'"):
        memprof.analyze(f"{source}:cal")
    with pytest.raises(UsageError, match="There is no file"):
        memprof.analyze("nothing/here.py:make")


def test_a_real_run_in_a_child_is_a_report_and_a_verification(source: str, capfd: pytest.CaptureFixture[str]) -> None:
    report = memprof.analyze(f"{source}:make", run=True)
    assert (report.peak_intermediate_bytes, report.headline.grade) == (20, "measured")
    found = memprof.verify(f"{source}:make")
    assert (found.predicted_bytes, found.measured_bytes) == (None, 20)
    assert "no result" not in capfd.readouterr().out


QUANTIZED = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3, bias=False))


def dynamic(per_channel: bool) -> nn.Module:
    config = torch.ao.quantization.per_channel_dynamic_qconfig if per_channel else None
    mapping = {nn.Linear: config} if config else {nn.Linear}
    return torch.ao.quantization.quantize_dynamic(QUANTIZED.eval(), mapping, dtype=torch.qint8)  # type: ignore[no-any-return]


def static() -> nn.Module:
    stubs = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
    module = nn.Sequential(stubs[0], nn.Conv2d(2, 3, 3), stubs[1]).eval()
    module.qconfig = torch.ao.quantization.QConfig(  # type: ignore[assignment]
        activation=torch.ao.quantization.default_observer, weight=torch.ao.quantization.default_weight_observer
    )
    prepared = torch.ao.quantization.prepare(module)
    prepared(torch.zeros(1, 2, 5, 5))
    return torch.ao.quantization.convert(prepared)  # type: ignore[no-any-return]


def recurrent() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 5)), {nn.LSTM}, dtype=torch.qint8)  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "inputs", "bytes_"),
    [
        (lambda: dynamic(False), (1, 6), 24 + 16 + 12),
        (lambda: dynamic(True), (1, 6), 24 + 16 + 12 + (4 + 3) * (8 + 8)),  # a scale and a zero point per channel
        (static, (1, 2, 5, 5), 2 * 3 * 9 + 3 * 4 + 4 + 8),  # and the stub's own scale and zero point
        (recurrent, (2, 1, 3), 20 * 3 + 20 * 5 + 2 * 20 * 4),
    ],
)
def test_packed_weights_count(make: object, inputs: tuple[int, ...], bytes_: int) -> None:
    report = memprof.analyze(make(), torch.zeros(inputs), run=True)  # type: ignore[operator]
    assert report.parameter_bytes == bytes_


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_module_needs_no_data_where_pytorch_needs_none() -> None:
    assert memprof.analyze(dynamic(False), torch.zeros(1, 6)).parameter_bytes == 24 + 16 + 12
    with pytest.raises(InputError, match="asks for the value of a tensor"):
        memprof.analyze(static(), torch.zeros(1, 2, 5, 5))


class Cast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.layer(x)  # type: ignore[no-any-return]


def test_casts_of_autocast_are_in_every_row_and_in_an_exported_program_said_to_be_missing(tmp_path: Path) -> None:
    x = torch.zeros(8, 16)
    report = memprof.analyze(Cast(), x)
    casts, out = 8 * 16 * 2 + 16 * 16 * 2, 8 * 16 * 2
    assert report.peak_intermediate_bytes == casts + out
    reference = report.runtimes["reference"]
    assert reference.peak_intermediate_bytes == 8 * 16 * 4 + casts  # the input itself lives beside its copy
    assert report.model.foldable_constant_bytes == 0
    program = torch.export.export(Cast().eval(), (x,))
    path = tmp_path / "cast.pt2"
    torch.export.save(program, path)
    for source in (program, path):
        found = memprof.analyze(source)
        assert [note.name for note in found.assumed] == ["autocast"]
        assert found.runtimes["reference"].grade == "estimate"


class Cache:
    def __init__(self, keys: torch.Tensor | None = None) -> None:
        self.keys = keys


class Attends(nn.Module):
    def forward(self, x: torch.Tensor, cache: Cache | None = None) -> dict[str, object]:
        cache = cache or Cache()
        cache.keys = x * 2 if cache.keys is None else torch.cat([cache.keys, x])
        return {"out": x[:1] + 1, "past_key_values": cache}


@pytest.mark.parametrize(("given", "kept"), [(None, 3), (4, 4 + 3)])
def test_a_cache_that_is_returned_or_given_counts_and_has_a_name(given: int | None, kept: int) -> None:
    inputs = {"x": torch.zeros(3, 10)} | ({} if given is None else {"cache": Cache(torch.zeros(given, 10))})
    predicted = memprof.analyze(Attends(), inputs)
    measured = memprof.analyze(Attends(), inputs, run=True)
    own = predicted.headline
    assert own.categories["key-value cache"] >= kept * 40
    assert own.timeline == measured.headline.timeline
    assert own.timeline[-1] == kept * 40 + 40


def test_the_reference_row_is_a_bound_of_a_module_only_where_its_run_takes_no_more() -> None:
    class Cast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.layers(x)

    for module in (Cast(), Cast().layers):
        report = memprof.analyze(module, torch.zeros(64, 256))
        ran, reference = report.runtimes["pytorch"], report.runtimes["reference"]
        taken = (ran.peak_intermediate_bytes or 0) + 64 * 256 * 4
        is_bound = taken <= (reference.peak_intermediate_bytes or 0)
        assert (reference.runtime.grade == "upper bound") == is_bound
    assert memprof.analyze(Cast(), torch.zeros(64, 256)).runtimes["pytorch"].peak_intermediate_bytes == 197_120


def test_a_module_in_torchscript_is_run_too() -> None:
    made = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    assert memprof.analyze(made, torch.zeros(2, 4)).peak_intermediate_bytes == 64


def test_what_a_module_moves_to_another_device_is_said_not_to_count() -> None:
    class Moves(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2).cuda()

    report = memprof.analyze(Moves(), torch.zeros(2, 4))
    assert report.peak_intermediate_bytes == 32
    (note,) = (note for note in report.assumed if note.kind == "device")
    assert (note.name, note.hint) == ("cuda", "--device cuda")
    assert "32 bytes" in note.reason


def test_a_real_run_that_fails_does_not_ask_for_a_real_run() -> None:
    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError("Could not run 'a::b' with arguments from the 'CPU' backend.")

    with pytest.raises(InputError) as caught:
        memprof.analyze(Fails(), torch.zeros(2), run=True)
    assert "NotImplementedError" in caught.value.message
    assert "--run" not in f"{caught.value.message} {caught.value.hint}"


def test_an_encoder_with_a_padding_mask_is_measured_on_its_nested_path() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
            self.layers = nn.TransformerEncoder(layer, 1)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            found = self.layers(x, src_key_padding_mask=mask)
            assert isinstance(found, torch.Tensor)
            return found

    mask = torch.zeros(2, 10, dtype=torch.bool)
    whole = memprof.analyze(Encoder(), (torch.zeros(2, 10, 32), mask), run=True)
    mask = mask.clone()
    mask[1, 5:] = True
    half = memprof.analyze(Encoder(), (torch.zeros(2, 10, 32), mask), run=True)
    assert half.headline.runtime.grade == whole.headline.runtime.grade == "measured"
    assert (half.peak_intermediate_bytes or 0) < (whole.peak_intermediate_bytes or 0)
