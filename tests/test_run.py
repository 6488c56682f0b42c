"""training/run.py: a run that counts, shows, keeps and watches itself, of the notebook's game or of any other."""

import re
import signal
import time

import pytest
import tiny
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import helper
import training.checkpoints
import training.trouble


def one_line(error):
    """The message of a FaceError, which must be one line."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    return text


def test_a_run_counts_keeps_and_reports(tmp_path, capsys):
    parts = tiny.networks()
    run = tiny.train(tmp_path, 2, parts)
    assert run.images == 2 * tiny.EPOCH * 8 and run.seconds > 0
    assert run.history["images"] == [48, 96] and all(len(run.history[key]) == 2 for key in ("d_loss", "g_loss"))
    assert run.seen == [0, 8, 16, 32, 48, 96]  # after 1, 2, 4 batches, and after each epoch
    assert [snapshot.shape for snapshot in run.snapshots] == [(8, 3, 32, 32)] * 6
    assert run.snapshots[0].dtype == torch.uint8 and not torch.equal(run.snapshots[0], run.snapshots[1])
    said = capsys.readouterr().out
    assert re.search(r"^epoch 1 of 2, 48 images, D \d\.\d\d, G \d\.\d\d$", said, re.M) and "images/s" in said
    assert "\r" not in said and "\x1b" not in said


def test_losses_are_averaged_over_fifty_batches(tmp_path):
    parts = tiny.networks()
    numbers = iter(range(1000))
    run = tiny.train(tmp_path, 1, parts, tiny.loader(60, 2), discriminator_step=lambda *args: torch.tensor(0.0),
                     generator_step=lambda *args: float(next(numbers)))
    assert run.history == {"images": [100, 120], "d_loss": [0.0, 0.0], "g_loss": [24.5, 54.5]}


def test_optimizers_of_other_networks_are_refused(tmp_path):
    parts = tiny.networks() | {"G": tiny.networks()["G"]}
    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path, 1, parts)
    assert "g_optimizer moves other weights than those of D, G, G_average" in one_line(error)


def test_a_healthy_run_shows_no_sign_of_trouble():
    faces = [torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8) for _ in range(11)]
    history = {"images": list(range(2_000, 22_000, 2_000)), "d_loss": [0.9] * 10, "g_loss": [1.5] * 10}
    assert helper.signs_of_trouble(history, faces, list(range(0, 22_000, 2_000))) == []
    assert helper.signs_of_trouble({"images": []}, faces[:1], [0]) == []


def test_an_average_over_a_long_training_is_not_taken_for_a_generator_that_is_stuck():
    steps = torch.linspace(0, 1, 201).view(-1, 1, 1, 1, 1)  # 200 epochs of 10,000 images: a little change in each
    faces = list((steps * torch.rand(8, 3, 16, 16) * 255).to(torch.uint8))
    history = {"images": [2_000_000], "d_loss": [0.9], "g_loss": [1.5]}
    assert (faces[-1].float() - faces[-2].float()).abs().mean() / 255 < 0.005
    assert helper.signs_of_trouble(history, faces, list(range(0, 2_010_000, 10_000))) == []
    assert "stuck" in helper.signs_of_trouble(history, faces + 25 * faces[-1:], list(range(0, 2_260_000, 10_000)))[0]


def troubled_run(folder, monkeypatch, lr_d, lr_g):
    """Train for 200 steps, in which BatchNorm's statistics settle, with these learning rates, and judge."""
    monkeypatch.setattr(training.trouble, "JUDGED_AFTER", 2_000)
    parts = tiny.networks()
    for optimizer, lr in ((parts["d_optimizer"], lr_d), (parts["g_optimizer"], lr_g)):
        optimizer.param_groups[0]["lr"] = lr
    run = tiny.train(folder, 20, parts, tiny.loader(10, 16))
    return " ".join(helper.signs_of_trouble(run.history, run.snapshots, run.seen))


def test_a_discriminator_that_has_won_is_seen(tmp_path, monkeypatch, capsys):
    assert "discriminator has won" in troubled_run(tmp_path, monkeypatch, 5e-3, 1e-5)
    assert "discriminator has won" in capsys.readouterr().out


def test_a_generator_that_is_stuck_is_seen(tmp_path, monkeypatch):
    assert "generator is stuck" in troubled_run(tmp_path, monkeypatch, 2e-4, 0.0)


def test_variety_that_collapses_is_seen(tmp_path, monkeypatch):
    signs = troubled_run(tmp_path, monkeypatch, 0.0, 5e-3)  # nothing punishes the generator for its one best answer
    assert "variety is collapsing" in signs and "stuck" not in signs


@pytest.mark.parametrize("where", ["loss", "weight"])
def test_not_a_number_stops_training_names_the_step_and_puts_the_weights_back(tmp_path, where):
    good = tiny.networks()
    tiny.train(tmp_path / "good", 2, good)
    parts, steps, bad = tiny.networks(), iter(range(1, 1000)), 2 * tiny.EPOCH + 3

    def discriminator_step(*args):
        loss = tiny.names.discriminator_step(*args)
        if next(steps) == bad:
            if where == "loss":
                return loss * torch.nan
            parts["D"].layers[0].weight.data[0] = torch.nan
        return loss if where == "loss" else 0.5

    def generator_step(*args):
        loss = tiny.names.generator_step(*args)
        return loss if where == "loss" else 0.5

    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path / "bad", 4, parts, discriminator_step=discriminator_step, generator_step=generator_step)
    line = one_line(error)
    assert "training stopped" in line and str(tmp_path / "bad") in line
    assert f"as they were after {2 * tiny.EPOCH * 8} images" in line
    # a weight is looked at when a checkpoint is written, at the end of the epoch
    assert (f"at step {bad} the losses" if where == "loss" else f"at step {3 * tiny.EPOCH} a weight of D is not") in line
    assert tiny.same(tiny.weights(parts), tiny.weights(good))


def test_networks_that_begin_with_no_numbers_are_refused(tmp_path):
    parts = tiny.networks()
    parts["D"].layers[0].weight.data[0] = torch.nan
    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path, 1, parts)
    assert "at step 0 a weight of D is not a number" in one_line(error)


# --- Any game


class Counted:
    """A sample of pictures of its own: grey, growing, one more each time, with a state of its own."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return torch.full((5, 1, 4 * self.calls, 4 * self.calls), 0.5)

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


def another_game(folder, epochs, seed=0):
    """Three networks, one optimizer, a scheduler, losses of their own names, a sign of trouble of its own."""
    torch.manual_seed(seed)
    parts = {name: nn.Linear(2, 2) for name in ("encoder", "decoder", "critic")}
    weights = [weight for network in parts.values() for weight in network.parameters()]
    parts["sgd"] = torch.optim.SGD(weights, 0.1)
    parts["schedule"] = torch.optim.lr_scheduler.StepLR(parts["sgd"], 3)

    def trouble(history, snapshots, seen):
        return [f"{len(snapshots)} pictures, the gap is {history['gap'][-1]:.1f}"] if "gap" in history else []

    run = helper.TrainingRun(folder, epochs, Counted(), {"game": "another"}, trouble, **parts)
    run.KEEP_AFTER = 0.0
    loader = DataLoader(TensorDataset(torch.rand(8, 2, generator=torch.Generator().manual_seed(1))), 4, shuffle=True)
    with run:
        for epoch in run.epochs():
            for (x,) in run.batches(loader):
                loss = parts["critic"](parts["decoder"](parts["encoder"](x))).square().mean()
                parts["sgd"].zero_grad()
                loss.backward()
                parts["sgd"].step()
                if epoch:
                    run.record(gap=-5.0, loss=loss)
                else:
                    run.record(loss=loss)
            parts["schedule"].step()
    return run


def test_a_game_of_other_networks_losses_and_pictures_runs_and_goes_on_bit_by_bit(tmp_path, capsys):
    whole = another_game(tmp_path / "whole", 5)
    said = capsys.readouterr().out
    assert "gap -5.00" in said and "the gap is -5.0" in said and "discriminator" not in said
    assert list(whole.history) == ["images", "loss", "gap"] and whole.history["gap"][0] != whole.history["gap"][0]
    assert [tuple(pictures.shape[1:]) for pictures in whole.snapshots][:2] == [(1, 4, 4), (1, 8, 8)]
    another_game(tmp_path / "parts", 2)
    parted = another_game(tmp_path / "parts", 5, seed=9)
    assert parted.sample.calls == whole.sample.calls and parted.parts["sgd"].param_groups[0]["lr"] == pytest.approx(0.01)
    for name, network in whole.parts.items():
        if isinstance(network, nn.Module):
            assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(),
                                                         parted.parts[name].state_dict().values(), strict=True))


def test_without_a_folder_and_a_sample_it_only_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = tiny.networks()
    run = helper.TrainingRun(None, 2, None, {}, **parts)
    with run:
        for _ in run.epochs():
            for _batch in run.batches(tiny.loader()):
                run.record(d_loss=1.0)
    assert run.images == 96 and run.snapshots == [] and not list(tmp_path.iterdir())


def test_a_thousand_epochs_keep_sixty_snapshots_the_early_ones_dense():
    run = helper.TrainingRun(None, 1000, lambda: torch.zeros(1, 3, 4, 4), {}, network=nn.Linear(1, 1))
    with run:
        for _ in run.epochs():
            for _batch in run.batches([torch.zeros(10, 1)] * 2):
                run.record(loss=0.0)
    assert len(run.snapshots) == len(run.seen) == 60
    assert run.seen[:15] == [0, 10, 20, *range(40, 280, 20)][:15] and run.seen[-1] == 20_000
    gaps = [b - a for a, b in zip(run.seen[20:-1], run.seen[21:], strict=False)]
    assert max(gaps) <= 4 * min(gaps)  # the later ones stand at about equal distances


def test_checkpoints_come_by_time_as_well_as_by_epoch(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    wrote = []
    write = training.checkpoints.Checkpoints.write
    monkeypatch.setattr(training.checkpoints.Checkpoints, "write",
                        lambda self, step, state: (wrote.append(step), write(self, step, state)))

    def train(folder, seconds, epochs, batches):
        wrote.clear()
        run = helper.TrainingRun(folder, epochs, None, {}, network=nn.Linear(1, 1))
        with run:
            for _ in run.epochs():
                for _batch in run.batches([torch.zeros(1, 1)] * batches):
                    now[0] += seconds
        return wrote.copy()

    assert train(tmp_path / "short", 1.0, 100, 2) == [0, *range(32, 200, 32), 200]  # epochs of 2 s: one in 31 s or more
    assert train(tmp_path / "long", 50.0, 1, 9) == [0, 3, 6, 9, 9]  # an epoch of 450 s, and its end


def test_a_second_program_in_one_folder_gets_one_line_and_harms_nothing(tmp_path):
    parts, run = tiny.networks(), None
    run = tiny.new_run(tmp_path, 1, parts)
    with run:
        for _ in run.epochs():
            for _batch in run.batches(tiny.loader()):
                run.record(d_loss=1.0)
            kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}
            with pytest.raises(helper.FaceError) as error:
                tiny.train(tmp_path, 1, tiny.networks(seed=3))
            assert "another kernel or program is training in" in one_line(error) and str(tmp_path) in one_line(error)
            assert kept == {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}
    assert tiny.train(tmp_path, 2, tiny.networks()).epoch == 2  # the lock is open again


def test_from_the_second_interrupt_on_keyboardinterrupt_comes_through_and_the_checkpoint_stands(tmp_path):
    def hangs(*args):
        for _ in range(5):
            signal.raise_signal(signal.SIGINT)
        began = time.monotonic()
        while time.monotonic() - began < 20:  # a batch that takes its time
            time.sleep(0.01)

    before = signal.getsignal(signal.SIGINT)
    tiny.train(tmp_path, 1, tiny.networks())
    kept = sorted(tmp_path.glob("*.pt"))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path, 2, tiny.networks(), discriminator_step=hangs)
    assert time.monotonic() - began < 3
    assert sorted(tmp_path.glob("*.pt")) == kept and signal.getsignal(signal.SIGINT) is before
    time.sleep(1.2)  # no interrupt comes after it
    assert tiny.train(tmp_path, 2, tiny.networks()).epoch == 2


def test_an_interrupt_while_it_leaves_does_not_end_a_later_cell(monkeypatch, capsys):
    run, restore = helper.TrainingRun(None, 1, None, {}), signal.signal

    def interrupted_first(number, handler):
        run._interrupted()
        run._interrupted()  # starts the clock that ends a batch which does not
        return restore(number, handler)

    with run:
        monkeypatch.setattr(signal, "signal", interrupted_first)
    assert run._timer.finished.is_set()
