"""further/pixel_art.py: sprites read without a new colour, the palette, and the table of raw and brought pictures."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from common import FaceError
from further import beside, course, pixel_art

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}
PALETTE = torch.tensor([[0.0, 0, 0], [255, 255, 255], [200, 30, 40], [20, 60, 220], [240, 200, 90]])


def given(**others):
    return SimpleNamespace(**{"images": 200, "seeds": [0], "folder": None, "photographs": None, "size": 16} | others)


def of_palette(count, size, seed=0):
    """Random sprites in the colours of PALETTE, uint8 (count, 3, size, size)."""
    chosen = torch.randint(0, len(PALETTE), (count, size, size), generator=torch.Generator().manual_seed(seed))
    return PALETTE[chosen].to(torch.uint8).permute(0, 3, 1, 2).contiguous()


def as_picture(sprite):
    return Image.fromarray(sprite.permute(1, 2, 0).numpy())


def test_colours_are_found_and_counted():
    sprites = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    sprites[1, 0, 3, 5], sprites[1, 1, 0, 0], sprites[1, 2, 9, 9] = 255, 255, 255  # a red, a green, a blue pixel
    assert pixel_art.colours_each(sprites).tolist() == [1, 4]
    assert pixel_art.colours_of(sprites).tolist() == [[0, 0, 0], [0, 0, 255], [0, 255, 0], [255, 0, 0]]


def test_each_pixel_goes_to_the_nearest_colour():
    pixels = torch.tensor([[3, 4, 0], [250, 255, 255], [200, 30, 40], [127, 127, 127], [60, 60, 200]])
    wanted = PALETTE[[0, 1, 2, 4, 3]]
    brought, went = pixel_art.to_palette(pixels.to(torch.uint8).T.reshape(1, 3, 1, 5), PALETTE)
    assert torch.equal(brought[0, :, 0].T.float(), wanted)
    by_hand = torch.cdist(pixels.double(), PALETTE.double())
    assert went.flatten().tolist() == pytest.approx(by_hand.min(1).values.tolist())
    assert went[0, 0, :3].tolist() == [5, 5, 0]


def test_pictures_in_the_palette_stay_as_they_are():
    sprites = of_palette(40, 16)  # more pixels than are compared at a time
    brought, went = pixel_art.to_palette(sprites, PALETTE)
    assert torch.equal(brought, sprites) and not went.any()


def test_few_colours_are_those_that_a_picture_uses_most():
    sprites = PALETTE[[0] * 6 + [1] * 5 + [2] * 3 + [3] * 2].to(torch.uint8).T.reshape(1, 3, 4, 4).repeat(2, 1, 1, 1)
    sprites[1] = sprites[1].flip(0)  # other colours, as often
    made = pixel_art.few(sprites, 2)
    assert torch.equal(made[0], PALETTE[[0] * 6 + [1] * 5 + [0] * 5].to(torch.uint8).T.reshape(3, 4, 4))
    assert torch.equal(made[1], made[0].flip(0))
    assert torch.equal(pixel_art.few(sprites, 4), sprites) and torch.equal(pixel_art.few(sprites, 99), sprites)


def test_the_dozen_is_made_of_where_pixels_gather():
    near = of_palette(30, 16).int() + torch.randint(-3, 4, (30, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    found = pixel_art.dozen(near.clamp(0, 255).to(torch.uint8), count=5)
    assert found.shape == (5, 3)
    assert torch.cdist(PALETTE, found).min(1).values.max() < 6


def test_drawn_faces_become_sprites_of_a_dozen_colours(monkeypatch):
    faces = torch.randint(0, 256, (1200, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(beside, "load", lambda folder, size: faces)
    sprites = pixel_art.drawn(16)
    assert sprites.shape == faces.shape and len(pixel_art.colours_of(sprites)) == 12


@pytest.mark.parametrize("made", [8, 16, 64, 100])
def test_sizing_makes_no_new_colour(made, tmp_path):
    sprite = of_palette(1, made)[0]
    as_picture(sprite).save(tmp_path / "a.png")
    read = pixel_art.sprites(tmp_path, 16)
    assert read.shape == (1, 3, 16, 16)
    assert all(colour in PALETTE.tolist() for colour in pixel_art.colours_of(read).tolist())
    if made <= 16:
        assert torch.equal(read[0], sprite.repeat_interleave(16 // made, 1).repeat_interleave(16 // made, 2))


def test_what_is_transparent_becomes_white_and_what_is_no_square_is_laid_on_white(tmp_path):
    (tmp_path / "deeper").mkdir()
    red = Image.new("RGBA", (16, 8), (200, 0, 0, 255))
    red.putpixel((0, 0), (0, 0, 0, 0))
    red.save(tmp_path / "deeper" / "a.png")
    sprite = pixel_art.sprites(tmp_path, 16)[0]
    assert (sprite[:, :4] == 255).all() and (sprite[:, 12:] == 255).all()
    assert sprite[:, 4, 0].tolist() == [255, 255, 255] and sprite[:, 4, 1].tolist() == [200, 0, 0]
    assert (sprite[1, 5:12] == 0).all()


def test_bad_input_is_one_line(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FaceError, match=f"{folder.name} holds no sprites that can be read: name a folder"):
            pixel_art.sprites(folder, 16)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    as_picture(of_palette(1, 16)[0]).save(tmp_path / "whole.png")
    assert len(pixel_art.sprites(tmp_path, 16)) == 1
    assert "broken.png is passed over: not a readable picture" in capsys.readouterr().out
    with pytest.raises(FaceError, match="99 faces are too few"):
        for number in range(98):
            as_picture(of_palette(1, 16)[0]).save(tmp_path / f"{number}.png")
        pixel_art.measure(given(photographs=tmp_path))
    with pytest.raises(FaceError, match="--size is 20: give 16 or 32."):
        pixel_art.measure(given(size=20))


@pytest.mark.parametrize("size", pixel_art.SIZES)
def test_a_training_has_a_row_for_each_way(size, tmp_path, monkeypatch):
    for number, sprite in enumerate(of_palette(200, 16)):
        as_picture(sprite).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(course, "set_up", partial(course.set_up, **SMALL))
    text, figure = pixel_art.measure(given(photographs=tmp_path, size=size))
    figure.canvas.draw()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert rows[0][0] == "50 sprites each, 5 colours" and len({len(row) for row in rows}) == 1
    real, raw, brought, fewest = rows[2:]
    assert [row[0] for row in rows[2:]] == ["real, held out", "generated", "in the palette", "5 colours each"]
    assert real[4:6] == ["5.0", "0.00"]
    assert float(raw[4]) > 100 and float(raw[5]) > 1
    assert float(brought[4]) <= 5 and brought[5] == "0.00"
    assert float(fewest[4]) <= float(brought[4]) and fewest[5] == "0.00"
    assert all(row[7].endswith("%") for row in (real, raw, brought, fewest))


def test_a_copied_sprite_counts_as_a_copy():
    sprites = of_palette(240, 16)
    photographs, others = sprites[:200], sprites[200:]
    share = [pixel_art.numbers(some, others, photographs, PALETTE)[3] for some in (photographs[:40], others)]
    assert share[0] == "100.0%" and float(share[1][:-1]) < 10
