"""further/progressive.py: each size has its turn, and what is new comes in without a jump in the photographs too."""

import math
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from common import FaceError
from further import beside, course, progressive

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "z_size": 16, "device": torch.device("cpu")}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(course, "set_up", partial(course.set_up, **SMALL))


def pictures(count, size=32):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# --- The schedule


@pytest.mark.parametrize("share, expected", [
    (0, (4, 1)), (0.5 / 15, (4, 1)),  # 4 x 4 has nothing to come from
    (1 / 15, (8, 0)), (1.5 / 15, (8, 0.5)), (2 / 15, (8, 1)), (2.9 / 15, (8, 1)),
    (3 / 15, (16, 0)), (4 / 15, (16, 0.5)), (5 / 15, (16, 1)),
    (7 / 15, (32, 0)), (9 / 15, (32, 0.5)), (11 / 15, (32, 1)), (1, (32, 1)),
])
def test_sizes_and_alpha_come_at_their_share_of_the_training(share, expected):
    assert progressive.stage(share, 32) == (expected[0], pytest.approx(expected[1], abs=1e-9))


def test_each_size_of_64_gets_twice_as_much_as_the_one_before_it():
    sizes = [progressive.stage((step + 0.5) / 3100, 64)[0] for step in range(3100)]
    assert [sizes.count(size) for size in (4, 8, 16, 32, 64)] == [100, 200, 400, 800, 1600] and sizes == sorted(sizes)


def test_the_share_is_one_of_seconds_where_they_are_limited_and_of_batches_elsewhere():
    run = SimpleNamespace(limit=10.0, seconds=2.5, epoch=3, batch=1, total=8)
    assert progressive.share_done(run, range(2)) == 0.25
    run.seconds = 11.0  # in whole epochs a run may last a little longer
    assert progressive.share_done(run, range(2)) == 1
    run.limit = math.inf
    assert progressive.share_done(run, range(2)) == 7 / 16


# --- Fading in


def test_photographs_come_in_with_alpha():
    x = torch.zeros(1, 3, 8, 8)
    x[..., ::4, ::4] = 16  # of each 4 x 4 pixels one
    full, half = torch.zeros(4, 4), torch.full((4, 4), 1.0)
    full[::2, ::2] = 4  # the means of 2 x 2, and those of 4 x 4, repeated
    for alpha, expected in ((1.0, full), (0.0, half), (0.25, 0.25 * full + 0.75 * half)):
        assert torch.equal(progressive.faded(x, 4, alpha), expected.expand(1, 3, 4, 4))
    real = torch.rand(2, 3, 32, 32)
    assert torch.equal(progressive.faded(real, 32, 1.0), real)


def test_the_average_is_half_old_after_its_half_life():
    G = nn.Linear(1, 1, bias=False)
    nn.init.constant_(G.weight, 0)
    average = progressive.averaged(G)
    average.update_parameters(G)
    nn.init.constant_(G.weight, 1)
    for _ in range(progressive.HALF_LIFE):
        average.update_parameters(G)
    assert average.module.weight.item() == pytest.approx(0.5, abs=1e-4)


# --- Training


def fit(system, loader, folder=None, epochs=3):
    return course.fit(system.own, loader, epochs * len(loader.sampler), folder, system.loop, system.parts,
                      settings=system.settings)


def looking(own, look):
    """Let `look` be called before each step of D."""
    step = own.discriminator_step

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        look(real_images, fake_images)
        return step(D, G, real_images, d_optimizer, fake_images)

    own.discriminator_step = discriminator_step


def test_both_networks_grow_and_the_optimizers_begin_afresh(small):
    system = progressive.system(32, growing=True)
    own, seen = system.own, []
    drawn = own.G.block["4"][0].w.detach().clone()

    def look(real_images, fake_images):
        assert real_images.shape == fake_images.shape and own.G.alpha == own.D.alpha
        steps = {int(state["step"]) for optimizer in (own.d_optimizer, own.g_optimizer)
                 for state in optimizer.state.values()}
        seen.append((real_images.shape[-1], own.G.alpha.item(), max(steps, default=0)))

    looking(own, look)
    run = fit(system, course.loader_of(own, pictures(80)))  # 15 batches: as many as there are parts
    sizes = [4] + 2 * [8] + 4 * [16] + 8 * [32]
    assert [size for size, *_ in seen] == sizes
    assert [alpha for _, alpha, _ in seen] == pytest.approx(
        [1, 0, 1, 0, 0.5, 1, 1, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1], abs=1e-6)
    assert [steps for *_, steps in seen] == [0, 0, 1, 0, 1, 2, 3, *range(8)]
    assert {size: images for size, (images, _) in system.parts["began"].items()} == {4: 0, 8: 16, 16: 48, 32: 112}
    assert [faces.shape[-1] for faces in run.snapshots] == [4, 4, 8, 16, 16, 32, 32]
    assert own.G_average.module.size == 32 and beside.made(system, 5).shape == (5, 3, 32, 32)
    moved = [(network.block["4"][0].w - drawn).abs().mean() for network in (own.G_average.module, own.G)]
    assert 0 < moved[0] < moved[1] / 2  # its half-life is 100 batches, and growing does not begin it anew


def test_without_growing_all_batches_are_of_full_size(small):
    system = progressive.system(32, growing=False)
    looking(system.own, lambda real_images, fake_images: sizes.append((real_images.shape[-1], fake_images.shape[-1])))
    sizes = []
    fit(system, course.loader_of(system.own, pictures(80)), epochs=1)
    assert sizes == 5 * [(32, 32)] and system.own.D.alpha == 1


@pytest.mark.parametrize("step", [6, 7])  # in the middle of 16 x 16, and where it ends
def test_interrupted_and_gone_on_with_the_weights_are_the_same(step, small, tmp_path):
    def trained(seed, folder, stop_at=0):
        torch.manual_seed(seed)
        system, steps = progressive.system(32, growing=True), iter(range(1, 100))
        looking(system.own, lambda *_: signal.raise_signal(signal.SIGINT) if next(steps) == stop_at else None)
        run = fit(system, course.loader_of(system.own, pictures(80)), folder)
        return run, system

    with pytest.raises(FaceError, match=f"interrupted after {16 * step} images"):
        trained(0, tmp_path, stop_at=step)
    run, again = trained(1, tmp_path)
    _, through = trained(0, None)
    assert run.step == 15
    for name, part in through.parts.items():
        found, expected = again.parts[name].state_dict(), part.state_dict()
        if name == "began":
            assert {size: images for size, (images, _) in found.items()} == {
                size: images for size, (images, _) in expected.items()}
        else:
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


# --- The program


def test_the_program_trains_each_system_and_draws(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures(120))
    monkeypatch.setattr(beside, "distances", lambda faces, reals: dict.fromkeys(beside.FORMATS, 1.0))  # take seconds
    monkeypatch.chdir(tmp_path)
    beside.main("progressive", progressive.__doc__, progressive.measure, 180, {"--size": {"type": int, "default": 32}},
                ["--seeds", "1"])
    told = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if line.startswith("| ")]
    for name in (beside.NOTEBOOK, progressive.GROWN, progressive.CONSTANT):
        found = [row for row in rows if row[0] == name and row[1] == "1"]
        assert [len(row) for row in found] == [7, 4] and all(float(number) > 0 for number in found[1][2:])
    assert ["sliced Wasserstein x 1000", "seed", "32 pixels", "16 pixels"] in rows
    grown = rows[rows.index([progressive.GROWN, "seed", "images", "seconds"]) + 2:]
    assert grown and {row[0] for row in grown} <= {"4 x 4", "8 x 8", "16 x 16", "32 x 32"}
    images = next(row[2] for row in rows if row[0] == progressive.GROWN and row[1] == "1")
    assert sum(int(row[2].replace(",", "")) for row in grown) == int(images.replace(",", ""))
    assert (tmp_path / "results" / "further" / "progressive.png").stat().st_size > 10_000


@pytest.mark.parametrize("size", [0, 4, 16, 20, 33, 256])
def test_a_size_that_cannot_be_is_refused_in_one_line(size):
    with pytest.raises(SystemExit) as stopped:
        beside.main("progressive", progressive.__doc__, progressive.measure, 96,
                    {"--size": {"type": int, "default": 32}}, ["--size", str(size)])
    assert str(stopped.value) == f"further.progressive: --size is {size}: give 32, 64 or 128."
