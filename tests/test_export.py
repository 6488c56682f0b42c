"""training/export.py: files that say nothing of the machine they were made on, and the same faces in another runtime."""

import re
import sys
import types
import zipfile

import numpy as np
import pytest
import tiny
import torch

import helper
from training import export


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """Path of a generator.pt2 with random weights."""
    return helper.export_generator(tiny.networks()["G_average"], tiny.Z_SIZE, tmp_path_factory.mktemp("made"))[0]


def places(content):
    """What names a file of Python's or a notebook, which PyTorch's notes of the code do."""
    return re.findall(rb"[\w/\\.-]+\.(?:py|ipynb)\b", content)


def test_the_exported_generator_does_not_tell_where_its_code_lies(generator, tmp_path):
    with zipfile.ZipFile(generator) as archive:
        assert not [found for name in archive.namelist() for found in places(archive.read(name))]
    noted = torch.export.export(tiny.networks()["G"], (torch.randn(2, tiny.Z_SIZE),))
    torch.export.save(noted, tmp_path / "noted.pt2")
    with zipfile.ZipFile(tmp_path / "noted.pt2") as archive:  # what would be found, were it there
        assert [found for name in archive.namelist() for found in places(archive.read(name))]


def test_the_onnx_generator_makes_the_same_faces_for_any_number_of_z(generator, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    path = export.export_onnx(generator, tmp_path / "new")
    assert path == str(tmp_path / "new" / "generator.onnx") and len(list((tmp_path / "new").iterdir())) == 1
    program, session = torch.export.load(generator).module(), onnxruntime.InferenceSession(path)
    for count in (1, 2, 7, 300):
        z = torch.randn(count, tiny.Z_SIZE)
        faces = session.run(["faces"], {"z": z.numpy()})[0]
        assert faces.shape == (count, 3, 32, 32) and np.allclose(faces, program(z).detach(), atol=1e-3)
    model = onnx.load(path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert not places((tmp_path / "new" / "generator.onnx").read_bytes())


def test_an_onnx_generator_that_makes_other_faces_is_not_kept(generator, tmp_path, monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    class Session(runtime.InferenceSession):
        off = 0.01

        def run(self, *given):
            return [faces + self.off for faces in super().run(*given)]

    monkeypatch.setattr(runtime, "InferenceSession", Session)
    for Session.off in (0.01, np.nan):
        with pytest.raises(helper.FaceError, match="^generator.onnx was not written: in onnxruntime a pixel") as caught:
            export.export_onnx(generator, tmp_path)
        assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_layer_that_onnx_does_not_have_is_one_line(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")

    @torch.library.custom_op("facetest::odd", mutates_args=())
    def odd(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    odd.register_fake(torch.empty_like)

    class Odd(torch.nn.Module):
        def forward(self, z):
            return odd(z)

    path = helper.export_generator(Odd(), tiny.Z_SIZE, tmp_path)[0]
    with pytest.raises(helper.FaceError, match="^generator.onnx was not written: PyTorch.s exporter cannot write") as caught:
        export.export_onnx(path, tmp_path)
    assert "\n" not in str(caught.value) and not (tmp_path / "generator.onnx").exists()


@pytest.mark.parametrize("name", ["onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_line_with_the_command(generator, tmp_path, monkeypatch, name):
    for other in ("onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, other, None if other == name else types.ModuleType(other))
    with pytest.raises(helper.FaceError) as caught:
        export.export_onnx(generator, tmp_path)
    assert str(caught.value) == f"generator.onnx needs {name}: pip install onnxscript onnxruntime"
