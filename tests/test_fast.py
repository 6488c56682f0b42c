"""further/fast.py: the same training as the notebook's, by graphs. Only the tests at the end need a GPU."""

import contextlib

import pytest
import tiny
import torch
from torch.utils.data import DataLoader

import helper
from benchmarks import recipes
from common import FaceError
from further import best, course, fast

BATCHES = 7  # of 8 pictures, the last one of 3


def loader():
    faces = tiny.loader(BATCHES).dataset
    faces.images = faces.images[:-5]
    return DataLoader(faces, 8, shuffle=True, collate_fn=list)


class Again:
    """In place of a CUDA graph, on a CPU: does all of it anew, and lays the gradients where they lay when it was made."""

    made = 0

    def __init__(self, networks, function):
        function()
        self.networks, self.function = networks, function
        self.first = self.gradients()
        Again.made += 1

    def gradients(self):
        return [weight.grad for network in self.networks for weight in network.parameters()]

    def replay(self):
        self.function()
        for first, newest in zip(self.first, self.gradients(), strict=True):
            if first is not None and first is not newest:
                first.copy_(newest)


def the_notebook_s(own):
    return own.discriminator_step, own.generator_step


def train(parts, way, steps=the_notebook_s, **changed):
    """Train tiny parts for two epochs. way: the notebook's train, or fast's with all that it takes more."""
    own = tiny.names
    run = helper.TrainingRun(None, 2, None, {}, **parts)
    names = ("D", "G", "G_average")
    optimizers = parts["d_optimizer"], parts["g_optimizer"]
    torch.manual_seed(3)
    return way(*(parts[name] for name in names), loader(), *optimizers, *steps(own), run, **changed)


def by_graphs(parts, record, steps=the_notebook_s):
    return train(parts, fast._train, steps, mirror_half=tiny.names.mirror_half, random_z=tiny.names.random_z, record=record)


@pytest.mark.parametrize("steps", [the_notebook_s, *filter(None, recipes.RECORDABLE)])
def test_batches_of_either_length_train_as_in_the_notebook(steps, capsys):
    usual, parts = tiny.networks(), tiny.networks()
    train(usual, tiny.names.train, steps)
    networks, Again.made = (parts["D"], parts["G"]), 0

    def record(function, before=None):
        buffers = [buffer for network in networks for buffer in network.buffers()]
        kept, random = [buffer.clone() for buffer in buffers], torch.get_rng_state()
        graph = Again(networks, function)
        torch.set_rng_state(random)  # recording does nothing: what it did here is undone
        for buffer, before_it in zip(buffers, kept, strict=True):
            buffer.data.copy_(before_it)
        return graph

    by_graphs(parts, record, steps)
    assert tiny.same(tiny.weights(parts), tiny.weights(usual))
    assert Again.made == 4  # two graphs for each length


def test_a_step_that_is_recorded_leaves_the_weights_to_the_optimizer_itself():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], 0.5)
    held = fast.Held(optimizer)
    weight.grad = torch.ones(1)
    held.step()
    assert weight.item() == 1 and weight.grad is not None
    held.zero_grad()
    assert weight.grad is None


def test_pictures_that_are_decoded_already_go_to_the_device_and_keep_their_order():
    faces = tiny.loader()
    torch.manual_seed(0)
    expected = [images for images, _ in faces]
    torch.manual_seed(0)
    found = [images for images, _ in fast.on_device(faces, torch.device("cpu"))]
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    others = DataLoader([torch.zeros(3, 32, 32)])
    assert fast.on_device(others, torch.device("cpu")) is others


def test_without_a_gpu_it_says_so_in_one_line():
    with pytest.raises(FaceError, match="needs an NVIDIA GPU, and the networks are on cpu: use the notebook's train."):
        train(tiny.networks(), fast.train, mirror_half=None, random_z=None)


def test_a_step_that_reads_a_number_is_told_so_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, pool, stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)

    def reads():
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand much more")

    with pytest.raises(FaceError, match=r"\(CUDA error: operation not permitted when stream is capturing\): does it read"):
        fast.record(reads)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
class TestCuda:
    """The real graphs."""

    def own(self, **given):
        torch.manual_seed(0)
        return course.set_up(d_conv_dim=16, g_conv_dim=16, batch_size=8, device=torch.device("cuda"), **given)

    def test_the_losses_are_the_notebook_s(self, capsys):
        pictures, history = tiny.loader(BATCHES).dataset.images[:-5], []
        for loop in (None, fast.loop):
            own = self.own()
            history.append(course.fit(own, pictures, 10 * len(pictures), None, loop and loop(own)).history)
        assert history[0]["images"] == history[1]["images"]
        for loss in ("d_loss", "g_loss"):
            assert history[1][loss] == pytest.approx(history[0][loss], rel=0.1)

    def test_a_falling_rate_falls_and_d_counts_its_pictures(self, tmp_path, capsys):
        own = self.own(Discriminator=best.augmented(tiny.names.Discriminator, lambda seen: 0.5 * (seen >= 200)),
                       Generator=best.styled(tiny.names.Generator))
        pictures = tiny.loader(BATCHES).dataset.images[:-5]
        rates = best.Falling(course.steps_for(own, pictures, 10 * len(pictures)), own.d_optimizer, own.g_optimizer)
        course.fit(own, pictures, 10 * len(pictures), tmp_path, fast.loop(own), course.parts_of(own) | {"rates": rates})
        assert own.d_optimizer.param_groups[0]["lr"] == own.g_optimizer.param_groups[0]["lr"] == 0
        assert own.D.seen == 3 * 10 * len(pictures)
