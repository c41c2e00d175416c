from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional

import memprof
from memprof.base.errors import InputError, UsageError
from memprof.importers.request import make_request
from memprof.importers.torch.calls import Call
from memprof.importers.torch.traces import build_trace
from memprof.importers.torch.tracked import run_tracked, run_without_data
from memprof.importers.torch.training import Training
from memprof.ir import Graph
from memprof.ir.trace import Category, Trace
from memprof.runtimes.pytorch import trace_lifetimes
from tests.importers.torch.networks import NETWORKS, Convolutional, Dense

MODES = {
    "inference": None,
    "forward and backward": Training(),
    "sgd": Training("sgd"),
    "momentum": Training("momentum"),
    "adamw": Training("adamw"),
}


def predicted(network: str, training: Training | None) -> Trace:
    make, inputs = NETWORKS[network]
    return build_trace(run_without_data(make(), Call(inputs), training=training))


def measured(network: str, training: Training | None) -> Trace:
    make, inputs = NETWORKS[network]
    return build_trace(run_tracked(make(), Call(inputs), training=training, name="", device="cpu", tensors="real"))


CASES = [
    *((network, mode) for network in NETWORKS for mode in ("inference", "forward and backward")),
    ("convolutional", "sgd"),
    ("convolutional", "momentum"),
    ("attention", "adamw"),
]


@pytest.mark.parametrize(("network", "mode"), CASES)
def test_a_run_without_data_equals_a_real_one_byte_for_byte_at_every_step(network: str, mode: str) -> None:
    expected, actual = measured(network, MODES[mode]), predicted(network, MODES[mode])
    assert [node.op for node in actual.graph.nodes] == [node.op for node in expected.graph.nodes]
    assert trace_lifetimes(actual).timeline == trace_lifetimes(expected).timeline
    assert [life.category for life in actual.storages] == [life.category for life in expected.storages]


def test_the_peak_of_a_trace_counts_each_storage_once() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + 1
            return y.view(-1) + y.flatten() + y.t().t().reshape(-1)

    trace = build_trace(run_without_data(Twice(), Call((torch.zeros(10, 10),))))
    assert trace_lifetimes(trace).timeline.peak_bytes == 3 * 400


def test_what_python_holds_is_seen() -> None:
    trace = predicted("dense", None)
    last = trace_lifetimes(trace).timeline.step_bytes[-1]
    features, joined, output = 4 * 4 * 2 * 64 * 4, 16 * 2 * 64 * 4, 20 * 2 * 64 * 4
    assert last == features + joined + output


def test_categories_of_a_training_step() -> None:
    module = Convolutional()
    parameters = sum(p.nbytes for p in module.parameters())
    buffers = sum(b.nbytes for b in module.buffers())
    trace = predicted("convolutional", Training("adam"))
    total = dict.fromkeys(Category, 0)
    for life in trace.storages:
        total[life.category] += life.size_bytes
    assert total[Category.PARAMETER] == parameters + buffers
    assert total[Category.GRADIENT] == parameters
    assert total[Category.OPTIMIZER_STATE] == 2 * parameters + 4 * len(list(module.parameters()))
    assert total[Category.INPUT] == 2 * 3 * 16 * 16 * 4
    assert [phase.name for phase in trace.phases] == ["forward", "backward", "optimizer"]


def test_saved_activations_are_those_that_wait_for_the_backward_pass() -> None:
    trace = predicted("convolutional", Training())
    forward, backward, *_ = trace.phases
    for life in trace.storages:
        if life.category is Category.ACTIVATION:
            assert life.start < forward.stop < life.stop
    assert any(backward.start < life.stop < backward.stop for life in trace.storages)


def test_backward_operations_belong_to_the_module_of_their_forward_operation() -> None:
    trace = predicted("convolutional", Training())
    modules = [node.module for node in trace.graph.nodes if node.op == "aten.convolution_backward"]
    assert modules == ["body.0", "stem.0"]


def test_the_module_that_is_asked_about_stays_as_it_is() -> None:
    module = Convolutional()
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    run_without_data(module, Call((torch.zeros(1, 3, 8, 8),)), training=Training("adam"))
    assert module.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_garbage_collection_and_module_calls_are_as_before() -> None:
    import gc

    call = nn.Module.__call__
    run_without_data(Dense(), Call((torch.zeros(1, 4, 8, 8),)))
    assert nn.Module.__call__ is call
    assert gc.isenabled()


def test_a_module_that_fails_on_fake_tensors_runs_on_meta_tensors_and_says_so() -> None:
    class Picky(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.device.type != "meta":
                raise RuntimeError("only on meta")
            return x + 1

    trace = build_trace(run_without_data(Picky(), Call((torch.zeros(3),))))
    assert trace.tensors == "meta"
    assert "only on meta" in trace.caveat
    assert trace_lifetimes(trace).timeline.peak_bytes == 12


def test_a_forward_that_needs_values_is_the_callers_error() -> None:
    class Deciding(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.sum() > 0 else x

    with pytest.raises(InputError, match=r"asks for the value of a tensor in test_tracked\.py"):
        run_without_data(Deciding(), Call((torch.zeros(3),)))


def test_an_optimizer_must_exist_and_have_parameters() -> None:
    with pytest.raises(UsageError, match="no optimiser 'lion'"):
        run_without_data(Convolutional(), Call((torch.zeros(1, 3, 8, 8),)), training=Training("lion"))
    with pytest.raises(InputError, match="no trainable parameter"):
        run_without_data(nn.ReLU(), Call((torch.zeros(3),)), training=Training("sgd"))


def test_a_loss_and_an_optimizer_of_ones_own() -> None:
    training = Training(torch.optim.Adagrad, lambda output: output.sum())
    trace = build_trace(run_without_data(Convolutional(), Call((torch.zeros(1, 3, 8, 8),)), training=training))
    assert any(life.category is Category.OPTIMIZER_STATE for life in trace.storages)
    assert not any(node.op == "aten.pow" for node in trace.graph.nodes)


class Loss(nn.Module):
    def __init__(self, name: str, reduction: str) -> None:
        super().__init__()
        self.function = getattr(functional, name)
        self.reduction = reduction

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.function(x, y, reduction=self.reduction) * 2  # type: ignore[no-any-return]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "name", ["mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "soft_margin_loss", "l1_loss"]
)
def test_a_loss_takes_what_its_kernel_leaves_to_its_scalar(name: str, reduction: str) -> None:
    call = Call((torch.rand(4, 5), torch.rand(4, 5)))
    module = Loss(name, reduction)
    expected = build_trace(run_tracked(module, call, training=None, name="", device="cpu", tensors="real"))
    actual = build_trace(run_without_data(module, call))
    assert trace_lifetimes(actual).timeline == trace_lifetimes(expected).timeline


class Experts(torch.nn.Module):
    def forward(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ends = torch.tensor([3, 6, 10], dtype=torch.int32)
        return functional.grouped_mm(rows, weights, offs=ends) * 2  # type: ignore[attr-defined,no-any-return]


@pytest.mark.skipif(not hasattr(functional, "grouped_mm"), reason="this PyTorch has no grouped_mm")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_products_of_groups_take_what_their_kernel_takes_at_any_type(dtype: torch.dtype) -> None:
    call = Call((torch.rand(10, 8).to(dtype), torch.rand(3, 8, 16).to(dtype)))
    expected = build_trace(run_tracked(Experts(), call, training=None, name="", device="cpu", tensors="real"))
    actual = build_trace(run_without_data(Experts(), call))
    assert trace_lifetimes(actual).timeline == trace_lifetimes(expected).timeline


@pytest.mark.slow
def test_samples_of_pytorchs_operators_are_exact_where_they_are_graded_so() -> None:
    pytest.importorskip("expecttest")  # PyTorch's samples need it
    sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
    from accuracy_torch_ops import outcome, samples  # type: ignore[import-not-found]

    found = {name: outcome(module, call) for name, module, call in samples(stride=40, first=7)}
    assert len(found) > 10
    assert not [f"{name}: {words}" for name, words in found.items() if words.startswith("WRONG, graded exact")]


class Named(nn.Module):
    """Its first input has the name of a parameter, and it takes any number of tensors more."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, 8))

    def forward(self, weight: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return torch.stack([each @ self.weight for each in (weight, *rest)])


@pytest.mark.parametrize("mode", MODES)
def test_inputs_are_named_as_they_are_given(mode: str) -> None:
    def model(**said: tuple[int, ...]) -> Graph:
        request = make_request(Named(), (torch.zeros(2, 8), torch.zeros(2, 8)), inputs=said, training=MODES[mode])
        return memprof.load(request).graph

    graph = model()
    names = [graph.values[i].name for i in graph.inputs][:2]
    assert names == ["weight", "rest_0"]
    graph = model(**dict.fromkeys(names, (5, 8)))
    assert [graph.values[i].type.shape for i in graph.inputs][:2] == [(5, 8), (5, 8)]


class Importing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x * 2
        import keeps_frames  # type: ignore[import-not-found] # of the test's own folder

        return first + keeps_frames.ONE


def test_what_a_module_imports_on_its_first_run_keeps_nothing_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keeps_frames.py").write_text("import sys\nONE, frame = 1, sys._getframe()\n")
    monkeypatch.syspath_prepend(tmp_path)
    network, call = nn.Sequential(Importing(), nn.ReLU()), Call((torch.ones(4),))
    first, second = (trace_lifetimes(build_trace(run_without_data(network, call))).timeline for _ in range(2))
    monkeypatch.delitem(sys.modules, "keeps_frames")
    assert first == second
