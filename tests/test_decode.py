"""Decoding once: the plain loader's batches out of memory, whatever the pictures are, and the cache that keeps them."""

import contextlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pictures
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from common import FaceError
from faces import decode
from faces.decode import DecodedFaces, data_key, decode_once

SQUARE = transforms.Resize((32, 32))
PLAIN = transforms.Compose([SQUARE, transforms.ToTensor()])


def plain_loader(folder, batch_size=4, transform=PLAIN, **more):
    return DataLoader(ImageFolder(folder, transform), batch_size, shuffle=True, **more)


def one_line(error):
    """The message of a FaceError, which must be one line."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    return text


@pytest.mark.parametrize("transform", [
    PLAIN, transforms.Compose([transforms.CenterCrop(20), transforms.Grayscale(3), transforms.ToTensor(), SQUARE])])
def test_the_batches_are_those_of_the_plain_loader(tmp_path, transform):
    folder = pictures.fill(tmp_path, 11, "a")
    pictures.fill(tmp_path, 3, "b", width=40, height=30)
    torch.manual_seed(5)
    plain = [batch for _ in range(2) for batch in plain_loader(folder, transform=transform)]
    state = torch.get_rng_state()
    for _ in range(2):  # decoded, then read from the cache
        loader = decode_once(plain_loader(folder, transform=transform))
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
    pictures.fill(folder, 1100, width=8, height=8)
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
        loader = decode_once(plain_loader(many_pictures, transform=transform))
    assert len(caught) == 1 and torch.equal(torch.get_rng_state(), before)
    paths = [path for path, _ in loader.batch_sampler.sampler.data_source.samples]
    assert len(paths) == len(loader.dataset) == 1089
    for index in (0, 63, 64, 500, 1088):
        assert torch.equal(loader.dataset[index][0], PLAIN(Image.open(paths[index])))


def count_pictures(folder):
    return len(decode_once(plain_loader(folder)).dataset)


def test_many_pictures_are_decoded_in_a_process_that_may_start_none(tmp_path):
    folder = pictures.fill(tmp_path, 1001, width=8, height=8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(count_pictures, [folder]) == 1001


def test_interrupted_decoding_leaves_no_process_behind(many_pictures, monkeypatch):
    (many_pictures / ".decoded-32.npz").unlink(missing_ok=True)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(decode.Progress, "update", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        decode_once(plain_loader(many_pictures))
        pytest.fail("it was not interrupted")
    assert not multiprocessing.active_children()


def test_decoding_draws_no_random_numbers(tmp_path):
    loader, before = plain_loader(pictures.fill(tmp_path, 4)), torch.get_rng_state()
    decode_once(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_and_drop_last_stay_in_force(tmp_path):
    folder = pictures.fill(tmp_path, 10)

    def batches(loader):
        return [labels_and_images[0] for labels_and_images in loader]

    def loader():
        return plain_loader(folder, drop_last=True, generator=torch.Generator().manual_seed(3))

    plain, decoded = batches(loader()), batches(decode_once(loader()))
    assert len(plain) == len(decoded) == 2
    assert all(torch.equal(a, b) for a, b in zip(plain, decoded, strict=True))


def test_other_datasets_and_other_ways_of_opening_files_are_left_alone(tmp_path):
    tensors = DataLoader(TensorDataset(torch.zeros(4, 3, 8, 8)))
    own = DataLoader(ImageFolder(pictures.fill(tmp_path, 2), PLAIN, loader=lambda path: Image.new("RGB", (9, 9))))
    assert decode_once(tensors) is tensors
    assert decode_once(own) is own


def test_odd_pictures_come_out_right(tmp_path):
    values = pictures.odd_pictures(tmp_path / "set" / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = decode_once(DataLoader(ImageFolder(tmp_path / "set", PLAIN), 64))
    images, _ = next(iter(loader))
    names = sorted(path.name for path in (tmp_path / "set" / "a").iterdir())
    assert images.shape == (11, 3, 32, 32) and images.min() >= 0 and images.max() <= 1
    for name, value in values.items():
        assert images[names.index(name)][:, 3, 3].tolist() == pytest.approx([value] * 3, abs=0.03), name


def test_broken_pictures_are_left_out_and_named_in_one_warning(tmp_path):
    count = pictures.broken_pictures(tmp_path / "set" / "a")
    pictures.fill(tmp_path / "set", 20, "b")
    (tmp_path / "set" / "a" / "folder.jpg").mkdir()
    for _ in range(2):  # the second from the cache
        with pytest.warns(UserWarning) as caught:
            loader = decode_once(plain_loader(tmp_path / "set"))
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
    pictures.fill(tmp_path, 20, "b")
    (tmp_path / "a").mkdir()
    for number in range(12):
        (tmp_path / "a" / f"{number:02d}\n\x1b[31m.jpg").write_bytes(b"")
    with pytest.warns(UserWarning) as caught:
        decode_once(plain_loader(tmp_path))
    line = str(caught[0].message)
    assert line.count(".jpg") == 10 and "and 2 more" in line and line.isprintable()


@pytest.mark.parametrize("sound", [0, 5])
def test_more_than_half_broken_is_an_error(tmp_path, sound):
    if sound:
        pictures.fill(tmp_path, sound, "b")
    (tmp_path / "a").mkdir()
    for number in range(6):
        (tmp_path / "a" / f"{number}.jpg").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(FaceError) as error:
            decode_once(plain_loader(tmp_path))
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
    with pytest.raises(FaceError) as error:
        decode_once(plain_loader(pictures.fill(tmp_path, 2), transform=transform))
    assert says in one_line(error)


def test_a_batch_larger_than_the_data_gets_what_there_is_or_one_line(tmp_path):
    folder = pictures.fill(tmp_path, 3)
    images, _ = next(iter(decode_once(plain_loader(folder, 100))))
    assert len(images) == 3
    with pytest.raises(FaceError) as error:
        decode_once(plain_loader(folder, 100, drop_last=True))
    assert "3 pictures, fewer than one batch of 100" in one_line(error) and folder in one_line(error)


@pytest.fixture
def decodings(monkeypatch):
    """A list with one entry for each time that pictures were really decoded."""
    times, _decode = [], decode._decode
    monkeypatch.setattr(decode, "_decode", lambda *args: (times.append(1), _decode(*args))[1])
    return times


def all_images(folder, transform=PLAIN):
    return torch.cat([images for images, _ in decode_once(DataLoader(ImageFolder(folder, transform), 8))])


def rewrite(folder):
    path = Path(folder, "a", "0001.jpg")
    pictures.picture(77).save(path)


def touch(folder):
    os.utime(Path(folder, "a", "0001.jpg"), ns=(1, 1))


def rename(folder):
    Path(folder, "a", "0001.jpg").rename(Path(folder, "a", "zzzz.jpg"))


def add(folder):
    pictures.picture(78).save(Path(folder, "b.jpg").parent / "a" / "new.jpg")


def remove(folder):
    Path(folder, "a", "0001.jpg").unlink()


@pytest.mark.parametrize("change", [rewrite, touch, rename, add, remove])
def test_the_cache_serves_only_the_files_it_was_made_of(tmp_path, decodings, change):
    folder = pictures.fill(tmp_path, 5)
    first = all_images(folder)
    assert torch.equal(all_images(folder), first) and len(decodings) == 1
    change(folder)
    images = all_images(folder)
    assert len(decodings) == 2
    assert torch.equal(images, torch.stack([image for image, _ in ImageFolder(folder, PLAIN)]))
    assert torch.equal(all_images(folder), images) and len(decodings) == 2


def test_the_cache_serves_only_the_transform_it_was_made_with(tmp_path, decodings):
    folder = pictures.fill(tmp_path, 3)
    darker = [transforms.Compose([PLAIN, transforms.Lambda(lambda x, k=k: x * k)]) for k in (0.5, 0.25)]  # one repr for both
    kinds = [PLAIN, *darker, transforms.Compose([transforms.Resize((16, 16)), transforms.ToTensor()])]
    means = [all_images(folder, transform).mean().item() for transform in kinds]
    assert len(decodings) == 4
    assert means[1] == pytest.approx(means[0] / 2, rel=0.02) and means[2] == pytest.approx(means[0] / 4, rel=0.02)
    assert all_images(folder, kinds[3]).shape[-1] == 16 and len(decodings) == 4


def test_a_damaged_or_foreign_cache_is_rebuilt(tmp_path, decodings):
    folder = pictures.fill(tmp_path, 5)
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

    folder = pictures.fill(tmp_path, 3)
    monkeypatch.setattr(decode, "write_beside", write_beside)
    assert len(all_images(folder)) == len(all_images(folder)) == 3 and len(decodings) == 2
    assert f"not kept for the next run: {folder} cannot be written (Read-only file system)" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a read-only folder")
def test_a_folder_that_is_really_read_only(tmp_path, capsys):
    folder = pictures.fill(tmp_path, 3)
    if subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        assert len(all_images(folder)) == 3
    finally:
        subprocess.run(["umount", folder], check=True)
    assert "Read-only file system" in capsys.readouterr().out


# --- The key by which two runs know that they share their pictures


def decoded(folder):
    return decode_once(plain_loader(folder))


def test_the_key_of_decoded_pictures_is_that_of_their_copies_and_of_no_others(tmp_path):
    key = data_key(decoded(pictures.fill(tmp_path / "here", 5)))
    assert re.fullmatch("5 pictures, [0-9a-f]{8}", key)
    assert data_key(decoded(tmp_path / "here")) == key, "read from the cache"
    shutil.copytree(tmp_path / "here", tmp_path / "there", ignore=shutil.ignore_patterns(".*"))
    for path in (tmp_path / "there" / "a").iterdir():
        os.utime(path, (1, 1))
    assert data_key(decoded(tmp_path / "there")) == key, "copied elsewhere"
    rewrite(tmp_path / "there")
    assert data_key(decoded(tmp_path / "there")) != key, "one other picture, the same number"
    shutil.copytree(tmp_path / "here" / "a", tmp_path / "split" / "a")
    (tmp_path / "split" / "b").mkdir()
    (tmp_path / "split" / "a" / "0004.jpg").rename(tmp_path / "split" / "b" / "0004.jpg")
    assert data_key(decoded(tmp_path / "split")) != key, "other labels"


def test_the_key_of_very_many_pictures_takes_seconds_at_most(tmp_path):
    images = torch.randint(0, 256, (10_000, 3, 64, 64), dtype=torch.uint8)
    begin = time.monotonic()
    keys = {data_key(DataLoader(DecodedFaces(images, torch.zeros(10_000))))}
    assert time.monotonic() - begin < 2  # 0.1 s; so 200,000 take 2 s
    images[9_999] = 255 - images[9_999]
    keys.add(data_key(DataLoader(DecodedFaces(images, torch.zeros(10_000)))))
    assert len(keys) == 2 and all(key.startswith("10,000 pictures, ") for key in keys)


def test_the_key_of_a_plain_folder_stands_for_names_and_sizes_and_others_have_their_length(tmp_path):
    key = data_key(plain_loader(pictures.fill(tmp_path / "here", 5)))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert data_key(plain_loader(tmp_path / "there")) == key and key.startswith("5 pictures, ")
    rename(tmp_path / "there")
    assert data_key(plain_loader(tmp_path / "there")) != key
    assert data_key(DataLoader(TensorDataset(torch.zeros(1234, 3, 8, 8)))) == "1,234 pictures"
