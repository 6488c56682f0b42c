"""further/share.py: a folder that runs alone, of which no file says where it was made, and nothing is uploaded."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

import helper

pytest.importorskip("gradio")
from further import share  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CARD = """---
license: cc-by-4.0
tags:
- faces
---

# A generator of faces
"""


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """Path of a generator.pt2 as PyTorch writes it, with its notes of where the code lies."""
    path, z = tmp_path_factory.mktemp("exported") / "generator.pt2", torch.randn(2, tiny.Z_SIZE)
    G = tiny.networks()["G"].eval()
    torch.export.save(torch.export.export(G, (z,), dynamic_shapes=({0: torch.export.Dim.AUTO},)), path)
    return path


@pytest.fixture
def results(generator, tmp_path, monkeypatch):
    """results/holiday-of-anna with a generator, its card, and what must stay at home."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "holiday-of-anna"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(generator, folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "training.gif").write_bytes(b"GIF89a")
    for name in ("photograph.jpg", "generator.pt", "checkpoints/000000250.pt"):
        (folder / name).write_bytes(b"stays")
    return folder


def contents(folder):
    """Every file of a folder by its name, those inside a generator.pt2 too: {name: bytes}."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(folder / "generator.pt2") as archive:
        return found | {f"generator.pt2/{name}": archive.read(name) for name in archive.namelist()}


def test_the_folder_holds_what_it_says_and_no_word_of_where_it_was_made(results, tmp_path, monkeypatch):
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "anna")
    names = share.pack(results, tmp_path / "packed")
    assert set(names) == {"LICENSE-of-the-code", "README.md", "app.py", "generator.pt2", "requirements.txt", "training.gif",
                          "faces/__init__.py", "further/__init__.py", *share.CODE}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "results"]
    private = re.compile("|".join(map(re.escape, ("anna", str(tmp_path), str(ROOT), sys.prefix))).encode())
    assert any(private.search(content) for content in contents(results).values())  # what would be found, were it there
    assert not [name for name, content in contents(tmp_path / "packed").items() if private.search(content)]


def test_the_folder_alone_shows_its_page_on_loopback_and_makes_faces(results, tmp_path):
    """Moved to where no project is, and started as its README and a Space would; then asked as the page asks it."""
    client = pytest.importorskip("gradio_client")
    share.pack(results, tmp_path / "packed")
    folder = (tmp_path / "packed").rename(tmp_path / "moved")
    before = contents(folder).keys()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "PYTHONUNBUFFERED": "1", "GRADIO_TEMP_DIR": str(tmp_path / "temporary")}
    process = subprocess.Popen([sys.executable, folder / "app.py"], cwd=tmp_path, env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "http" in line:
                break
        address = re.search(r"http://127\.0\.0\.1:\d+", "".join(said))
        assert address, said
        answer = client.Client(address[0], verbose=False, download_files=tmp_path / "got").predict(api_name="/new_faces")
        faces = answer["value"]  # of the gallery
        assert len(faces) > 1 and all(Image.open(face["image"]).width >= 32 for face in faces)
    finally:
        process.kill()
        process.wait()
    assert contents(folder).keys() == before  # no compiled file, which would name the folder, and be uploaded with it


def test_an_empty_folder_will_do_and_one_with_something_in_it_stays_as_it_is(results, tmp_path):
    (tmp_path / "empty").mkdir()
    assert share.pack(results, tmp_path / "empty") == share.pack(results, tmp_path / "deep" / "new")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(helper.FaceError, match="is there already: remove it, or name another folder with --out"):
        share.pack(results, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_all_that_the_packed_code_imports_is_packed_or_required(results, tmp_path):
    packed = set(share.pack(results, tmp_path / "packed"))
    requirements = (tmp_path / "packed" / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z]+>=\d+\.[\d.]+", line) for line in requirements)
    brought = {line.split(">=")[0] for line in requirements} | set(sys.stdlib_module_names)
    for path in (tmp_path / "packed").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                first = {"PIL": "pillow", "IPython": "ipython"}.get(name.split(".")[0], name.split(".")[0])
                files = {f"{one.replace('.', '/')}.py" for one in (name, name.rpartition(".")[0])}
                assert first in brought or files & packed, f"{path.name} imports {name}"


def test_the_hub_s_client_reads_both_heads(results, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    share.pack(results, tmp_path / "packed")
    card = hub.SpaceCard.load(tmp_path / "packed" / "README.md")
    data = card.data
    assert (data.sdk, data.app_file, data.license, data.tags) == ("gradio", "app.py", "cc-by-4.0", ["faces"])
    assert data.to_dict()["python_version"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert card.text.strip() == "# A generator of faces"


@pytest.mark.parametrize("card", ["# Mine\n", "---\n# Mine\n", ""])
def test_a_card_without_a_head_gets_one_and_stays_whole(card):
    made = share.for_space(card)
    assert made.startswith("---\ntitle: ") and made.endswith(f"---\n{card}") and "sdk: gradio\n" in made


def test_what_a_person_wrote_into_the_head_stays():
    body = "title: Faces of Lyon\nlicense: mit\n---\n\n# Mine\n---\n"
    made = share.for_space(f"---\n{body}")
    assert made.count("title:") == 1 and made.endswith(body)


def test_onnx_goes_into_the_folder_on_request(results, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    assert "generator.onnx" in share.pack(results, tmp_path / "packed", onnx=True)
    assert "opset 18" in (tmp_path / "packed" / "README.md").read_text(encoding="utf-8")
    assert b"anna" not in (tmp_path / "packed" / "generator.onnx").read_bytes()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(helper.FaceError, match="pip install"):
        share.pack(results, tmp_path / "other", onnx=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "results"]


def test_the_command_takes_the_newest_and_says_how_to_upload(results, tmp_path, capsys):
    older = tmp_path / "results" / "older"
    shutil.copytree(results, older)
    os.utime(older / "generator.pt2", (1, 1))
    (results / "README.md").write_text(CARD.replace("cc-by-4.0", "unknown  # fill in"), encoding="utf-8")
    share.main([])
    said = capsys.readouterr().out
    out = Path("results", "holiday-of-anna", "share")
    assert f"hf upload NAME/faces {out} . --repo-type space --private" in said and "Nothing was uploaded" in said
    assert "Before you publish it, fill in what" in said and (out / "app.py").is_file()
    share.main(["results/older/generator.pt2", "--out", "here"])
    assert "fill in" not in capsys.readouterr().out and (tmp_path / "here" / "app.py").is_file()


def refused(arguments):
    with pytest.raises(SystemExit) as stopped:
        share.main(arguments)
    assert str(stopped.value).startswith("further.share: ") and "\n" not in str(stopped.value)
    return str(stopped.value)


def test_what_is_missing_or_broken_is_one_line(results, tmp_path, monkeypatch):
    (results / "README.md").write_bytes(b"caf\xe9")
    assert "is not text in UTF-8" in refused([])
    (results / "README.md").unlink()
    assert "holds no README.md, the model card" in refused([])
    (results / "README.md").write_text(CARD, encoding="utf-8")
    (results / "generator.pt2").write_bytes(b"no program")
    assert "name a generator.pt2 that the notebook wrote" in refused([])
    (results / "generator.pt2").unlink()
    assert "holds no generator.pt2: train one, jupyter execute" in refused([str(results)])
    assert "there is no results/*/generator.pt2: run the notebook first" in refused([])
    assert [path.name for path in tmp_path.iterdir()] == ["results"] and not (results / "share").exists()
    monkeypatch.delitem(sys.modules, "further.show")
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert refused([]) == "further.share: the page needs gradio: pip install gradio"
