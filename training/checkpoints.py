"""What a run keeps: checkpoints in a locked folder, the settings that two runs must share to be one, and going on."""

import contextlib
import io
import itertools
import zipfile
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from common import FaceError, write_beside

KEPT = 2  # checkpoints; the older one is for the case that the newer is damaged


class Checkpoints:
    """The checkpoints of one run in a folder of its own, 000000250.pt after 250 steps; the newest KEPT stay."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.whole = []  # those known to be whole, the newest last
        self._lock = FileLock(self.folder / ".lock")

    def lock(self):
        """Keep other kernels and programs out of the folder; raises FaceError if one is in it, or if it cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FaceError(f"another kernel or program is training in {self.folder}: let it end or shut it down, then run "
                            "this cell again.") from None
        except NotImplementedError:  # a file system without locks, as some mounted drives are
            pass
        except OSError as error:
            raise FaceError(f"{self.folder} cannot be written ({error.strerror}): make it writable, and run this cell "
                            "again.") from None

    def unlock(self):
        self._lock.release()

    def newest(self):
        """Read the newest whole checkpoint. Returns (its state or None, list of str: what was passed over and why).

        Raises FaceError if there are checkpoints and none of them is whole.
        """
        remarks = []
        found = sorted(self.folder.glob("[0-9]*.pt"), reverse=True)
        for path in found:
            try:
                state = read(path)
                state["settings"], state["counts"]  # noqa: B018 - a file of ours has them
            except Exception as error:  # cut off, damaged, or no checkpoint of ours
                remarks.append(f"{path} is damaged ({type(error).__name__}) and passed over.")
                continue
            self.whole = [path]
            return state, remarks
        if found:
            raise FaceError(f"no checkpoint in {self.folder} can be read: delete that folder to start afresh.")
        return None, remarks

    def write(self, step, state):
        """Write a checkpoint beside its name, rename it into place, and take away all but the newest KEPT.

        Raises FaceError if it cannot be written; the one before is whole then.
        """
        path, content = self.folder / f"{step:09d}.pt", io.BytesIO()
        torch.save(state, content)  # into memory first: of a full disk torch would not say that it is full
        try:
            write_beside(path, lambda file: file.write(content.getbuffer()))
        except OSError as error:
            before = f"{self.whole[-1]} is whole" if self.whole else "there is none before it"
            raise FaceError(f"training stopped: the checkpoint {path} cannot be written ({error.strerror}); {before}. Make "
                            "room, or make the folder writable, and run this cell again.") from None
        self.whole = [*(old for old in self.whole if old != path), path][-KEPT:]
        self.clean(self.whole)

    def clean(self, kept):
        """Remove all checkpoints but `kept`, and what a killed run left half written: nobody else writes here."""
        for old in self.folder.glob("[0-9]*.pt*"):
            if old not in kept:
                with contextlib.suppress(OSError):
                    old.unlink()

    def clean_older(self):
        """Remove what runs that were killed again and again left, but for the checkpoint read and the one before it."""
        before = sorted(path for path in self.folder.glob("[0-9]*.pt") if path < self.whole[-1])
        self.clean([*before[1 - KEPT:], *self.whole])


def read(path):
    """Return what a checkpoint holds, on the CPU; raises an exception of some kind if the file is damaged."""
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:  # torch.load does not compare the checksums
            raise zipfile.BadZipFile
    return torch.load(path, map_location="cpu", weights_only=True)


def unwrapped(part):
    """A network out of DistributedDataParallel; anything else as it is."""
    return part.module if isinstance(part, DistributedDataParallel) else part


def settings_of(parts):
    """Describe networks and optimizers in words that two runs must share: {name: text}.

    Of a network, names, shapes and types of all that it keeps: how PyTorch prints a layer may change with its release.
    """
    settings = {}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            settings[name] = "\n".join(map(_in_words, part.state_dict().items()))
        elif isinstance(part, torch.optim.Optimizer):
            group = part.param_groups[0]
            group = group | {"lr": group.get("initial_lr", group["lr"])}  # as PyTorch's schedulers keep it
            settings |= {f"{name} {key}": str(group[key]) for key in ("lr", "betas", "weight_decay") if key in group}
        else:
            settings[name] = type(part).__name__
    return settings


def _in_words(item):
    name, value = item
    if isinstance(value, torch.Tensor):
        return f"{name} {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return f"{name} {type(value).__name__}"


def differences(then, now):
    """Name what differs between two settings, of long texts (networks) only the first line that does. Returns str."""
    found = []
    for key in then.keys() | now.keys():
        old, new = then.get(key, "none"), now.get(key, "none")
        if old != new:
            lines = itertools.zip_longest(old.splitlines(), new.splitlines(), fillvalue="nothing")
            before, after = next((a.strip(), b.strip()) for a, b in lines if a != b)
            found.append(f"{key}: then {before}, now {after}")
    return "; ".join(sorted(found))
