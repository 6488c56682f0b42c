"""Judge a class's notebooks and give marks, without nbgrader.

    python -m teaching.mark SUBMISSIONS [--out FOLDER] [--jobs N] [--advice SHARE]

SUBMISSIONS holds NAME.ipynb, NAME.zip or a folder NAME for each learner, each with one notebook. FOLDER gets marks.csv,
class.html, a page NAME.html for each learner, and judged/, the results as JSON, by which a run that was stopped goes on: a
notebook is judged again only if it, the reference notebook or the judge has changed since.
"""

import argparse
import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from common import FaceError, Progress, write_beside
from faces.draw import draw_faces
from teaching import marks, page
from teaching.cells import REFERENCE
from teaching.run import judge
from teaching.submissions import submissions_in

ROOT = Path(__file__).resolve().parent.parent
DECIDES = (REFERENCE, *(ROOT / name for name in (  # the files by which a verdict is reached
    "problem_unittests.py", "teaching/cells.py", "teaching/guard.py", "teaching/kernel.py", "teaching/limits.py",
    "teaching/run.py")))
FACES = 300  # drawn faces that each submission trains on


def cores():
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mark(folder, out, jobs=1, advice=1.0, judge=judge):
    """Judge all submissions in `folder` and write the marks and the pages into `out`, as the head of this file says.

    jobs: how many submissions run side by side; advice: the share of its points that a pass with advice keeps; judge: the
    function that judges one. Returns: how many were submitted, and how many of them were judged now.
    Raises: FaceError, one line; OSError if `out` cannot be written.
    """
    out = Path(out)
    handed_in = submissions_in(folder, but=out)
    (out / "judged").mkdir(parents=True, exist_ok=True)
    edition = hashlib.sha256(b"".join(path.read_bytes() for path in DECIDES)).hexdigest()
    learners, to_do = [], []
    for submission in handed_in:
        learner = {"name": submission.name, "page": submission.page, "result": None, "reason": None}
        learners.append(learner)
        try:
            notebook = submission.notebook()
        except FaceError as error:
            learner["reason"] = str(error)
            continue
        key = hashlib.sha256(edition.encode() + notebook).hexdigest()[:16]
        learner["kept"] = out / "judged" / f"{submission.page}-{key}.json"
        learner["result"] = _kept(learner["kept"])
        if learner["result"] is None:
            to_do.append((learner, submission))
    _judge_all(to_do, jobs, judge)
    columns, rows = marks.table(learners, marks.read(out / "marks.csv"), advice)
    marks.write(out / "marks.csv", columns, rows)
    page.write_pages(out, learners, rows, advice)
    return len(learners), len(to_do)


def _kept(path):
    """The result in a JSON file, or None if there is none that is whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _judge_all(to_do, jobs, judge):
    """Judge pairs of (learner, submission) in processes side by side, and fill in each learner's result or reason."""
    if not to_do:
        return
    with tempfile.TemporaryDirectory(prefix="faces-") as faces:
        draw_faces(Path(faces) / "drawn", FACES)
        threads = str(max(1, cores() // jobs))
        with concurrent.futures.ProcessPoolExecutor(min(jobs, len(to_do)), multiprocessing.get_context("spawn"),
                                                    _start_worker, (threads,)) as pool:
            running = {pool.submit(_work, judge, submission, faces, learner["kept"]): learner
                       for learner, submission in to_do}
            try:
                with Progress(total=len(running), desc="judging", unit=" submissions") as bar:
                    for future in concurrent.futures.as_completed(running):
                        running[future].update(future.result())
                        bar.update()
            except BaseException:  # Ctrl-C above all
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in multiprocessing.active_children():
                    worker.terminate()  # each ends the notebook that it runs first
                raise


def _start_worker(threads):
    os.environ.setdefault("OMP_NUM_THREADS", threads)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the parent to answer, by a SIGTERM

    def end(*_):
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise SystemExit

    def follow_parent():  # a killed parent cannot stop its workers
        multiprocessing.parent_process().join()
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=follow_parent, daemon=True).start()


def _work(judge, submission, faces, kept):
    """In a worker: judge one submission and keep the result. Returns what the learner's entry gets."""
    try:
        with tempfile.TemporaryDirectory(prefix="submission-") as folder:
            path = Path(folder) / f"{submission.page}.ipynb"
            path.write_bytes(submission.notebook())
            result = judge(path, faces)
    except SystemExit:
        os._exit(1)
    except FaceError as error:
        return {"reason": str(error)}
    except Exception as error:  # a fault of the judge's own is this row's reason, not the end of the others
        return {"reason": f"it could not be judged ({type(error).__name__}: {error})"}
    write_beside(kept, lambda file: file.write(json.dumps(result).encode()))
    return {"result": result}


def _share(text):
    share = marks.as_number(text)
    if share is None or not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return share


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m teaching.mark", description="Judge a class's notebooks and give marks.")
    parser.add_argument("submissions", type=Path, help="a folder that holds NAME.ipynb, NAME.zip or a folder NAME for each")
    parser.add_argument("--out", type=Path, help="where marks and pages go (default: SUBMISSIONS-marks)")
    parser.add_argument("--jobs", type=_count, default=cores(), help="submissions side by side (default: one for each core)")
    parser.add_argument("--advice", type=_share, default=1.0, help="share of its points that a pass with advice keeps (1)")
    given = parser.parse_args(arguments)
    folder = given.submissions.resolve()
    out = given.out or folder.with_name(f"{folder.name}-marks")
    try:
        submitted, judged = mark(folder, out, given.jobs, given.advice)
    except (FaceError, OSError) as error:
        sys.exit(f"teaching.mark: {error}")
    except BrokenProcessPool:
        sys.exit("teaching.mark: a process that judges died, out of memory perhaps; run it again to go on")
    except KeyboardInterrupt:
        sys.exit("teaching.mark: stopped; what was judged is kept: run it again to go on")
    print(f"{submitted} submissions, {judged} of them judged now: {out / 'marks.csv'}, {out / 'class.html'}")


if __name__ == "__main__":
    main()
