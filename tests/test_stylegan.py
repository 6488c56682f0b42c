"""further/stylegan.py: styles scale weights by formulas (1) to (3), w is mixed and truncated, paths are measured."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import helper
from common import FaceError
from further import beside, course, stylegan

Z_SIZE = 16


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def G():
    """A small generator, a little trained as it were: its noise has a strength, its mean w was tracked."""
    G = stylegan.Generator(Z_SIZE, 8, 16)
    for layer in G.layers:
        nn.init.constant_(layer.strength, 0.1)
    with torch.no_grad():
        G(torch.randn(64, Z_SIZE))
    return G.eval().requires_grad_(False)


def z(count):
    return torch.randn(count, Z_SIZE)


# --- Mapping network and weights


def test_a_linear_layer_s_output_is_the_same_at_any_rate_and_moves_by_its_rate():
    x, moved = torch.randn(2000, 64), {}
    for rate in (1.0, 0.01):
        layer = stylegan.Linear(64, 32, bias=0.5, rate=rate)
        before = layer(x).detach()
        assert before.std().item() == pytest.approx(1, rel=0.1) and before.mean().item() == pytest.approx(0.5, abs=0.1)
        optimizer = torch.optim.Adam(layer.parameters(), 0.001)
        layer(x).sum().backward()
        optimizer.step()
        moved[rate] = (layer(x) - before).abs().mean().item()
    assert moved[0.01] == pytest.approx(0.01 * moved[1.0], rel=0.1)


def test_only_the_direction_of_z_counts(G):
    some = z(4)
    assert torch.allclose(G.mapping(some), G.mapping(7 * some), atol=1e-5)
    assert not torch.allclose(G.mapping(some), G.mapping(-some), atol=1e-2)


def test_activation_keeps_the_mean_square():
    x = torch.randn(100_000)
    assert stylegan.activate(x).square().mean().item() == pytest.approx(1 + 0.04, rel=0.02)  # 2 * (1 + 0.2^2) / 2


def test_the_notebook_s_initialisation_leaves_the_generator_as_it_is(G):
    before = {name: value.clone() for name, value in G.state_dict().items()}
    G.apply(course.load().weights_init_normal)
    assert all(torch.equal(value, before[name]) for name, value in G.state_dict().items())
    assert G.layers[1].conv.weight.std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("kernel, demodulate", [(3, True), (3, False), (1, False)])
def test_scaling_input_and_output_is_scaling_each_picture_s_weights(kernel, demodulate):
    layer = stylegan.Modulated(5, 7, kernel, Z_SIZE, demodulate).double()
    x, w = torch.randn(4, 5, 6, 6).double(), z(4).double()
    wanted = []
    for picture, s in zip(x, layer.style(w), strict=True):
        scaled = layer.weight / math.sqrt(5 * kernel**2) * s[None, :, None, None]  # (1)
        if demodulate:
            for j in range(7):  # (2) and (3)
                scaled[j] = scaled[j] / (sum(part**2 for part in scaled[j].flatten()) + 1e-8).sqrt()
        wanted.append(F.conv2d(picture[None], scaled, padding=kernel // 2))
    assert torch.allclose(layer(x, w), torch.cat(wanted))


def test_a_demodulated_output_has_unit_variance_whatever_the_style():
    layer, x = stylegan.Modulated(32, 24, 3, Z_SIZE), torch.randn(64, 32, 16, 16)
    for strength in (0.1, 1.0, 30.0):
        inside = layer(x, strength * z(1).expand(64, -1))[:, :, 1:-1, 1:-1]  # the border sees zeros
        variances = inside.var((0, 2, 3))
        assert variances.min() > 0.9 and variances.max() < 1.1
    raw = stylegan.Modulated(32, 24, 3, Z_SIZE, demodulate=False)
    assert raw(x, 30 * z(1).expand(64, -1)).var() > 100


# --- The generator


def test_doubling_is_the_filter_1_3_3_1_between_zeros_but_for_the_edge():
    x = torch.randn(2, 3, 8, 8)
    stretched = torch.zeros(2, 3, 16, 16)
    stretched[:, :, ::2, ::2] = x
    line = torch.tensor([1.0, 3, 3, 1]) / 4  # twice what would keep the mean, for each direction: half of it are zeros
    kernel = torch.outer(line, line).expand(3, 1, 4, 4)
    filtered = F.conv2d(F.pad(stretched, (2, 1, 2, 1)), kernel, groups=3)
    assert torch.allclose(stylegan.doubled(x)[:, :, 1:-1, 1:-1], filtered[:, :, 1:-1, 1:-1], atol=1e-6)


@pytest.mark.parametrize("size, layers", [(8, 3), (32, 7), (64, 9)])
def test_pictures_have_the_notebook_s_shape_and_range(size, layers):
    G = stylegan.Generator(Z_SIZE, 8, size)
    pictures = G(z(3))
    assert G.z_size == Z_SIZE and len(G.layers) == layers
    assert pictures.shape == (3, 3, size, size) and pictures.abs().max() <= 1
    pictures.sum().backward()
    assert all(parameter.grad is not None for parameter in G.parameters())
    assert G(z(1)).shape == (1, 3, size, size)


@pytest.mark.parametrize("size", [4, 0, 33, 48])
def test_a_size_that_no_doubling_leads_to_is_refused_in_one_line(size):
    with pytest.raises(FaceError, match=f"^image_size is {size}: give [^\n]*$"):
        stylegan.Generator(Z_SIZE, 8, size)


def test_a_w_mixed_with_itself_is_that_w_alone(G):
    w = G.mapping(z(3))
    for crossover in (0, 2, len(G.layers), torch.tensor([[0], [1], [5]])):
        assert torch.equal(G.synthesis(G.mix(w, w, crossover)), G.synthesis(w))


def test_coarse_layers_follow_one_w_and_fine_ones_the_other(G):
    coarse, fine = G.mapping(z(3)), G.mapping(z(3))
    ws = G.mix(coarse, fine, torch.tensor([[0], [2], [5]]))
    for picture, crossover in enumerate((0, 2, 5)):
        for layer in range(5):
            assert torch.equal(ws[picture, layer], (coarse if layer < crossover else fine)[picture])
    assert torch.equal(G.mix(coarse, fine, 2)[1], ws[1])


def test_in_training_nine_pictures_in_ten_are_mixed(G):
    seen = []
    G.synthesis = lambda ws: seen.append(ws)
    G.train()(z(4000))
    changes = (seen[0][:, 1:] != seen[0][:, :-1]).any(2).sum(1)
    assert changes.max() == 1 and changes.float().mean().item() == pytest.approx(stylegan.MIXED, abs=0.03)
    at = (seen[0][:, 1:] != seen[0][:, :-1]).any(2).float().mean(0)
    assert at.tolist() == pytest.approx([stylegan.MIXED / 4] * 4, abs=0.04)  # each crossover as often
    G.eval()(z(10))
    assert seen[1].shape == (10, Z_SIZE)  # one w for all layers


def test_psi_1_changes_nothing_and_psi_0_makes_one_face_of_all(G):
    w = G.mapping(z(5))
    assert torch.allclose(G.truncated(w, 1.0), w, atol=1e-6)
    mean = G.synthesis(G.truncated(w, 0.0))
    assert torch.allclose(mean, G.synthesis(G.mapping.mean.running_mean[None]), atol=1e-5)
    assert not torch.allclose(G.synthesis(w), mean, atol=1e-2)
    assert torch.allclose(G.truncated(w, 0.5), (w + G.mapping.mean.running_mean) / 2)


def test_averaged_weights_get_the_mean_w_of_their_own_mapping_network():
    G = stylegan.Generator(Z_SIZE, 8, 8)
    G_average = course.load().averaged(G)
    with torch.no_grad():
        G(z(64))
    G_average.update_parameters(G)
    mapping, some = G_average.module.mapping, z(2000)
    nn.init.constant_(mapping.layers[-1].bias, 100.0)  # 1, after its rate
    wanted = mapping.eval()(some).detach().mean(0)
    assert (wanted - G.mapping.eval()(some).detach().mean(0)).min() > 0.5  # that of the latest weights is another
    helper.settle_statistics(G_average, z(500))
    assert torch.allclose(mapping.mean.running_mean, wanted, atol=0.15)


def test_the_mean_w_is_tracked_in_training_alone():
    mean, w = stylegan.MeanW(3), torch.randn(8, 3)
    for _ in range(2000):
        assert torch.equal(mean(w), w)
    assert torch.allclose(mean.running_mean, w.mean(0), atol=1e-3)
    mean.eval()(w + 5)
    assert torch.allclose(mean.running_mean, w.mean(0), atol=1e-3)


def test_noise_of_no_strength_leaves_no_chance(G):
    ws = G.train().mix(G.mapping(z(3)), G.mapping(z(3)), 2)
    assert not torch.equal(G.synthesis(ws), G.synthesis(ws))
    for layer in G.layers:
        nn.init.zeros_(layer.strength)
    assert torch.equal(G.synthesis(ws), G.synthesis(ws))


def test_the_same_z_is_the_same_face_in_evaluation_and_draws_no_random_numbers(G):
    some, state = z(3), torch.get_rng_state()
    assert torch.equal(G(some), G(some)) and torch.equal(torch.get_rng_state(), state)


# --- Path length


def pairs(count=400, size=6):
    return torch.randn(count, size, dtype=torch.float64), torch.randn(count, size, dtype=torch.float64)


def test_a_straight_way_through_a_linear_map_has_length_1():
    a, b = pairs()
    matrix = torch.randn(6, 3 * 4 * 4, dtype=torch.float64)
    found = stylegan.path_length(lambda w: (w @ matrix + 1).view(-1, 3, 4, 4), torch.lerp, a, b)
    assert found == pytest.approx(1, rel=1e-6)


def test_an_arc_of_a_quarter_is_longer_by_pi_and_root_8():
    """Its length is pi / 2, that of the straight way sqrt(2); squares are compared."""
    a = torch.eye(6, dtype=torch.float64)[:2].repeat(50, 1)
    b = torch.eye(6, dtype=torch.float64)[2:4].repeat(50, 1)
    found = stylegan.path_length(lambda z: z.view(-1, 1, 2, 3), stylegan.slerp, a, b)
    assert found == pytest.approx(math.pi**2 / 8, rel=1e-6)


def test_a_way_that_is_walked_unevenly_is_longer():
    """x^2 from 0 to 1: the mean of (2 t)^2 is 4 / 3."""
    a, b = torch.zeros(20_000, 1).double(), torch.ones(20_000, 1).double()
    found = stylegan.path_length(lambda w: w.square().view(-1, 1, 1, 1), torch.lerp, a, b)
    assert found == pytest.approx(4 / 3, rel=0.02)


def test_slerp_is_the_notebook_s():
    a, b = pairs(5)
    own = course.load()
    for row in range(5):
        wanted = own.slerp(a[row], b[row], 3)
        assert torch.allclose(stylegan.slerp(a[row][None], b[row][None], 0.5), wanted[1])
        assert torch.allclose(stylegan.slerp(a[row][None], b[row][None], 1.0), wanted[2])


def test_epsilon_does_not_drown_in_rounding(G):
    double = G.double()
    a, b = (double.mapping(some.double()) for some in (z(20), z(20)))
    found = [stylegan.path_length(double.synthesis, torch.lerp, a, b, epsilon)
             for epsilon in (1e-4, 1e-5)]
    assert found[0] == pytest.approx(found[1], rel=1e-2) and found[0] >= 1


# --- Pictures and program


def test_the_grid_has_its_sources_at_its_edges(G):
    rows, columns = G.mapping(z(2)), G.mapping(z(3))
    grid = stylegan.mixing_grid(G, rows, columns).view(3, 4, 3, 16, 16)
    assert (grid[0, 0] == 1).all()
    assert torch.allclose(grid[0, 1:], G.synthesis(columns), atol=1e-5)
    assert torch.allclose(grid[1:, 0], G.synthesis(rows), atol=1e-5)
    mixed = G.synthesis(G.mix(rows[1:], columns[2:], 3))  # 4 x 4 has one layer, 8 x 8 two
    assert torch.allclose(grid[2, 3], mixed[0], atol=1e-5)


def test_the_program_trains_measures_and_draws(tmp_path, monkeypatch, capsys):
    pictures = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8)
    set_up = course.set_up
    small = {"d_conv_dim": 8, "g_conv_dim": 8, "z_size": Z_SIZE, "device": torch.device("cpu")}
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**small, **given))
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures)
    monkeypatch.setattr(stylegan, "PAIRS", 20)
    monkeypatch.chdir(tmp_path)
    before = stylegan.styled().own
    assert before.g_optimizer.defaults["lr"] == stylegan.RATE
    assert before.g_optimizer.param_groups[0]["params"] == list(before.G.parameters())
    beside.main("stylegan", stylegan.__doc__, stylegan.measure, 96, arguments=["--seeds", "1"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[0][-1] == "path length in z; in w"
    assert [row[:2] for row in rows[3:]] == [[beside.NOTEBOOK, "1"], ["StyleGAN2", "1"]]
    lengths = [[float(length) for length in row[-1].split("; ")] for row in rows[3:]]
    assert [len(some) for some in lengths] == [1, 2] and all(length >= 0.9 for some in lengths for length in some)
    assert (tmp_path / "results" / "further" / "stylegan.png").stat().st_size > 10_000


def test_too_few_faces_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(SystemExit, match=r"^further.stylegan: 9 faces are too few[^\n]*$"):
        beside.main("stylegan", stylegan.__doc__, stylegan.measure, 96, arguments=[])
