"""What is known about the drawn faces, and how often it is seen in others."""

import numpy as np
import pictures
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

import helper
from faces.draw import draw_faces
from faces.traits import traits

SQUARE = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])


def loader_of(folder):
    return DataLoader(ImageFolder(folder, SQUARE), 8, shuffle=True)


def test_the_traits_of_drawn_faces_are_those_they_were_drawn_with(tmp_path):
    draw_faces(tmp_path / "drawn", 40)
    (tmp_path / "drawn" / "00003.jpg").unlink()
    for loader in (loader_of(tmp_path), helper.decode_once(loader_of(tmp_path))):
        known = helper.drawn_traits(loader)
        for name in ("glasses", "hat", "beard"):
            wanted = [getattr(traits(np.random.default_rng((0, n))), name) > 0 for n in range(40) if n != 3]
            assert known[name].tolist() == wanted
    assert known["glasses"].any() and not known["glasses"].all()


def test_nothing_is_known_about_other_pictures(tmp_path):
    draw_faces(tmp_path / "drawn", 3)
    pictures.fill(tmp_path, 1, "mine")
    assert helper.drawn_traits(loader_of(tmp_path)) == {}
    assert helper.drawn_traits(DataLoader([torch.zeros(1)])) == {}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_trait_is_counted_where_it_is(share):
    """Noise, in which a bright patch is the trait: 20 % of the images have it, and `share` of the generated ones."""
    generator = torch.Generator().manual_seed(0)

    def images(count, has):
        noise = torch.rand(count, 3, 32, 32, generator=generator) * 0.6
        noise[has, :, 8:16, 8:16] += 0.4
        return noise

    has = torch.rand(1200, generator=generator) < 0.2
    made = torch.arange(200) < 200 * share
    before = torch.get_rng_state()
    count = helper.count_traits((images(1200, has) * 255).to(torch.uint8), {"patch": has}, images(200, made))["patch"]
    assert torch.equal(torch.get_rng_state(), before)
    assert count.data == pytest.approx(has.float().mean().item()) and count.right > 0.97
    assert count.real == pytest.approx(count.data, abs=0.05) and count.generated == pytest.approx(share, abs=0.03)
