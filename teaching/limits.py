"""How much a submission may take, a watch over the processes that it starts, and their end.

What others limit: nbclient and papermill (which runs on nbclient) know a time for each cell, for the kernel's start and for
its outputs to arrive; nothing limits the whole, memory, what is printed, processes, or the disk, and what the kernel
started lives on after it. Hence this file: it looks at the whole tree of processes five times a second.

What it does not hold off: what grows by gigabytes between two looks, files written outside the run's folder where the
user may write, /dev/shm, the network. That is what a container and a user without rights are for.
"""

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass

import psutil

MARK = "FACE_JUDGE"  # in the environment of each process of a run: what has left the tree is found by it
LOOK = 0.2  # seconds between two looks


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes and counts that one submission may take. The notebook itself takes 30 s, 1.2 GB and 4 processes."""

    whole: float = 180  # seconds for all of it, runs after a stop included
    cell: float = 30  # seconds for an answer, a check or a cell of the learner's own
    given: float = 90  # seconds for a given cell, the training among them
    memory: int = 4 << 30  # bytes of all processes together
    processes: int = 64
    threads: int = 2000  # of all processes together; PyTorch starts some for each core
    disk: int = 1 << 30  # bytes in the run's folder; each file counts as 4 KB at least
    printed: int = 10 << 20  # bytes that a cell shows
    shown: int = 50 << 20  # bytes that all cells show


def size_text(size):
    return f"{size / (1 << 30):.3g} GB" if size >= 1 << 30 else f"{size / (1 << 20):.3g} MB"


class Watch:
    """A watch over the processes under `top` (a pid) and over a folder."""

    def __init__(self, top, folder, limits):
        self.top, self.folder, self.limits = top, folder, limits
        self.at_first, self.disk_seconds, self.disk_next = folder_size(folder, float("inf")), 0.0, 0.0

    def look(self):
        """Is a limit passed? Returns one line that says which, or None."""
        limits, processes, memory, threads = self.limits, under(self.top), 0, 0
        for process in processes:
            with contextlib.suppress(psutil.Error), process.oneshot():
                memory += process.memory_info().rss
                threads += process.num_threads()
        if len(processes) > limits.processes:
            return f"processes: more than {limits.processes}"
        if threads > limits.threads:
            return f"threads: more than {limits.threads:,}"
        if memory > limits.memory and _memory_shared_out(processes) > limits.memory:
            return f"memory: more than {size_text(limits.memory)}"
        if time.monotonic() > self.disk_next:
            began = time.monotonic()
            if folder_size(self.folder, limits.disk + self.at_first) > limits.disk + self.at_first:
                return f"disk: more than {size_text(limits.disk)}"
            self.disk_next = time.monotonic() + 10 * (time.monotonic() - began)  # a tenth of the time at most
        return None


def _memory_shared_out(processes):
    """Bytes, where what forked processes share counts once; on other systems than Linux it counts for each."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total


def folder_size(folder, enough):
    """Bytes on disk under a folder; counting ends at `enough`."""
    size, waiting = 0, [folder]
    while waiting and size <= enough:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    size += max(4096, 512 * info.st_blocks if hasattr(info, "st_blocks") else info.st_size)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                if size > enough:
                    break
    return size


# --- Processes --------------------------------------------------------------------------------------------------------


def under(top):
    """The living processes of the tree whose root has the pid `top`, the root first."""
    try:
        root = psutil.Process(top)
        return [process for process in [root, *root.children(recursive=True)] if _lives(process)]
    except psutil.Error:
        return []


def _lives(process):
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def _groups(processes):
    """The process groups that these belong to; none on Windows."""
    groups = set()
    for process in processes if os.name != "nt" else ():
        with contextlib.suppress(OSError):
            groups.add(os.getpgid(process.pid))
    return groups


def _marked(token):
    """The living processes whose environment holds the run's mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == token and _lives(process):
                found.append(process)
    return found


def end_all(top, token, seconds=20):
    """End the tree under `top` and whatever left it, the root last. Returns whether nothing is left.

    Groups of processes are killed whole, in one call, so that none starts another while the next is killed; again and
    again, until a look finds none. The root adopts, on Linux, what its descendants leave behind (adopt_orphans).
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        below = under(top)[1:]
        for group in _groups(below) - _groups([psutil.Process(), *under(top)[:1]]):
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        for process in below:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not below:
            left = _marked(token)
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if not left:
                return True
        time.sleep(0.02)
    return False


def adopt_orphans():
    """From now on this process is the parent of all that its descendants leave behind; on Linux only."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def limit_this_process(limits):
    """Have the system itself refuse larger files and, to a user without all rights, more processes; not on Windows.

    What runs here gives way to others, so that the watch comes to its turn among hundreds of processes.
    """
    if os.name == "nt":
        return
    os.nice(10)
    import resource

    def lower(kind, most):
        hard = resource.getrlimit(kind)[1]
        most = int(most) if hard == resource.RLIM_INFINITY else min(int(most), hard)
        resource.setrlimit(kind, (most, most))

    lower(resource.RLIMIT_FSIZE, limits.disk)
    if os.getuid() and sys.platform == "linux":  # it counts the threads of all of the user's processes
        running = 0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                running += process.num_threads() if process.uids().real == os.getuid() else 0
        lower(resource.RLIMIT_NPROC, running + limits.threads)
