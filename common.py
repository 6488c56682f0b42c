"""What faces/, training/ and measures/ share: the one-line error, the progress bar, and files that are written whole."""

import contextlib
import io
import os
import secrets
import time
from pathlib import Path

from IPython import get_ipython
from IPython.display import display
from tqdm import tqdm


class FaceError(Exception):
    """A mistake that its message tells how to mend; Jupyter shows the message alone, without a traceback."""

    def _render_traceback_(self):
        return [f"{type(self).__name__}: {self}"]


def in_notebook():
    """Is there a Jupyter kernel that can refresh what it shows?"""
    return getattr(get_ipython(), "kernel", None) is not None


class Progress(tqdm):
    """tqdm's bar: one line that refreshes in place in a notebook, the usual bar in a terminal, silent in a log."""

    monitor_interval = 0  # no thread of tqdm's that redraws: what another thread shows may land in another cell

    def __init__(self, *args, **kwargs):
        self._handle = None
        where = {"file": io.StringIO(), "ncols": 88} if in_notebook() else {"disable": None}
        super().__init__(*args, mininterval=0.5, delay=0.5, **{**kwargs, **where})  # what is done at once needs no bar

    def display(self, msg=None, pos=None):
        if not in_notebook():
            return super().display(msg, pos)
        line = {"text/plain": str(self)}
        if self._handle is None:
            self._handle = display(line, raw=True, display_id=True)
        else:
            self._handle.update(line, raw=True)


def listed(names, most=10):
    """The first names in one line that is safe to print, whatever the names hold."""
    line = ", ".join("".join(c if c.isprintable() else "?" for c in name) for name in names[:most])
    return f"{line} and {len(names) - most:,} more" if len(names) > most else line


def write_beside(path, write):
    """Let `write(file)` fill a file beside `path`, then rename it: `path` is the old file or the new, never a part.

    The file beside it is called NAME.RANDOM.tmp, so that two writers of one path never write into one file.
    """
    beside = Path(f"{path}.{secrets.token_hex(4)}.tmp")
    try:
        with open(beside, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        _rename(beside, path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _rename(beside, path):
    """os.replace, tried again for a second: Windows refuses it while a virus scanner or a viewer has the file open."""
    for tries_left in range(9, -1, -1):
        try:
            return os.replace(beside, path)
        except PermissionError:
            if os.name != "nt" or not tries_left:
                raise
            time.sleep(0.1)
