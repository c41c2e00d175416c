from __future__ import annotations

import pytest

pytest.importorskip("torch")


import memprof
from memprof.base.errors import RuntimeFailure, UsageError
from memprof.importers.request import Request
from memprof.importers.torch.training import Training
from memprof.measure.child import Limits
from memprof.measure.pytorch import measure_process, measure_tensors

NETWORK = "tests.importers.torch.networks:attention"


def test_the_measured_curve_is_the_predicted_one_and_has_its_names() -> None:
    training = Training("adam")
    measured = measure_tensors(Request(source=NETWORK, training=training))
    found = memprof.analyze(NETWORK, training=training, runtimes=["pytorch"]).runtimes["pytorch"]
    assert measured.peak_bytes == found.peak_intermediate_bytes
    assert tuple(step.live_bytes for step in measured.steps) == found.timeline
    assert [step.node for step in measured.steps] == [node.name for node in found.lifetimes.graph.nodes]


def test_the_profiler_sees_the_tensors_and_what_kernels_take_besides() -> None:
    convolution = "tests.importers.torch.networks:Convolutional"
    shape = {"": (1, 3, 32, 32)}
    process = measure_process(Request(source=convolution, inputs=shape))
    tensors = memprof.analyze(convolution, inputs=shape, runtimes=["pytorch"]).peak_intermediate_bytes
    assert tensors is not None
    assert process.peak_bytes >= tensors
    highest = max(process.steps, key=lambda step: step.most_bytes or 0)
    assert highest.most_bytes == process.peak_bytes
    assert process.steps[0].op == "aten.conv2d"


def test_a_run_that_takes_too_long_or_fails_is_one_line() -> None:
    with pytest.raises(RuntimeFailure, match="did not finish"):
        measure_tensors(Request(source=NETWORK), Limits(seconds=0.2))
    with pytest.raises(UsageError, match="no 'nothing'"):
        measure_tensors(Request(source="tests.importers.torch.networks:nothing"))


def test_a_loss_cannot_cross_into_another_process() -> None:
    with pytest.raises(UsageError, match="by name and no loss"):
        measure_tensors(Request(source=NETWORK, training=Training("sgd", lambda output: output.sum())))
