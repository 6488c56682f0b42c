"""One training from its first batch to its last: counted, shown, kept, and gone on with where it stopped."""

import _thread
import itertools
import math
import os
import signal
import threading
import time

import torch
import torch.distributed
from torch import nn

from common import FaceError, Progress, in_notebook
from training.checkpoints import Checkpoints, differences, read, settings_of, unwrapped
from training.device import random_state, set_random_state
from training.figure import Figure, short
from training.pictures import to_pixels
from training.trouble import signs_of_trouble


def epochs(default):
    """How many epochs to train: the environment variable FACE_EPOCHS, or `default` without it. Returns: int, 1 or more."""
    text = os.environ.get("FACE_EPOCHS") or str(default)
    if not text.isdecimal() or not 1 <= len(text) <= 9 or int(text) < 1:
        raise FaceError(f"FACE_EPOCHS is {text!r}: give a whole number of epochs, 1 or more, or unset it.")
    return int(text)


class _Stop(Exception):
    """Ends the loops of a training run that was interrupted; TrainingRun catches it."""


class TrainingRun:
    """One training from its first batch to its last: counts it, shows it, keeps it, and goes on where it stopped.

        with run:
            for epoch in run.epochs():                 # range(epochs), but it goes on after a stop
                for images, _ in run.batches(loader):  # the loader, with a progress bar
                    ...
                    run.record(d_loss=..., g_loss=...)

    Kernel > Interrupt lets the batch in progress end, keeps all that was learned, and the notebook goes on. A second
    interrupt that finds the batch still at work after a second ends it at once; the last checkpoint stands. Checkpoints
    are written after an epoch, in long epochs between, and on an interrupt. The same cell run again goes on there.

    Args:
        folder: where the checkpoints are kept, locked while the run lasts; None: nowhere.
        epochs: int, passes over the data until the run is done.
        sample: function without arguments that returns pictures (N, C, S, S) in [-1, 1], the same ones every time as far
            as training allows (FixedFaces, say); they are kept after 0, 1, 2, 4, ... batches of the first epoch and after
            every epoch. None: no pictures and no figure. If it has a state_dict, checkpoints hold it.
        settings: dict of what two runs must share to be one run: {"batch_size": 64, ...}.
        trouble: function of (history, snapshots, seen) that returns lines of text, the signs of trouble.
        parts: networks, optimizers, schedulers by any names: whatever has a state_dict and must be kept.

    Attributes: history {"images": list, name of each loss: list}: the mean losses of every 50 batches;
        snapshots: list of uint8 tensors (N, C, S, S), 60 at most, the early ones dense; seen: list of int, the images
        seen at each; images: int, how many were seen; seconds: float, in all; interrupted: bool, has somebody asked it to
        stop?

    Raises: FaceError, with one line, if an optimizer holds none of the networks' parameters, if another program trains in
        the folder, if the folder holds a run with other settings or no sound checkpoint among damaged ones, if a
        checkpoint cannot be written, and if a loss or a weight is no longer a number; then the networks have the weights
        of the last checkpoint again.
    """

    BETWEEN = 50  # batches between two looks at the losses: each look waits for the device
    REFRESH = 10.0  # seconds between two drawings of the figure, which costs about a quarter of a second
    KEEP_AFTER = 30.0  # seconds between two checkpoints at the ends of epochs
    KEEP_WITHIN = 120.0  # seconds after which one is written within an epoch
    SNAPSHOTS = 60
    PATIENCE = 1.0  # seconds that the batch in progress is left after the first interrupt, when a second one comes
    INTERRUPTED = "Interrupted; nothing is lost. Run this cell again to go on."

    def __init__(self, folder, epochs, sample, settings, trouble=signs_of_trouble, **parts):
        self.total, self.sample, self.trouble = epochs, sample, trouble
        self.parts = {name: unwrapped(part) for name, part in parts.items()}
        self.settings = {key: str(value) for key, value in settings.items()} | settings_of(self.parts)
        self.history, self.snapshots, self.seen = {"images": []}, [], []
        self.images, self.seconds, self.epoch, self.batch, self.step = 0, 0.0, 0, 0, 0
        self._pending, self._random_at_epoch = [], None
        self._interrupted_at = self._timer = self._signal_before = self._figure = self._bar = None
        alone = not torch.distributed.is_initialized()
        self._rank, self._processes = (0, 1) if alone else (torch.distributed.get_rank(), torch.distributed.get_world_size())
        self._checkpoints = None if folder is None else Checkpoints(folder)
        networks = {name: part for name, part in self.parts.items() if isinstance(part, nn.Module)}
        weights = {id(weight) for network in networks.values() for weight in network.parameters()}
        for name, part in self.parts.items():
            if isinstance(part, torch.optim.Optimizer):
                if weights.isdisjoint(id(weight) for group in part.param_groups for weight in group["params"]):
                    raise FaceError(f"{name} moves other weights than those of {', '.join(networks)}, which were built anew "
                                    "since: run the cells from building the networks down to here again.")

    # the loops

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._signal_before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            if self._checkpoints and not self._rank:
                self._checkpoints.lock()
            if not self._resume():
                self._snapshot()
                self._save()
        except BaseException:
            self._leave()
            raise
        self._began = time.monotonic() - self.seconds
        self._shown = self._saved = time.monotonic()
        if self._rank == 0 and in_notebook() and self.sample is not None:
            self._figure = Figure()
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self._bar is not None:
                self._bar.close()
            if self._processes > 1 and kind not in (None, _Stop):  # the launcher may name another
                print(f"Process {self._rank} of {self._processes}: {kind.__name__}: {error}", flush=True)
            if kind is _Stop:
                if self.sample is not None:
                    self.sample()  # leaves the generator as it is when it makes pictures
                self._save()
            if kind in (None, _Stop):
                self._show()
                self._say(f"{self._status()}, {self.images / max(self.seconds, 1e-9):,.0f} images/s.")
            if kind is _Stop:
                self._say(self.INTERRUPTED)
            if kind is KeyboardInterrupt and self._checkpoints and self._checkpoints.whole:
                self._say(f"Ended at once; {self._checkpoints.whole[-1]} stands. Run this cell again to go on from there.")
        finally:
            self._leave()
        return kind is _Stop

    @property
    def interrupted(self):
        return self._interrupted_at is not None

    def _interrupted(self, *_):
        now = time.monotonic()
        if self._interrupted_at is None:
            self._interrupted_at = now  # the batch in progress ends first: weights and optimizers stay of one piece
        elif now - self._interrupted_at >= self.PATIENCE:
            raise KeyboardInterrupt
        elif self._timer is None:
            self._timer = threading.Timer(self.PATIENCE, _thread.interrupt_main)
            self._timer.daemon = True
            self._timer.start()

    def _leave(self):
        """Give back what the run has taken: the lock of its folder and the answer to Kernel > Interrupt."""
        if self._checkpoints:
            self._checkpoints.unlock()
        if self._signal_before is not None:
            signal.signal(signal.SIGINT, self._signal_before)
        if self._timer is not None:  # now that no interrupt can start another, which would end a later cell
            self._timer.cancel()

    def epochs(self):
        """Yield the number of each epoch that is still to be trained; keep a snapshot and a checkpoint after each."""
        while self.epoch < self.total:
            yield self.epoch
            self._read_back()
            self.epoch, self.batch = self.epoch + 1, 0
            self._snapshot()
            if self.epoch == self.total or time.monotonic() - self._saved > self.KEEP_AFTER:
                self._save()
            if not in_notebook():
                self._say("\n".join(self._lines()))

    def batches(self, loader):
        """Yield the loader's batches, going on in the middle of an epoch where a former run was interrupted."""
        if self._bar is None and self._rank == 0:
            self._bar = Progress(total=self.total * len(loader), initial=self.epoch * len(loader) + self.batch,
                                 desc="Training", unit=" batches")
        if self.batch == 0:
            self._random_at_epoch = random_state()
        now = random_state()
        set_random_state(self._random_at_epoch)  # the same shuffle as the epoch began with
        batches = iter(loader)
        for _ in itertools.islice(batches, self.batch):  # what it has trained on already
            pass
        if self.batch:
            set_random_state(now)
        for batch in batches:
            yield batch
            self.batch, self.step = self.batch + 1, self.step + 1
            self.images += len(batch if isinstance(batch, torch.Tensor) else batch[0]) * self._processes
            self.seconds = time.monotonic() - self._began
            if self.epoch == 0 and self.step & (self.step - 1) == 0:  # a power of two
                self._snapshot()
            stop = self.interrupted
            if len(self._pending) >= self.BETWEEN or stop:
                self._read_back()
            if stop:
                raise _Stop
            if self._bar is not None:
                self._bar.update()
            if time.monotonic() - self._saved > self.KEEP_WITHIN:
                self._read_back()
                self._save()
            if time.monotonic() - self._shown > self.REFRESH:
                self._show()

    def record(self, **losses):
        """Take note of one batch's losses, tensors or floats by name; they are read at the next look, not now."""
        self._pending.append({name: torch.as_tensor(loss).detach() for name, loss in losses.items()})

    def _read_back(self):
        """Read the losses noted since the last look into the history; stop the run if one is not a number."""
        noted = [(back, name) for back, losses in enumerate(self._pending) for name in losses]
        if not noted:
            return
        count, tensors = len(self._pending), [self._pending[back][name].float().reshape(()) for back, name in noted]
        device = next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), "cpu")
        values = torch.stack([tensor.to(device) for tensor in tensors]).tolist()
        self._pending.clear()
        by_name = {}
        for (back, name), value in zip(noted, values, strict=True):
            by_name.setdefault(name, []).append(value)
            if not math.isfinite(value):
                at_once = {other: v for (where, other), v in zip(noted, values, strict=True) if where == back}
                told = ", ".join(f"{short(other)} {v:.3g}" for other, v in at_once.items())
                self._give_up(f"at step {self.step - count + back + 1:,} the losses became {told}")
        entries = len(self.history["images"])
        self.history["images"].append(self.images)
        for name in [*self.history, *by_name]:
            if name != "images" and len(self.history.setdefault(name, [math.nan] * entries)) == entries:
                found = by_name.get(name)
                self.history[name].append(sum(found) / len(found) if found else math.nan)
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join(self._latest()), refresh=False)

    def _give_up(self, what):
        """Put back the weights of the last checkpoint and end the run with one line."""
        again = "build the networks again and start afresh"
        if self._checkpoints:
            again = f"delete {self._checkpoints.folder}, {again}"
            if self._checkpoints.whole:
                self._put_back(read(self._checkpoints.whole[-1]))
                what = f"{what}; the networks are again as they were after {self.images:,} images"
        raise FaceError(f"training stopped: {what}. Lower the learning rates, or look for a division or a logarithm of "
                        f"zero in the losses; then {again}.")

    # what it shows

    def _snapshot(self):
        """Keep the pictures of this moment; where there are more than SNAPSHOTS, let one go where they stand closest."""
        if self.sample is None or self.images in self.seen[-1:]:
            return
        self.snapshots.append(self._pictures())
        self.seen.append(self.images)
        while len(self.seen) > self.SNAPSHOTS:
            later = range(self.SNAPSHOTS // 4, len(self.seen) - 1)  # the early ones stay: there most happens
            closest = min(later, key=lambda i: self.seen[i + 1] - self.seen[i - 1])
            del self.snapshots[closest], self.seen[closest]

    def _pictures(self):
        return torch.from_numpy(to_pixels(self.sample())).permute(0, 3, 1, 2).contiguous()

    def _latest(self):
        return [f"{short(name)} {values[-1]:.2f}" for name, values in self.history.items() if name != "images" and values]

    def _status(self):
        return ", ".join([f"epoch {self.epoch} of {max(self.total, self.epoch)}, {self.images:,} images", *self._latest()])

    def _lines(self):
        return [self._status(), *self.trouble(self.history, self.snapshots, self.seen)]

    def _say(self, line):
        if self._rank == 0:
            print(line, flush=True)

    def _show(self):
        """Draw the pictures, the losses and what there is to say about them into the one figure."""
        if self._figure is not None:
            self._figure.show(self._pictures(), self.history, self._lines())
        self._shown = time.monotonic()

    # what it keeps

    def _save(self):
        """Write a checkpoint, unless a weight is no number."""
        for name, part in self.parts.items():
            if isinstance(part, nn.Module):
                kept = [value for value in part.state_dict().values() if isinstance(value, torch.Tensor)]
                if not all(value.isfinite().all() for value in kept):
                    self._give_up(f"at step {self.step:,} a weight of {name} is not a number")
        self._saved = time.monotonic()
        if self._rank or not self._checkpoints:
            return
        keeps = {"sample": self.sample} if hasattr(self.sample, "state_dict") else {}
        self._checkpoints.write(self.step, {
            "settings": self.settings, "history": self.history, "snapshots": self.snapshots, "seen": self.seen,
            "counts": [self.epoch, self.batch, self.step, self.images, self.seconds], "processes": self._processes,
            "random": random_state(), "random_at_epoch": self._random_at_epoch,
            "parts": {name: part.state_dict() for name, part in {**self.parts, **keeps}.items()},
        })

    def _resume(self):
        """Go on from the newest whole checkpoint. Returns whether there was one; refuses one with other settings."""
        state, remarks = self._checkpoints.newest() if self._checkpoints else (None, [])
        for remark in remarks:
            self._say(remark)
        if state is None:
            return False
        differing = differences(state["settings"], self.settings)
        if differing:
            raise FaceError(f"{self._checkpoints.folder} holds a run with other settings ({differing}): put them back to go "
                            "on with it, or delete that folder to start afresh.")
        self._put_back(state)
        path = self._checkpoints.whole[-1]
        if not self._rank:
            self._checkpoints.clean_older()
        if self.epoch < self.total:
            self._say(f"Going on from {path}: {self._status()}.")
        else:
            self._say(f"Trained already, as {path} has it. To go on, raise the number of epochs; to start afresh, delete "
                      f"{self._checkpoints.folder}.")
        return True

    def _put_back(self, state):
        keeps = {"sample": self.sample} if hasattr(self.sample, "state_dict") else {}
        for name, part in {**self.parts, **keeps}.items():
            part.load_state_dict(state["parts"][name])
        self.epoch, self.batch, self.step, self.images, self.seconds = state["counts"]
        self.batch = self.batch * state.get("processes", self._processes) // self._processes  # now it may be another number
        self.history, self.snapshots, self.seen = state["history"], state["snapshots"], state["seen"]
        self._random_at_epoch = state["random_at_epoch"]
        if self._rank == 0:
            set_random_state(state["random"])
        else:  # random numbers of its own: with the first process's it would draw the same z
            self._random_at_epoch = random_state()
