"""further/discogan.py: losses with known answers, steps that move one side alone, a buffer that keeps its size."""

import math

import pytest
import torch
from torch import nn

import helper
from further import beside, course, discogan, domains

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}
LN2 = math.log(2)


def pictures(count, seed=0):
    coarse = torch.randint(0, 256, (count, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, 32)


@pytest.fixture
def small(monkeypatch):
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**given | SMALL))


class Says(nn.Module):
    """A discriminator that answers every picture with the same number."""

    def __init__(self, answer):
        super().__init__()
        self.answer = nn.Parameter(torch.tensor(answer))

    def forward(self, x):
        return self.answer.expand(len(x), 1)


def negative(x):
    return -x


# --- Two domains


def test_a_missing_domain_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(helper, "find_faces", lambda: pytest.fail("the missing folder is to be told of first"))
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, tmp_path / "nowhere"):
        for arguments in ([str(folder)], ["--other", str(folder)]):
            with pytest.raises(SystemExit) as stopped:
                beside.main("discogan", discogan.__doc__, discogan.measure, 96, discogan.OPTIONS, arguments)
            line = str(stopped.value)
            assert line.startswith(f"further.discogan: {folder} is not a folder of folders of pictures")
            assert "\n" not in line


# --- Losses


def test_losses_of_known_answers():
    x = torch.zeros(4, 3, 8, 8)
    assert discogan.d_loss(discogan.DISCOGAN, Says(0.0), x, x).item() == pytest.approx(2 * LN2)
    assert discogan.d_loss(discogan.DISCOGAN, Says(2.0), x, x).item() == pytest.approx(
        math.log1p(math.exp(-2)) + math.log1p(math.exp(2)))  # no label is smoothed
    assert discogan.d_loss(discogan.CYCLEGAN, Says(0.25), x, x).item() == pytest.approx(0.75**2 + 0.25**2)


@pytest.mark.parametrize("name, D_out, wanted", [
    ("DiscoGAN", 0.0, LN2 + 0.6**2),  # from 0.3 to -0.3 and so back: d is 0.6 at each pixel
    ("CycleGAN", 0.5, 0.5**2 + 10 * 0.6 + 5 * 0.6),
    ("GAN alone", 0.0, LN2),
])
def test_the_generators_loss_is_the_sum_of_its_parts(name, D_out, wanted):
    x = torch.full((4, 3, 8, 8), 0.3)
    found = discogan.g_loss(discogan.VARIANTS[name], Says(D_out), negative, x, x.clone())
    assert found.item() == pytest.approx(wanted)


@pytest.mark.parametrize("name, D_out, wanted", [("DiscoGAN", 0.0, LN2), ("CycleGAN", 1.0, 0.0)])
def test_identity_between_identical_domains_loses_nothing(name, D_out, wanted):
    x = torch.rand(4, 3, 8, 8)
    assert discogan.g_loss(discogan.VARIANTS[name], Says(D_out), nn.Identity(), x, x).item() == pytest.approx(wanted)


# --- The buffer


def test_the_buffer_gives_back_what_it_was_given_until_it_is_full():
    buffer = discogan.Former(50, 8)
    for start in range(0, 50, 10):
        new = torch.arange(start, start + 10.0).view(-1, 1, 1, 1).expand(10, 3, 8, 8)
        assert torch.equal(buffer(new), new)
    assert buffer.kept[:, 0, 0, 0].tolist() == list(range(50))


def test_a_full_buffer_gives_half_of_former_pictures_and_keeps_those_in_their_place():
    torch.manual_seed(0)
    buffer, former = discogan.Former(50, 2), 0
    buffer(torch.arange(50.0).view(-1, 1, 1, 1).expand(50, 3, 2, 2))
    inside = set(range(50))
    for start in range(50, 2050, 20):
        new = torch.arange(start, start + 20.0).view(-1, 1, 1, 1).expand(20, 3, 2, 2)
        given = buffer(new)[:, 0, 0, 0].int().tolist()
        former += sum(number != start + i for i, number in enumerate(given))
        before, inside = inside, set(buffer.kept[:, 0, 0, 0].int().tolist())
        assert len(inside) == 50 == len(buffer.kept)
        assert before | set(range(start, start + 20)) == inside | set(given)  # none is lost, none doubled
        assert new[:, 0, 0, 0].int().tolist() == list(range(start, start + 20))
    assert 900 < former < 1100


# --- The steps


def all_parts(name):
    torch.manual_seed(0)
    return discogan.system(discogan.VARIANTS[name], pictures(90, seed=1)).parts


@pytest.mark.parametrize("name", discogan.VARIANTS)
def test_each_side_is_moved_by_its_own_loss_alone(name, small):
    parts, x = all_parts(name), pictures(16) / 127.5 - 1
    sides = {"d": ("D_A", "D_B"), "g": ("G_AB", "G_BA")}
    for moving, still in ("dg", "gd"):
        frozen = {side: parts[f"{side}_optimizer"].param_groups[0] for side in sides}
        frozen[moving]["lr"], frozen[still]["lr"] = 0.01, 0.0
        before = {G: [weight.detach().clone() for weight in parts[G].parameters()] for G in (*sides["d"], *sides["g"])}
        discogan.step(discogan.VARIANTS[name], parts, x[:8], x[8:])
        for G, weights in before.items():
            moved = [not torch.equal(a, b) for a, b in zip(weights, parts[G].parameters(), strict=True)]
            assert all(moved) if G in sides[moving] else not any(moved)


@pytest.mark.parametrize("name", discogan.VARIANTS)
def test_no_gradient_reaches_the_other_side(name, small, monkeypatch):
    parts, x, seen = all_parts(name), pictures(16) / 127.5 - 1, []
    networks = {G: parts[G] for G in ("D_A", "D_B", "G_AB", "G_BA")}
    move = discogan.move

    def watched(loss, optimizer, *moved):
        for network in networks.values():
            network.zero_grad()
        move(loss, optimizer, *moved)
        seen.append([G for G, network in networks.items() if any(w.grad is not None for w in network.parameters())])

    monkeypatch.setattr(discogan, "move", watched)
    discogan.step(discogan.VARIANTS[name], parts, x[:8], x[8:])
    assert seen == [["D_A", "D_B"], ["G_AB", "G_BA"]]


def test_the_loss_of_one_way_does_not_know_the_other_domain_s_pictures(small):
    """A generated picture is compared with no picture of the batch from B, whatever their order."""
    losses = []
    for order in (range(8), reversed(range(8))):
        parts, x = all_parts("DiscoGAN"), pictures(16) / 127.5 - 1
        for dropout in (layer for G in ("D_A", "D_B") for layer in parts[G].modules() if isinstance(layer, nn.Dropout)):
            dropout.p = 0.0
        losses.append(discogan.step(discogan.DISCOGAN, parts, x[:8], x[8:][list(order)]))
    for name in ("d_loss", "g_loss"):
        assert losses[0][name].item() == pytest.approx(losses[1][name].item(), rel=1e-4)


def test_a_translator_makes_pictures_of_pictures(small):
    own = course.set_up()
    G, x = discogan.translator(own), torch.rand(2, 3, 32, 32)
    assert G(x).shape == x.shape and G(x).abs().max() <= 1
    assert not [layer for layer in G.modules() if isinstance(layer, nn.Dropout)]


def test_a_training_gone_on_with_equals_an_uninterrupted_one(small, tmp_path):
    def train(images, folder):
        torch.manual_seed(0)
        system = discogan.system(discogan.CYCLEGAN._replace(former=40), pictures(90, seed=1))
        beside.train(system, pictures(96), images, folder)
        return system.parts

    whole = train(288, tmp_path / "whole")
    train(96, tmp_path / "part")
    torch.manual_seed(5)
    resumed = train(288, tmp_path / "part")
    assert whole["former_A"].count == 40
    for name in whole:
        for a, b in zip(*(torch.utils._pytree.tree_leaves(parts[name].state_dict()) for parts in (whole, resumed)),
                        strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, name


# --- The program


def test_the_program_trains_each_variant_and_draws(tmp_path, small, monkeypatch, capsys):
    monkeypatch.setattr(beside, "load", lambda folder: pictures(240))
    monkeypatch.setattr(domains, "faces_found", lambda faces: 0.25)
    monkeypatch.chdir(tmp_path)
    beside.main("discogan", discogan.__doc__, discogan.measure, 96, discogan.OPTIONS, ["--seeds", "1"])
    told = capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in told.splitlines() if line.startswith("| ")][2:]
    assert len({len(row) for row in rows}) == 1
    known = [["untouched", ""], ["other real pictures", ""]] * 2
    assert [row[:2] for row in rows] == known + [[name, "1"] for name in discogan.VARIANTS for _ in "AB"]
    assert [row[4] for row in rows[4:]] == 3 * ["A to B", "B to A"] and {row[-1] for row in rows} == {"0.250"}
    assert (tmp_path / "results" / "further" / "discogan.png").stat().st_size > 10_000
