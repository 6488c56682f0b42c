"""The notebook in a browser: JupyterLab on loopback, Chromium through Playwright, and the menus that a person uses."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from faces.draw import draw_faces

playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs the package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser test needs Chromium: apt-get install chromium")

ROOT = Path(__file__).resolve().parent.parent
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
PICTURES, EPOCHS = 320, 2_000  # longer than the test waits
CHECKS = 9


@pytest.fixture
def project(tmp_path):
    """A copy of the project without its outputs, faces beside it, and JupyterLab's settings for a test."""
    folder = tmp_path / "project"
    (folder / "processed_celeba_small").mkdir(parents=True)
    for name in ("common.py", "helper.py", "problem_unittests.py", "submission.py", "waiting.py"):
        shutil.copy(ROOT / name, folder)
    for room in ("faces", "training", "measures"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    notebook = json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
            if "import helper" in "".join(cell["source"]):  # so that a short training refreshes its figure more than once
                cell["source"] = ["".join(cell["source"]) + "\nhelper.TrainingRun.REFRESH = 1.0"]
    (folder / "face_generation.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    draw_faces(tmp_path / "faces" / "drawn", PICTURES)
    config = tmp_path / "config" / "labconfig"
    config.mkdir(parents=True)
    no_news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (config / "page_config.json").write_text(json.dumps(no_news))
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)  # all cells in the page, not only those in view
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    return folder


@pytest.fixture
def address(project, tmp_path):
    """Serve the project's copy with JupyterLab on a free port of this machine."""
    environment = os.environ | {
        "FACE_DATA": str(tmp_path / "faces"), "FACE_EPOCHS": str(EPOCHS), "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": ""}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
               "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    with open(tmp_path / "lab.log", "w") as log:
        server = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 120
            while not (found := list((tmp_path / "runtime").glob("jpserver-*.json"))):
                assert server.poll() is None and time.monotonic() < end, (tmp_path / "lab.log").read_text()
                time.sleep(0.2)
            time.sleep(0.2)
            yield json.loads(found[0].read_text())["url"]
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def page(address, tmp_path):
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(f"{address}lab/tree/face_generation.ipynb")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        try:
            yield page
        finally:
            page.screenshot(path=tmp_path / "last.png")
            browser.close()


def choose(page, menu, entry):
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()


def cell(page, source):
    """The code cell that holds this source text."""
    return page.locator(".jp-CodeCell", has=page.locator(".jp-InputArea", has_text=source))


def outputs(page, source):
    return cell(page, source).locator(".jp-OutputArea").first


def wait_until(page, condition, seconds):
    """Wait for condition() to be true, and return what it gives."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds} s"
        page.wait_for_timeout(100)
    return value


def all_ran(page):
    """Has every code cell a number, and does none run or wait?"""
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    return all(re.fullmatch(r"\[\d+\]:", prompt) for prompt in prompts)


def run_all_cells(page):
    """Choose Run > Run All Cells, again if JupyterLab, still connecting to the kernel, let the first time go by."""
    for _ in range(3):
        choose(page, "Run", "Run All Cells")
        for _ in range(100):
            if page.locator(".jp-CodeCell .jp-InputPrompt").first.inner_text() != "[ ]:":
                return
            page.wait_for_timeout(100)
    raise AssertionError("JupyterLab runs no cell")


def test_a_person_runs_the_notebook(page, project, tmp_path):
    training = outputs(page, "history = train(")

    def batches():
        """How many batches the progress bar has, or None if there is no bar."""
        found = re.search(r"Training:.* (\d+)/\d+ \[", training.inner_text())
        return int(found[1]) if found else None

    def figure():
        image = training.locator("img")
        return image.first.get_attribute("src") if image.count() else None

    run_all_cells(page)
    earlier = wait_until(page, lambda: batches() and figure() and (batches(), figure()), 300)
    wait_until(page, lambda: batches() > earlier[0] + 15 and figure() != earlier[1], 120)  # both are refreshed
    assert training.locator("img").count() == 1  # in place
    training.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "training.png")

    choose(page, "Kernel", "Interrupt Kernel")
    wait_until(page, lambda: "Interrupted; nothing is lost" in training.inner_text(), 60)
    wait_until(page, lambda: all_ran(page), 300)  # the cells below work with what was learned
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts() == []
    passed = [text for text in page.locator(".jp-OutputArea").all_inner_texts() if text.startswith("Tests Passed")]
    assert len(passed) == CHECKS
    assert_the_gif_plays(page, outputs(page, "helper.save_gif("))
    rubric = outputs(page, "tests.rubric_report(").inner_text()
    assert all(word in rubric for word in ("Discriminator", "Generator", "Training", "Results", "met"))
    assert_the_notebook_is_handed_in(page, project)
    stopped = re.search(r"([\d,]+) images", training.inner_text())[1]
    for number in range(2, page.locator(".jp-CodeCell").count(), 3):  # pictures for a person to look at
        page.locator(".jp-CodeCell").nth(number).scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / f"cell_{number:02d}.png")

    cell(page, "history = train(").locator(".cm-content").click()
    choose(page, "Run", "Run Selected Cell")
    wait_until(page, lambda: "Going on from" in training.inner_text(), 60)
    assert f"{stopped} images" in training.inner_text().splitlines()[0]
    earlier = wait_until(page, batches, 60)
    wait_until(page, lambda: batches() > earlier, 60)
    choose(page, "Kernel", "Interrupt Kernel")
    wait_until(page, lambda: "Interrupted; nothing is lost" in training.inner_text(), 60)


def assert_the_notebook_is_handed_in(page, project):
    """Once the notebook is saved, the zip that the last cell writes holds it as it ran."""
    choose(page, "File", "Save Notebook")
    page.wait_for_timeout(2000)
    cell(page, "tests.rubric_report(").locator(".cm-content").click()
    choose(page, "Run", "Run Selected Cell")
    wait_until(page, lambda: "as it was saved at" in outputs(page, "tests.rubric_report(").inner_text(), 60)
    [handed_in] = (project / "results").glob("*/submission.zip")
    with zipfile.ZipFile(handed_in) as file:
        assert set(file.namelist()) == {"report.html", "report.json", "face_generation.ipynb", "face_generation.html"}
        ran = json.loads(file.read("face_generation.ipynb"))["cells"]
        assert sum("Tests Passed" in str(one.get("outputs")) for one in ran) == CHECKS
        assert str(project) not in file.read("face_generation.html").decode()


def assert_the_gif_plays(page, output):
    image = output.locator("img")
    image.scroll_into_view_if_needed()
    kind, data = image.get_attribute("src").split(",", 1)
    assert kind == "data:image/gif;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as gif:
        assert gif.n_frames > 1
    assert image.evaluate("image => image.complete && image.naturalWidth > 100")
    first = image.screenshot()
    wait_until(page, lambda: image.screenshot() != first, 30)  # of a short film the last frame fills most of the time
