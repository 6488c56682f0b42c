"""benchmarks/throughput.py and data.py: one small run each, so that neither breaks unnoticed."""

import re

import pytest
import torch

from benchmarks import data, throughput
from further import course


@pytest.fixture
def narrow(monkeypatch):
    """Networks of four channels, so that a run takes seconds."""
    own = course.set_up
    monkeypatch.setattr(course, "set_up", lambda **given: own(**{"d_conv_dim": 4, "g_conv_dim": 4, **given}))


def test_throughput_prints_its_table(narrow, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, value in {"SIZES": (32,), "PICTURES": 64, "ROUNDS": 2, "SECONDS": 0.01}.items():
        monkeypatch.setattr(throughput, name, value)
    monkeypatch.setattr("sys.argv", ["throughput.py"])
    throughput.main()
    said = capsys.readouterr().out
    rows = re.findall(r"^\| (.*?) +\| +[\d.]+ \| +[\d.]+ \| +\d+% \| +[\d,]+ \|$", said, re.M)
    assert rows == list(throughput.contestants(torch.device("cpu"))) and len(rows) >= 8
    assert re.search(r"200,000 images in the notebook's loop:\na CPU, \d+ threads, 32 x 32: [\d,]+ minutes", said)


def test_a_device_that_is_not_there_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["throughput.py", "--device", "cuda"])
    with pytest.raises(SystemExit, match="throughput.py: no device cuda here, only cpu"):
        throughput.main()


def test_each_contestant_changes_what_it_says(narrow, tmp_path):
    throughput.write_pictures(tmp_path / "faces", 8)
    device = torch.device("cpu")

    def own_of(make):
        """What course.set_up made for a contestant, taken out of its loop."""
        loop, _ = make(tmp_path, 32, device)
        return next(cell.cell_contents for cell in loop.__closure__ if hasattr(cell.cell_contents, "g_optimizer"))

    making = throughput.contestants(device)
    plain = own_of(making["notebook's loop"])
    assert not own_of(making["- Adam not fused"]).g_optimizer.param_groups[0]["fused"]
    fakes = plain.G(plain.random_z(4, plain.z_size, device))
    for name, weights_too in (("notebook's loop", False), ("- all of D's gradients in G's step", True)):
        own = own_of(making[name])
        fakes = own.G(own.random_z(4, own.z_size, device))
        own.d_optimizer.zero_grad()
        assert own.generator_step(own.D, own.G, 4, own.g_optimizer, fakes).dim() == 0
        assert any(weight.grad is not None for weight in own.D.parameters()) == weights_too
    read = own_of(making["- losses read at every batch"])
    fakes = read.G(read.random_z(4, read.z_size, device))
    assert isinstance(read.generator_step(read.D, read.G, 4, read.g_optimizer, fakes), float)


def test_data_prints_its_table(monkeypatch, capsys):
    for name, value in {"COUNTS": (128,), "DIFFERENT": 64, "BATCHES": 2}.items():
        monkeypatch.setattr(data, name, value)
    data.main()
    said = capsys.readouterr().out
    assert re.search(r"^\| +128 \| +[\d.]+ \| +[\d.]+ \| +[\d.]+ \| +[\d.]+% \| +[\d,]+ \| +[\d,]+ \|$", said, re.M)
    assert re.search(r"^Python and PyTorch alone hold [\d,]+ MB.$", said, re.M)
