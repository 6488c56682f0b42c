"""further/arithmetic.py: the measure knows a checkerboard, and each generator makes its size another way."""

import pytest
import torch
from torch import nn

from further import arithmetic, beside, convolutions, course

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
    assert [row[0] for row in rows].count("real faces") == 1
    assert {case.name for case in convolutions.CASES} < {row[0] for row in rows}
    folder = tmp_path / "results" / "further"
    assert len(list((folder / "arithmetic").glob("*.gif"))) == 16 and (folder / "arithmetic.png").stat().st_size > 10_000


def test_too_few_faces_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(SystemExit, match=r"^further.arithmetic: 9 faces are too few[^\n]*$"):
        beside.main("arithmetic", arithmetic.__doc__, arithmetic.measure, 96, arguments=[])
