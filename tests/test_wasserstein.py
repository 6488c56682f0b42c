"""further/wasserstein.py: gap, clipping and penalty are what the formulas say."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from common import FaceError
from further import beside, course, follows, wasserstein
from measures.needs import Missing

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}


class Linear(nn.Module):
    """D(x) = <w, x>, whose slope is w everywhere; |w| = norm."""

    def __init__(self, norm=1.0):
        super().__init__()
        w = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
        self.w = nn.Parameter(norm * w / w.norm())

    def forward(self, x):
        return (self.w * x).sum((1, 2, 3))[:, None]


def pictures(count, size=8, seed=0):
    return 2 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) - 1


def still():
    return torch.zeros(1, 3, 8, 8)


def small(critic_step=wasserstein.penalty_step, rate=1e-3):
    """own of networks with a critic, which both move by Adam."""
    critic = wasserstein.without_norm(course.load().Discriminator)
    own = course.set_up(Discriminator=critic, learning_rate=rate, **SMALL)
    return own, wasserstein.algorithm(own, critic_step)


# --- The critic


def test_a_layer_that_loses_batchnorm_gets_a_bias():
    before = course.load().Discriminator(8)
    D = wasserstein.without_norm(type(before))(8)
    assert not [layer for layer in D.modules() if isinstance(layer, nn.BatchNorm2d)]
    convolutions = [[m for m in network.layers if isinstance(m, nn.Conv2d)] for network in (before, D)]
    assert [c.bias is None for c in convolutions[0]] == [False, True, True, False]
    assert all(c.bias is not None and c.bias.requires_grad for c in convolutions[1])
    x = pictures(4, 32)
    D.eval()
    assert torch.allclose(D(x)[:1], D(x[:1]), atol=1e-6)  # the rest of the batch does not matter


def test_the_gap_is_how_much_more_the_critic_gives_real_pictures():
    D, x, fakes = Linear(), pictures(5), pictures(5, seed=1)
    by_hand = (D.w * (x.mean(0) - fakes.mean(0))).sum().item()
    assert wasserstein.gap(D, x, fakes).item() == pytest.approx(by_hand, abs=1e-6)
    along = 3 * D.w.detach() / D.w.norm()
    assert wasserstein.gap(D, fakes + along, fakes).item() == pytest.approx(3, abs=1e-5)  # slope 1, moved by 3


def test_clipping_keeps_every_weight_within_c_and_counts_those_at_the_border():
    layer = nn.Linear(4, 1)
    layer.weight.data, layer.bias.data = torch.tensor([[0.5, -0.5, 0.004, 0.01]]), torch.tensor([-0.002])
    assert wasserstein.clip(layer).item() == pytest.approx(3 / 5)
    assert layer.weight.flatten().tolist() == pytest.approx([0.01, -0.01, 0.004, 0.01])
    assert layer.bias.tolist() == pytest.approx([-0.002])
    assert wasserstein.clip(layer, c=0.003).item() == pytest.approx(4 / 5)


# --- The penalty


@pytest.mark.parametrize("norm, cost", [(1, 0), (3, 4), (0.5, 0.25), (0, 1)])
def test_the_penalty_of_a_linear_critic_is_known(norm, cost):
    D = Linear(norm)
    found = wasserstein.penalty(D, pictures(6), pictures(6, seed=1))
    assert found.item() == pytest.approx(cost, abs=1e-5)
    gradient, = torch.autograd.grad(found, D.w)  # 2 * (|w| - 1) * w / |w|; at w = 0 it must be a number too
    assert gradient.norm().item() == pytest.approx(2 * abs(norm - 1) * (norm > 0), abs=1e-5)


def test_the_penalty_is_taken_between_real_and_generated_pictures_at_a_place_of_each_ones_own():
    seen = []

    def D(x):
        seen.append(x.detach())
        return x.sum((1, 2, 3))[:, None]

    x, fakes = torch.ones(50, 3, 8, 8), -torch.ones(50, 3, 8, 8)
    wasserstein.penalty(D, x, fakes)
    places = seen[0].flatten(1)
    assert (places == places[:, :1]).all() and places.abs().max() <= 1  # one eps for a whole picture
    assert len(places[:, 0].unique()) == 50 and places[:, 0].min() < -0.5 and places[:, 0].max() > 0.5


def test_the_penalty_stays_in_float32_under_autocast():
    dtypes = []
    D = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 1))
    D[0].register_forward_hook(lambda layer, given, out: dtypes.append(out.dtype))
    x, fakes = pictures(4), pictures(4, seed=1)
    torch.manual_seed(0)
    plain = wasserstein.penalty(D, x, fakes)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        D(x)
        found = wasserstein.penalty(D, x, fakes)
    assert dtypes == [torch.float32, torch.bfloat16, torch.float32]
    assert found.dtype == torch.float32 and torch.equal(found, plain)


# --- The steps


@pytest.mark.parametrize("critic_step", [wasserstein.clipping_step, wasserstein.penalty_step])
def test_the_critic_s_step_moves_the_critic_alone_and_g_s_step_moves_g_alone(critic_step):
    own, _ = small()
    before = {name: [p.clone() for p in getattr(own, name).parameters()] for name in "DG"}

    def moved(name):
        return [not torch.equal(p, q) for p, q in zip(before[name], getattr(own, name).parameters(), strict=True)]

    assert not wasserstein.fakes_of(own, 2).requires_grad
    critic_step(own, pictures(4, 32))
    assert all(moved("D")[:-1]) and not any(moved("G")) and all(p.grad is None for p in own.G.parameters())
    before["D"] = [p.clone() for p in own.D.parameters()]  # the last bias, which cancels in a gap, may stay
    wasserstein.generator_step(own, 4)
    assert all(moved("G")) and not any(moved("D"))


def test_both_steps_move_the_gap_the_way_they_should():
    own = SimpleNamespace(D=Linear(), G=nn.Sequential(nn.Linear(4, 3 * 8 * 8), nn.Unflatten(1, (3, 8, 8))), z_size=4,
                          random_z=lambda count, z_size, device: torch.ones(count, z_size), device=torch.device("cpu"))
    own.d_optimizer, own.g_optimizer = (torch.optim.SGD(part.parameters(), 0.001) for part in (own.D, own.G))
    x = pictures(4)

    def gap_now():
        return wasserstein.gap(own.D, x, wasserstein.fakes_of(own, 4)).item()

    first = gap_now()
    wasserstein.penalty_step(own, x, weight=0)
    second = gap_now()
    wasserstein.generator_step(own, 4)
    assert first < second > gap_now()


def test_g_takes_one_step_after_five_of_the_critic_s_and_its_average_follows():
    done = []
    own, loop = small(lambda own, x: done.append("D") or {"gap": torch.zeros(())})
    own.g_optimizer.register_step_post_hook(lambda *_: done.append("G"))
    run = course.fit(own, torch.zeros(48, 3, 32, 32, dtype=torch.uint8), 48 * 6, None, loop, sample=still)  # 12 batches
    assert "".join(done) == "DDDDDGDDDDDGDD" and run.history["gap"] == [0] * 6
    assert int(own.G_average.n_averaged) == 2


def test_a_gap_that_is_no_number_ends_the_run():
    own, loop = small(lambda own, x: {"gap": torch.tensor(math.nan)})
    with pytest.raises(FaceError, match=r"^training stopped: at step 1 the losses became gap nan[^\n]*$"):
        course.fit(own, torch.zeros(48, 3, 32, 32, dtype=torch.uint8), 48, None, loop, sample=still)


# --- Signs of trouble


@pytest.mark.parametrize("gap, border, sign", [
    ([5.0] * 40, None, None),
    ([9.0 / (1 + i) for i in range(40)], None, None),  # it falls as the faces come nearer
    ([0.1 * i for i in range(40)], None, None),  # it may rise at first
    ([0.1] * 40, [0.6] * 40, None),
    ([1.0] * 30 + [-0.1] * 10, None, "the gap is negative"),
    ([1.0] * 30 + [-0.1] * 9 + [0.1], None, None),
    ([1.1**i for i in range(40)] + [200.0] * 10, None, "the gap grows"),
    ([0.1] * 40, [0.2] * 30 + [0.97] * 10, "at the border"),
])
def test_the_critic_s_signs_of_trouble_are_seen(gap, border, sign):
    history = {"images": list(range(len(gap))), "gap": gap, **({"at_border": border} if border else {})}
    found = wasserstein.trouble(history, [], [])
    assert len(found) == (sign is not None) and (sign is None or sign in found[0])


def test_faces_that_no_longer_change_are_a_sign_as_in_the_notebook():
    still = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    signs = wasserstein.trouble({"images": [20_000], "gap": [1.0]}, [still] * 3, [5_000, 10_000, 20_000])
    assert len(signs) == 1 and "the generator is stuck" in signs[0]


# --- The program


def test_the_program_trains_each_system_and_draws(tmp_path, monkeypatch, capsys):
    faces = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**given, **SMALL))
    monkeypatch.setattr(beside, "load", lambda folder, size: faces)
    monkeypatch.setattr(beside, "EPOCH", 32)
    monkeypatch.setattr(wasserstein, "LEAST", 3)
    monkeypatch.setattr(follows, "FACES", 16)

    def missing():
        raise Missing("not here")

    monkeypatch.setattr("measures.embedding.face_embedding", missing)  # as without its package
    monkeypatch.chdir(tmp_path)
    beside.main("wasserstein", wasserstein.__doc__, wasserstein.measure, 3 * 32, arguments=["--seeds", "1"])
    rows = [line[2:].split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:6]] == ["real faces", beside.NOTEBOOK, *wasserstein.SYSTEMS]
    below = [row for row in rows if len(row) == 5]
    assert [row[0] for row in below] == ["rank correlation", "---", *3 * [beside.NOTEBOOK], *2 * ["WGAN, clipped"],
                                         *2 * ["WGAN-GP"]]
    assert [row[2] for row in below[2:]] == ["d_loss", "g_loss", "images seen", *2 * ["gap", "images seen"]]
    assert below[0][4] == "with sliced Wasserstein x 1000 |" and below[2][3] == "3"
    found = [float(row[4].strip(" |")) for row in below[2:]]  # nan for a training of a single epoch
    assert all(-1 <= correlation <= 1 for correlation in found[:3]) and not any(abs(each) > 1 for each in found)
    assert (tmp_path / "results" / "further" / "wasserstein.png").stat().st_size > 10_000


def test_bad_input_is_one_line(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    for arguments, line in ([], "9 faces are too few"), (["--images", "500"], "--images is 500: give 12,000 or more"):
        with pytest.raises(SystemExit, match=rf"^further.wasserstein: {line}[^\n]*$"):
            beside.main("wasserstein", wasserstein.__doc__, wasserstein.measure, 50_000, arguments=arguments)
