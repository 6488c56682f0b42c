"""The whole notebook at 64 and at 128 pixels: its cells, its checks and its report, with nothing changed but image_size."""

import json
import re
from pathlib import Path

import pictures
import pytest

pytest.importorskip("ipykernel")
from kernels import Kernel  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
NARROW = ("_conv_dim = 64", "_conv_dim = 8"), ("batches=40", "batches=2")  # which train faster


def sources(size):
    for cell in json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            for old, new in NARROW:
                source = source.replace(old, new)
            yield re.sub(r"^image_size = 32$", f"image_size = {size}", source, flags=re.M)


@pytest.mark.parametrize("size", [64, 128])
def test_the_notebook_runs_to_its_end_at_another_size(tmp_path, size):
    kernel = Kernel(tmp_path, 1, pictures.fill(tmp_path / "faces", 330, width=size, height=size))
    passed = ""
    try:
        for source in sources(size):
            ran = kernel.run(source)
            passed += ran.text
            if "rubric_report(" in source:
                report = ran.result["text/plain"]
    finally:
        kernel.stop()
    assert passed.count("Tests Passed") == 9
    assert f"(32, 3, {size}, {size})" in passed
    unmet = re.findall(r"^not met +(.*)$", report, re.M)
    assert unmet == ["Training: a loss history of the whole training"]  # which ten batches are too few for
