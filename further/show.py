"""A page in the browser that shows what a trained generator makes: faces, walks, directions, averages, and a face found.

    python -m further.show                  # the newest results/*/generator.pt2
    python -m further.show generator.pt2    # another one that the notebook exported

The page needs gradio (pip install gradio). It listens on 127.0.0.1, so that this machine alone sees it, asks nothing of the
network and reports to nobody. It keeps nothing: an uploaded photograph is deleted once it is read, and what the page shows
lies in a temporary folder, for ten minutes at most, or until the program ends.

Open only a generator.pt2 that you made or whose maker you trust. Loading one unpickles parts of it (tried: a file with a
foreign pickle in it ran that pickle's code), so a file from a stranger is a program from a stranger.

`page` builds the page, and LAUNCH holds how it is served; what the page asks of the generator is in latent.py.
"""

import argparse
import base64
import contextlib
import io
import os
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from common import FaceError
from faces.pictures import open_picture
from further import latent

try:
    import gradio as gr
except ImportError:
    if __name__ != "__main__":
        raise
    sys.exit("further.show: gradio is missing, which makes the page: pip install gradio")

COUNT, SLIDERS, STEPS = 32, 6, 24  # faces in the gallery, directions with a slider, faces of a walk
KEPT = 600  # seconds that a picture of the page stays in the temporary folder
STYLE = """
img {image-rendering: pixelated}
main {max-width: 1100px !important}
label.float {position: static}
#faces .grid-wrap {min-height: 0}
#faces .grid-container {grid-template-columns: repeat(8, minmax(0, 1fr)); grid-auto-rows: auto; padding-top: 0}
#faces .thumbnail-item {height: auto; aspect-ratio: 1}
"""  # sharp pixels, labels above pictures, and all square faces in view
LAUNCH = {
    "server_name": "127.0.0.1", "share": False, "quiet": True, "ssr_mode": False, "max_file_size": "30mb",
    "enable_monitoring": False, "run_history": False, "footer_links": [], "css": STYLE,
}

# --- Pictures ---------------------------------------------------------------------------------------------------------


def enlarged(faces, width=256):
    """Faces (B, 3, S, S) in [-1, 1] as a list of PIL.Image, each pixel a square of pixels, so that none is blurred."""
    pixels = ((faces + 1) * latent.LEVELS).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    zoom = max(1, width // pixels.shape[1])
    return [Image.fromarray(face.repeat(zoom, 0).repeat(zoom, 1)) for face in pixels]


def row_of(faces, columns, width):
    """Faces (B, 3, S, S) in [-1, 1] side by side in one PIL.Image, `columns` in a row."""
    tiles = [np.pad(np.asarray(face), ((1, 1), (1, 1), (0, 0)), constant_values=255) for face in enlarged(faces, width)]
    return Image.fromarray(np.vstack([np.hstack(tiles[at:at + columns]) for at in range(0, len(tiles), columns)]))


def film_of(faces):
    """Faces (B, 3, S, S) in [-1, 1] as a GIF that goes there and back, bytes."""
    frames, file = enlarged(torch.cat((faces, faces[1:-1].flip(0)))), io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=80, loop=0)
    return file.getvalue()


def html_of(gif, name):
    """A GIF, bytes, as HTML that shows it and saves it as `name`; it needs no file."""
    source = f"data:image/gif;base64,{base64.b64encode(gif).decode()}"
    return f'<img src="{source}" alt="{name}"><br><a href="{source}" download="{name}">Save {name}</a>'


def cut(photograph, centre, zoom, size):
    """A square of a photograph as a generator's picture: (1, 3, size, size) in [-1, 1].

    photograph: RGB PIL.Image; centre: (x, y) in its pixels; zoom: 1 for the largest square there is, 2 for half its side.
    A square that would leave the photograph is moved inside.
    """
    side = min(photograph.size) / zoom
    left, top = (min(max(at - side / 2, 0), whole - side) for at, whole in zip(centre, photograph.size, strict=True))
    small = photograph.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / latent.LEVELS - 1


# --- What the controls do ---------------------------------------------------------------------------------------------


class Answers:
    """What each control of the page does, for one generator. It keeps nothing of a visitor: all that is theirs is handed in.

    program: latent.Program. A visitor's z is (COUNT, z_size), the faces of the gallery; their pair (2, z_size), A and B.
    """

    def __init__(self, program):
        self.program = program
        found, shares = latent.directions(program)
        self.directions, self.shares = found[:SLIDERS], shares[:SLIDERS].tolist()

    def faces(self, z):
        return latent.faces_of(self.program, z)

    def new_faces(self):
        z = torch.randn(COUNT, self.program.z_size)
        return z, z[:2], gr.Gallery(enlarged(self.faces(z), 128), selected_index=None)

    def choose(self, z, pair, event: gr.SelectData):
        return torch.stack((z[event.index], pair[0]))

    def show_pair(self, pair):
        return enlarged(self.faces(pair))

    def between(self, pair, t):
        return enlarged(self.faces(latent.slerp(*pair, 101)[round(100 * t)][None]))[0]

    def walk(self, pair):
        return html_of(film_of(self.faces(latent.slerp(*pair, STEPS))), "walk.gif")

    def move(self, pair, *steps):
        moved = pair[0] + torch.tensor(steps, dtype=torch.float32) @ self.directions
        return row_of(self.faces(torch.stack((pair[0], moved))), 2, 256)

    def move_back(self, pair):
        none = [0] * len(self.directions)
        return *none, self.move(pair, *none)

    def truncate(self, z, factor):
        faces, as_they_are = self.faces(factor * z), self.faces(z)
        apart, before = (latent.difference(some[::2], some[1::2]).mean() for some in (faces, as_they_are))
        words = f"Two of these faces are {apart:.1f} levels of 255 apart, on average over their pixels; with the factor 1, "
        return row_of(faces, 8, 96), f"{words}{before:.1f}."

    def average(self, pair):
        faces = self.faces(torch.cat((pair, pair.mean(0, keepdim=True), latent.slerp(*pair, 3)[1:2])))
        return enlarged(torch.cat((faces[:2].mean(0, keepdim=True), faces[2:])))

    def upload(self, path):
        try:
            photograph = open_picture(path)
        except ValueError as error:
            return None, None, None, f"**This file cannot be used**: {error}. Choose a photograph, as JPEG or PNG."
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
        photograph.info = {}  # no place, no comment
        photograph.thumbnail((640, 640))
        middle = photograph.width / 2, photograph.height / 2
        return photograph, middle, photograph, "Now click on the middle of the face, zoom, and let it be found."

    def centre_on(self, event: gr.SelectData):
        return tuple(event.index)

    def show_cut(self, photograph, centre, zoom):
        return enlarged(cut(photograph, centre, zoom, self.program.size))[0] if photograph else None

    def find(self, photograph, centre, zoom):
        """Yield, again and again, the z found so far, its picture, and words on how near it is."""
        if photograph is None:
            yield None, None, "Choose a photograph first."
            return
        own = self.faces(latent.on_sphere(torch.randn(4, self.program.z_size)))
        targets = torch.cat((cut(photograph, centre, zoom, self.program.size), own[:3]))
        unrelated = latent.difference(own[:3], own[1:]).mean()
        for share, z, faces, differences in latent.find(self.program, targets):
            yield z[0], enlarged(faces[:1])[0], FOUND.format(100 * share, differences[0], differences[1:].mean(), unrelated)

    def take(self, z, pair):
        return pair if z is None else torch.stack((z, pair[0]))


# --- The page ---------------------------------------------------------------------------------------------------------

TITLE = """# What this generator makes
Each face is made of {0} random numbers, z, and is nobody's. It has {1} x {1} pixels, enlarged here. Click on a face, and it
becomes A; the face that was A becomes B. The arrow on a picture saves it as PNG."""
WALK = "From A to B along an arc in z. Each step is a face too: the generator has not learned single pictures by heart."
DIRECTIONS = f"""The {SLIDERS} directions in z along which the faces differ most. The percentages say how much of
what changes evenly with z is theirs. Nobody named them, and one may change several things at once. Along each of them most
faces lie between -2 and 2; far outside, the generator was never trained."""
TRUNCATION = """The z of all faces above, times a factor. Below 1 the faces come nearer to each other, and the odd ones often
go: variety is given for quality. Far below it z is shorter than any that the generator was trained on, and
it shows. Above 1 the faces differ more, and more of them go wrong."""
AVERAGE = """Three ways to the mean of A and B. The mean of their pixels is a double exposure. The mean of their z is a face,
but as that z is shorter than others, a plainer one. The middle of the arc has a z of the usual length."""
FIND = f"""Choose a photograph, click on the middle of the face, and zoom until it fills the square as the faces above do.
Then the generator looks for the z that makes it. What the generator cannot make, it has not learned. The file is deleted
once it is read; its copy on this page within {KEPT // 60 + 1} minutes."""
FOUND = """Searched to {:.0f} %. A pixel of the face found is **{:.1f}** levels of 255 from the photograph's, on average.
Beside that: three faces of the generator's own, searched for in the same way, are found to within {:.1f}; two of its faces
that have nothing to do with each other are {:.1f} apart."""
NO_FILM = "The notebook writes training.gif, the film of the training, beside its generator. There is none here."


def picture(label, name, **more):
    return gr.Image(label=label, alt_text=label, format="png", buttons=["download"], interactive=False, elem_id=name, **more)


def page(program, film=None):
    """Build the page. program: latent.Program; film: path of the GIF of its training, or None. Returns: gr.Blocks.

    Each visitor has a gallery and two faces of their own: what one does changes nothing for another.
    """
    does = Answers(program)
    with gr.Blocks(title="What this generator makes", fill_width=True, analytics_enabled=False,
                   delete_cache=(60, KEPT)) as blocks:
        z, pair, photograph, centre, z_found = (gr.State() for _ in range(5))
        gr.Markdown(TITLE.format(program.z_size, program.size))
        with gr.Row():
            with gr.Column(scale=3):
                gallery = gr.Gallery(show_label=False, columns=8, format="png", height="auto", allow_preview=False,
                                     buttons=[], elem_id="faces")
                new = gr.Button("New faces", variant="primary")
            with gr.Column(scale=1, min_width=300), gr.Row():
                both = [picture(label, label[-1], min_width=120) for label in ("Face A", "Face B")]
        with gr.Tab("Walk"):
            gr.Markdown(WALK)
            with gr.Row():
                with gr.Column():
                    t = gr.Slider(0, 1, 0.5, step=0.01, label="how far from A to B")
                    middle = picture("On the way", "between")
                with gr.Column():
                    walk = gr.Button("Make a film of the walk")
                    walked = gr.HTML(elem_id="walked")
        with gr.Tab("Directions"):
            gr.Markdown(DIRECTIONS)
            with gr.Row():
                with gr.Column():
                    steps = [gr.Slider(-4, 4, 0, step=0.1, label=f"direction {at}: {100 * share:.0f} %")
                             for at, share in enumerate(does.shares, 1)]
                    back = gr.Button("Back to face A")
                moved = picture("Face A, and face A moved", "moved")
        with gr.Tab("Truncation"):
            gr.Markdown(TRUNCATION)
            factor = gr.Slider(0, 2, 0.7, step=0.05, label="factor")
            apart = gr.Markdown(elem_id="apart")
            truncated = picture("The faces above, their z times the factor", "truncated")
        with gr.Tab("Average"):
            gr.Markdown(AVERAGE)
            with gr.Row():
                averages = [picture("Mean of the pixels", "pixels"), picture("Mean of z", "line"),
                            picture("Middle of the arc", "arc")]
        with gr.Tab("Find a face"):
            gr.Markdown(FIND)
            with gr.Row():
                with gr.Column(scale=1):
                    chosen = gr.UploadButton("Choose a photograph", file_types=["image"])
                    shown = gr.Image(label="Photograph", format="png", interactive=False, buttons=[], height=280,
                                     elem_id="shown")
                    zoom = gr.Slider(1, 4, 1, step=0.05, label="zoom")
                with gr.Column(scale=2):
                    with gr.Row():
                        target = picture("What is looked for", "target")
                        result = picture("What the generator found", "result")
                    with gr.Row():
                        find, take = gr.Button("Find it", variant="primary"), gr.Button("Take it as face A")
                    words = gr.Markdown(elem_id="words")
        with gr.Tab("Training"):
            gr.HTML(html_of(Path(film).read_bytes(), "training.gif") if film else NO_FILM, elem_id="training")

        still = {"show_progress": "hidden"}
        live = still | {"trigger_mode": "always_last"}  # while a slider moves: what it shows last is where it stands
        for begin in (blocks.load, new.click):
            begin(does.new_faces, None, [z, pair, gallery]).then(does.truncate, [z, factor], [truncated, apart], **still)
        gallery.select(does.choose, [z, pair], pair, **still)
        pair.change(does.show_pair, pair, both, **still)
        pair.change(does.between, [pair, t], middle, **still)
        pair.change(does.move, [pair, *steps], moved, **still)
        pair.change(does.average, pair, averages, **still)
        pair.change(lambda: "", None, walked, **still)  # a film of two other faces
        t.input(does.between, [pair, t], middle, **live)
        walk.click(does.walk, pair, walked)
        for step in steps:
            step.input(does.move, [pair, *steps], moved, **live)
        back.click(does.move_back, pair, [*steps, moved], **still)
        factor.input(does.truncate, [z, factor], [truncated, apart], **live)
        square = does.show_cut, [photograph, centre, zoom], target
        chosen.upload(does.upload, chosen, [photograph, centre, shown, words]).then(*square, **still)
        chosen.upload(lambda: (None, None), None, [z_found, result], **still)  # what was found for another photograph
        shown.select(does.centre_on, None, centre, **still).then(*square, **still)
        zoom.input(*square, **live)
        find.click(does.find, [photograph, centre, zoom], [z_found, result, words], show_progress="minimal")
        take.click(does.take, [z_found, pair], pair, **still)
    return blocks


# --- The command line -------------------------------------------------------------------------------------------------


def newest():
    """The generator.pt2 under results/ that was written last; raises FaceError if there is none."""
    paths = sorted(Path("results").glob("*/generator.pt2"), key=lambda path: path.stat().st_mtime)
    if not paths:
        raise FaceError("there is no results/*/generator.pt2: run the notebook first (jupyter execute --inplace "
                        "face_generation.ipynb), or name a generator.pt2.")
    return paths[-1]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m further.show",
                                     description="Show in the browser what a generator makes.")
    parser.add_argument("generator", nargs="?", type=Path, help="a generator.pt2; as it is, the newest in results/")
    path = parser.parse_args(arguments).generator
    try:
        path = path or newest()
        program, film = latent.Program(path), path.parent / "training.gif"
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the temporary folder goes then, too
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
            blocks = page(program, film if film.is_file() else None)
            _, address, _ = blocks.launch(prevent_thread_lock=True, **LAUNCH)
            print(f"What {path} makes is shown at {address} to this machine alone; Ctrl-C ends it.", flush=True)
            blocks.block_thread()
    except (FaceError, OSError) as error:
        sys.exit(f"further.show: {error}")
    except KeyboardInterrupt:
        sys.exit("further.show: stopped")


if __name__ == "__main__":
    main()
