"""Finding the faces: which folder is used, what is passed over in it, what is refused, and where results go."""

import os
import re
import shutil
import sys
from pathlib import Path

import pictures
import pytest
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from common import FaceError
from faces import draw, find, view
from faces.decode import data_key, decode_once
from faces.find import find_faces, results_folder
from faces.show import some_faces

PLAIN = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])


def one_line(error):
    """The message of a FaceError, which must be one line."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    return text


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder to work in, without FACE_DATA, where three faces are drawn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACE_DATA", raising=False)
    monkeypatch.setattr(find, "draw_faces", lambda folder: draw.draw_faces(folder, 3))
    return tmp_path


def test_faces_are_drawn_where_there_are_none_and_then_found_again(project, capsys):
    for _ in range(2):
        assert find_faces() == "processed_celeba_small"
        assert capsys.readouterr().out == "3 faces in processed_celeba_small/ (drawn): drawn by this project.\n"
    assert Path(results_folder("processed_celeba_small")) == Path("results/drawn")
    assert len(ImageFolder("processed_celeba_small")) == 3


def test_drawing_leaves_nothing_that_imagefolder_trips_over(project):
    find_faces()
    names = sorted(path.name for path in project.rglob("*"))
    assert names == ["00000.jpg", "00001.jpg", "00002.jpg", "drawn", "processed_celeba_small"]


def test_photographs_take_the_place_of_the_drawn_faces(project, capsys):
    find_faces()
    pictures.fill("processed_celeba_small", 2, "celeba")
    assert find_faces() == "processed_celeba_small"
    assert "2 faces in processed_celeba_small/ (celeba): photographs from this folder." in capsys.readouterr().out
    assert not Path("processed_celeba_small/drawn").exists()
    assert Path(results_folder("processed_celeba_small")) == Path("results/processed_celeba_small")


def test_face_data_is_used_and_nothing_is_drawn(project, monkeypatch, capsys):
    pictures.fill(project / "mine" / "deep", 2, "a")
    pictures.fill(project / "mine", 1, "b")
    monkeypatch.setenv("FACE_DATA", str(project / "mine"))
    assert find_faces() == str(project / "mine")
    assert "3 faces" in capsys.readouterr().out
    assert not Path("processed_celeba_small").exists()
    assert Path(results_folder(project / "mine")).name.startswith("mine-")


def make_missing(path):
    pass


def make_file(path):
    path.write_bytes(b"not a folder")


def make_empty(path):
    path.mkdir()


def make_flat(path):
    pictures.fill(path.parent, 2, path.name)


def make_empty_class(path):
    pictures.fill(path, 2)
    (path / "nobody").mkdir()


def make_other_files(path):
    (path / "a").mkdir(parents=True)
    (path / "a" / "notes.txt").write_text("no picture")


def make_only_hidden_pictures(path):
    pictures.fill(path, 2)
    pictures.fill(path, 2, "ghosts/.ipynb_checkpoints")
    pictures.picture(1).save(path / "ghosts" / "._face.jpg")
    (path / "ghosts" / "Thumbs.db").write_bytes(b"junk")


def make_loop(path):
    pictures.fill(path, 2)
    (path / "a" / "loop").symlink_to(path, target_is_directory=True)


def make_crossing_links(path):
    pictures.fill(path, 2, "a")
    pictures.fill(path, 2, "b")
    (path / "a" / "to_b").symlink_to(path / "b", target_is_directory=True)
    (path / "b" / "to_a").symlink_to(path / "a", target_is_directory=True)


@pytest.mark.parametrize("make, says", [
    (make_missing, "does not exist: correct the path"),
    (make_file, "is a file: name a folder"),
    (make_empty, "holds no pictures: put a folder of faces into it"),
    (make_flat, "holds its pictures directly: move them into a folder"),
    (make_empty_class, "nobody holds no pictures, which ImageFolder refuses: remove"),
    (make_only_hidden_pictures, "ghosts holds no pictures, which ImageFolder refuses: remove"),
    (make_other_files, "holds no pictures"),
    (make_loop, "are the same folder"),
    (make_crossing_links, "are the same folder"),
])
def test_a_folder_that_cannot_be_used_gets_one_line_that_names_it(project, monkeypatch, make, says):
    make(project / "mine")
    monkeypatch.setenv("FACE_DATA", str(project / "mine"))
    with pytest.raises(FaceError) as error:
        find_faces()
    line = one_line(error)
    assert str(project / "mine") in line and says in line


def test_a_full_or_read_only_disk_is_named(project, monkeypatch):
    def draw_faces(folder):
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(find, "draw_faces", draw_faces)
    with pytest.raises(FaceError) as error:
        find_faces()
    assert "No space left on device" in one_line(error) and "processed_celeba_small" in one_line(error)


def test_links_to_folders_and_files_are_followed(project, monkeypatch, capsys):
    pictures.fill(project / "elsewhere", 3)
    (project / "mine" / "a").mkdir(parents=True)
    (project / "mine" / "linked").symlink_to(project / "elsewhere" / "a", target_is_directory=True)
    (project / "mine" / "a" / "one.jpg").symlink_to(pictures.fill(project / "other", 1) + "/a/0000.jpg")
    monkeypatch.setenv("FACE_DATA", str(project / "mine"))
    assert "4 faces" in (find_faces(), capsys.readouterr().out)[1]
    images, _ = next(iter(decode_once(DataLoader(ImageFolder(project / "mine", PLAIN), 4))))
    assert images.shape == (4, 3, 32, 32)


# --- Photographs in place of drawn faces: only what was drawn is removed


def test_what_somebody_put_beside_the_drawn_faces_stays_and_counts_as_photographs(project, capsys):
    find_faces()
    pictures.fill("processed_celeba_small", 2, "drawn")  # 0000.jpg and 0001.jpg
    pictures.picture(7).save("processed_celeba_small/drawn/00001.jpg")  # under the name of a drawn one
    Path("processed_celeba_small/drawn/notes.txt").write_text("mine")
    capsys.readouterr()
    for _ in range(2):
        assert find_faces() == "processed_celeba_small"
        said = capsys.readouterr().out
        assert "3 pictures in processed_celeba_small/drawn were not drawn by this project: they stay" in said
        assert "3 faces in processed_celeba_small/ (drawn): photographs from this folder." in said
    left = sorted(path.name for path in Path("processed_celeba_small/drawn").iterdir())
    assert left == ["0000.jpg", "00001.jpg", "0001.jpg", "notes.txt"]
    assert Path(results_folder("processed_celeba_small")) == Path("results/processed_celeba_small")


def test_a_folder_that_the_drawn_faces_left_with_no_picture_is_passed_over(project):
    find_faces()
    Path("processed_celeba_small/drawn/.DS_Store").write_text("of macOS")
    pictures.fill("processed_celeba_small", 2, "celeba")
    data_dir = find_faces()
    assert ImageFolder(data_dir).classes == ["celeba"]
    assert [path.name for path in Path("processed_celeba_small/drawn").iterdir()] == [".DS_Store"]
    assert results_folder(data_dir) == results_folder("processed_celeba_small")


# --- What is passed over


def test_the_extensions_are_those_of_imagefolder():
    assert sorted(view.EXTENSIONS) == sorted(IMG_EXTENSIONS)


def with_junk(folder):
    """A folder of five faces, with what programs leave in folders, at the top and inside. Returns it as str."""
    pictures.fill(folder, 2, "clean/deep")
    pictures.fill(folder, 3, "littered")
    for junk in (".ipynb_checkpoints", "__MACOSX/clean", "littered/.ipynb_checkpoints", ".hidden/deep", "@eaDir"):
        pictures.fill(folder, 1, junk)
    pictures.picture(9).save(folder / "littered" / "._0001.jpg")
    (folder / ".empty").mkdir()
    for place in (folder, folder / "clean", folder / "littered"):
        (place / ".DS_Store").write_bytes(b"junk")
        (place / "Thumbs.db").write_bytes(b"junk")
    return str(folder)


def everything(folder):
    return {path: path.is_file() and path.read_bytes() for path in Path(folder).rglob("*")}


def plain_names(folder):
    """What the learner's own ImageFolder finds."""
    dataset = ImageFolder(folder)
    assert all(image.size == (24, 24) for image, _ in dataset)
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path, _ in dataset.samples]


CLEAN = ["clean/deep/0000.jpg", "clean/deep/0001.jpg", "littered/0000.jpg", "littered/0001.jpg", "littered/0002.jpg"]


@pytest.mark.parametrize("links", ["links", "hard links"])
def test_hidden_folders_and_the_like_are_passed_over(project, monkeypatch, capsys, links):
    def no_links(*args, **options):
        raise OSError(1314, "A required privilege is not held by the client")

    if links == "hard links":
        monkeypatch.setattr(os, "symlink", no_links)
    folder = with_junk(project / "mine")
    monkeypatch.setenv("FACE_DATA", folder)
    data_dir = find_faces()
    said = capsys.readouterr().out
    assert f"5 faces in {folder}/ (clean, littered): photographs" in said
    assert f"Passed over: {os.path.join(folder, '.empty')}, " in said and "littered/._0001.jpg" in said.replace(os.sep, "/")
    assert Path(data_dir).parent == Path(".cache/faces") and plain_names(data_dir) == CLEAN
    assert results_folder(data_dir) == results_folder(folder)
    assert len(some_faces(data_dir, 24, 16)) == len(some_faces(folder, 24, 16)) == 5
    key = data_key(decode_once(DataLoader(ImageFolder(data_dir, PLAIN), 2)))
    assert key.startswith("5 pictures")

    made = os.stat(data_dir).st_ino
    assert find_faces() == data_dir and os.stat(data_dir).st_ino == made, "nothing has changed: it is not made anew"
    pictures.picture(5, 24, 24).save(project / "littered.jpg")
    os.replace(project / "littered.jpg", Path(folder, "littered", "0001.jpg"))
    pictures.picture(6).save(Path(folder, "clean", "deep", "new.jpg"))
    Path(folder, "littered", "0002.jpg").unlink()
    assert find_faces() == data_dir
    assert plain_names(data_dir) == [*CLEAN[:2], "clean/deep/new.jpg", *CLEAN[2:4]]
    replaced = Path(folder, "littered", "0001.jpg").read_bytes()
    assert Path(data_dir, "littered", "0001.jpg").read_bytes() == replaced
    assert not list(Path(".cache/faces").glob("*.tmp"))


def test_a_folder_is_left_as_it_was(project, monkeypatch):
    folder = with_junk(project / "mine")
    before = everything(folder)
    monkeypatch.setenv("FACE_DATA", folder)
    find_faces()
    shutil.rmtree(".cache")
    assert everything(folder) == before


def test_a_view_that_somebody_broke_is_made_anew(project, monkeypatch):
    monkeypatch.setenv("FACE_DATA", with_junk(project / "mine"))
    data_dir = find_faces()
    (Path(data_dir) / ".key").unlink()  # as a kill leaves it
    shutil.rmtree(Path(data_dir) / "littered")
    assert find_faces() == data_dir and plain_names(data_dir) == CLEAN


def test_no_links_one_line(project, monkeypatch):
    def no_links(*args, **options):
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", no_links)
    monkeypatch.setattr(os, "link", no_links)
    folder = with_junk(project / "mine")
    monkeypatch.setenv("FACE_DATA", folder)
    with pytest.raises(FaceError) as error:
        find_faces()
    assert os.path.join(folder, ".empty") in one_line(error) and "remove it from the folder" in one_line(error)


def test_drawn_faces_with_a_hidden_folder_beside_them(project):
    find_faces()
    Path("processed_celeba_small/.ipynb_checkpoints").mkdir()
    Path("processed_celeba_small/drawn/.ipynb_checkpoints").mkdir()
    data_dir = find_faces()
    assert [name for name, _ in ImageFolder(data_dir).class_to_idx.items()] == ["drawn"] and len(ImageFolder(data_dir)) == 3
    assert Path(results_folder(data_dir)) == Path(results_folder("processed_celeba_small")) == Path("results/drawn")


def test_files_that_imagefolder_takes_no_notice_of_need_no_view(project, monkeypatch):
    folder = pictures.fill(project / "mine", 2)
    for place in (project / "mine", project / "mine" / "a"):
        (place / ".DS_Store").write_bytes(b"junk")
        (place / "Thumbs.db").write_bytes(b"junk")
    monkeypatch.setenv("FACE_DATA", folder)
    assert find_faces() == folder and not Path(".cache").exists()


# --- Where results go


def test_two_folders_of_the_same_name_have_results_of_their_own(project):
    for owner in ("ada", "bob"):
        pictures.fill(project / owner / "faces", 2)
    folders = {results_folder(project / owner / "faces") for owner in ("ada", "bob")}
    assert len(folders) == 2
    assert all(re.fullmatch("faces-[0-9a-f]{6}", Path(folder).name) and Path(folder).is_dir() for folder in folders)
    assert results_folder("ada/faces/") == results_folder(project / "ada" / "faces"), "one folder, however it is named"


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_link_to_a_folder_has_the_folders_results(project):
    pictures.fill(project / "mine", 2)
    (project / "link").symlink_to("mine")
    assert results_folder("link") == results_folder("mine")
