"""further/stability.py: R1 costs what its formula says, and moves D as it should."""

import pytest
import torch
from torch import nn

from further import beside, course, dirac, stability

# --- R1


class Linear(nn.Module):
    """D(x) = <w, x>: its slope is w at every picture."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-0.2, 0.3, 3 * 8 * 8).view(3, 8, 8))

    def forward(self, x):
        return (self.w * x).sum((1, 2, 3))[:, None]


def test_the_squared_slope_of_a_linear_discriminator_is_its_weights_squared_norm():
    D, x = Linear(), torch.rand(5, 3, 8, 8)
    D_out, squared = stability.squared_slope(D, x)
    assert torch.equal(D_out, D(x)) and squared.tolist() == pytest.approx(5 * [D.w.square().sum().item()])
    faces = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    assert stability.slope_at(D, faces) == pytest.approx(D.w.norm().item())


def test_pixels_in_0_to_1_have_four_times_the_squared_slope():
    own, D = course.load(), Linear()
    _, squared = stability.squared_slope(lambda pixels: D(own.scale(pixels)), torch.rand(2, 3, 8, 8))
    assert squared[0].item() == pytest.approx(4 * D.w.square().sum().item())


@pytest.mark.parametrize("steps_of, gamma, every", [
    (lambda own: stability.r1(own, gamma=3), 3, 1),
    (stability.lazy_r1, 0.0002 * 8**2 / 4, 16),
])
def test_r1_adds_half_of_gamma_times_the_squared_slope(steps_of, gamma, every):
    own = course.load(image_size=8, batch_size=4)
    D, real, fake = Linear(), torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8) - 0.5
    still = torch.optim.SGD(D.parameters(), 0.0)
    steps = steps_of(own)
    found = [steps[0](D, None, real, still, fake).item() for _ in range(17)]
    plain = (own.real_loss(D(own.scale(real))) + own.fake_loss(D(fake))).item()
    cost = every * gamma / 2 * D.w.square().sum().item()
    assert found == pytest.approx([plain + cost * (step % every == 0) for step in range(17)])
    assert steps[1] is own.generator_step


def test_r1_moves_d_down_its_slope():
    own = course.load(real_loss=lambda D_out: 0 * D_out.sum(), fake_loss=lambda D_out: 0 * D_out.sum())
    D, real, fake = Linear(), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    before = D.w.detach().clone()
    stability.r1(own, gamma=3)[0](D, None, real, torch.optim.SGD(D.parameters(), 0.1), fake)
    assert torch.allclose(D.w, before - 0.1 * 3 * before)


# --- The program


def test_the_program_trains_each_system_and_draws(tmp_path, monkeypatch, capsys):
    pictures = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda: set_up(d_conv_dim=8, g_conv_dim=8, device=torch.device("cpu")))
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures)
    monkeypatch.chdir(tmp_path)
    beside.main("stability", stability.__doc__, stability.measure, 96, arguments=["--seeds", "1"])
    told = capsys.readouterr().out
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ")]
    for name in (beside.NOTEBOOK, *stability.SYSTEMS):
        found = [row for row in rows if row[0] == f"| {name}"]
        assert [row[1] for row in found] == ["1"] and float(found[0][-1].strip(" |")) > 0
    assert all(f"| {name} | " in told for name in dirac.WAYS) and "norm of D's gradient" in told
    assert (tmp_path / "results" / "further" / "stability.png").stat().st_size > 10_000


def test_too_few_faces_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(SystemExit, match=r"^further.stability: 9 faces are too few[^\n]*$"):
        beside.main("stability", stability.__doc__, stability.measure, 96, arguments=[])
