"""nbgrader's autograder with the judge's fairness: two steps that nbgrader_config.py puts into `nbgrader autograde`.

`PutBack` rebuilds what was handed in: all cells of the release, the learner's answers, and the learner's own cells, with
nbgrader's marks in the cells where they belong. `Run` takes the place of nbgrader's Execute: it runs that notebook as
judge() does, with the solution in the place of an answer that failed, and writes into each cell what it showed. So nbgrader
scores the checks by what they said of the learner's answers, and the feedback page shows it.
"""

import textwrap
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float, Unicode

from teaching import cells
from teaching.kernel import PASSED
from teaching.limits import Limits
from teaching.run import ROOT, execute

WIDE = 92  # characters in a line of the feedback page


class _Step(NbGraderPreprocessor):
    """What both steps know: where the course is, and its solved notebook."""

    course = Unicode(help="the course's folder").tag(config=True)

    def source(self, resources):
        """The solved notebook that this submission answers."""
        names = resources["nbgrader"]
        return Path(self.course) / "source" / names["assignment"] / f"{names['notebook']}.ipynb"


class PutBack(_Step):
    """Rebuild the notebook: cells that were edited, deleted, copied or lost their marks are in their places again."""

    def preprocess(self, nb, resources):
        release = cells.read_reference(self.source(resources))
        nb.cells = [_notebook_cell(cell, number) for number, cell in
                    enumerate(cells.assemble(release, cells.of_notebook(nb)))]
        return nb, resources


def _notebook_cell(cell, number):
    """A cell of an assembled notebook, for a notebook file; the learner's own are told by `own`."""
    parts = {"id": cell.id if cell.kind != "own" and cell.id else f"own-{number}",
             "metadata": {key: value for key, value in cell.metadata.items() if key in ("nbgrader", "tags")}}
    if cell.attachments:
        parts["attachments"] = cell.attachments
    return new_code_cell(cell.source, **parts) if cell.type == "code" else new_markdown_cell(cell.source, **parts)


class Run(_Step):
    """Run the notebook within limits and fairly; each cell then holds what it showed, each check what it found."""

    advice = Float(1.0, help="share of its points that a pass with advice keeps").tag(config=True)

    def preprocess(self, nb, resources):
        source = self.source(resources)
        assembled = cells.assemble(cells.read_reference(source), cells.of_notebook(nb))
        faces = source.parent / "processed_celeba_small"
        ran = execute(assembled, faces, Limits(), [ROOT, Path(self.course).resolve()])
        if ran.stopped:
            self.log.warning("%s: stopped (%s)", resources["nbgrader"]["student"], ran.stopped)
        for index, (cell, ours) in enumerate(zip(nb.cells, assembled, strict=True)):
            if ours.kind == "check":
                cell.outputs = self.outputs(ours, *ran.verdicts[ours.exercise])
            elif ours.type == "code":
                cell.outputs = [new_output(**output) for output in ran.outputs.get(index, [])]
        return nb, resources

    def outputs(self, check, found, words):
        """What nbgrader scores: an error is no points, a number that many, anything else all."""
        if found not in PASSED:
            name = {"not begun": "Not begun", "stopped": "Stopped"}.get(found, "Not passed")
            lines = [name, *words.splitlines(), "From here on the notebook ran with the solution in place of this answer."]
            traceback = [textwrap.fill(line, WIDE, subsequent_indent="    ", drop_whitespace=False) for line in lines]
            return [new_output("error", ename=name, evalue=words, traceback=traceback)]
        outputs = [new_output("stream", name="stdout", text=words + "\n")]
        if found == "advice" and self.advice < 1:
            points = str(round(check.points * self.advice, 2))
            outputs.append(new_output("execute_result", data={"text/plain": points}, execution_count=None))
        return outputs
