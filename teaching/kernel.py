"""The process that runs one submission: it starts a kernel, runs cell after cell, and tells what came of each.

    python -m teaching.kernel     one line of JSON comes in, the job; one line goes out for each thing that happens

run.py starts it and watches it. When all is done it waits to be ended, so that what the kernel left behind stays below it.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from teaching import guard
from teaching.cells import names_set
from teaching.limits import Limits, adopt_orphans, limit_this_process

PASSED = ("passed", "advice")
GRACE = 5  # seconds for a cell to end that was interrupted
GUARD = Path(guard.__file__).read_text(encoding="utf-8")


class Stop(Exception):
    """The run cannot go on; its one line says why."""


class Client(NotebookClient):
    """nbclient, which counts what is shown: a cell that shows too much is noticed, and the rest of it dropped."""

    def __init__(self, limits):
        super().__init__(new_notebook(), allow_errors=True, kernel_name="python3", kernel_manager_class=AsyncKernelManager,
                         coalesce_streams=True)
        self.limits, self.shown, self.all_shown, self.flood = limits, 0, 0, asyncio.Event()
        self.went_well = True  # by the kernel's reply, whatever was shown
        self.on_cell_executed = self.replied

    def replied(self, cell, cell_index, execute_reply):
        self.went_well = execute_reply["content"]["status"] == "ok"

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] in ("stream", "display_data", "update_display_data", "execute_result"):
            size = len(json.dumps(msg["content"], default=str))
            if self.flood.is_set() or self.shown + size > self.limits.printed:
                self.flood.set()
                return None
            self.shown, self.all_shown = self.shown + size, self.all_shown + size
        return super().process_message(msg, cell, cell_index)

    async def run(self, source, index, seconds=None, history=True):
        """Run a cell. Returns its outputs, and None or one line: why it was interrupted. Raises Stop."""
        cell = new_code_cell(source)
        self.nb.cells += [cell] * (index + 1 - len(self.nb.cells))
        self.nb.cells[index] = cell
        self.shown = 0
        self.flood.clear()
        running = asyncio.ensure_future(self.async_execute_cell(cell, index, store_history=history))
        flooded = asyncio.ensure_future(self.flood.wait())
        try:
            done, _ = await asyncio.wait([running, flooded], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            late = None
            if self.flood.is_set():
                late = "prints without end"
            elif running not in done:
                late = f"time: more than {seconds:g} s in one cell"
            if running not in done:
                await self.km.interrupt_kernel()
                done, _ = await asyncio.wait([running], timeout=GRACE)
                if not done:
                    raise Stop(f"{late}, and it could not be interrupted")
            if self.all_shown > self.limits.shown:
                raise Stop("prints without end")
            await running
            return list(cell.outputs), late
        except DeadKernelError:
            raise Stop("the kernel ended") from None
        finally:
            flooded.cancel()
            running.cancel()


def tell(**what):
    print(json.dumps(what, default=str), flush=True)


def last_error(outputs):
    """The error among a cell's outputs as (name, message), or None."""
    for output in outputs:
        if output["output_type"] == "error":
            return str(output.get("ename", "")), str(output.get("evalue", ""))
    return None


def printed(outputs):
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream" and output["name"] == "stdout")


def verdict(outputs, late, trouble):
    """What a check found: (verdict, words). trouble: the error of the answer's cell, or None.

    An answer that prints while it is judged does no harm: "Tests Passed" is a line, and the check's own comes last.
    """
    error, lines = last_error(outputs), printed(outputs).splitlines()
    if late:
        return "stopped", f"The check was interrupted ({late})."
    if error is None and "Tests Passed" in lines:
        words = lines[len(lines) - 1 - lines[::-1].index("Tests Passed"):]
        return "advice" if any(line.startswith("Advice:") for line in words) else "passed", "\n".join(words)
    name, message = error or ("", "The check did not say that the tests passed.")
    words = message if not name or name == "AssertionError" else f"{name}: {message}"
    if name == "AssertionError" and re.search(r"is\s+not\s+begun\s+yet", message):
        return "not begun", words
    if trouble is not None:
        words = f"The cell with the answer ended in {': '.join(trouble)}.\n{words}"
    return "wrong", words


class Run:
    """One pass over the cells of a job."""

    def __init__(self, job, client):
        self.job, self.client, self.limits = job, client, client.limits
        self.folder = Path(job["folder"])
        self.checks = (self.folder / "problem_unittests.py").read_text(encoding="utf-8")
        self.replaced = set(job["replaced"])  # exercises whose solution stands in for the answer
        self.trouble, self.late = {}, {}  # {exercise: the error of its cell}, {exercise: why its cell was interrupted}

    async def all(self):
        cells = self.job["cells"]
        await self.prepare(f"refuse_outside({self.job['hidden']!r}, {self.job['allowed']!r})")
        for index, cell in enumerate(cells):
            exercise, kind = cell["exercise"], cell["kind"]
            if kind == "check":
                if exercise not in self.job["known"]:
                    await self.check(index, exercise)
            elif kind == "answer" and exercise in self.replaced:
                await self.solve(index, cell)
            elif index not in self.job["dropped"] and not (kind == "own" and self.overrides(cell["source"])):
                outputs, late = await self.run(index, cell)
                if kind == "answer":
                    self.trouble[exercise] = last_error(outputs) or self.trouble.get(exercise)
                    self.late[exercise] = late or self.late.get(exercise)

    async def run(self, index, cell):
        tell(start=index)
        began = time.monotonic()
        if "rubric_report" in cell["source"]:
            await self.genuine_checks()
        seconds = self.limits.given if cell["kind"] == "given" else self.limits.cell
        outputs, late = await self.client.run(cell["source"], index, seconds)
        tell(end=index, outputs=outputs, late=late, error=last_error(outputs), seconds=time.monotonic() - began)
        return outputs, late

    async def check(self, index, exercise):
        """Judge an exercise; where it failed, its solution takes the answer's place."""
        began, late = time.monotonic(), self.late.get(exercise)
        tell(start=index)
        if late:
            outputs, found, words = [], "stopped", f"The cell with the answer was interrupted ({late})."
        else:
            failed = await self.genuine_checks()
            outputs, late = await self.client.run(self.job["cells"][index]["source"], index, self.limits.cell)
            found, words = verdict(outputs, late, self.trouble.get(exercise))
            if found in PASSED and (failed or not self.client.went_well):
                found, words = "wrong", "The check could not be run as it is, or its error was hidden."
        tell(end=index, outputs=outputs, late=late, error=None, seconds=time.monotonic() - began)
        tell(exercise=exercise, verdict=found, words=words)
        if found not in PASSED:
            self.replaced.add(exercise)
            for at, cell in enumerate(self.job["cells"]):
                if cell["kind"] == "answer" and cell["exercise"] == exercise:
                    await self.solve(at, cell)

    async def solve(self, index, cell):
        await self.client.run(cell["reference"], index, self.limits.given, history=False)

    async def genuine_checks(self):
        """Have `tests` be the checks, whatever a learner's cell has made of them. Returns: whether that failed."""
        return await self.prepare(f"tests = fresh_checks({self.checks!r}, {str(self.folder / 'problem_unittests.py')!r})")

    async def prepare(self, line):
        """Run a line in the kernel that may use the functions of guard.py; they do not stay there.

        It is sent as an expression to evaluate, not as a cell: what a learner has hooked into cells does not see it.
        Returns: whether it ended in an error.
        """
        code = f"{GUARD}\n\n{line}\ndel refuse_outside, fresh_checks"
        message = self.client.kc.execute("", silent=True, store_history=False, user_expressions={"done": f"exec({code!r})"})
        try:
            reply = await asyncio.wait_for(self.client.async_wait_for_reply(message), self.limits.given)
            done = reply["content"]["user_expressions"]["done"]
            return done["status"] != "ok"
        except asyncio.TimeoutError:
            raise Stop(f"time: more than {self.limits.given:g} s before a cell began") from None
        except DeadKernelError:
            raise Stop("the kernel ended") from None
        except (LookupError, TypeError):
            return True  # it did not answer as a kernel does

    def overrides(self, source):
        """Does a cell of the learner's own set what a solution stands for now?"""
        names = {name for cell in self.job["cells"] if cell["kind"] == "answer" and cell["exercise"] in self.replaced
                 for name in names_set(cell["reference"])}
        return bool(names & names_set(source))


async def main(job):
    client = Client(Limits(**job["limits"]))
    client.create_kernel_manager()
    try:
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)  # else it could write between our lines
        await client.async_start_new_kernel(cwd=job["folder"], **silent)
        await client.async_start_new_kernel_client()
        await Run(job, client).all()
        tell(finished=True)
    except (Stop, RuntimeError) as error:  # RuntimeError: the kernel ended before it was ready, or between two cells
        tell(stop=str(error))


if __name__ == "__main__":
    adopt_orphans()
    given = json.loads(sys.stdin.readline())
    limit_this_process(Limits(**given["limits"]))
    asyncio.run(main(given))
    sys.stdin.read()  # until run.py has ended all below
    os._exit(0)
