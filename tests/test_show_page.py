"""further/show.py and further/latent.py: what the page asks of a generator, and the page itself in a real browser."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from common import FaceError
from further import course, latent
from training.export import export_generator

gradio = pytest.importorskip("gradio", reason="the page needs the package gradio")
from further import show  # noqa: E402 - it imports gradio

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
Z_SIZE = 16


def write_generator(folder, image_size=32):
    """Export a narrow generator with random weights, whose pictures differ as a trained one's do. Returns: its path."""
    torch.manual_seed(0)
    G = course.load().Generator(Z_SIZE, 8, image_size)
    for _ in range(30):
        G(torch.randn(64, Z_SIZE))  # BatchNorm's running statistics
    with torch.no_grad():
        G.layers[-2].weight *= 4  # not all of it grey
    return Path(export_generator(G, Z_SIZE, folder)[0])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    frames[0].save(folder / "training.gif", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return write_generator(folder)


@pytest.fixture(scope="module")
def program(path):
    return latent.Program(path)


# --- What is asked of the generator -----------------------------------------------------------------------------------


def test_sizes_are_read_off_the_program(program, tmp_path):
    assert (program.z_size, program.size) == (Z_SIZE, 32)
    large = latent.Program(write_generator(tmp_path, 64))
    assert (large.z_size, large.size) == (Z_SIZE, 64)
    assert latent.directions(large, 64)[0].shape == (Z_SIZE, Z_SIZE)
    assert latent.faces_of(large, torch.randn(1, Z_SIZE)).shape == (1, 3, 64, 64)


class Planted(nn.Module):
    """Pictures that depend on z along given axes, the rows of Q, with these strengths."""

    strengths = torch.tensor([1.0, 0.7, 0.5, 0.3])

    def __init__(self, Q):
        super().__init__()
        pixels = torch.linalg.qr(torch.randn(3 * 8 * 8, 4)).Q.T
        self.A = nn.Parameter(Q.T * self.strengths @ pixels)

    def forward(self, z):
        return torch.tanh(z @ self.A).view(-1, 3, 8, 8)


def test_directions_are_those_along_which_pictures_change_the_strongest_first(program, tmp_path):
    torch.manual_seed(2)
    Q = torch.linalg.qr(torch.randn(4, 4)).Q
    program_of_planted = torch.export.export(Planted(Q), (torch.randn(2, 4),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program_of_planted, tmp_path / "planted.pt2")
    found, shares = latent.directions(latent.Program(tmp_path / "planted.pt2"))
    assert torch.allclose((found @ Q.T).abs(), torch.eye(4), atol=0.1)
    assert torch.allclose(shares, Planted.strengths**2 / (Planted.strengths**2).sum(), atol=0.03)

    found, shares = latent.directions(program)
    assert torch.allclose(found @ found.T, torch.eye(Z_SIZE), atol=1e-4)
    assert shares.sum().item() == pytest.approx(1, abs=1e-4) and (shares.diff() <= 0).all()


def test_a_walk_begins_and_ends_at_its_faces_and_keeps_its_length():
    a, b = latent.on_sphere(torch.randn(2, 128))
    walk = latent.slerp(a, b, 9)
    assert torch.allclose(walk[0], a, atol=1e-4) and torch.allclose(walk[-1], b, atol=1e-4)
    assert torch.allclose(walk.norm(dim=1), torch.full((9,), 128**0.5), atol=1e-2)
    assert torch.allclose(latent.slerp(a, a, 5), a.expand(5, -1))  # a face and itself: no division by nothing


def test_a_generated_face_is_found_again(program):
    torch.manual_seed(1)
    z = latent.on_sphere(torch.randn(6, Z_SIZE))
    faces = latent.faces_of(program, z)
    unrelated = latent.difference(faces[:3], faces[3:])
    looks = list(latent.find(program, faces[:3]))
    share, found, pictures, differences = looks[-1]
    assert share == 1 and len(looks) == 12
    assert (differences < 0.25 * unrelated).all()
    assert torch.allclose(differences, latent.difference(latent.faces_of(program, found), faces[:3]), atol=1e-2)
    assert torch.equal(pictures, latent.faces_of(program, found))
    assert torch.allclose(found.norm(dim=1), torch.full((3,), Z_SIZE**0.5), atol=1e-3)
    assert (differences < looks[0][3]).all()


class Two(nn.Module):
    def forward(self, a, b):
        return a + b


class Grey(nn.Module):
    def forward(self, z):
        return z.view(-1, 1, 2, 2)


def break_generator(kind, path, target):
    """Write to target what is no generator.pt2."""
    whole = path.read_bytes()
    if kind == "cut off":
        target.write_bytes(whole[:len(whole) // 2])
    elif kind == "damaged":
        with zipfile.ZipFile(path) as archive:
            at = next(info for info in archive.infolist() if info.filename.endswith("weight_3")).header_offset
        target.write_bytes(whole[:at + 500] + bytes([whole[at + 500] ^ 255]) + whole[at + 501:])
    elif kind == "weights alone":
        shutil.copy(path.with_suffix(".pt"), target)
    elif kind == "two inputs":
        torch.export.save(torch.export.export(Two(), (torch.ones(2, 3), torch.ones(2, 3))), target)
    elif kind == "grey pictures":
        torch.export.save(torch.export.export(Grey(), (torch.ones(2, 4),)), target)
    elif kind == "a folder":
        target.mkdir()


@pytest.mark.parametrize("kind", ["cut off", "damaged", "weights alone", "two inputs", "grey pictures", "a folder",
                                  "not there"])
def test_what_is_no_generator_is_one_line(kind, path, tmp_path, capfd):
    target = tmp_path / "other.pt2"
    break_generator(kind, path, target)
    with pytest.raises(FaceError, match=r"^[^\n]*other\.pt2[^\n]*: name a generator\.pt2[^\n]*$"):
        latent.Program(target)
    assert capfd.readouterr().err == ""  # torch would log pages


def test_the_command_says_in_one_line_what_is_wrong():
    with pytest.raises(SystemExit, match=r"^further\.show: nowhere\.pt2 cannot be read [^\n]*$"):
        show.main(["nowhere.pt2"])


def test_without_an_argument_the_newest_generator_is_taken(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FaceError, match="run the notebook first"):
        show.newest()
    for name, age in (("a", 10), ("b", 0), ("c", 20)):
        (tmp_path / "results" / name).mkdir(parents=True)
        copy = shutil.copy(path, tmp_path / "results" / name)
        os.utime(copy, (time.time() - age,) * 2)
    assert show.newest() == Path("results/b/generator.pt2")


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_a_square_is_cut_around_the_click_and_stays_inside():
    photograph = Image.new("RGB", (300, 200), "black")
    photograph.paste("red", (200, 0, 300, 200))
    photograph.paste("white", (0, 0, 100, 200))

    def colours(centre, zoom):
        return {tuple(pixel) for pixel in show.cut(photograph, centre, zoom, 8)[0].flatten(1).T.tolist()}

    assert colours((150, 100), 4) == {(-1, -1, -1)}
    assert colours((299, 199), 4) == {(1, -1, -1)}  # moved inside
    assert colours((0, 0), 4) == {(1, 1, 1)}
    assert show.cut(photograph, (150, 100), 1, 32).shape == (1, 3, 32, 32)


def test_pixels_are_enlarged_without_blur():
    face = torch.tensor([-1.0, 1.0]).repeat(1, 3, 32, 16)
    (picture,) = show.enlarged(face)
    assert picture.size == (256, 256) and {colour for _, colour in picture.getcolors()} == {(0,) * 3, (255,) * 3}


def test_a_film_goes_there_and_back():
    faces = torch.linspace(-1, 1, 5).view(5, 1, 1, 1).expand(5, 3, 8, 8)
    with Image.open(io.BytesIO(show.film_of(faces))) as film:
        shades = []
        for frame in range(film.n_frames):
            film.seek(frame)
            shades.append(film.convert("L").getpixel((4, 4)))
    assert shades == [0, 64, 128, 191, 255, 191, 128, 64]


def test_an_upload_is_read_and_deleted(program, tmp_path):
    does = show.Answers(program)
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "good.jpg", exif=exif)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    photograph, centre, shown, _ = does.upload(tmp_path / "good.jpg")
    assert photograph is shown and photograph.size == (640, 320) and centre == (320, 160)
    assert not photograph.getexif() and not photograph.info
    assert does.upload(tmp_path / "bad.jpg")[:3] == (None, None, None)
    assert list(tmp_path.iterdir()) == []
    assert "Choose a photograph first" in next(does.find(None, None, 1))[2] and does.show_cut(None, None, 1) is None


# --- In a browser -----------------------------------------------------------------------------------------------------

ELSEWHERE = []  # addresses outside this machine that this process connected to or asked the name of


def note_elsewhere(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" and isinstance(arguments[1], tuple) else arguments[0]
        if isinstance(host, str) and host not in ("127.0.0.1", "localhost", "::1"):
            ELSEWHERE.append(host)


@pytest.fixture(scope="module")
def served(path, tmp_path_factory):
    """The page, served as the command line serves it: its address, and the folder of its temporary files."""
    folder = tmp_path_factory.mktemp("cache")
    sys.addaudithook(note_elsewhere)  # there is no way to take it back
    ELSEWHERE.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        blocks = show.page(latent.Program(path), path.parent / "training.gif")
        _, address, _ = blocks.launch(prevent_thread_lock=True, **show.LAUNCH)
        yield address, folder
        blocks.close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("the browser test needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(served, browser):
    """visit() opens the page as another visitor; all that every visitor's browser asked for is in visit.requests."""
    contexts = []

    def visit():
        contexts.append(browser.new_context(viewport={"width": 1200, "height": 1000}))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: visit.requests.append(request.url))
        page.goto(served[0])
        page.locator("#faces img").nth(show.COUNT - 1).wait_for()
        page.locator("#between img").wait_for()
        return page

    visit.requests = []
    yield visit
    for context in contexts:
        context.close()


def source(page, name):
    """What the picture of this name shows; its address holds a hash of its content."""
    image = page.locator(f"#{name} img").first
    return image.get_attribute("src") if image.count() else None


def changes(page, act, *names):
    """Do act() and wait until all pictures of these names show something else."""
    before = {name: source(page, name) for name in names}
    act()
    end = time.monotonic() + 60
    for name in names:
        while source(page, name) in (before[name], None):
            assert time.monotonic() < end, f"{name} stayed as it was"
            page.wait_for_timeout(50)


def slide(page, label, value):
    page.get_by_role("slider", name=re.compile(label)).first.fill(str(value))


def settled(page, name):
    """Wait until the picture of this name stays the same for half a second."""
    before = None
    while before != (before := source(page, name)):
        page.wait_for_timeout(500)


def upload(page, file):
    page.get_by_role("tab", name="Find a face").click()
    page.locator("input[type=file]").first.set_input_files(file)


def test_every_control_changes_a_picture(visit, served, tmp_path):
    page = visit()
    settled(page, "between")
    changes(page, lambda: page.get_by_role("button", name="New faces").click(), "faces", "A", "B", "between")
    first = source(page, "A")
    changes(page, lambda: page.locator("#faces button").nth(9).click(), "A", "B", "between")
    assert source(page, "B") == first
    changes(page, lambda: slide(page, "how far", 0), "between")
    settled(page, "between")
    assert source(page, "between").split("/")[-2] == source(page, "A").split("/")[-2]  # the walk begins at A
    changes(page, lambda: page.get_by_role("button", name="Make a film").click(), "walked")
    with page.expect_download() as download:
        page.get_by_text("Save walk.gif").click()
    with Image.open(download.value.path()) as film:
        assert film.format == "GIF" and film.n_frames > show.STEPS
    with page.expect_download() as download:
        page.locator("#A a[download]").click()
    with Image.open(download.value.path()) as saved:
        assert saved.format == "PNG" and saved.size == (256, 256)

    page.get_by_role("tab", name="Directions").click()
    settled(page, "moved")
    still = source(page, "moved")
    for at in range(1, show.SLIDERS + 1):
        changes(page, lambda at=at: slide(page, f"direction {at}:", 3), "moved")
    changes(page, lambda: page.get_by_role("button", name="Back to face A").click(), "moved")
    assert source(page, "moved") == still

    page.get_by_role("tab", name="Truncation").click()
    changes(page, lambda: slide(page, "factor", 0), "truncated")
    page.get_by_text("faces are 0.0 levels of 255 apart").wait_for()

    page.get_by_role("tab", name="Average").click()
    changes(page, lambda: page.locator("#faces button").nth(3).click(), "pixels", "line", "arc")

    Image.effect_noise((300, 400), 90).save(tmp_path / "photograph.png")
    changes(page, lambda: upload(page, tmp_path / "photograph.png"), "shown", "target")
    box = page.locator("#shown img").bounding_box()
    changes(page, lambda: page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20), "target")
    changes(page, lambda: slide(page, "zoom", 3), "target")
    changes(page, lambda: page.get_by_role("button", name="Find it").click(), "result")
    page.get_by_text("Searched to 100 %").wait_for()
    photograph, own, unrelated = map(float, re.findall(r"\d+\.\d", page.locator("#words").inner_text()))
    assert own < unrelated < photograph  # noise is no face that it can make
    changes(page, lambda: page.get_by_role("button", name="Take it as face A").click(), "A")
    assert source(page, "A").split("/")[-2] == source(page, "result").split("/")[-2]
    assert not list(served[1].rglob("photograph.png"))
    Image.effect_noise((300, 400), 90).save(tmp_path / "another.png")
    changes(page, lambda: upload(page, tmp_path / "another.png"), "target")
    page.locator("#result img").wait_for(state="detached")  # it was found for the other

    page.get_by_role("tab", name="Training").click()
    assert page.locator("#training img").evaluate("image => image.complete && image.naturalWidth") == 64
    page.screenshot(path=tmp_path / "last.png")
    assert {urllib.parse.urlsplit(url).hostname for url in visit.requests} - {None} == {"127.0.0.1"}  # None: data, blob
    assert ELSEWHERE == []


def test_a_broken_upload_is_one_line(visit, served, tmp_path):
    page = visit()
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    upload(page, tmp_path / "broken.jpg")
    page.get_by_text("This file cannot be used: not a readable picture").wait_for()
    page.get_by_role("button", name="Find it").click()
    page.get_by_text("Choose a photograph first").wait_for()
    assert source(page, "target") is None and not list(served[1].rglob("broken.jpg"))
    (tmp_path / "large.jpg").write_bytes(bytes(32_000_000))
    upload(page, tmp_path / "large.jpg")
    page.get_by_text("exceed the maximum allowed size").wait_for()


def test_two_visitors_keep_their_own_faces(visit):
    one, other = visit(), visit()
    for page in (one, other):
        settled(page, "between")
    assert source(one, "A") != source(other, "A")
    kept = {name: source(other, name) for name in ("faces", "A", "B", "between")}
    changes(one, lambda: one.get_by_role("button", name="New faces").click(), "faces", "A", "between")
    changes(one, lambda: one.locator("#faces button").nth(5).click(), "A", "between")
    settled(one, "between")
    assert {name: source(other, name) for name in kept} == kept
    was = source(other, "A")
    changes(other, lambda: other.locator("#faces button").nth(7).click(), "A", "B")
    assert source(other, "B") == was


def test_the_command_listens_on_loopback_says_so_and_leaves_nothing_behind(path, tmp_path):
    shutil.copytree(path.parent, tmp_path / "results" / "drawn")
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary"), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-m", "further.show"], cwd=tmp_path, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        line = server.stdout.readline()
        assert re.fullmatch(r"What results/drawn/generator\.pt2 makes is shown at http://127\.0\.0\.1:\d+/ to this machine "
                            r"alone; Ctrl-C ends it\.\n", line), line
        assert list((tmp_path / "temporary").iterdir())
    finally:
        server.send_signal(signal.SIGTERM)
        rest = server.communicate(timeout=60)[0]
    assert rest == "" and list((tmp_path / "temporary").iterdir()) == []


def test_without_gradio_one_line_says_what_to_install(tmp_path):
    (tmp_path / "gradio.py").write_text("raise ImportError")
    done = subprocess.run([sys.executable, "-m", "further.show"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)
    assert done.returncode and done.stderr == "further.show: gradio is missing, which makes the page: pip install gradio\n"
