"""further/growing.py: what is new comes in without a jump, in G and in D; its layers keep what their formulas say."""

import math

import pytest
import torch
from torch import nn

from further import growing


def at(network, alpha, size=None):
    """A network that works at that alpha; a generator at that size too."""
    network.alpha.fill_(alpha)
    if size:
        network.size.fill_(size)
    return network


# --- Growing


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_with_alpha_0_the_grown_generator_makes_the_smaller_one_s_pictures(size):
    G, z = growing.Generator(16, 8, 64), torch.randn(3, 16)
    smaller, grown = (at(G, *stage)(z) for stage in ((1.0, size // 2), (0.0, size)))
    assert grown.shape == (3, 3, size, size)
    assert torch.equal(grown, smaller.repeat_interleave(2, 2).repeat_interleave(2, 3))
    new = at(G, 1.0, size)(z)
    assert not torch.allclose(new, grown)
    assert torch.allclose(at(G, 0.25, size)(z), 0.25 * new + 0.75 * grown, atol=1e-6)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_with_alpha_0_the_grown_discriminator_sees_what_the_smaller_one_sees(size):
    D, x = growing.Discriminator(8, 64), torch.rand(4, 3, size, size) * 2 - 1
    means = x.view(4, 3, size // 2, 2, size // 2, 2).mean((3, 5))
    smaller, grown = at(D, 1.0)(means), at(D, 0.0)(x)
    assert grown.shape == (4, 1) and torch.allclose(grown, smaller, atol=1e-5)
    assert not torch.allclose(at(D, 1.0)(x), grown, atol=1e-3)


def test_with_alpha_1_the_layers_of_the_old_path_do_nothing():
    G, D = at(growing.Generator(16, 8), 1.0, 16), at(growing.Discriminator(8), 1.0)
    for layer in (G.to_rgb["8"], G.to_rgb["32"], D.from_rgb["8"], D.from_rgb["32"]):
        for weights in layer.parameters():
            nn.init.constant_(weights, math.nan)
    assert D(G(torch.randn(4, 16))).isfinite().all()
    assert not at(G, 0.9)(torch.randn(4, 16)).isfinite().all()


# --- What else is new


def test_the_standard_deviation_is_that_of_groups_of_four():
    x = torch.zeros(8, 3, 4, 4)
    x[::4] = 2  # pictures 0, 2, 4, 6 are a group: 2, 0, 2, 0 are 1 from their mean
    x[1::4] = 12  # 1, 3, 5, 7 are the other, and half of its values are all 0
    x[:, :, :2] *= torch.tensor([1, 0] * 4).view(8, 1, 1, 1)
    out = growing.minibatch_std(x)
    assert out.shape == (8, 4, 4, 4) and torch.equal(out[:, :3], x)
    assert torch.allclose(out[:, 3], torch.tensor([1.0, 3] * 4).view(8, 1, 1).expand(8, 4, 4), atol=1e-3)


@pytest.mark.parametrize("count, group", [(4, 4), (6, 2), (2, 2), (5, 1), (1, 1), (12, 4)])
def test_a_last_batch_of_another_number_has_smaller_groups(count, group):
    x = torch.randn(count, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    found = growing.minibatch_std(x)[:, 2, 0, 0].tolist()
    for picture in range(count):
        alike = x[picture % (count // group)::count // group]
        assert found[picture] == pytest.approx(alike.std(0, correction=0).mean().item(), abs=2e-4)


def test_pictures_that_are_all_the_same_have_no_deviation_and_a_gradient_that_is_a_number():
    x = torch.rand(1, 3, 4, 4).repeat(4, 1, 1, 1).requires_grad_()
    out = growing.minibatch_std(x)
    out.sum().backward()
    assert out[:, 3].abs().max() < 1e-3 and x.grad.isfinite().all()


def test_pixel_norm_gives_each_pixel_a_mean_square_of_1():
    a = torch.randn(2, 16, 5, 5) * torch.rand(2, 1, 5, 5).mul(100)
    b = growing.PixelNorm()(a)
    assert torch.allclose(b.square().mean(1), torch.ones(2, 5, 5), atol=1e-3)
    assert torch.allclose(b[0, :, 3, 2] / a[0, :, 3, 2], b[0, 0, 3, 2] / a[0, 0, 3, 2])  # its direction stays


@pytest.mark.parametrize("inward, kernel", [(8, 1), (200, 1), (64, 3)])
def test_an_equalised_layer_has_weights_of_1_and_keeps_the_variance(inward, kernel):
    torch.manual_seed(0)
    layer = growing.Equalised(inward, 400, kernel, gain=1)
    assert layer.w.std().item() == pytest.approx(1, abs=0.05) and not layer.b.any()
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # the border sees zeros
    x = torch.randn(20, inward, 10, 10)
    assert layer(x)[inside].var().item() == pytest.approx(1, abs=0.1)
    layer = growing.Equalised(inward, 400, kernel)  # He's gain makes up for what a ReLU takes
    assert torch.relu(layer(x))[inside].square().mean().item() == pytest.approx(1, abs=0.1)
