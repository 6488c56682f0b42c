"""benchmarks/step.py: every operation has its place, and the shares are of the whole."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks import step
from further import course


def event(name, parent=None):
    return SimpleNamespace(name=name, cpu_parent=parent)


@pytest.mark.parametrize("name, share", [
    ("aten::convolution_backward", "convolutions, backward"),
    ("aten::mkldnn_convolution", "convolutions, forward"),
    ("aten::native_batch_norm", "BatchNorm"),
    ("aten::leaky_relu", "ReLU, LeakyReLU, tanh"),
    ("aten::lerp_", "moving average"),
    ("aten::abs", "other operations"),
])
def test_an_operation_is_counted_by_its_name(name, share):
    assert step.share_of(event(name)) == share


def test_a_copy_is_counted_with_what_asked_for_it():
    adam = event("aten::_fused_adam_", event("Optimizer.step#Adam.step"))
    assert step.share_of(event("aten::copy_", adam)) == "Adam"
    rounding = event("aten::copy_", event("aten::to", event("aten::conv2d")))
    assert step.share_of(rounding) == "convolutions, forward"


def test_the_shares_of_a_short_training_are_all_of_it(monkeypatch):
    monkeypatch.setattr(step, "STEPS", 3)
    monkeypatch.setattr(step, "WARM_UP", 1)
    own = course.set_up(d_conv_dim=8, g_conv_dim=8, device=torch.device("cpu"))
    found = step.shares(own, torch.randint(256, (200, 3, 32, 32), dtype=torch.uint8))
    assert sum(found.values()) == pytest.approx(1) and list(found)[-1] == "Python"
    assert found["convolutions, backward"] > 0.05 and found["Adam"] > 0 and found["other operations"] < 0.2
