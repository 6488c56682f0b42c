"""benchmarks/warm_start.py: what both sizes have goes over, the seconds are shared, the table has both trainings."""

import pytest
import torch

from benchmarks import warm_start
from further import course


@pytest.fixture
def pictures():
    return torch.randint(0, 256, (160, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_g_s_first_layers_and_d_s_last_go_over_and_no_others():
    before, after = warm_start.small(), course.set_up()
    was = {name: value.clone() for name, value in after.G.state_dict().items()}
    warm_start.hand_over(before, after)
    z = torch.randn(4, after.z_size, 1, 1, device=after.device)
    before.G.eval(), after.G.eval()
    assert torch.equal(before.G.layers[:9](z), after.G.layers[:9](z))  # as far as 16 x 16
    assert all(torch.equal(was[name], after.G.state_dict()[name]) for name in was if int(name.split(".")[1]) >= 9)
    before.D.eval(), after.D.eval()
    features = torch.randn(4, 128, 8, 8, device=after.device)
    assert torch.equal(before.D.layers[2:](features), after.D.layers[5:](features))
    assert after.D.layers[2].in_channels == 64 and before.D.layers[0].in_channels == 3  # D's first layers are of their size


def test_half_the_size_has_a_fifth_of_the_seconds_and_the_average_begins_anew(pictures, monkeypatch):
    given, fit = [], course.fit

    def once(own, loader, images, folder, seconds):
        given.append((seconds, loader.dataset.images))
        return fit(own, loader, images, folder)

    monkeypatch.setattr(course, "fit", once)
    own, runs = warm_start.warm(pictures, 10)
    assert [seconds for seconds, _ in given] == [2, 8]
    small, full = [images for _, images in given]
    assert torch.equal(full, pictures) and small.shape == (160, 3, 16, 16) and small.dtype == torch.uint8
    assert abs(small.float().mean() - pictures.float().mean()) < 0.5
    assert own.G_average.n_averaged == runs[1].images / own.batch_size
    assert own.G(torch.randn(2, own.z_size, device=own.device)).shape == (2, 3, 32, 32)


def test_the_table_has_both(pictures, monkeypatch, capsys):
    monkeypatch.setattr(warm_start, "load", lambda folder, size: pictures)
    monkeypatch.setattr(warm_start, "split", lambda photographs: (photographs[:128], photographs[128:]))
    monkeypatch.setattr(warm_start, "floor", lambda reals, photographs: len(reals))
    monkeypatch.setattr(warm_start, "measure", lambda faces, reals, photographs: tuple(faces.shape[1:]))
    monkeypatch.setattr(warm_start, "table", lambda results: "\n".join(f"{row}: {each}" for row, each in results.items()))
    monkeypatch.setattr("sys.argv", ["warm_start.py", "photographs", "--images", "128"])
    warm_start.main()
    rows = capsys.readouterr().out.splitlines()[-3:]
    assert rows[0] == "photographs: 32"
    assert rows[1].startswith("default, seed 0, 128 images, ") and rows[1].endswith(": (3, 32, 32)")
    assert rows[2].startswith("warm start, seed 0, ") and " and " in rows[2] and rows[2].endswith(": (3, 32, 32)")


def test_a_folder_without_pictures_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["warm_start.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="warm_start.py: .* is not a folder of folders of pictures"):
        warm_start.main()
