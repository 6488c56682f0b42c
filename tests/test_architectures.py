"""benchmarks/architectures.py: what each network adds, on cases with known answers. Trained in tests/test_recipes.py."""

import pytest
import torch
from torch import nn

from benchmarks import architectures
from further import course


@pytest.fixture(scope="module")
def own():
    return course.load()


def test_a_comparing_d_sees_the_other_pictures_of_a_batch(own):
    D = architectures.comparing(own.Discriminator)(8).eval().requires_grad_(False)
    x = torch.rand(1, 3, 32, 32)
    alike, different = x.expand(4, -1, -1, -1), torch.cat([x, torch.rand(3, 3, 32, 32)])
    assert D(alike)[0] == pytest.approx(D(x)[0].item(), abs=1e-4)  # deviation 0 in both; sqrt(1e-8) is not quite 0
    assert abs(D(different)[0] - D(alike)[0]) > 1e-4


@pytest.mark.parametrize(("name", "sizes", "place", "x"), [
    ("Discriminator", (64,), 2, torch.rand(2, 3, 32, 32)),
    ("Generator", (10, 64), 9, torch.randn(2, 10)),
])
def test_attention_changes_nothing_at_first(own, name, sizes, place, x):
    network = architectures.attending(getattr(own, name), place, 64)(*sizes).eval()
    before = network(x)
    assert isinstance(network.layers[place], architectures.Attention)
    del network.layers[place]
    assert torch.equal(network(x), before)


def test_an_excited_g_with_open_gates_is_the_notebook_s(own):
    G = architectures.excited(own.Generator)(10, 8).eval()
    z = torch.randn(3, 10)
    plain = G.layers(z[:, :, None, None])
    assert G(z).shape == plain.shape and not torch.allclose(G(z), plain)
    for gate in G.gates:
        gate[-1] = nn.Hardtanh(1, 1 + 1e-9)
    torch.testing.assert_close(G(z), plain)


def test_random_features_never_learn(own):
    D = architectures.on_random_features(own.Discriminator)(8)
    fixed = [layer.weight.clone() for layer in D.layers if isinstance(layer, architectures.Fixed)]
    assert [weight.shape[:2] for weight in fixed] == [(8, 3), (16, 8)]
    optimizer = torch.optim.Adam(D.parameters(), 0.1)
    D.apply(own.weights_init_normal)
    D(torch.rand(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    after = [layer.weight for layer in D.layers if isinstance(layer, architectures.Fixed)]
    assert all(torch.equal(a, b) for a, b in zip(fixed, after, strict=True))


def test_a_residual_is_the_identity_at_first_and_keeps_the_size_of_what_passes():
    layer, x = architectures.Residual(8), torch.randn(2, 8, 4, 4)
    assert not torch.equal(layer(x), x)
    layer.apply(architectures.norm_free_weights)
    assert torch.equal(layer(x), x)


def test_norm_free_networks_have_no_norm():
    D, G = architectures.NormFreeDiscriminator(8), architectures.NormFreeGenerator(10, 8)
    assert D(G(torch.randn(3, 10))).shape == (3, 1) and G.z_size == 10
    assert not [layer for network in (D, G) for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


def test_the_share_grows_while_d_is_sure_of_photographs_and_shrinks_while_it_is_not(own):
    D = architectures.steered(own.Discriminator)(8)
    discriminator_step, _ = architectures.steering(own)
    x, optimizer = torch.rand(4, 3, 32, 32), torch.optim.SGD(D.parameters(), 0.0)
    shares = []
    for bias in (5.0, 5.0, -5.0, -5.0, -5.0):  # all taken for real, then none
        nn.init.zeros_(D.layers[-1].weight)
        nn.init.constant_(D.layers[-1].bias, bias)
        loss = discriminator_step(D, None, x, optimizer, x)
        shares.append(D.share.item())
    step = 4 / architectures.PICTURES
    assert shares == pytest.approx([step, 2 * step, step, 0, 0])
    logits = torch.full((4, 1), -5.0)
    assert loss == pytest.approx((own.real_loss(logits) + own.fake_loss(logits)).item())
    D.share.fill_(architectures.MOST)
    nn.init.constant_(D.layers[-1].bias, 5.0)
    discriminator_step(D, None, x, optimizer, x)
    assert D.share == architectures.MOST


def test_a_steered_d_changes_its_share_of_the_pictures_in_training_alone(own):
    D, x = architectures.steered(own.Discriminator)(8), torch.rand(400, 3, 32, 32)
    seen = []
    D.layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    D(x)
    D.share.fill_(0.25)
    D(x)
    D.eval()(x)
    changed = [(pictures != x).flatten(1).any(1).float().mean().item() for pictures in seen]
    assert changed[0] == changed[2] == 0 and changed[1] == pytest.approx(0.25, abs=0.1)
