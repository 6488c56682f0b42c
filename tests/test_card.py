"""training/card.py: a model card that says what is known, whose code runs, and in which a person's words stay."""

import re
import subprocess
import sys

import pytest
import tiny
import torch

import helper
from measures.traits import Count
from training.card import BEGIN, END, FILL_IN

MEASURES = {"real, others": (8.04, 0.2412, 0.0101), "generated": (31.26, 0.2555, 0.0071)}
TRAITS = {"glasses": Count(data=0.141, right=0.87, real=0.129, generated=0.0964)}


@pytest.fixture(scope="module")
def trained():
    parts = tiny.networks(lr=3e-4)
    return tiny.train(None, 1, parts, settings={"faces": "48 pictures, 0123abcd", "batch_size": 8})


def write(folder, run, traits=TRAITS, measures=MEASURES):
    generated = torch.rand(40, 3, 32, 32)
    path = helper.write_card(folder, run, generated, measures, traits, z_size=tiny.Z_SIZE, g_conv_dim=8)
    assert path == str(folder / "README.md")
    return (folder / "README.md").read_text(encoding="utf-8")


def row(card, name):
    return [cell.strip() for cell in re.search(rf"^\| {re.escape(name)} \|(.*)\|$", card, re.M)[1].split("|")]


def test_the_card_says_recipe_measures_and_biases(trained, tmp_path):
    card = write(tmp_path, trained)
    for name, value in {"faces": "48 pictures, 0123abcd", "batch_size": "8", "d_optimizer lr": "0.0003", "device": "cpu",
                        "g_optimizer betas": "(0.5, 0.999)", "z_size": "8", "g_conv_dim": "8", "images seen": "48",
                        "PyTorch": torch.__version__}.items():
        assert row(card, name) == [value]
    assert row(card, "seconds of training") == [f"{trained.seconds:,.0f}"]
    assert row(card, "real, others") == ["8.0", "0.241", "0.010"] and row(card, "generated") == ["31.3", "0.256", "0.007"]
    assert "40 faces of each kind" in card
    assert row(card, "glasses") == ["14.1%", "12.9%", "9.6%", "87%"]
    assert not re.search(r"[{}]|layers\.|training\.gif", card)


def test_the_film_is_shown_where_there_is_one(trained, tmp_path):
    (tmp_path / "training.gif").write_bytes(b"GIF89a")
    assert "](training.gif)" in write(tmp_path, trained)


def test_of_photographs_the_card_says_what_is_to_be_filled_in(trained, tmp_path):
    card = write(tmp_path, trained, traits={})
    assert card.count(FILL_IN) == 1 and "license: unknown  # fill in\n" in card and "Not known: of photographs" in card
    drawn = write(tmp_path / "drawn", trained) if (tmp_path / "drawn").mkdir() is None else ""
    assert FILL_IN not in drawn and "license: mit\n" in drawn and "Not known" not in drawn


def test_the_hub_s_client_reads_the_head(trained, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    write(tmp_path, trained, traits={})
    data = hub.ModelCard.load(tmp_path / "README.md").data
    assert (data.license, data.library_name, data.pipeline_tag) == ("unknown", "pytorch", "unconditional-image-generation")
    assert "faces" in data.tags


def test_the_code_of_the_card_runs_in_the_folder_and_makes_a_picture(trained, tmp_path):
    helper.export_generator(trained.parts["G_average"], tiny.Z_SIZE, tmp_path)
    code = re.findall(r"^```python\n(.*?)^```", write(tmp_path, trained), re.M | re.S)
    assert len(code) == 1
    ending = "\nassert faces.shape == (16, 3, 32, 32) and 0 <= faces.min() and faces.max() <= 1"
    subprocess.run([sys.executable, "-I", "-c", code[0] + ending], cwd=tmp_path, check=True)
    assert (tmp_path / "faces.png").read_bytes().startswith(b"\x89PNG")


def test_what_a_person_wrote_stays_and_the_figures_are_written_anew(trained, tmp_path):
    path = tmp_path / "README.md"
    first = write(tmp_path, trained, traits={})
    mine = first.replace("license: unknown  # fill in", "license: cc-by-4.0").replace(FILL_IN, "My own pictures, all asked.")
    path.write_text(mine + "\nOur thanks to Ada.\n", encoding="utf-8")
    again = write(tmp_path, trained, traits={}, measures=MEASURES | {"generated": (12.0, 0.5, 0.25)})
    assert "license: cc-by-4.0\n" in again and "My own pictures, all asked." in again and FILL_IN not in again
    assert again.endswith("\nOur thanks to Ada.\n")
    assert row(again, "generated") == ["12.0", "0.500", "0.250"] and "31.3" not in again
    assert again.count(BEGIN) == again.count(END) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize("theirs, word", [(b"# My notes\n", "lacks"), (f"{BEGIN}\n".encode(), "lacks"),
                                          (f"{END}\n{BEGIN}\n".encode(), "lacks"), (b"caf\xe9\n", "UTF-8")])
def test_a_readme_that_is_not_the_card_is_left_as_it_is(trained, tmp_path, theirs, word):
    (tmp_path / "README.md").write_bytes(theirs)
    with pytest.raises(helper.FaceError, match=word) as caught:
        write(tmp_path, trained)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "README.md").read_bytes() == theirs


def test_the_card_names_neither_folder_nor_user(trained, tmp_path, monkeypatch):
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "anna")
    folder = tmp_path / "holiday-of-anna"
    folder.mkdir()
    card = write(folder, trained)
    assert "anna" not in card and str(tmp_path) not in card
