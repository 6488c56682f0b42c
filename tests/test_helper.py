"""helper.py: the faces found, decoded once, shown, exported, and a training run that watches itself."""

import contextlib
import multiprocessing
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

import helper

ROOT = Path(__file__).resolve().parent.parent
SQUARE = transforms.Resize((32, 32))
PLAIN = transforms.Compose([SQUARE, transforms.ToTensor()])


def plain_loader(folder, batch_size=4, transform=PLAIN, **more):
    return DataLoader(ImageFolder(folder, transform), batch_size, shuffle=True, **more)


def one_line(error):
    """The message of a FaceError, which must be one line."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    return text


# --- Finding the faces


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder to work in, without FACE_DATA, where drawing takes no time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACE_DATA", raising=False)
    monkeypatch.setattr(helper._program("draw"), "draw_faces", lambda folder: tiny.fill(folder.parent, 3, "drawn"))
    return tmp_path


def test_faces_are_drawn_where_there_are_none_and_then_found_again(project, capsys):
    for _ in range(2):
        assert helper.find_faces() == "processed_celeba_small"
        assert "3 faces in processed_celeba_small/ (drawn): drawn by this project." in capsys.readouterr().out
    assert Path(helper.results_folder("processed_celeba_small")) == Path("results/drawn")
    assert len(ImageFolder("processed_celeba_small")) == 3


def test_drawing_leaves_nothing_that_imagefolder_trips_over(project, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(project)
    monkeypatch.delenv("FACE_DATA", raising=False)
    draw = helper._program("draw").draw_faces
    monkeypatch.setattr(helper._program("draw"), "draw_faces", lambda folder: draw(folder, 2))
    helper.find_faces()
    assert sorted(path.name for path in project.rglob("*")) == ["00000.jpg", "00001.jpg", "drawn", "processed_celeba_small"]
    assert not (helper.HERE / helper.FACES / "__pycache__").exists()


def test_photographs_take_the_place_of_the_drawn_faces(project, capsys):
    helper.find_faces()
    tiny.fill("processed_celeba_small", 2, "celeba")
    assert helper.find_faces() == "processed_celeba_small"
    assert "2 faces in processed_celeba_small/ (celeba): photographs from this folder." in capsys.readouterr().out
    assert not Path("processed_celeba_small/drawn").exists()
    assert Path(helper.results_folder("processed_celeba_small")) == Path("results/processed_celeba_small")


def test_face_data_is_used_and_nothing_is_drawn(project, monkeypatch, capsys):
    tiny.fill(project / "mine" / "deep", 2, "a")
    tiny.fill(project / "mine", 1, "b")
    monkeypatch.setenv("FACE_DATA", str(project / "mine"))
    assert helper.find_faces() == str(project / "mine")
    assert "3 faces" in capsys.readouterr().out
    assert not Path("processed_celeba_small").exists()
    assert Path(helper.results_folder(project / "mine")) == Path("results/mine")


def make_missing(path):
    pass


def make_file(path):
    path.write_bytes(b"not a folder")


def make_empty(path):
    path.mkdir()


def make_flat(path):
    tiny.fill(path.parent, 2, path.name)


def make_empty_class(path):
    tiny.fill(path, 2)
    (path / "nobody").mkdir()


def make_other_files(path):
    (path / "a").mkdir(parents=True)
    (path / "a" / "notes.txt").write_text("no picture")


def make_loop(path):
    tiny.fill(path, 2)
    (path / "a" / "loop").symlink_to(path, target_is_directory=True)


def make_crossing_links(path):
    tiny.fill(path, 2, "a")
    tiny.fill(path, 2, "b")
    (path / "a" / "to_b").symlink_to(path / "b", target_is_directory=True)
    (path / "b" / "to_a").symlink_to(path / "a", target_is_directory=True)


@pytest.mark.parametrize("make, says", [
    (make_missing, "does not exist: correct the path"),
    (make_file, "is a file: name a folder"),
    (make_empty, "holds no pictures: put a folder of faces into it"),
    (make_flat, "holds its pictures directly: move them into a folder"),
    (make_empty_class, "nobody holds no pictures, which ImageFolder refuses: remove"),
    (make_other_files, "holds no pictures"),
    (make_loop, "are the same folder"),
    (make_crossing_links, "are the same folder"),
])
def test_a_folder_that_cannot_be_used_gets_one_line_that_names_it(project, monkeypatch, make, says):
    make(project / "mine")
    monkeypatch.setenv("FACE_DATA", str(project / "mine"))
    with pytest.raises(helper.FaceError) as error:
        helper.find_faces()
    line = one_line(error)
    assert str(project / "mine") in line and says in line


def test_a_full_or_read_only_disk_is_named(project, monkeypatch):
    def draw_faces(folder):
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(helper._program("draw"), "draw_faces", draw_faces)
    with pytest.raises(helper.FaceError) as error:
        helper.find_faces()
    assert "No space left on device" in one_line(error) and "processed_celeba_small" in one_line(error)


def test_links_to_folders_and_files_are_followed(project, monkeypatch, capsys):
    tiny.fill(project / "elsewhere", 3)
    (project / "mine" / "a").mkdir(parents=True)
    (project / "mine" / "linked").symlink_to(project / "elsewhere" / "a", target_is_directory=True)
    (project / "mine" / "a" / "one.jpg").symlink_to(tiny.fill(project / "other", 1) + "/a/0000.jpg")
    monkeypatch.setenv("FACE_DATA", str(project / "mine"))
    assert "4 faces" in (helper.find_faces(), capsys.readouterr().out)[1]
    images, _ = next(iter(helper.decode_once(plain_loader(project / "mine"))))
    assert images.shape == (4, 3, 32, 32)


def test_an_error_reaches_jupyter_as_its_one_line():
    assert helper.FaceError("what to do")._render_traceback_() == ["FaceError: what to do"]


# --- Decoding once


@pytest.mark.parametrize("transform", [
    PLAIN, transforms.Compose([transforms.CenterCrop(20), transforms.Grayscale(3), transforms.ToTensor(), SQUARE])])
def test_the_batches_are_those_of_the_plain_loader(tmp_path, transform):
    folder = tiny.fill(tmp_path, 11, "a")
    tiny.fill(tmp_path, 3, "b", width=40, height=30)
    torch.manual_seed(5)
    plain = [batch for _ in range(2) for batch in plain_loader(folder, transform=transform)]
    state = torch.get_rng_state()
    for _ in range(2):  # decoded, then read from the cache
        loader = helper.decode_once(plain_loader(folder, transform=transform))
        torch.manual_seed(5)
        decoded = [batch for _ in range(2) for batch in loader]
        assert torch.equal(torch.get_rng_state(), state)
        assert len(decoded) == len(plain) == 2 * len(loader) == 8
        for (images, labels), (plain_images, plain_labels) in zip(decoded, plain, strict=True):
            assert images.dtype == torch.float32 and torch.equal(labels, plain_labels)
            assert (images - plain_images).abs().max() <= 0.5 / 255 + 1e-6
            if transform is PLAIN:  # there whole numbers are all that it gives
                assert torch.equal(images, plain_images)


@pytest.fixture(scope="module")
def many_pictures(tmp_path_factory):
    """A folder of so many that processes share the work: 1,100, of which every hundredth is broken."""
    folder = tmp_path_factory.mktemp("many")
    tiny.fill(folder, 1100, width=8, height=8)
    for index in range(0, 1100, 100):
        (folder / "a" / f"{index:04d}.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="one process decodes here")
def test_many_pictures_are_decoded_by_several_processes(many_pictures, monkeypatch):
    def transform(picture):  # not to be pickled, as a learner's own may be
        trial = picture.size == (96, 80)
        return PLAIN(picture) if trial or os.getpid() != here else torch.zeros(3, 32, 32)

    here, before = os.getpid(), torch.get_rng_state()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    with pytest.warns(UserWarning, match="11 of 1,100 pictures") as caught:
        loader = helper.decode_once(plain_loader(many_pictures, transform=transform))
    assert len(caught) == 1 and torch.equal(torch.get_rng_state(), before)
    paths = [path for path, _ in loader.batch_sampler.sampler.data_source.samples]
    assert len(paths) == len(loader.dataset) == 1089
    for index in (0, 63, 64, 500, 1088):
        assert torch.equal(loader.dataset[index][0], PLAIN(Image.open(paths[index])))


def count_pictures(folder):
    return len(helper.decode_once(plain_loader(folder)).dataset)


def test_many_pictures_are_decoded_in_a_process_that_may_start_none(tmp_path):
    folder = tiny.fill(tmp_path, 1001, width=8, height=8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(count_pictures, [folder]) == 1001


def test_interrupted_decoding_leaves_no_process_behind(many_pictures, monkeypatch):
    (many_pictures / ".decoded-32.npz").unlink(missing_ok=True)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(helper.Progress, "update", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        helper.decode_once(plain_loader(many_pictures))
        pytest.fail("it was not interrupted")
    assert not multiprocessing.active_children()


def test_decoding_draws_no_random_numbers(tmp_path):
    loader, before = plain_loader(tiny.fill(tmp_path, 4)), torch.get_rng_state()
    helper.decode_once(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_and_drop_last_stay_in_force(tmp_path):
    folder = tiny.fill(tmp_path, 10)

    def batches(loader):
        return [labels_and_images[0] for labels_and_images in loader]

    def loader():
        return plain_loader(folder, drop_last=True, generator=torch.Generator().manual_seed(3))

    plain, decoded = batches(loader()), batches(helper.decode_once(loader()))
    assert len(plain) == len(decoded) == 2
    assert all(torch.equal(a, b) for a, b in zip(plain, decoded, strict=True))


def test_other_datasets_and_other_ways_of_opening_files_are_left_alone(tmp_path):
    tensors = DataLoader(TensorDataset(torch.zeros(4, 3, 8, 8)))
    own = DataLoader(ImageFolder(tiny.fill(tmp_path, 2), PLAIN, loader=lambda path: Image.new("RGB", (9, 9))))
    assert helper.decode_once(tensors) is tensors
    assert helper.decode_once(own) is own


def odd_pictures(folder):
    """Pictures that are unusual and sound: {file name: value of its first pixel that must come out, 0 to 1, or None}."""
    folder.mkdir(parents=True, exist_ok=True)
    (tiny.picture(1, mode="L")).save(folder / "grey.jpg")
    Image.new("RGBA", (30, 30), (255, 0, 0, 0)).save(folder / "alpha.png")
    tiny.picture(2, 20, 500).save(folder / "tall.png")
    tiny.picture(2, 500, 20).save(folder / "wide.png")
    Image.fromarray(np.full((20, 20), 32896, np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (20, 20), (0, 0, 0, 255)).save(folder / "print.jpg")
    frames = [Image.new("P", (20, 20), colour) for colour in (0, 1)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 255, 255])
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    tiny.picture(3).convert("P").save(folder / "palette.png")
    tiny.picture(4).save(folder / "png_called.jpg", format="PNG")
    turned = Image.new("RGB", (40, 20), "black")
    turned.paste("white", (0, 0, 20, 20))  # lies on its side: after turning, the white half is on top
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    tiny.picture(5).save(folder / "Gesicht_\u00e4\u00f6\u00fc_\u9854_\U0001f600.jpg")
    return {"alpha.png": 1.0, "deep.png": 128 / 255, "print.jpg": 0.0, "moving.webp": 0.0, "turned.jpg": 1.0}


def broken_pictures(folder):
    """Files with a picture's name that hold none. Returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = Path(tiny.fill(folder.parent.parent / "whole", 1), "a", "0000.jpg").read_bytes()
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(whole[:len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    (folder / "nowhere.jpg").symlink_to(folder / "is_not_there.jpg")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "bomb.png").write_bytes(tiny.bomb(16_000))
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.jpg")  # whoever opens it waits for ever
    return 6 + hasattr(os, "mkfifo")


def test_odd_pictures_come_out_right(tmp_path):
    values = odd_pictures(tmp_path / "set" / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = helper.decode_once(DataLoader(ImageFolder(tmp_path / "set", PLAIN), 64))
    images, _ = next(iter(loader))
    names = sorted(path.name for path in (tmp_path / "set" / "a").iterdir())
    assert images.shape == (11, 3, 32, 32) and images.min() >= 0 and images.max() <= 1
    for name, value in values.items():
        assert images[names.index(name)][:, 3, 3].tolist() == pytest.approx([value] * 3, abs=0.03), name


def test_broken_pictures_are_left_out_and_named_in_one_warning(tmp_path):
    count = broken_pictures(tmp_path / "set" / "a")
    tiny.fill(tmp_path / "set", 20, "b")
    (tmp_path / "set" / "a" / "folder.jpg").mkdir()
    for _ in range(2):  # the second from the cache
        with pytest.warns(UserWarning) as caught:
            loader = helper.decode_once(plain_loader(tmp_path / "set"))
        assert len(caught) == 1 and caught[0].filename == __file__
        line = str(caught[0].message)
        assert f"{count} of {20 + count} pictures in {tmp_path / 'set'} cannot be read" in line
        assert all(name in line for name in ("a/zero.jpg", "cut.jpg", "text.png", "nowhere.jpg", "itself.jpg", "bomb.png"))
        assert "\n" not in line and "left out" in line
        assert len(loader) == 5
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert images.shape == (20, 3, 32, 32) and labels.tolist() == [1] * 20
        expected = {tuple(PLAIN(Image.open(path)).flatten().tolist()) for path in (tmp_path / "set" / "b").iterdir()}
        assert {tuple(image.flatten().tolist()) for image in images} == expected


def test_a_warning_names_ten_at_most_and_prints_no_control_characters(tmp_path):
    tiny.fill(tmp_path, 20, "b")
    (tmp_path / "a").mkdir()
    for number in range(12):
        (tmp_path / "a" / f"{number:02d}\n\x1b[31m.jpg").write_bytes(b"")
    with pytest.warns(UserWarning) as caught:
        helper.decode_once(plain_loader(tmp_path))
    line = str(caught[0].message)
    assert line.count(".jpg") == 10 and "and 2 more" in line and line.isprintable()


@pytest.mark.parametrize("sound", [0, 5])
def test_more_than_half_broken_is_an_error(tmp_path, sound):
    if sound:
        tiny.fill(tmp_path, sound, "b")
    (tmp_path / "a").mkdir()
    for number in range(6):
        (tmp_path / "a" / f"{number}.jpg").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(helper.FaceError) as error:
            helper.decode_once(plain_loader(tmp_path))
        assert f"6 of {6 + sound}" in one_line(error) and "more than half" in one_line(error)


@pytest.mark.parametrize("transform, says", [
    (None, "has no transform"),
    (SQUARE, "let it end in ToTensor"),
    (transforms.PILToTensor(), "let it end in ToTensor"),
    (transforms.Compose([SQUARE, transforms.Grayscale(), transforms.ToTensor()]), "(3, S, S)"),
    (transforms.Compose([transforms.Resize(32), transforms.ToTensor()]), "both sides"),
    (transforms.Compose([PLAIN, transforms.Normalize((0.5,) * 3, (0.5,) * 3)]), "leave scaling to the training step"),
    (transforms.Compose([SQUARE, transforms.RandomHorizontalFlip(), transforms.ToTensor()]), "random"),
    (transforms.Compose([PLAIN, transforms.RandomErasing(p=0.1)]), "random"),
    (transforms.Compose([transforms.RandomCrop(32), transforms.ToTensor()]), "random"),
    (transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 4, (0.5,) * 4)]), "fails on an RGB picture"),
])
def test_a_transform_whose_pictures_cannot_be_kept_is_refused(tmp_path, transform, says):
    with pytest.raises(helper.FaceError) as error:
        helper.decode_once(plain_loader(tiny.fill(tmp_path, 2), transform=transform))
    assert says in one_line(error)


def test_a_batch_larger_than_the_data_gets_what_there_is_or_one_line(tmp_path):
    folder = tiny.fill(tmp_path, 3)
    images, _ = next(iter(helper.decode_once(plain_loader(folder, 100))))
    assert len(images) == 3
    with pytest.raises(helper.FaceError) as error:
        helper.decode_once(plain_loader(folder, 100, drop_last=True))
    assert "3 pictures, fewer than one batch of 100" in one_line(error) and folder in one_line(error)


@pytest.fixture
def decodings(monkeypatch):
    """A list with one entry for each time that pictures were really decoded."""
    times, decode = [], helper._decode
    monkeypatch.setattr(helper, "_decode", lambda *args: (times.append(1), decode(*args))[1])
    return times


def all_images(folder, transform=PLAIN):
    return torch.cat([images for images, _ in helper.decode_once(DataLoader(ImageFolder(folder, transform), 8))])


def rewrite(folder):
    path = Path(folder, "a", "0001.jpg")
    tiny.picture(77).save(path)


def touch(folder):
    os.utime(Path(folder, "a", "0001.jpg"), ns=(1, 1))


def rename(folder):
    Path(folder, "a", "0001.jpg").rename(Path(folder, "a", "zzzz.jpg"))


def add(folder):
    tiny.picture(78).save(Path(folder, "b.jpg").parent / "a" / "new.jpg")


def remove(folder):
    Path(folder, "a", "0001.jpg").unlink()


@pytest.mark.parametrize("change", [rewrite, touch, rename, add, remove])
def test_the_cache_serves_only_the_files_it_was_made_of(tmp_path, decodings, change):
    folder = tiny.fill(tmp_path, 5)
    first = all_images(folder)
    assert torch.equal(all_images(folder), first) and len(decodings) == 1
    change(folder)
    images = all_images(folder)
    assert len(decodings) == 2
    assert torch.equal(images, torch.stack([image for image, _ in ImageFolder(folder, PLAIN)]))
    assert torch.equal(all_images(folder), images) and len(decodings) == 2


def test_the_cache_serves_only_the_transform_it_was_made_with(tmp_path, decodings):
    folder = tiny.fill(tmp_path, 3)
    darker = [transforms.Compose([PLAIN, transforms.Lambda(lambda x, k=k: x * k)]) for k in (0.5, 0.25)]  # one repr for both
    kinds = [PLAIN, *darker, transforms.Compose([transforms.Resize((16, 16)), transforms.ToTensor()])]
    means = [all_images(folder, transform).mean().item() for transform in kinds]
    assert len(decodings) == 4
    assert means[1] == pytest.approx(means[0] / 2, rel=0.02) and means[2] == pytest.approx(means[0] / 4, rel=0.02)
    assert all_images(folder, kinds[3]).shape[-1] == 16 and len(decodings) == 4


def test_a_damaged_or_foreign_cache_is_rebuilt(tmp_path, decodings):
    folder = tiny.fill(tmp_path, 5)
    first, cache = all_images(folder), tmp_path / ".decoded-32.npz"
    whole = cache.read_bytes()
    rng = np.random.default_rng(0)
    flipped = [bytearray(whole) for _ in range(20)]
    for damaged in flipped:
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
    contents = [b"", b"no archive", whole[:100], whole[:-1], *map(bytes, flipped)]
    for content in contents:
        cache.write_bytes(content)
        assert torch.equal(all_images(folder), first)
    np.savez(cache, other=np.zeros(3))
    assert torch.equal(all_images(folder), first)
    with np.load(tmp_path / ".decoded-32.npz") as saved:
        key = saved["key"]
    for images in (np.zeros((5, 3, 16, 16), np.uint8), np.zeros((5, 3, 32, 32), np.float32), np.array([object()])):
        np.savez(cache, key=key, images=images, kept=np.arange(5))
        assert torch.equal(all_images(folder), first)
    assert not list(tmp_path.glob("*.tmp")) and len(decodings) > 20


def test_without_a_place_for_the_cache_it_works_and_says_so(tmp_path, monkeypatch, capsys, decodings):
    def write_beside(path, write):
        raise OSError(30, "Read-only file system", str(path))

    folder = tiny.fill(tmp_path, 3)
    monkeypatch.setattr(helper, "write_beside", write_beside)
    assert len(all_images(folder)) == len(all_images(folder)) == 3 and len(decodings) == 2
    assert f"not kept for the next run: {folder} cannot be written (Read-only file system)" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a read-only folder")
def test_a_folder_that_is_really_read_only(tmp_path, capsys):
    folder = tiny.fill(tmp_path, 3)
    if subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        assert len(all_images(folder)) == 3
    finally:
        subprocess.run(["umount", folder], check=True)
    assert "Read-only file system" in capsys.readouterr().out


# --- Progress and pictures


def test_a_log_gets_no_bar_and_no_control_characters():
    code = "import helper, time\nfor _ in helper.Progress(range(9), desc='Decoding'): time.sleep(0.2)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_some_faces_passes_over_broken_pictures(tmp_path):
    broken_pictures(tmp_path / "set" / "a")
    tiny.fill(tmp_path / "set", 3, "b")
    faces = helper.some_faces(tmp_path / "set", 2, 48)
    assert faces.shape == (2, 3, 48, 48) and 0 <= faces.min() and faces.max() <= 1
    assert len(helper.some_faces(tmp_path / "set", 24, 16)) == 3
    for path in (tmp_path / "set" / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(helper.FaceError) as error:
        helper.some_faces(tmp_path / "set", 24, 16)
    assert "none of the" in one_line(error)


@pytest.mark.parametrize("count, size, columns, zoom", [(1, 32, 12, 2), (48, 32, 12, 2), (5, 128, 2, 1)])
def test_show_faces_gives_each_pixel_its_place(count, size, columns, zoom):
    images = torch.rand(count, 3, size, size)
    figure = helper.show_faces(images, "a title", columns, zoom)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape[1] >= min(count, columns) * size
    edge = 2 * (count > 1)  # between pictures and around them
    assert np.allclose(shown[edge:edge + size, edge:edge + size].transpose(2, 0, 1), images[0], atol=1e-6)
    assert figure.axes[0].get_title() == "a title"
    helper.plt.close(figure)


def test_to_pixels_maps_the_range_of_tanh_to_whole_numbers():
    faces = torch.tensor([-1.0, -0.5, 0.0, 1.0, 1.5]).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    assert helper.to_pixels(faces)[:, 0, 0, 0].tolist() == [0, 64, 128, 255, 255]


@pytest.mark.parametrize("count, frames", [(1, 1), (5, 5), (150, 60)])
def test_the_gif_holds_the_snapshots_in_their_order(tmp_path, count, frames):
    path = tmp_path / "training.gif"
    snapshots = [torch.full((4, 3, 8, 8), 255 * i // max(count - 1, 1), dtype=torch.uint8) for i in range(count)]
    shown = helper.save_gif(snapshots, path)
    assert shown.data == path.read_bytes()
    with Image.open(path) as gif:
        assert gif.n_frames == frames
        if count == 1:
            return
        assert gif.info["loop"] == 0
        levels = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            levels.append(np.asarray(gif.convert("RGB"))[4, 4].mean())
    assert levels == sorted(levels) and levels[0] < 3 and levels[-1] > 252
    assert [entry.name for entry in tmp_path.iterdir()] == ["training.gif"]


# --- Precision, epochs, generate


def test_fast_math_computes_in_bfloat16_only_where_there_is_hardware(monkeypatch):
    layer, x = torch.nn.Linear(4, 4), torch.rand(2, 4)
    for hardware, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda hardware=hardware: hardware)
        with helper.fast_math(torch.device("cpu")):
            assert layer(x).dtype == dtype
    with helper.fast_math(torch.device("mps")):
        assert layer(x).dtype == torch.float32


def test_epochs_come_from_the_environment_or_from_the_notebook(monkeypatch):
    monkeypatch.delenv("FACE_EPOCHS", raising=False)
    assert helper.epochs(default=7) == 7
    monkeypatch.setenv("FACE_EPOCHS", "")
    assert helper.epochs(default=7) == 7
    monkeypatch.setenv("FACE_EPOCHS", "3")
    assert helper.epochs(default=7) == 3
    for wrong in ("0", "-1", "2.5", "many", "\u00b2", "9" * 5000):
        monkeypatch.setenv("FACE_EPOCHS", wrong)
        with pytest.raises(helper.FaceError, match="whole number of epochs"):
            helper.epochs(default=7)


@pytest.mark.parametrize("mode", [True, False])
def test_generate_uses_evaluation_mode_and_puts_the_mode_back(mode):
    G = tiny.networks()["G"].train(mode)
    before, z = {name: value.clone() for name, value in G.state_dict().items()}, torch.randn(300, tiny.Z_SIZE)
    faces = helper.generate(G, z)
    assert faces.shape == (300, 3, 32, 32) and faces.abs().max() <= 1 and not faces.requires_grad
    assert torch.allclose(faces[:1], helper.generate(G, z[:1]), atol=1e-5)  # a face depends on its z alone
    assert G.training == mode and all(torch.equal(value, before[name]) for name, value in G.state_dict().items())


def test_settled_statistics_are_those_of_the_averaged_weights_and_draw_no_random_numbers():
    parts = tiny.networks()
    average = parts["G_average"]
    average.module.layers.insert(3, torch.nn.Dropout(0.1))  # which draws, wherever it is in training mode
    norm = next(layer for layer in average.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    before, fixed_z = torch.get_rng_state(), torch.randn(32, tiny.Z_SIZE, generator=torch.Generator().manual_seed(0)) + 3
    helper.settle_statistics(average, fixed_z)
    assert torch.equal(torch.get_rng_state(), before)
    means = average.module.layers[0](fixed_z[:, :, None, None]).mean((0, 2, 3))
    assert torch.allclose(norm.running_mean, means, atol=0.2 * means.abs().max().item())
    settled = norm.running_mean.clone()
    helper.settle_statistics(average, fixed_z)
    assert torch.equal(norm.running_mean, settled)


# --- The exported generator


def test_the_exported_generator_runs_without_the_notebook_for_any_number_of_z(tmp_path):
    parts = tiny.networks()
    parts["G"].train()
    paths = helper.export_generator(parts["G_average"], tiny.Z_SIZE, tmp_path / "new")
    z = torch.randn(5, tiny.Z_SIZE)
    np.save(tmp_path / "z.npy", z.numpy())
    code = """
import sys, numpy, torch
z = torch.from_numpy(numpy.load(sys.argv[2]))
G = torch.export.load(sys.argv[1]).module()
print([tuple(G(z[:1].expand(n, -1)).shape) for n in (1, 2, 7, 300)])
numpy.save(sys.argv[2], G(z).detach().numpy())
assert not {"helper", "notebook", "torchvision"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code, paths[0], tmp_path / "z.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == str([(n, 3, 32, 32) for n in (1, 2, 7, 300)])
    assert np.allclose(np.load(tmp_path / "z.npy"), helper.generate(parts["G_average"], z), atol=1e-5)
    fresh = tiny.names.Generator(tiny.Z_SIZE, 8)
    fresh.load_state_dict(torch.load(paths[1], weights_only=True))
    assert torch.equal(helper.generate(fresh, z), helper.generate(parts["G_average"], z))
    assert parts["G"].training and [Path(path).name for path in paths] == ["generator.pt2", "generator.pt"]


# --- A run, and its signs of trouble


def test_a_run_counts_keeps_and_reports(tmp_path, capsys):
    parts = tiny.networks()
    run = tiny.train(tmp_path, 2, parts)
    assert run.images == 2 * tiny.EPOCH * 8 and run.seconds > 0
    assert run.history["images"] == [48, 96] and all(len(run.history[key]) == 2 for key in ("d_loss", "g_loss"))
    assert [snapshot.shape for snapshot in run.snapshots] == [(8, 3, 32, 32)] * 3
    assert run.snapshots[0].dtype == torch.uint8 and not torch.equal(run.snapshots[0], run.snapshots[1])
    said = capsys.readouterr().out
    assert re.search(r"^epoch 1 of 2, 48 images, D \d\.\d\d, G \d\.\d\d$", said, re.M) and "images/s" in said
    assert "\r" not in said and "\x1b" not in said


def test_losses_are_averaged_over_fifty_batches(tmp_path):
    parts = tiny.networks()
    numbers = iter(range(1000))
    run = tiny.train(tmp_path, 1, parts, tiny.loader(60, 2), discriminator_step=lambda *args: torch.tensor(0.0),
                     generator_step=lambda *args: float(next(numbers)))
    assert run.history == {"images": [100, 120], "d_loss": [0.0, 0.0], "g_loss": [24.5, 54.5]}


def test_optimizers_of_other_networks_are_refused(tmp_path):
    parts = tiny.networks() | {"G": tiny.networks()["G"]}
    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path, 1, parts)
    assert "g_optimizer moves other weights than G's" in one_line(error)


def test_a_healthy_run_shows_no_sign_of_trouble():
    faces = [torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8) for _ in range(11)]
    history = {"images": list(range(2_000, 22_000, 2_000)), "d_loss": [0.9] * 10, "g_loss": [1.5] * 10}
    assert helper.signs_of_trouble(history, faces) == []
    assert helper.signs_of_trouble({"images": [], "d_loss": [], "g_loss": []}, faces[:1]) == []


def test_an_average_over_a_long_training_is_not_taken_for_a_generator_that_is_stuck():
    steps = torch.linspace(0, 1, 201).view(-1, 1, 1, 1, 1)  # 200 epochs of 10,000 images: a little change in each
    faces = list((steps * torch.rand(8, 3, 16, 16) * 255).to(torch.uint8))
    history = {"images": [2_000_000], "d_loss": [0.9], "g_loss": [1.5]}
    assert (faces[-1].float() - faces[-2].float()).abs().mean() / 255 < 0.005
    assert helper.signs_of_trouble(history, faces) == []
    assert "stuck" in helper.signs_of_trouble(history, faces + 25 * faces[-1:])[0]


def troubled_run(folder, monkeypatch, lr_d, lr_g):
    """Train for 200 steps, in which BatchNorm's statistics settle, with these learning rates, and judge."""
    monkeypatch.setattr(helper, "JUDGED_AFTER", 2_000)
    parts = tiny.networks()
    for optimizer, lr in ((parts["d_optimizer"], lr_d), (parts["g_optimizer"], lr_g)):
        optimizer.param_groups[0]["lr"] = lr
    run = tiny.train(folder, 20, parts, tiny.loader(10, 16))
    return " ".join(helper.signs_of_trouble(run.history, run.snapshots))


def test_a_discriminator_that_has_won_is_seen(tmp_path, monkeypatch, capsys):
    assert "discriminator has won" in troubled_run(tmp_path, monkeypatch, 5e-3, 1e-5)
    assert "discriminator has won" in capsys.readouterr().out


def test_a_generator_that_is_stuck_is_seen(tmp_path, monkeypatch):
    assert "generator is stuck" in troubled_run(tmp_path, monkeypatch, 2e-4, 0.0)


def test_variety_that_collapses_is_seen(tmp_path, monkeypatch):
    signs = troubled_run(tmp_path, monkeypatch, 0.0, 5e-3)  # nothing punishes the generator for its one best answer
    assert "variety is collapsing" in signs and "stuck" not in signs


@pytest.mark.parametrize("where", ["loss", "weight"])
def test_not_a_number_stops_training_names_the_step_and_puts_the_weights_back(tmp_path, where):
    good = tiny.networks()
    tiny.train(tmp_path / "good", 2, good)
    parts, steps, bad = tiny.networks(), iter(range(1, 1000)), 2 * tiny.EPOCH + 3

    def discriminator_step(*args):
        loss = tiny.names.discriminator_step(*args)
        if next(steps) == bad:
            if where == "loss":
                return loss * torch.nan
            parts["D"].layers[0].weight.data[0] = torch.nan
        return loss if where == "loss" else 0.5

    def generator_step(*args):
        loss = tiny.names.generator_step(*args)
        return loss if where == "loss" else 0.5

    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path / "bad", 4, parts, discriminator_step=discriminator_step, generator_step=generator_step)
    line = one_line(error)
    assert "training stopped" in line and str(tmp_path / "bad") in line
    assert f"as they were after {2 * tiny.EPOCH * 8} images" in line
    # a weight is looked at when a checkpoint is written, at the end of the epoch
    assert (f"at step {bad} the losses" if where == "loss" else f"at step {3 * tiny.EPOCH} a weight of D is not") in line
    assert tiny.same(tiny.weights(parts), tiny.weights(good))


def test_networks_that_begin_with_no_numbers_are_refused(tmp_path):
    parts = tiny.networks()
    parts["D"].layers[0].weight.data[0] = torch.nan
    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path, 1, parts)
    assert "at step 0 a weight of D is not a number" in one_line(error)
