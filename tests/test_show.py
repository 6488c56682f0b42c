"""Some faces, the grid of them, and the progress bar in a log."""

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pictures
import pytest
import torch

from common import FaceError
from faces.show import show_faces, some_faces

ROOT = Path(__file__).resolve().parent.parent


def test_some_faces_passes_over_broken_pictures(tmp_path):
    pictures.broken_pictures(tmp_path / "set" / "a")
    pictures.fill(tmp_path / "set", 3, "b")
    faces = some_faces(tmp_path / "set", 2, 48)
    assert faces.shape == (2, 3, 48, 48) and 0 <= faces.min() and faces.max() <= 1
    assert len(some_faces(tmp_path / "set", 24, 16)) == 3
    for path in (tmp_path / "set" / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(FaceError, match="none of the") as error:
        some_faces(tmp_path / "set", 24, 16)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("count, size, columns, zoom", [(1, 32, 12, 2), (48, 32, 12, 2), (5, 128, 2, 1)])
def test_show_faces_gives_each_pixel_its_place(count, size, columns, zoom):
    images = torch.rand(count, 3, size, size)
    figure = show_faces(images, "a title", columns, zoom)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape[1] >= min(count, columns) * size
    edge = 2 * (count > 1)  # between pictures and around them
    assert np.allclose(shown[edge:edge + size, edge:edge + size].transpose(2, 0, 1), images[0], atol=1e-6)
    assert figure.axes[0].get_title() == "a title"
    plt.close(figure)


def test_some_faces_passes_over_hidden_folders_and_pictures(tmp_path):
    pictures.fill(tmp_path, 2, "a")
    for hidden in (".ipynb_checkpoints", "a/.ipynb_checkpoints", "__MACOSX", "a/@eaDir/deep"):
        pictures.fill(tmp_path, 3, hidden)
    pictures.picture(9).save(tmp_path / "a" / "._0001.jpg")
    assert len(some_faces(tmp_path, 24, 16)) == 2


def test_a_log_gets_no_bar_and_no_control_characters():
    code = "import common, time\nfor _ in common.Progress(range(9), desc='Decoding'): time.sleep(0.2)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
