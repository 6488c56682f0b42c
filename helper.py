"""What the notebook needs and does not teach: an index of names, each with the file that it lives in."""

import importlib.util
from pathlib import Path

HERE = Path(__file__).resolve().parent


class MissingRoom(ImportError):
    """A part of the project is not where it belongs; Jupyter shows the message alone, without a traceback."""

    def _render_traceback_(self):
        return [f"{type(self).__name__}: {self}"]


for room in ("common", "waiting", "submission", "faces", "training", "measures"):
    found = importlib.util.find_spec(room)
    if found is None or found.origin is None:
        raise MissingRoom(f"{room} is missing: copy it, from where this helper.py came, into {HERE}.")
    if HERE not in Path(found.origin).resolve().parents:
        raise MissingRoom(f"{found.origin} stands in the way of {HERE / room}: rename it, then restart the kernel.")

# the mistakes that say how to mend them, the progress bar
from common import FaceError, Progress  # noqa: E402

# the faces: found, decoded once, shown
from faces.decode import DecodedFaces, data_key, decode_once  # noqa: E402
from faces.find import find_faces, results_folder  # noqa: E402
from faces.known import drawn_traits  # noqa: E402
from faces.show import show_faces, some_faces  # noqa: E402

# the measures: generated faces against photographs
from measures.copies import closeness, memorised_share, nearest_photographs  # noqa: E402
from measures.patches import sliced_wasserstein  # noqa: E402
from measures.traits import count_traits  # noqa: E402
from measures.variety import variety  # noqa: E402

# what is handed in
from submission import hand_in  # noqa: E402

# the training: where it runs, the run itself, what it shows and what leaves it
from training.card import write_card  # noqa: E402
from training.device import fast_math, find_device  # noqa: E402
from training.export import export_generator  # noqa: E402
from training.figure import save_gif, show_strip  # noqa: E402
from training.pictures import FixedFaces, generate, settle_statistics, to_pixels  # noqa: E402
from training.run import TrainingRun, epochs  # noqa: E402
from training.trouble import signs_of_trouble  # noqa: E402

# the exercises that are not begun yet
from waiting import wait_for_exercises  # noqa: E402

__all__ = [
    "DecodedFaces", "FaceError", "FixedFaces", "MissingRoom", "Progress", "TrainingRun", "closeness", "count_traits",
    "data_key", "decode_once", "drawn_traits", "epochs", "export_generator", "fast_math", "find_device", "find_faces",
    "generate", "hand_in", "memorised_share", "nearest_photographs", "results_folder", "save_gif", "settle_statistics",
    "show_faces", "show_strip", "signs_of_trouble", "sliced_wasserstein", "some_faces", "to_pixels", "variety",
    "wait_for_exercises", "write_card",
]
