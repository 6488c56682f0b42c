"""further/hints.py: each switch changes what its row says and nothing else; the verdicts; the program."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from further import beside, course, hints, switches
from further.layers import Apply

TRAINED = [hint for hint in hints.HINTS if hint.system]
real_set_up = course.set_up


@pytest.fixture(autouse=True)
def small(monkeypatch):
    def set_up(**instead):
        return real_set_up(d_conv_dim=8, g_conv_dim=8, z_size=16, batch_size=8, device=torch.device("cpu"), **instead)

    monkeypatch.setattr(course, "set_up", set_up)
    torch.manual_seed(0)


def system_of(number):
    return hints.HINTS[number - 1].system()


class Mean(nn.Module):
    """D(x) = w * the mean of x, so that its answers are known; it notes what it is asked."""

    def __init__(self, w=1.0):
        super().__init__()
        self.w, self.asked = nn.Parameter(torch.tensor(w)), []

    def forward(self, x):
        self.asked.append(x.detach())
        return self.w * x.mean((1, 2, 3))[:, None]


class Flat(nn.Module):
    """G makes pictures of one value."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, z):
        return self.value.expand(len(z), 3, 2, 2)


def flat(value, count=4):
    return torch.full((count, 3, 2, 2), value)


def sgd(network, rate=1.0):
    return torch.optim.SGD(network.parameters(), rate)


def softplus(t):
    return math.log1p(math.exp(t))


def kinds(network, kind):
    return sum(isinstance(layer, kind) for layer in network.modules())


# --- The table of hints


def test_the_hints_are_numbered_1_to_17():
    assert [hint.number for hint in hints.HINTS] == list(range(1, 18)) and len(TRAINED) == 14


@pytest.mark.parametrize("hint", hints.HINTS, ids=lambda hint: str(hint.number))
def test_a_hint_is_left_out_where_the_notebook_follows_it_and_else_followed(hint):
    kept = hint.notebook.partition(":")[0]
    assert hint.words and kept in ("yes", "no", "partly")
    if not hint.system:
        assert hint.training.startswith("cannot be measured here because ")
    elif kept == "partly":
        assert hint.training.startswith(("left out: ", "followed: "))
    else:
        assert hint.training.startswith({"yes": "left out: ", "no": "followed: "}[kept])


# --- The switches


def test_without_a_switch_the_steps_and_the_networks_are_the_notebook_s():
    real, weights = torch.rand(8, 3, 32, 32), []
    for make in (beside.notebook, switches.with_losses):
        torch.manual_seed(1)
        own = make().own
        fake = own.G(own.random_z(8, own.z_size, own.device))
        losses = (own.discriminator_step(own.D, own.G, real, own.d_optimizer, fake),
                  own.generator_step(own.D, own.G, 8, own.g_optimizer, fake))
        weights.append([*losses, *own.D.parameters(), *own.G.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    base, same = beside.notebook().own, switches.with_layers().own
    assert str(same.D) == str(base.D) and str(same.G) == str(base.G)
    assert same.D.layers[0].weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_1_d_sees_pixels_from_0_to_1():
    own, seen = system_of(1).own, []
    assert own.D.layers[0](torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 0.5, 1]
    first = next(layer for layer in own.D.layers if isinstance(layer, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    fake = own.G(own.random_z(8, own.z_size, own.device))
    own.discriminator_step(own.D, own.G, torch.rand(8, 3, 32, 32), own.d_optimizer, fake)
    own.generator_step(own.D, own.G, 8, own.g_optimizer, fake)
    assert len(seen) == 3 and all(0 <= x.min() and x.max() <= 1 for x in seen)
    assert fake.min() < 0 and seen[0].min() < 0.1 and seen[0].max() > 0.9


def test_2_g_makes_log_of_1_minus_d_smaller():
    own, G = system_of(2).own, Flat(0.5)
    loss = own.generator_step(Mean(), G, 4, sgd(G), G(torch.zeros(4, 1)))
    sigmoid = 1 / (1 + math.exp(-0.5))
    assert loss.item() == pytest.approx(math.log(1 - sigmoid))
    assert G.value.item() == pytest.approx(0.5 + sigmoid)  # up its gradient's other way: -sigmoid


def test_3_z_fills_a_cube():
    own = system_of(3).own
    z = own.random_z(2000, 16, own.device)
    assert z.shape == (2000, 16) and -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1
    assert z.var().item() == pytest.approx(1 / 3, rel=0.02) and abs(z.mean().item()) < 0.02


def test_4_d_is_asked_once_about_both():
    D, G = Mean(), Flat(0.0)
    loss = system_of(4).own.discriminator_step(D, G, flat(1.0), sgd(D, 0.0), flat(-0.5))
    assert [x.shape for x in D.asked] == [(8, 3, 2, 2)]
    assert loss.item() == pytest.approx(softplus(1) - 0.9 + softplus(-0.5))
    beside.notebook().own.discriminator_step(D, G, flat(1.0), sgd(D, 0.0), flat(-0.5))
    assert [len(x) for x in D.asked[1:]] == [4, 4]


def test_5_relu_stands_everywhere():
    own, base = system_of(5).own, beside.notebook().own
    assert kinds(own.D, nn.LeakyReLU) == 0 and kinds(own.D, nn.ReLU) == kinds(base.D, nn.LeakyReLU) == 3


def test_6_labels_are_soft_for_real_pictures_alone_and_one_in_twenty_is_flipped():
    for real in (True, False):
        found = switches.labels(torch.zeros(20_000, 1), real)
        soft = found[found > 0]
        assert found.shape == (20_000, 1) and 0.7 <= soft.min() < 0.71 and 1.19 < soft.max() <= 1.2
        assert len(soft) / 20_000 == pytest.approx(0.95 if real else 0.05, abs=0.01)
        assert (found == 0).sum() == 20_000 - len(soft)


def test_6_d_learns_from_these_labels_and_g_from_the_notebook_s(monkeypatch):
    monkeypatch.setattr(switches, "labels", lambda like, real: torch.full_like(like, 0.7 if real else 0.2))
    own, D, G = system_of(6).own, Mean(), Flat(0.5)
    loss = own.discriminator_step(D, G, flat(1.0), sgd(D, 0.0), flat(-0.5))
    assert loss.item() == pytest.approx(softplus(1) - 0.7 + softplus(-0.5) + 0.2 * 0.5)
    loss = own.generator_step(D, G, 4, sgd(G), G(torch.zeros(4, 1)))
    assert loss.item() == pytest.approx(softplus(0.5) - 0.9 * 0.5)


def test_7_the_networks_are_fully_connected():
    own = system_of(7).own
    fake = own.G(own.random_z(5, own.z_size, own.device))
    assert fake.shape == (5, 3, 32, 32) and fake.abs().max() <= 1 and own.D(fake).shape == (5, 1)
    assert kinds(own.D, nn.Linear) == kinds(own.G, nn.Linear) == 3
    assert kinds(own.D, nn.Conv2d) == kinds(own.G, nn.Conv2d | nn.ConvTranspose2d) == 0
    assert own.D.layers[1].weight.std().item() == pytest.approx(0.02, rel=0.05)  # drawn as the notebook draws them


def test_8_at_one_step_in_four_d_s_fakes_are_former_ones():
    system = switches.replay(size=12)
    store, D = system.parts["store"].fakes, Mean()
    assert store.shape == (12, 3, 32, 32) and system.parts["D"] is system.own.D
    ages = []
    for step in range(1, 401):
        fake = torch.full((4, 3, 32, 32), float(step))
        system.own.discriminator_step(D, None, torch.rand(4, 3, 32, 32), sgd(D, 0.0), fake)
        seen = D.asked[-1][:, 0, 0, 0]
        assert (store[:, 0, 0, 0] == step).sum() == 4 and ((seen == step).all() or (seen < step).all())
        ages.append((step - seen).max().item())
    former = [age for age in ages if age]
    assert len(former) / 400 == pytest.approx(0.25, abs=0.06) and max(former[20:]) > 1 and (store >= 1).all()


def test_9_d_has_sgd_and_g_keeps_adam():
    system = system_of(9)
    assert type(system.own.d_optimizer) is torch.optim.SGD and type(system.own.g_optimizer) is torch.optim.Adam
    moved = [id(weight) for weight in system.own.d_optimizer.param_groups[0]["params"]]
    assert moved == [id(weight) for weight in system.own.D.parameters()]
    assert course.parts_of(system.own)["d_optimizer"] is system.own.d_optimizer


@pytest.mark.parametrize("w, moves", [(5.0, False), (0.0, True)])  # losses of 0.51 and 1.39
def test_11_d_waits_while_its_loss_is_low(w, moves):
    D = Mean(w)
    loss = system_of(11).own.discriminator_step(D, Flat(0.0), flat(1.0), sgd(D), flat(-1.0))
    assert loss.item() == pytest.approx(softplus(w) - 0.9 * w + softplus(-w)) and (D.w.item() != w) == moves


@pytest.mark.parametrize("value, moves", [(0.0, False), (-3.0, True)])  # losses of 0.69 and 2.75
def test_11_g_waits_while_its_loss_is_low(value, moves):
    G = Flat(value)
    system_of(11).own.generator_step(Mean(), G, 4, sgd(G), G(torch.zeros(4, 1)))
    assert (G.value.item() != value) == moves


def test_13_noise_falls_to_0_for_g_s_average_too():
    system = system_of(13)
    own, run, zeros = system.own, SimpleNamespace(epoch=0, total=5), torch.zeros(1, 3, 64, 64)
    own.train = lambda *given: None
    networks = (own.D, own.G, own.G_average.module)
    layers = [[layer for layer in network.layers if isinstance(layer, Apply)] for network in networks]
    assert [len(some) for some in layers] == [1, 5, 5] and own.D.layers[0] is layers[0][0]
    system.loop(run, None)
    for epoch, size in enumerate((0.1, 0.075, 0.05, 0.025, 0, 0)):
        run.epoch = epoch
        for layer in sum(layers, []):
            assert layer.train()(zeros).std().item() == pytest.approx(size, rel=0.05) and not layer.eval()(zeros).any()


def test_14_d_takes_two_steps_the_second_with_new_fakes():
    own, asked = system_of(14).own, []
    own.D.register_forward_pre_hook(lambda _, x: asked.append(x[0]))
    real, fake = torch.rand(8, 3, 32, 32), own.G(own.random_z(8, own.z_size, own.device))
    own.discriminator_step(own.D, own.G, real, own.d_optimizer, fake)
    own.generator_step(own.D, own.G, 8, own.g_optimizer, fake)
    assert {state["step"].item() for state in own.d_optimizer.state.values()} == {2}
    assert {state["step"].item() for state in own.g_optimizer.state.values()} == {1}
    assert torch.equal(asked[0], asked[2]) and torch.equal(asked[1], fake) and not torch.equal(asked[3], fake)


def test_15_d_sees_how_much_a_batch_varies():
    own = system_of(15).own
    *_, layer, last = own.D.layers
    x = torch.zeros(2, 5, 4, 4)
    x[1, :4] = 2  # four of five features have the standard deviation 1, the fifth has 0
    found = layer(x)
    assert torch.equal(found[:, :5], x) and found[:, 5].flatten().tolist() == pytest.approx(32 * [0.8], abs=1e-4)
    assert last.in_channels == beside.notebook().own.D.layers[-1].in_channels + 1
    same = torch.ones(3, 5, 4, 4, requires_grad=True)
    layer(same).sum().backward()
    assert same.grad.isfinite().all()


def test_17_generated_faces_have_dropout():
    own, base = system_of(17).own, beside.notebook().own
    z = own.random_z(4, own.z_size, own.device)
    for G, same in ((own.G, False), (base.G, True)):
        G.eval()
        assert torch.equal(G(z), G(z)) == same
    places = [place for place, layer in enumerate(own.G.layers) if isinstance(layer, Apply)]
    assert places == [3, 7, 11]
    dropped = own.G.layers[3](torch.ones(100, 100))
    assert sorted(set(dropped.flatten().tolist())) == [0, 2]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


# --- Verdicts


@pytest.mark.parametrize("base, found, said", [
    ([3.0, 4.0], [1.0, 2.9], "better"),
    ([3.0, 4.0], [4.1, 9.0], "worse"),
    ([3.0, 4.0], [2.0, 3.5], "not told apart"),
    ([3.0, 4.0], [3.4, 3.6], "not told apart"),
    ([3.0, 4.0], [2.0, 5.0], "not told apart"),
    ([3.0, 4.0], [3.0, 2.0], "not told apart"),  # no better than the best of the others
    ([3.0], [1.0], ""),  # one seed says nothing of the spread
    ([3.0, 4.0], [1.0], ""),
    ([math.nan, 4.0], [1.0, 2.0], ""),
])
def test_a_verdict_needs_all_seeds_beyond_the_others(base, found, said):
    assert hints.verdict(base, found) == said


def test_the_table_says_what_is_known_so_far():
    first, second = hints.MEASURES
    measured = {0: [{first: 3.0, second: 0.03}, {first: 4.0, second: 0.04}], 1: [{first: 5.0, second: 0.05}] * 2,
                2: [{first: 1.0, second: 0.035}] * 2, 3: [{first: 9.0, second: 0.09}]}
    lines = hints.table(hints.HINTS[:4] + hints.HINTS[9:10], measured, {first: 0.5, second: 0.001}).splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines[2:]]
    assert cells[0] == ["real faces", "0.5", "0.0010"] and cells[1][-2:] == ["3.0; 4.0", "0.0300; 0.0400"]
    assert cells[2][0] == "1" and cells[2][-3:] == ["5.0; 5.0", "0.0500; 0.0500", "worse"]
    assert cells[3][-1] == "better / not told apart" and cells[4][-2:] == ["9.0", "0.0900"]
    assert cells[5][-1] == hints.HINTS[3].training  # not trained yet
    assert "cannot be measured here because" in cells[6][-1]
    assert all(line.count("|") == lines[0].count("|") for line in lines)


# --- The program


@pytest.fixture
def pictures(monkeypatch, tmp_path):
    pictures = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures)
    monkeypatch.setattr(beside, "distances", lambda faces, reals: dict.fromkeys(beside.FORMATS, faces.float().mean().item()))
    monkeypatch.chdir(tmp_path)


def program(*arguments):
    only = {"type": int, "nargs": "+"}
    beside.main("hints", hints.__doc__, hints.measure, 24, {"--only": only}, list(arguments))


def test_every_switch_trains(pictures, tmp_path, capsys):
    program()
    told = capsys.readouterr().out
    lines = [line.strip("| ").split(" | ") for line in told.split("seed 0")[-1].splitlines()]
    rows = {line[0]: line for line in lines}
    for hint in TRAINED:
        assert f"\n{hint.number}, {hint.training}, seed 0" in told and float(rows[str(hint.number)][5]) > 0
    assert rows.keys() >= {"0", "10", "12", "16"}
    assert (tmp_path / "results" / "further" / "hints.png").stat().st_size > 20_000


def test_some_hints_are_trained_with_two_seeds_and_kept(pictures, tmp_path, capsys):
    arguments = ["--only", "9", "2", "--seeds", "0", "1", "--folder", str(tmp_path / "kept")]
    program(*arguments)
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.endswith((", seed 0", ", seed 1"))] == [
        f"{hint.number}, {hint.training}, seed {seed}" for hint in (hints.BASE, *hints.HINTS[1:9:7]) for seed in (0, 1)]
    assert told.count("| real faces |") == 6 + 1  # the table so far after each training, and at the end
    assert len(list((tmp_path / "kept").iterdir())) == 6
    program(*arguments)
    again = capsys.readouterr().out
    assert again.count("Trained already") == 6 and again.splitlines()[-8:] == told.splitlines()[-8:]


@pytest.mark.parametrize("number", [0, 18, -3])
def test_a_number_that_no_hint_has_gets_one_line(number):
    with pytest.raises(SystemExit) as stopped:
        program("--only", "2", str(number))
    assert str(stopped.value) == f"further.hints: --only {number}: the hints have the numbers 1 to 17."
