"""further/arithmetic.py: sizes are torch's, windows are what a layer's pixels see, the measure knows a checkerboard."""

import pytest
import torch
from torch import nn

from further import arithmetic, beside, course

BY_NAME = {case.name: case for case in arithmetic.CASES}


def test_there_are_sixteen_cases_half_of_them_transposed():
    assert len(BY_NAME) == 16 and sum(case.transposed for case in arithmetic.CASES) == 8


@pytest.mark.parametrize("case", arithmetic.CASES, ids=lambda case: case.name)
def test_the_formula_gives_torch_s_size_and_so_does_the_stretched_input(case):
    x = torch.rand(1, 1, case.i, case.i)
    out = arithmetic.layer(x, case)
    assert out.shape[-1] == arithmetic.output_size(case)
    again = nn.functional.conv2d(arithmetic.stretched(x, case), torch.ones(1, 1, case.k, case.k),
                                 stride=1 if case.transposed else case.s)
    assert torch.allclose(again, out)


@pytest.mark.parametrize("case", arithmetic.CASES, ids=lambda case: case.name)
def test_each_case_obeys_the_relation_that_it_is_an_example_of(case):
    i, k, s, p, a = case.i, case.k, case.s, case.p, case.a
    sizes = {1: i - k + 1, 2: i - k + 2 * p + 1, 3: i, 4: i + k - 1, 5: (i - k) // s + 1, 6: (i + 2 * p - k) // s + 1,
             8: i + k - 1, 9: i + k - 1 - 2 * p, 10: i, 11: i - (k - 1), 12: s * (i - 1) + k,
             13: s * (i - 1) + k - 2 * p, 14: s * (i - 1) + a + k - 2 * p}
    assert arithmetic.output_size(case) == sizes[case.relation]


@pytest.mark.parametrize("i", range(4, 9))
@pytest.mark.parametrize("k, s, p", [(3, 1, 0), (3, 2, 1), (4, 2, 1), (4, 3, 2), (2, 2, 0)])
def test_other_sizes_too_and_the_transposed_one_leads_back(i, k, s, p):
    case = arithmetic.Case("other", 6, i, k, s, p)
    back = arithmetic.transpose_of(case, 14)
    for one in (case, back):
        assert arithmetic.layer(torch.zeros(1, 1, one.i, one.i), one).shape[-1] == arithmetic.output_size(one)
    assert arithmetic.output_size(back) == i


@pytest.mark.parametrize("case", arithmetic.CASES, ids=lambda case: case.name)
def test_the_windows_light_up_what_torch_s_layer_sees(case):
    x = torch.ones(1, 1, case.i, case.i, requires_grad=True)
    inputs = arithmetic.stretched(x.detach(), case)[0, 0] > 0
    for pixel, window in zip(arithmetic.layer(x, case).flatten(), arithmetic.windows(case), strict=True):
        seen, = torch.autograd.grad(pixel, x, retain_graph=True)
        assert torch.equal(window[inputs].view(case.i, case.i), seen[0, 0] > 0)
        assert window.sum() == case.k**2


def test_kernel_3_with_stride_2_sees_unevenly_many_inputs_and_kernel_4_does_not():
    def counts(case):
        inputs = arithmetic.stretched(torch.ones(1, 1, case.i, case.i), case)[0, 0] > 0
        size = arithmetic.output_size(case)
        inner = (arithmetic.windows(case) & inputs).sum((1, 2)).view(size, size)[1:-1, 1:-1]
        return set(inner.flatten().tolist())

    assert counts(BY_NAME["stride and padding, transposed"]) == {1, 2, 4} and counts(BY_NAME["doubling"]) == {4}


@pytest.mark.parametrize("case", arithmetic.CASES, ids=lambda case: case.name)
def test_a_frame_for_each_output_pixel(case):
    shown = arithmetic.frames(case)
    assert len(shown) == arithmetic.output_size(case) ** 2 <= 60  # more would be thinned out
    assert all(frame.shape == (2, 3, 80, 80) and frame.dtype == torch.uint8 for frame in shown)
    assert len({frame.numpy().tobytes() for frame in shown}) == len(shown)


def test_the_colours_say_what_an_output_pixel_sees_and_which_are_done():
    case = BY_NAME["doubling"]  # 3 inputs stretched to 9 cells, 6 pixels out
    inputs = arithmetic.stretched(torch.ones(1, 1, case.i, case.i), case)[0, 0] > 0
    for number, (frame, window) in enumerate(zip(arithmetic.frames(case), arithmetic.windows(case), strict=True)):
        cells = frame[:, :, 4::8, 4::8].permute(0, 2, 3, 1)  # the middle of each
        met, made = ([(cells[side] == colour).all(-1) for colour in
                      (arithmetic.BLUE, arithmetic.GREY, arithmetic.ORANGE, arithmetic.LIGHT, arithmetic.GREEN)]
                     for side in (0, 1))
        wanted = (inputs & ~window, ~inputs & ~window, inputs & window, ~inputs & window)
        for found, places in zip(met, wanted, strict=False):
            assert torch.equal(found[:9, :9], places) and found.sum() == places.sum()
        assert [found.sum().item() for found in made] == [0, 35 - number, 1, 0, number]


# --- Checkerboards


def checkerboard(size=32):
    place = torch.arange(size)
    return ((place[:, None] + place) % 2).float().expand(5, 3, size, size)


def test_the_measure_on_pictures_of_which_it_is_known():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 3, 32, 32, generator=generator)
    smooth = nn.functional.interpolate(torch.randn(200, 3, 4, 4, generator=generator), 32, mode="bicubic")
    assert arithmetic.stride_energy(checkerboard()) == pytest.approx(1)
    wider = checkerboard().repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert arithmetic.stride_energy(wider) == pytest.approx(0, abs=1e-6)
    assert arithmetic.stride_energy(noise) == pytest.approx(0.003, rel=0.1)
    assert arithmetic.stride_energy(smooth) < 2e-6
    spoilt = smooth + 0.2 * (checkerboard()[:1] - 0.5)
    share = 0.1**2 / (0.1**2 + (smooth - smooth.mean((2, 3), keepdim=True)).square().mean().item())
    assert arithmetic.stride_energy(spoilt) == pytest.approx(share, rel=0.05)
    assert arithmetic.stride_energy(7 * spoilt + 3) == pytest.approx(arithmetic.stride_energy(spoilt), rel=1e-3)


@pytest.mark.parametrize("name", arithmetic.DOUBLINGS)
@pytest.mark.parametrize("size", [32, 64])
def test_each_doubling_makes_a_generator_of_the_same_pictures(name, size):
    make = arithmetic.DOUBLINGS[name]
    G = arithmetic.doubling(course.load().Generator, make)(10, 8, size)
    first, *doublings = [layer for layer in G.layers if isinstance(layer, nn.ConvTranspose2d | nn.Sequential)]
    channels = [8 * 2**n for n in range({32: 3, 64: 4}[size])][::-1]  # before each doubling
    assert [str(layer) for layer in doublings] == [str(make(n, n // 2)) for n in channels] and first.kernel_size == (4, 4)
    assert G(torch.randn(2, 10)).shape == (2, 3, size, size) and G.z_size == 10


def test_kernel_4_is_the_notebook_s_own():
    Generator = course.load().Generator
    assert str(arithmetic.doubling(Generator, arithmetic.kernel_4)(10, 8).layers) == str(Generator(10, 8).layers)


# --- The program


def test_the_program_measures_each_generator_and_draws(tmp_path, monkeypatch, capsys):
    pictures = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    set_up = course.set_up
    small = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**small, **given))
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures)
    monkeypatch.chdir(tmp_path)
    beside.main("arithmetic", arithmetic.__doc__, arithmetic.measure, 90, arguments=["--seeds", "0", "1"])
    told = capsys.readouterr().out
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in told.splitlines() if line.startswith("|")]
    for name in arithmetic.DOUBLINGS:
        assert [row[1:3] for row in rows if row[0] == name] == [["0", "90"], ["1", "90"]]
    assert [row[0] for row in rows].count("real faces") == 1 and set(BY_NAME) < {row[0] for row in rows}
    folder = tmp_path / "results" / "further"
    assert len(list((folder / "arithmetic").glob("*.gif"))) == 16 and (folder / "arithmetic.png").stat().st_size > 10_000


def test_too_few_faces_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(SystemExit, match=r"^further.arithmetic: 9 faces are too few[^\n]*$"):
        beside.main("arithmetic", arithmetic.__doc__, arithmetic.measure, 96, arguments=[])
