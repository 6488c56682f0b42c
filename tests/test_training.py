"""training/: the device, pictures of a generator, the film and the exported file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import helper
import training.device

# --- The device, its precision and its random numbers


def test_find_device_takes_an_apple_gpu_only_where_a_training_step_runs_on_it(monkeypatch, capsys):
    """On a machine without one: PyTorch is made to say that there is one, and the step on it to run, or not to."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert helper.find_device().type == "cpu" and capsys.readouterr().out == ""

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert helper.find_device().type == "cpu"  # nothing here answers to "mps"
    line = capsys.readouterr().out
    assert line.startswith("Apple's GPU is not used, since PyTorch") and line.count("\n") == 1

    tried = []
    monkeypatch.setattr(training.device, "_one_step", tried.append)
    assert helper.find_device().type == "mps" and tried == [torch.device("mps")]

    def missing(device):
        raise NotImplementedError("The operator 'aten::some' is not currently implemented for the MPS device.\nMore text")

    monkeypatch.setattr(training.device, "_one_step", missing)
    assert helper.find_device().type == "cpu"
    assert "lacks something for it: The operator 'aten::some'" in capsys.readouterr().out


def test_the_step_that_is_tried_on_an_apple_gpu_runs_and_draws_no_random_numbers():
    before = torch.get_rng_state()
    assert np.isfinite(training.device._one_step(torch.device("cpu")))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_release_of_torch_without_the_private_question_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    with helper.fast_math(torch.device("cpu")):
        assert torch.nn.Linear(4, 4)(torch.rand(2, 4)).dtype == torch.float32


def test_under_fast_math_a_network_answers_with_the_weights_of_its_last_step(monkeypatch):
    """PyTorch's autocast keeps the weights that it rounded until its context ends: G's step would ask the former D."""
    monkeypatch.setattr(training.device, "_cpu_has_bfloat16", lambda: True)
    layer = torch.nn.Linear(4, 1)
    x = torch.ones(2, 4)
    with helper.fast_math(torch.device("cpu")):
        before = layer(x).sum()
        before.backward()
        torch.optim.SGD(layer.parameters(), lr=1.0).step()
        within = layer(x)
    with helper.fast_math(torch.device("cpu")):
        after = layer(x)
    assert torch.equal(within, after) and not torch.equal(within.sum(), before)


def test_fast_math_computes_in_bfloat16_only_where_there_is_hardware(monkeypatch):
    layer, x = torch.nn.Linear(4, 4), torch.rand(2, 4)
    for hardware, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda hardware=hardware: hardware)
        with helper.fast_math(torch.device("cpu")):
            assert layer(x).dtype == dtype
    with helper.fast_math(torch.device("mps")):
        assert layer(x).dtype == torch.float32


def test_epochs_come_from_the_environment_or_from_the_notebook(monkeypatch):
    monkeypatch.delenv("FACE_EPOCHS", raising=False)
    assert helper.epochs(default=7) == 7
    monkeypatch.setenv("FACE_EPOCHS", "")
    assert helper.epochs(default=7) == 7
    monkeypatch.setenv("FACE_EPOCHS", "3")
    assert helper.epochs(default=7) == 3
    for wrong in ("0", "-1", "2.5", "many", "\u00b2", "9" * 5000):
        monkeypatch.setenv("FACE_EPOCHS", wrong)
        with pytest.raises(helper.FaceError, match="whole number of epochs"):
            helper.epochs(default=7)


@pytest.mark.parametrize("mode", [True, False])
def test_generate_uses_evaluation_mode_and_puts_the_mode_back(mode):
    G = tiny.networks()["G"].train(mode)
    before, z = {name: value.clone() for name, value in G.state_dict().items()}, torch.randn(300, tiny.Z_SIZE)
    faces = helper.generate(G, z)
    assert faces.shape == (300, 3, 32, 32) and faces.abs().max() <= 1 and not faces.requires_grad
    assert torch.allclose(faces[:1], helper.generate(G, z[:1]), atol=1e-5)  # a face depends on its z alone
    assert G.training == mode and all(torch.equal(value, before[name]) for name, value in G.state_dict().items())


def test_settled_statistics_are_those_of_the_averaged_weights_and_draw_no_random_numbers():
    parts = tiny.networks()
    average = parts["G_average"]
    average.module.layers.insert(3, torch.nn.Dropout(0.1))  # which draws, wherever it is in training mode
    norm = next(layer for layer in average.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    before, fixed_z = torch.get_rng_state(), torch.randn(32, tiny.Z_SIZE, generator=torch.Generator().manual_seed(0)) + 3
    helper.settle_statistics(average, fixed_z)
    assert torch.equal(torch.get_rng_state(), before)
    means = average.module.layers[0](fixed_z[:, :, None, None]).mean((0, 2, 3))
    assert torch.allclose(norm.running_mean, means, atol=0.2 * means.abs().max().item())
    settled = norm.running_mean.clone()
    helper.settle_statistics(average, fixed_z)
    assert torch.equal(norm.running_mean, settled)


# --- Pictures and the film


def test_to_pixels_maps_the_range_of_tanh_to_whole_numbers():
    faces = torch.tensor([-1.0, -0.5, 0.0, 1.0, 1.5]).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    assert helper.to_pixels(faces)[:, 0, 0, 0].tolist() == [0, 64, 128, 255, 255]


@pytest.mark.parametrize("count, frames", [(1, 1), (5, 5), (150, 60)])
def test_the_gif_holds_the_snapshots_in_their_order(tmp_path, count, frames):
    path = tmp_path / "training.gif"
    snapshots = [torch.full((4, 3, 8, 8), 255 * i // max(count - 1, 1), dtype=torch.uint8) for i in range(count)]
    shown = helper.save_gif(snapshots, path)
    assert shown.data == path.read_bytes()
    with Image.open(path) as gif:
        assert gif.n_frames == frames
        if count == 1:
            return
        assert gif.info["loop"] == 0
        levels = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            levels.append(np.asarray(gif.convert("RGB"))[4, 4].mean())
    assert levels == sorted(levels) and levels[0] < 3 and levels[-1] > 252
    assert [entry.name for entry in tmp_path.iterdir()] == ["training.gif"]


def test_a_strip_has_a_column_for_each_look_with_the_images_seen_and_a_row_for_each_picture():
    snapshots = [torch.full((6, 3, 8, 8), i, dtype=torch.uint8) for i in range(30)]
    figure = helper.show_strip(snapshots, [1000 * i for i in range(30)], rows=2, columns=5)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["0", "7,000", "14,000", "22,000", "29,000"] + [""] * 5
    assert figure.axes[9].images[0].get_array()[4, 4, 0] == 29
    short = helper.show_strip(snapshots[:2], [0, 8], rows=9)
    assert len(short.axes) == 2 * 6


def test_a_film_of_pictures_that_grow_is_as_large_as_the_last(tmp_path):
    snapshots = [torch.zeros(4, 1, size, size, dtype=torch.uint8) for size in (4, 8, 8, 16)]
    helper.save_gif(snapshots, tmp_path / "grown.gif", columns=2, zoom=1)
    with Image.open(tmp_path / "grown.gif") as gif:
        assert gif.size == (2 * 16 + 3, 2 * 16 + 3)


# --- The exported generator


def test_the_exported_generator_runs_without_the_notebook_for_any_number_of_z(tmp_path):
    parts = tiny.networks()
    parts["G"].train()
    paths = helper.export_generator(parts["G_average"], tiny.Z_SIZE, tmp_path / "new")
    z = torch.randn(5, tiny.Z_SIZE)
    np.save(tmp_path / "z.npy", z.numpy())
    code = """
import sys, numpy, torch
z = torch.from_numpy(numpy.load(sys.argv[2]))
G = torch.export.load(sys.argv[1]).module()
print([tuple(G(z[:1].expand(n, -1)).shape) for n in (1, 2, 7, 300)])
numpy.save(sys.argv[2], G(z).detach().numpy())
assert not {"helper", "notebook", "torchvision"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code, paths[0], tmp_path / "z.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == str([(n, 3, 32, 32) for n in (1, 2, 7, 300)])
    assert np.allclose(np.load(tmp_path / "z.npy"), helper.generate(parts["G_average"], z), atol=1e-5)
    fresh = tiny.names.Generator(tiny.Z_SIZE, 8)
    fresh.load_state_dict(torch.load(paths[1], weights_only=True))
    assert torch.equal(helper.generate(fresh, z), helper.generate(parts["G_average"], z))
    assert parts["G"].training and [Path(path).name for path in paths] == ["generator.pt2", "generator.pt"]
