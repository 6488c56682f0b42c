"""further/domains.py: two domains share no face, and a translation of which all is known has known numbers."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from further import beside, domains
from measures import translation
from measures.needs import Missing


def pictures(count, seed=0):
    coarse = torch.randint(0, 256, (count, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, 32)


def test_the_two_halves_of_one_folder_share_no_face(monkeypatch):
    faces = torch.arange(240, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 32, 32)
    faces[:, 2] = 255  # blue
    monkeypatch.setattr(beside, "load", lambda folder: faces)
    A, B = domains.domains(SimpleNamespace(photographs=None, other=None))
    assert [len(part) for part in (*A[:2], *B[:2])] == [90, 30, 90, 30]
    assert all((part[:, 2] == 255).all() for part in A[:2]) and all((part[:, 0] == 255).all() for part in B[:2])
    shown = [set(part[:, 1, 0, 0].tolist()) for part in (*A[:2], *B[:2])]  # each face's own green
    assert len(set.union(*shown)) == 240
    assert torch.equal(B.answer(A.answer(A.reals)), A.reals) and not torch.equal(A.answer(A.reals), A.reals)


def test_two_folders_are_two_domains_and_nobody_knows_the_answer(monkeypatch):
    folders = {None: pictures(120), "others": pictures(200, seed=1)}
    monkeypatch.setattr(beside, "load", lambda folder: folders[folder])
    A, B = domains.domains(SimpleNamespace(photographs=None, other="others"))
    assert [len(part) for part in (*A[:2], *B[:2])] == [90, 30, 150, 50] and A.answer is B.answer is None


def test_traits_of_known_pictures():
    black, lit = torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    lit[..., 6] = 128
    assert translation.brightness(lit).tolist() == [16] and translation.centre(lit).tolist() == pytest.approx([6])
    assert translation.centre(black).tolist() == pytest.approx([3.5])
    assert translation.error(black, lit) == 16 == translation.error(lit, black)


@pytest.mark.parametrize("trait", [translation.brightness, translation.centre])
def test_correlation_is_1_for_the_same_pictures_and_about_0_for_shuffled_ones(trait):
    same = pictures(1000)
    paired, shuffled = translation.correlations(trait, same, same)
    assert paired == pytest.approx(1) and abs(shuffled) < 0.1
    assert translation.correlations(trait, same, domains.exchanged(same))[0] == pytest.approx(1)
    assert translation.correlations(translation.centre, same, same.flip(3))[0] == pytest.approx(-1)


def test_a_translation_by_known_generators_has_known_numbers(monkeypatch):
    def missing(faces):
        raise Missing("none")

    monkeypatch.setattr(domains, "faces_found", missing)

    class Exchange(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.weight * x.flip(1)

    start = domains.Domain(None, pictures(60), domains.exchanged)
    end = domains.Domain(None, domains.exchanged(pictures(50)), domains.exchanged)
    ways = list(domains.rounds(start, end, {"G_AB": Exchange(), "G_BA": Exchange()}))
    assert [way for way, *_ in ways] == ["A to B", "B to A"]
    for count, (_, *ends) in zip((60, 50), ways, strict=True):
        assert len(ends[2]) == len(ends[3]) == count
        round_trip, to_answer, bright, centre, _, faces = domains.numbers(*ends)
        assert round_trip == to_answer == "0.0" and faces == "-"
        assert bright.startswith("1.00 (") and centre.startswith("1.00 (")
    unknown = start._replace(answer=None)
    assert domains.numbers(unknown, end, start.reals)[:2] == ["-", "-"]
    assert float(domains.numbers(start, end, start.reals)[1]) > 50
