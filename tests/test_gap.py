"""benchmarks/gap.py: clouds whose distance is known, and the command from end to end."""

import pytest
import torch

from benchmarks import gap


@pytest.fixture
def cloud():
    """1,000 points in 128 numbers, spread ten times as far along the first, four times as far along the second."""
    points = torch.randn(1000, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return points * torch.tensor([10.0, 4.0] + [1.0] * 126, dtype=torch.float64)


def test_the_axes_are_the_directions_of_most_spread_in_order(cloud):
    axes = gap.principal_axes(cloud)
    assert axes[0, 0].abs() > 0.99 and axes[1, 1].abs() > 0.99
    assert torch.allclose(axes.T @ axes, torch.eye(128, dtype=torch.float64), atol=1e-9)


def test_a_cloud_is_at_no_distance_from_itself(cloud):
    distance, centres, *ratios, rare, rare_2 = gap.apart(cloud, cloud, gap.principal_axes(cloud))
    assert distance == pytest.approx(0, abs=1e-3) and centres == 0 and ratios == pytest.approx([1] * 6)
    assert rare == rare_2 == 0.05


def test_a_cloud_that_was_moved_differs_by_its_centre_alone(cloud):
    distance, centres, *ratios, _, _ = gap.apart(cloud + torch.eye(128)[5] * 2, cloud, gap.principal_axes(cloud))
    assert centres == pytest.approx(4) and distance == pytest.approx(4, rel=1e-3) and ratios == pytest.approx([1] * 6)


def test_a_cloud_that_spreads_less_along_one_axis_says_along_which(cloud):
    axes = gap.principal_axes(cloud)
    along = (cloud - cloud.mean(0)) @ axes
    moved = (along * torch.tensor([1.0, 0.5] + [1.0] * 126)) @ axes.T + cloud.mean(0)
    distance, centres, spread, first, second, *others, rare, rare_2 = gap.apart(moved, cloud, axes)
    assert centres == pytest.approx(0, abs=1e-9) and second == pytest.approx(0.25)
    assert [first, *others] == pytest.approx([1] * 4) and spread < 1
    assert rare == 0.05 and rare_2 < 0.01
    assert distance == pytest.approx(along[:, 1].var().item() * 0.5**2, rel=1e-2)  # (half the standard deviation) squared


def test_every_draw_counts_and_a_shorter_rest_does_not(cloud):
    points = torch.cat([cloud, cloud + torch.eye(128)[0], cloud[:10] + 100])
    assert gap.apart(points, cloud, gap.principal_axes(cloud))[1] == pytest.approx(0.5)  # the mean of 0 and 1


def test_the_command_prints_a_row_for_photographs_and_for_each_length_of_z(monkeypatch, capsys):
    made = torch.Generator().manual_seed(0)
    monkeypatch.setattr(gap, "HELD_OUT", 200)
    monkeypatch.setattr(gap, "split", lambda faces: (faces[:700], faces[700:]))
    monkeypatch.setattr(gap, "load", lambda folder, size: torch.randint(90, 165, (900, 3, size, size), generator=made,
                                                                        dtype=torch.uint8))
    monkeypatch.setattr(gap, "load_generator", lambda path: (lambda z: 0.1 * z.view(-1, 3, 8, 8), 192))
    monkeypatch.setattr(gap, "face_embedding", lambda: None)
    monkeypatch.setattr(gap, "features", lambda network, faces: faces.flatten(1)[:, :128].double())
    monkeypatch.setattr("sys.argv", ["gap.py", "folder", "--generator", "generator.pt2"])
    gap.main()
    head, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["photographs", "generated", "from z x 1.05", "from z x 1.1"]
    spread = [float(row.split("|")[4]) for row in rows]
    assert spread[0] == pytest.approx(1, abs=0.05) and spread[3] == pytest.approx(spread[1] * 1.21, rel=0.02)
    assert all(row.count("|") == head.count("|") for row in rows)


def test_a_file_that_is_no_generator_gets_one_line(tmp_path, monkeypatch):
    (tmp_path / "wrong.pt2").write_text("no generator")
    monkeypatch.setattr("sys.argv", ["gap.py", str(tmp_path), "--generator", str(tmp_path / "wrong.pt2")])
    with pytest.raises(SystemExit, match="gap.py: .*wrong.pt2 is not a generator saved by torch.export"):
        gap.main()
