"""further/biggan.py: classes, class-conditional BatchNorm, projection, self-attention, truncation."""

import math
from functools import partial
from types import SimpleNamespace

import pictures
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from common import FaceError
from faces.draw import draw_faces
from further import beside, biggan, course, layers

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "z_size": 8, "device": torch.device("cpu")}
LABELS = torch.arange(120) % 3  # of the pictures that `small` makes


@pytest.fixture
def small(monkeypatch):
    """All networks narrow, fresh ones after each call: a System for 120 pictures of three classes."""
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**SMALL | given))
    noise = torch.randint(0, 200, (120, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    faces = F.interpolate(noise, 32)
    for label in range(3):  # each class has a channel of its own
        faces[LABELS == label, label] += 50

    def make():
        torch.manual_seed(0)
        return biggan.system(faces, LABELS, LABELS[:30], 3)

    return SimpleNamespace(faces=faces, make=make)


def rough(module):
    """Random numbers in all weights, so that nothing is 0 or 1 by its initialisation."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())) * 0.3)
    return module


# --- The classes


def test_each_folder_is_a_class(tmp_path):
    for count, kind in ((20, "b"), (25, "a")):
        pictures.fill(tmp_path, count, kind)
    images, labels, names = biggan.load(tmp_path)
    assert images.shape == (45, 3, 32, 32) and images.dtype == torch.uint8 and names == ["a", "b"]
    assert labels.tolist() == 25 * [0] + 20 * [1]


def test_drawn_faces_are_sorted_by_what_they_wear(tmp_path):
    draw_faces(tmp_path / "drawn", 40)
    known = biggan.helper.drawn_traits(course.load().get_dataloader(1, 32, tmp_path))
    _, labels, names = biggan.load(tmp_path)
    assert names == ["nothing", "glasses", "hat", "beard"] and (labels == 1).any()
    for label, has in zip(labels.tolist(), zip(*known.values(), strict=True), strict=True):
        assert has[label - 1] if label else not any(has)


@pytest.mark.parametrize("kinds, line", [
    ({"faces": 120}, "holds one class, faces: sort the pictures into folders, one a class."),
    ({"few": 50, "fewer": 40}, "90 faces are too few"),
    ({}, "is not a folder of folders of pictures"),
])
def test_bad_classes_are_refused_in_one_line(kinds, line, tmp_path, monkeypatch):
    for kind, count in kinds.items():
        pictures.fill(tmp_path, count, kind)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        beside.main("biggan", biggan.__doc__, biggan.measure, 96, arguments=[str(tmp_path)])
    assert str(stopped.value).startswith("further.biggan: ") and line in str(stopped.value)
    assert "\n" not in str(stopped.value)


# --- The networks


def test_attention_is_the_identity_while_gamma_is_0_and_then_adds():
    x, attention = torch.randn(2, 16, 4, 4), biggan.Attention(16)
    assert torch.equal(attention(x), x)
    rough(attention)
    q, k, v = (layer(x).flatten(2).transpose(1, 2) for layer in (attention.g, attention.f, attention.h))
    seen = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).unflatten(2, (4, 4))
    assert torch.allclose(attention(x), x + attention.gamma * attention.v(seen), atol=1e-5)


def test_attention_that_prefers_no_place_adds_the_mean_of_all():
    attention = rough(biggan.Attention(16))
    nn.init.zeros_(attention.f.weight), nn.init.zeros_(attention.f.bias)
    x = torch.randn(2, 16, 4, 4)
    mean = attention.h(x).mean((2, 3), keepdim=True)
    assert torch.allclose(attention(x) - x, attention.gamma * attention.v(mean).expand_as(x), atol=1e-5)


def test_conditional_norm_with_one_condition_for_all_is_plain_batch_norm():
    norm, x, condition = rough(layers.ConditionalNorm(6, 4)), 3 + 2 * torch.randn(5, 6, 4, 4), torch.randn(1, 4)
    plain = nn.BatchNorm2d(6)
    gain, bias = norm.both(condition)[0].chunk(2)
    plain.weight.data, plain.bias.data = 1 + gain, bias
    assert torch.allclose(norm(x, condition.expand(5, 4)), plain(x), atol=1e-5)
    other = torch.cat([condition.expand(4, 4), condition + 1])
    assert torch.allclose(norm(x, other)[:4], plain(x)[:4], atol=1e-5) and not torch.allclose(norm(x, other)[4], plain(x)[4])


def test_the_class_changes_what_g_makes_of_a_z(small):
    G = small.make().own.G
    z = torch.randn(1, 8).expand(3, 8)
    biggan.settle(G, torch.randn(64, 8), torch.arange(64) % 3)
    faces = biggan.generate(G, z, torch.tensor([0, 1, 1]))
    assert faces.shape == (3, 3, 32, 32) and faces.abs().max() <= 1
    assert torch.allclose(faces[1], faces[2], atol=1e-6) and not torch.allclose(faces[0], faces[1], atol=1e-4)


def test_projection_adds_the_product_of_class_and_features(small):
    D, x, y = small.make().own.D.eval(), torch.rand(3, 3, 32, 32), torch.tensor([2, 0, 1])
    phi = D.layers(x)
    alone = D.psi(phi).flatten(1)
    together = torch.stack([(D.V.weight[label] * one.flatten()).sum() for label, one in zip(y, phi, strict=True)])
    assert torch.allclose(D(x, y), alone + together[:, None], atol=1e-5) and together.abs().min() > 1e-6
    D.V = nn.Embedding(3, D.V.embedding_dim)
    nn.init.zeros_(D.V.weight)
    assert torch.equal(D(x, y), alone)


def test_no_layer_of_d_stretches_its_input_and_none_is_batch_norm(small):
    D = small.make().own.D
    for module in list(D.modules()) * 100:
        getattr(module, "weight", None)  # each look is a step of the power iteration
    D.eval()
    layers = [module for module in D.modules() if isinstance(module, nn.Conv2d | nn.Embedding)]
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert len(norms) == 3 + 4 + 2 and norms == pytest.approx(9 * [1], abs=0.02)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in D.modules())


# --- Training


def holding(*layers_and_weights):
    for layer, weight in layers_and_weights:
        layer.weight.data = torch.tensor(weight).view(layer.weight.shape)
    return nn.Sequential(*(layer for layer, _ in layers_and_weights))


def test_orthogonal_regularisation_is_0_for_rows_at_right_angles_of_any_length():
    flat = holding((nn.Linear(2, 2), [[3.0, 4.0], [-40.0, 30.0]]))
    assert biggan.orthogonal(flat).item() == pytest.approx(0, abs=1e-6)


def test_orthogonal_regularisation_of_known_rows():
    rows = [[1.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 3.0, 1.0]]  # products 2, 3 and 6, each twice
    assert biggan.orthogonal(holding((nn.Linear(3, 3), rows))).item() == pytest.approx(2 * (4 + 9 + 36))
    conv, back = nn.Conv2d(1, 3, (1, 3)), nn.ConvTranspose2d(1, 3, (1, 3))
    assert biggan.orthogonal(holding((conv, rows), (back, rows))).item() == pytest.approx(4 * (4 + 9 + 36))
    assert biggan.orthogonal(holding((nn.BatchNorm2d(2), [5.0, 5.0]))) == 0


def test_the_gradient_of_the_orthogonal_regularisation_is_that_of_a_squared_norm():
    layer = nn.Linear(5, 3)
    biggan.orthogonal(layer).backward()
    W = layer.weight.detach()
    apart = W @ W.T * (1 - torch.eye(3))
    assert torch.allclose(layer.weight.grad, 4 * apart @ W, atol=1e-5)


def test_the_steps_take_the_hinge_loss_with_labels_and_the_penalty_moves_g():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.z_size, self.linear = 2, nn.Linear(2, 2)

        def forward(self, x, y):
            return self.linear(x).sum(1, keepdim=True) + y[:, None]

    class Made(Sum):
        def forward(self, z, y):
            return self.linear(z) + y[:, None]

    D, G = rough(Sum()), rough(Made())
    z, x, y = torch.randn(4, 2), torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    own = SimpleNamespace(D=D, G=G, random_z=lambda *_: z, d_optimizer=torch.optim.SGD(D.parameters(), 0.0),
                          g_optimizer=torch.optim.SGD(G.parameters(), 1.0))
    fake, before = G(z, y), G.linear.weight.detach().clone()
    real_out, fake_out = D(x, y)[:, 0].tolist(), D(fake, y)[:, 0].tolist()
    hinge = sum(max(0, 1 - out) for out in real_out) + sum(max(0, 1 + out) for out in fake_out)
    slope, = torch.autograd.grad(-D(fake, y).mean() + 1e-4 * biggan.orthogonal(G), G.linear.weight)
    d_loss, g_loss = biggan.steps(own, x, y)
    assert d_loss.item() == pytest.approx(hinge / 4) and g_loss.item() == pytest.approx(-D(fake, y).mean().item())
    assert torch.allclose(G.linear.weight, before - slope) and not d_loss.requires_grad and not g_loss.requires_grad


def test_a_training_that_goes_on_ends_as_one_without_a_stop(small, tmp_path):
    ends = []
    for lengths, folder in (([240], None), ([120, 240], tmp_path / "kept")):
        for images in lengths:
            system = small.make()
            run = beside.train(system, small.faces, images, folder)
        ends.append((run.history, system.own.G_average.state_dict(), system.own.D.state_dict()))
    assert run.images == 240 and ends[0][0] == ends[1][0]
    for one, other in zip(ends[0][1:], ends[1][1:], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


# --- Truncation


@pytest.mark.parametrize("threshold", [0.25, 1.0, 2.0])
def test_truncated_z_have_the_variance_of_the_truncated_normal_distribution(threshold):
    torch.manual_seed(0)
    z = biggan.truncated_z(1000, 200, "cpu", threshold)
    density = math.exp(-threshold**2 / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * threshold * density / math.erf(threshold / math.sqrt(2))
    assert z.abs().max() <= threshold and z.abs().max() > 0.99 * threshold and abs(z.mean()) < 0.01 * threshold
    assert z.var().item() == pytest.approx(variance, rel=0.01)


def test_z_are_normal_without_a_threshold_and_none_are_within_0():
    torch.manual_seed(0)
    assert biggan.truncated_z(500, 200, "cpu").var().item() == pytest.approx(1, rel=0.02)
    for threshold in (0, -1.0, math.nan):
        with pytest.raises(FaceError, match="^the threshold is .*: give a number above 0.$"):
            biggan.truncated_z(1, 1, "cpu", threshold)


def test_settled_statistics_are_those_of_the_truncated_z_and_of_no_others(small):
    G = small.make().own.G
    norms = [module for module in G.modules() if isinstance(module, nn.BatchNorm2d)]
    seen = {norm: [] for norm in norms}
    for norm in norms:
        norm.register_forward_pre_hook(lambda norm, given: seen[norm].append(given[0]))
    y = torch.arange(128) % 3
    for threshold in (math.inf, 0.5):
        seen = {norm: [] for norm in norms}
        biggan.settle(G, biggan.truncated_z(128, 8, "cpu", threshold), y)
        for norm in norms:
            batches = torch.stack([batch.transpose(0, 1).flatten(1) for batch in seen[norm]])  # 2, channels, all the rest
            assert torch.allclose(norm.running_mean, batches.mean((0, 2)), atol=1e-5)
            assert torch.allclose(norm.running_var, batches.var(2).mean(0), rtol=1e-3)


def test_the_averaged_g_makes_what_a_g_with_the_averaged_weights_makes(small):
    own = small.make().own
    for _ in range(3):
        with torch.no_grad():
            for weight in own.G.parameters():
                weight.add_(torch.randn(weight.shape) * 0.1)
        own.G_average.update_parameters(own.G)
    kept = dict(own.G_average.module.named_parameters())
    fresh = small.make().own.G
    fresh.load_state_dict(kept, strict=False)  # the weights alone, nothing that was kept beside them
    y = torch.arange(64) % 3
    torch.manual_seed(1)
    z = biggan.truncated_z(64, 8, "cpu", 1.0)
    torch.manual_seed(1)
    faces = biggan.truncated(own, y, 1.0)
    biggan.settle(fresh, z, y)
    assert torch.allclose(faces, biggan.generate(fresh, z, y), atol=1e-5)
    assert not torch.allclose(faces, biggan.generate(own.G.eval(), z, y), atol=0.01)


def test_batch_norm_takes_out_the_scale_of_the_convolutions_before_it(small):
    G, z, y = small.make().own.G, torch.randn(64, 8), torch.arange(64) % 3
    with torch.no_grad():
        for layer in G.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                layer.weight.mul_(20)  # so that BatchNorm's eps does not count
    faces = []
    for _ in range(2):
        biggan.settle(G, z, y)
        faces.append(biggan.generate(G, z, y))
        with torch.no_grad():
            for layer in G.modules():
                if isinstance(layer, nn.ConvTranspose2d):
                    layer.weight.mul_(3)
    assert torch.allclose(*faces, atol=0.01)


# --- The judge and the program


def test_the_classifier_learns_what_the_classes_differ_in(small):
    torch.manual_seed(0)
    classifier = biggan.train_classifier(small.faces, LABELS, 3, epochs=12)
    assert biggan.taken_for(classifier, small.faces, LABELS) > 0.9
    assert biggan.taken_for(classifier, small.faces, (LABELS + 1) % 3) < 0.1


def test_the_share_is_the_mean_of_the_classes_shares():
    def says_0(x):
        return F.one_hot(torch.zeros(len(x), dtype=torch.long), 2).float()

    y = torch.tensor([0, 0, 0, 1])
    assert biggan.taken_for(says_0, torch.zeros(4, 3, 32, 32, dtype=torch.uint8), y) == 0.5


def test_the_program_trains_both_and_measures_every_threshold(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(biggan, "load", lambda folder: (small.faces, LABELS, ["one", "two", "three"]))
    monkeypatch.setattr(biggan, "train_classifier", partial(biggan.train_classifier, epochs=1))
    monkeypatch.setattr(biggan, "THRESHOLDS", {"0.5": 0.5, "none": math.inf})
    monkeypatch.setattr(biggan.helper, "variety", partial(biggan.helper.variety, pairs=100))  # it takes the longest
    monkeypatch.chdir(tmp_path)
    beside.main("biggan", biggan.__doc__, biggan.measure, 96, arguments=["--seeds", "1"])
    told = capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in told.splitlines() if line.startswith("| ")]
    trained = [row for row in rows if row[0] in (beside.NOTEBOOK, "BigGAN")]
    assert [row[:2] for row in trained] == [[beside.NOTEBOOK, "1"], ["BigGAN", "1"]]
    measured = {row[0]: row for row in rows if row[0] in biggan.THRESHOLDS}
    assert list(measured) == ["0.5", "none"] and all(row[-1].endswith("%") for row in measured.values())
    assert "3 classes: one, two, three." in told
    assert (tmp_path / "results" / "further" / "biggan.png").stat().st_size > 10_000
