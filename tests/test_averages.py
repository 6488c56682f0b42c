"""benchmarks/averages.py: several averages of one training, each with the half-life that its name says."""

import pytest
import torch
from torch import nn

from benchmarks import averages
from further import course


@pytest.fixture
def pictures():
    return torch.randint(0, 256, (128, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_over_a_half_life_half_of_what_was_gives_way():
    G = nn.Linear(1, 1, bias=False)
    average = averages.averaged(G, 0.02)
    nn.init.zeros_(G.weight)
    for _ in range(5000):
        average.update_parameters(G)
    nn.init.ones_(G.weight)
    for _ in range(100):  # 0.02 of 5,000 batches
        average.update_parameters(G)
    assert average.module.weight.item() == pytest.approx(0.5, abs=0.01)


def test_a_tenth_is_the_notebook_s_own():
    own, G = course.load(), nn.Linear(3, 3)
    both = own.averaged(G), averages.averaged(G, 0.1)
    for _ in range(5):
        nn.init.normal_(G.weight)
        for average in both:
            average.update_parameters(G)
    assert torch.equal(both[0].module.weight, both[1].module.weight)


def test_one_training_keeps_all_of_them_and_goes_on(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(averages, "SHARES", (0.02, 0.1, 0.4))
    averages.train(pictures, 256, tmp_path)
    own, found = averages.train(pictures, 512, tmp_path)
    assert "Going on" in capsys.readouterr().out
    assert list(found) == ["half-life 0.02", "half-life 0.1", "half-life 0.4"]
    behind = [(average.module.layers[0].weight - own.G.layers[0].weight).abs().mean().item() for average in found.values()]
    assert behind == sorted(behind) and behind[0] > 0  # the longer, the further behind G


def test_the_table_has_a_row_for_each(pictures, monkeypatch, capsys):
    monkeypatch.setattr(averages, "SHARES", (0.1, 0.4))
    monkeypatch.setattr(averages, "load", lambda folder, size: pictures)
    monkeypatch.setattr(averages, "split", lambda photographs: (photographs, photographs))
    monkeypatch.setattr(averages, "floor", lambda reals, photographs: "the floor")
    monkeypatch.setattr(averages, "measure", lambda faces, reals, photographs: len(faces))
    monkeypatch.setattr(averages, "table", lambda results: "\n".join(f"{row}: {result}" for row, result in results.items()))
    monkeypatch.setattr("sys.argv", ["averages.py", "photographs", "--images", "128"])
    averages.main()
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "photographs: the floor", "not averaged: 3000", "half-life 0.1: 3000", "half-life 0.4: 3000"]
