"""The checks under the exercises of face_generation.ipynb, and the rubric report in its last cell.

    import problem_unittests as tests
    tests.test_scale(scale)

A check runs your answer on inputs of its own and judges what comes out, however it is written; of the code itself it
asks only whether a body is still empty, and in which order the arguments stand. It prints `Tests Passed`, and under it
advice where something is sound but known to be weaker. Otherwise it raises an AssertionError in four parts: what was
expected, what came, why that matters for a GAN, where to look.
Nothing of yours is changed: random state, weights, gradients, modes and disk are afterwards as they were before.
"""

import base64
import contextlib
import copy
import dis
import functools
import html
import inspect
import io
import itertools
import json
import math
import os
import random
import sys
import sysconfig
import tempfile
import textwrap
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.overrides import TorchFunctionMode

# ---------------------------------------------------------------------------------------------------------------------
# How a check speaks
# ---------------------------------------------------------------------------------------------------------------------


class _NotBegun(Exception):
    """The exercise has no answer yet; the text says how that showed."""


def _check(exercise, makes, why):
    """Decorate a check: it leaves no trace, and prints or raises what it found.

    exercise: the name of what the learner writes; makes: what that gives; why: what a GAN needs it for.
    The check itself returns lines of advice.
    """

    def decorate(check):
        @functools.wraps(check)
        def run(*args, **kwargs):
            __tracebackhide__ = True  # pytest leaves this frame out
            try:
                with _no_trace(*args, *kwargs.values()):
                    advice = check(*args, **kwargs)
            except _NotBegun as unanswered:
                failed = AssertionError(_four_parts(
                    f"{exercise}: {makes}.",
                    f"{unanswered}. That is fine: this exercise is not begun yet.",
                    f"{why}.",
                    f"the cell with {exercise}. Write your answer there, run that cell, then run this one again."))
            except AssertionError as error:
                failed = error
            except Exception as error:  # an answer so odd that a probe broke on it: still no bare traceback
                failed = _crash(f"{exercise}: {makes}", error)
            else:
                print("Tests Passed")
                for line in advice:
                    print(textwrap.fill(f"Advice: {line}", 118, subsequent_indent="    "))
                return

            # What follows is no fault of the check: it is the verdict on the answer.
            raise failed.with_traceback(None) from failed.__cause__

        return run

    return decorate


def _fail(expected, came, why, look):
    """Raise the AssertionError of a broken contract."""
    raise AssertionError(_four_parts(expected, came, why, look))


def _four_parts(expected, came, why, look):
    parts = {"Expected": expected, "Got": came, "Why it matters": why, "Where to look": look}
    return "\n".join(textwrap.fill(line, 118, subsequent_indent="    ", break_long_words=False)
                     for label, text in parts.items() for line in f"{label}: {text}".split("\n"))


def _call(what, function, *args, **kwargs):
    """Run the learner's `function`; an exception in it becomes a failure that names the learner's line.

    what: the call in words, with the shapes that went in.
    """
    try:
        return function(*args, **kwargs)
    except NotImplementedError as error:
        no_forward = '"forward"' in str(error)  # PyTorch's own, of a Module without one
        raise _NotBegun("there is no forward" if no_forward else "it raises NotImplementedError") from None
    except Exception as error:
        failed = _crash(what, error)
    raise failed


def _crash(what, error):
    """The failure for an exception in the learner's code, chained to it."""
    trace = error.__traceback__
    while trace and _is_library(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    mine = [frame for frame in traceback.extract_tb(trace) if not _is_library(frame.filename)]
    line = f"\n    line {mine[-1].lineno}, in {mine[-1].name}: {mine[-1].line or ''}".rstrip(": ") if mine else ""
    text = [row for row in str(error).splitlines() if row.strip()] or [""]
    # A DataLoader's worker sends its whole traceback as the message: the last row is the error itself.
    text = text[-1] if "Original Traceback" in str(error) else text[0]
    hints = _HINTS if mine else _HINTS + _SIGNATURE_HINTS
    otherwise = "the line named above." if mine else "the first line of your answer: its name and its arguments."
    failed = AssertionError(_four_parts(
        f"{what}.",
        f"{type(error).__name__}: {textwrap.shorten(text, 170)}{line}",
        "an error here ends the training before it has begun.",
        next((hint for words, hint in hints if words in str(error)), otherwise)).replace("'_ProbeD' object", "D")
        .replace("'_ProbeG' object", "G"))
    failed.__cause__ = error.with_traceback(trace)
    return failed


# What the notebook calls and the learner does not write; an error in it is told by the learner's line that called it.
_ROOMS = tuple(f"{Path(__file__).resolve().parent / room}{os.sep}" for room in ("faces", "training", "measures"))
_LIBRARIES = tuple(os.path.normcase(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def _is_library(filename):
    """Is this code neither the learner's nor a notebook's cell?"""
    return (filename == __file__ or filename.startswith("<frozen") or os.path.normcase(filename).startswith(_LIBRARIES)
            or "site-packages" in filename or "dist-packages" in filename or filename.startswith(_ROOMS))


_HINTS = (  # what an error says -> what usually causes it
    ("between 0 and 1", "the loss takes probabilities and got raw scores: BCEWithLogitsLoss takes raw scores."),
    ("unsafe to autocast", "BCELoss cannot run under autocast: let D give raw scores and use BCEWithLogitsLoss."),
    ("Boolean value of Tensor", "ask `if fake_images is None`: a tensor of many numbers is neither true nor false."),
    ("backward through the graph a second time", "detach the fakes in D's step: its backward() frees the graph to G."),
    ("not compiled with CUDA", "make tensors where the networks are, as in x.to(device); .cuda() needs a GPU."),
    ("NVIDIA driver", "make tensors where the networks are, as in x.to(device); .cuda() needs a GPU."),
    ("the same dtype", "keep float32: float64 comes from .double(), from numpy, or from torch.float64."),
    ("_ProbeD", "the signature: (D, G, real_images, d_optimizer) and (D, G, batch_size, g_optimizer), in this order."),
    ("_ProbeG", "the signature: (D, G, real_images, d_optimizer) and (D, G, batch_size, g_optimizer), in this order."),
    ("mat1 and mat2", "a linear layer's in_features: the values per image that reach it, channels * height * width."),
    ("invalid for input of size", "the view: keep the batch first and of any size, as in x.view(x.size(0), -1)."),
    ("to have", "a layer's in_channels must be the out_channels of the layer before it."),
    ("device type for generator", "torch.set_default_device: leave it out, because a loader shuffles on the CPU."),
    ("same device", "make new tensors where the others are, as in torch.ones_like(D_out) or device=D_out.device."),
    ("Module.__init__", "call super().__init__() as the first line of __init__."),
    ("arget size", "the labels need the shape of D's output, as torch.ones_like(D_out) has it."),
    ("equal size", "resize every picture to one square size: Resize((image_size, image_size))."),
    ("found <class 'PIL", "turn the pictures into tensors: ToTensor() after the resize."),
    ("No such file", "the folder that is read: it must be the argument data_dir."),
    ("more than 1 value per channel", "BatchNorm cannot train on one value per channel: keep it off layers of 1 x 1."),
    ("does not require grad", "what cuts the graph: .item(), .data, detach() or no_grad() on the way to the loss."),
    ("'NoneType' object has no", "not every layer has a bias: ask `if m.bias is not None` first."),
)
_SIGNATURE_HINTS = (  # the same for a call that did not even start
    ("positional argument", "the signature: keep the arguments that the exercise gives, in their order."),
    ("unexpected keyword", "the signature: keep the names of the arguments that the exercise gives."),
)


def _empty(function):
    """Has the function no body yet: nothing in it but pass, a docstring or a constant?"""
    code = getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)
    idle = {"RESUME", "NOP", "POP_TOP", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS", "NOT_TAKEN"}
    return code is not None and all(step.opname in idle or step.opname.startswith(("LOAD_", "STORE_FAST"))
                                    for step in dis.get_instructions(code))


def _no_result(name, function, why):
    """Fail for a function that gave None: not begun if it has no body yet, a forgotten return otherwise."""
    if _empty(function):
        raise _NotBegun(f"{name} returns None")
    _fail(f"{name} to return its result.", "None, though the body does something.", why,
          f"the last line of {name}: is the `return` forgotten?")


def _judge_signature(name, function, *arguments):
    """Do the arguments that the exercise gives come in its order? Tells exchanged names from other faults."""
    try:
        names = [key for key in inspect.signature(function).parameters if key in arguments]
    except (TypeError, ValueError):
        return
    if len(names) == len(arguments) and names != list(arguments):
        _fail(f"the signature {name}({', '.join(arguments)}).", f"the arguments in another order: {', '.join(names)}.",
              "the notebook calls it by position: the values would change places without a word.",
              "the first line of your answer: its arguments, in the order that the exercise gives.")


def _takes(function, *args, **kwargs):
    """Can the function be called like this, going by its signature?"""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    except ValueError:  # no signature to be had, of a built-in
        pass
    return True


def _summary(value):
    """A value in a few words: tensors by shape, type and range."""
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}: {'; '.join(map(_summary, value[:2]))}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if not isinstance(value, torch.Tensor):
        simple = value is None or isinstance(value, (int, float, str, type))
        return textwrap.shorten(repr(value), 60) if simple else f"an object of type {type(value).__name__}"
    words = f"a tensor of shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}"
    if value.numel():
        numbers = value.detach().double()
        words += f", values from {numbers.min():.3g} to {numbers.max():.3g}"
    return words


_ASKED = {  # what the rubric asks for where the checks give no more than advice, in the words of both
    "strides": "strided convolutions, no pooling",
    "slope": "LeakyReLU with a slope of 0.1 to 0.2",
    "norm": "BatchNorm, but not on the first layer",
    "kernel": "one kernel size throughout",
    "dropout": "dropout at a low probability",
    "value": "one value out, read as a probability through a sigmoid",
    "depth": "deeper than the discriminator by two layers or more",
    "transposed": "transposed convolutions, kernels divisible by strides, a last layer of stride 1",
    "less dropout": "less dropout than the discriminator",
    "parts": "BatchNorm, ReLU and tanh",
    "smoothing": "a loss for real and one for fake, smoothing on the real side only",
    "optimizers": "Adam, lr 0.0002 to 0.001, beta1 0.1 to 0.3, or 0.5 with a measured reason",
}


def _asked(line):
    return f"The rubric asks for: {_ASKED[line]}."


# ---------------------------------------------------------------------------------------------------------------------
# Leaving no trace, and looking on while a network runs
# ---------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _no_trace(*things):
    """Whatever happens inside, all global state and the modules among `things` are afterwards as before.

    Random numbers start from one seed inside, so that the same answer always gets the same verdict.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # the inputs are small: more threads would mostly wait for each other
        with contextlib.ExitStack() as kept, warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
                kept.enter_context(torch.compiler.set_stance("force_eager"))  # what is compiled runs as it was written
            for thing in things:
                if isinstance(thing, nn.Module):
                    kept.enter_context(_kept(thing))
            _seed(0)
            yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        elif torch.cuda.is_initialized():  # first used inside: give it the seed that it would have started from
            torch.cuda.manual_seed_all(torch.initial_seed())
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)


def _seed(number):
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)
    np.random.seed(number)
    random.seed(number)


@contextlib.contextmanager
def _kept(module):
    """Put a module's weights, buffers, gradients, flags and modes back at the end."""
    tensors = [(t, t.detach().clone()) for t in itertools.chain(module.parameters(), module.buffers())]
    learning = [(p, p.requires_grad, p.grad, None if p.grad is None else p.grad.clone()) for p in module.parameters()]
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in tensors:
                tensor.copy_(value)
            for parameter, flag, gradient, value in learning:
                parameter.requires_grad_(flag)
                parameter.grad = gradient
                if gradient is not None:
                    gradient.copy_(value)
        for part, training in modes:
            part.training = training


class _Step(NamedTuple):
    """One operation that a network ran: its name, all tensors that went in, how it was called, what came out."""

    name: str
    tensors: list
    args: tuple
    kwargs: dict
    out: torch.Tensor

    def setting(self, name, position, default):
        """A setting of the operation, whether it was given by name or by position; the larger one of a pair."""
        value = self.kwargs.get(name, self.args[position] if len(self.args) > position else default)
        return max(value) if isinstance(value, tuple) else value


_LAYERS = {"conv2d", "conv_transpose2d", "linear"}
_NORMS = {"batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"}


class _Watch(TorchFunctionMode):
    """Looks on while a network runs on `source`: `steps` lists its operations."""

    def __init__(self, source=None):
        super().__init__()
        self.source, self.steps = source, []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        values = (*args, *kwargs.values())
        values += tuple(itertools.chain(*(value for value in values if isinstance(value, (list, tuple)))))  # as in cat
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        out = result[0] if isinstance(result, tuple) and result else result
        if tensors and isinstance(out, torch.Tensor):
            self.steps.append(_Step(func.__name__, tensors, args, kwargs, out))
        return result

    def layers(self):
        """The steps that are layers with weights."""
        return [step for step in self.steps if step.name in _LAYERS]

    def by_layer(self):
        """The names of all steps, as one set for each layer with weights and what follows it."""
        parts = [set()]
        for step in self.steps:
            if step.name in _LAYERS and parts[-1] & _LAYERS:
                parts.append(set())
            parts[-1].add(step.name)
        return parts

    def names(self):
        """The names of all steps, of in-place ones too."""
        return {step.name.rstrip("_") for step in self.steps}

    def kernels(self, kind):
        """(kernel, stride) of every convolution whose name begins with `kind`."""
        return [(step.tensors[1].shape[-1], step.setting("stride", 3, 1))
                for step in self.layers() if step.name.startswith(kind)]

    def dropouts(self):
        """The probabilities of all dropout at work."""
        return [p for step in self.steps if "dropout" in step.name and (p := step.setting("p", 1, 0.5))]

    def pools(self):
        """The steps that lose places of a picture: one value for several of them, without weights, and no way around."""
        if not self.steps:
            return []
        seen, live = self._of_source(), self._live()
        return [step for step in self.steps
                if len(step.tensors) == 1 and _memory(step.tensors[0]) in seen
                and _pools(step.name, step.tensors[0], step.out)
                and not self._kept_elsewhere(step, live) and not self._weighted(step, seen)]

    def _of_source(self):
        """The memory of all that was made of the source, and so is no weight."""
        seen = {_memory(self.source)}
        for step in self.steps:
            if any(_memory(tensor) in seen for tensor in step.tensors):
                seen.add(_memory(step.out))
        return seen

    def _live(self):
        """The steps whose result has a part in the last one's."""
        needed, live = {_memory(self.steps[-1].out)}, []
        for step in reversed(self.steps):
            if _memory(step.out) in needed:
                live.append(step)
                needed.update(map(_memory, step.tensors))
        return live

    def _kept_elsewhere(self, pool, live):
        """Does what was pooled go on in full as well, as beside a gate, or in a normalisation written by hand?"""
        x = pool.tensors[0]
        return any(_memory(tensor) == _memory(x) != _memory(step.out) and tensor.numel() == x.numel()
                   and (step.out.numel() >= x.numel() or step.name in _LAYERS)
                   for step in live if step is not pool for tensor in step.tensors)

    def _weighted(self, pool, seen):
        """Is it the sum of a product with weights for every place? Then it is a layer, written by hand."""
        x = pool.tensors[0]
        made = [step for step in self.steps if _memory(step.out) == _memory(x) and len(step.tensors) == 2]
        return bool(made) and made[-1].name.strip("_") in {"mul", "multiply"} and any(
            _memory(tensor) not in seen and tensor.numel() * len(x) >= x.numel() for tensor in made[-1].tensors)

    def last(self, n):
        """What comes after the last layer with weights, on one value for each of n inputs."""
        layers = [number for number, step in enumerate(self.steps) if step.name in _LAYERS]
        return [step for step in self.steps[max(layers, default=-1) + 1:]
                if step.tensors[0].numel() == step.out.numel() == n and step.tensors[0].shape[:1] == (n,)]

    def normalises(self):
        """Is there a normalisation, a layer of PyTorch's, one of the weights, or one written by hand?"""
        by_hand = {"rsqrt", "sqrt", "std", "var", "var_mean", "std_mean", "normalize", "norm", "linalg_vector_norm"}
        weights = any(not step.tensors[1].is_leaf for step in self.layers())  # spectral or weight norm
        return weights or bool(self.names() & (_NORMS | by_hand))

    def idle_norms(self):
        """Are there BatchNorm layers, and do all of them go by running statistics while they train?"""
        norms = [step for step in self.steps if step.name == "batch_norm"]
        return bool(norms) and not any(step.setting("training", 5, False) for step in norms)

    def strangers(self, known):
        """Weights at work that neither are, nor are made of, the known tensors."""
        # A view of a weight has its storage, and a weight that is computed (spectral norm) is what a step gave.
        storages = {tensor.untyped_storage().data_ptr() for tensor in known}
        made = {id(step.out) for step in self.steps if all(step.out is not tensor for tensor in step.tensors)}
        used = [tensor for step in self.steps for tensor in step.tensors if tensor.is_leaf and tensor.requires_grad]
        used += [step.tensors[1] for step in self.layers()]
        return [t for t in used if id(t) not in made and t.untyped_storage().data_ptr() not in storages]


def _memory(tensor):
    """Where a tensor's numbers are: views of one another share it."""
    return tensor.untyped_storage().data_ptr()


def _pools(name, x, out):
    """Does out have one value for several places of x, or for everything in it?"""
    if "pool" in name:
        return True
    if name == "__getitem__" and out.stride()[-2:] == x.stride()[-2:]:
        return False  # cut out, but no place skipped
    if x.ndim >= 4 and out.ndim >= 2 and out.shape[-2:] == x.shape[-2:]:
        return False  # over channels, or groups of them: every place is still there
    fewer = out.numel() < x.numel()
    over_places = x.ndim >= 3 and out.shape[:2] == x.shape[:2]
    over_everything = x.ndim >= 2 and out.shape[:1] == x.shape[:1] and out.numel() == len(x)
    return fewer and (over_places or over_everything)


def _uncompiled(net):
    """A network that a check has built, with what torch.compile wrapped in it taken out again."""
    for part in list(net.modules()):
        if part._compiled_call_impl is not None:
            part._compiled_call_impl = None
        for name, child in list(part.named_children()):
            if hasattr(child, "_orig_mod"):
                setattr(part, name, child._orig_mod)
    return net._orig_mod if hasattr(net, "_orig_mod") else net


def _size_of(D):
    """The height and width of the pictures that D takes: the first usual one for which it gives one value each."""
    with _kept(D), torch.no_grad():
        for size in (32, 64, 128, 256, 16, 48, 96):
            try:
                if D.eval()(torch.zeros(2, 3, size, size, device=_device_of(D))).numel() == 2:
                    return size
            except Exception:
                continue
    return 32


def _device_of(*modules):
    """Where the modules live; without one, where new tensors are made."""
    for module in modules:
        for parameter in module.parameters():
            return parameter.device
    return torch.empty(0).device


# ---------------------------------------------------------------------------------------------------------------------
# The data
# ---------------------------------------------------------------------------------------------------------------------

_COLOURS = list(itertools.product((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.0, 0.35, 0.7, 1.0)))  # (red, green) of 24 pictures


def _draw_pictures(folder, size, blue):
    """24 JPEG pictures in ImageFolder's layout: a frame, inside it a colour that tells which picture it is.

    The frame is white above, black below and purple at both sides: what mirrors a picture leaves it alone, what turns it
    or exchanges its axes or its colours does not.
    """
    (folder / "faces").mkdir(parents=True)
    for number, (red, green) in enumerate(_COLOURS):
        picture = np.empty((size[1], size[0], 3), np.uint8)
        picture[:], picture[:12], picture[-12:] = (255, 102, 179), 255, 0
        picture[12:-12, 12:-12] = np.round(255 * np.array([red, green, blue]))
        Image.fromarray(picture).save(folder / "faces" / f"{number:03}.jpg", quality=95, subsampling=0)
    return f"{folder}/"


def _edges(images):
    """The mean colour of a stretch in the middle of each picture's four edges: above, below, left, right, (batch, 3)."""
    images, size = images.float(), images.shape[-1]
    wide, thick = slice(size * 3 // 8, size * 5 // 8), max(size // 12, 1)
    return [part.mean((2, 3)) for part in (images[:, :, :thick, wide], images[:, :, -thick:, wide],
                                           images[:, :, wide, :thick], images[:, :, wide, -thick:])]


def _middle(images):
    """The colour in the middle of each picture, (batch, 3)."""
    middle = images.shape[-1] // 2
    return images[:, :, middle - 2:middle + 2, middle - 2:middle + 2].float().mean((2, 3))


def _order(batches):
    """The numbers of the pictures in a pass over the loader, in their order."""
    seen = _middle(torch.cat(batches))[:, :2]
    return torch.cdist(seen, torch.tensor(_COLOURS, dtype=seen.dtype, device=seen.device)).argmin(1).tolist()


def _read(what, loader, most=None):
    """The images of one pass over the loader, on the CPU, in batches: all of them, or the first `most`."""
    limit = most or _length(what, loader) + 1
    batches = _call(f"{what} to give batches", lambda: list(itertools.islice(iter(loader), limit)))
    for batch in batches:
        pair = isinstance(batch, (list, tuple)) and len(batch) == 2
        images = batch[0] if isinstance(batch, (list, tuple)) and len(batch) else batch
        if not pair or not isinstance(images, torch.Tensor) or images.ndim != 4:
            single = isinstance(images, Image.Image) or isinstance(images, torch.Tensor) and images.ndim == 3
            _fail(f"{what} to give batches (images, labels), images of shape (batch, 3, height, width).",
                  "single pictures: this is a dataset, not a DataLoader." if single else f"a batch: {_summary(batch)}.",
                  "training takes each batch apart into two; BatchNorm needs many pictures to normalise over.",
                  "the return: DataLoader(dataset, batch_size=batch_size, shuffle=True).")
    if most is None and len(batches) == limit:
        _fail(f"{what} to end after its {limit - 1} batches.", "a pass over it that goes on.",
              "an epoch would never end, and the faces that are kept at its end never come.",
              "the loader's __iter__: one pass over the dataset.")
    return [batch[0].detach().cpu() for batch in batches]


def _length(what, loader):
    """len(loader), which training needs."""
    if hasattr(loader, "__next__"):
        _fail("a loader that can be gone through once per epoch.", "an iterator, which is used up after one pass.",
              "training passes over the faces many times.", "the return: the DataLoader itself, not iter(loader).")
    try:
        return len(loader)
    except TypeError:
        _fail(f"{what} to have a length, the number of its batches.", "a loader for which len(loader) is an error.",
              "training counts its batches, to say how far it is and when an epoch ends.",
              "the return: a DataLoader over a dataset that has __len__.")


@_check("get_dataloader", "a DataLoader that gives shuffled batches of the pictures in data_dir",
        "the discriminator learns from these batches alone what a face looks like")
def test_get_dataloader(get_dataloader):
    """Check get_dataloader(batch_size, image_size, data_dir): its batches, on pictures of the check's own.

    Sound: (images, labels) in batches of batch_size, images (batch, 3, image_size, image_size) in [0, 1], in colour,
    from data_dir, whole and not only a part of each, in a new order at every pass.
    """
    _judge_signature("get_dataloader", get_dataloader, "batch_size", "image_size", "data_dir")
    advice = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        first = _draw_pictures(Path(folder, "first"), (64, 64), blue=0.1)
        second = _draw_pictures(Path(folder, "second"), (64, 64), blue=0.9)
        wide = _draw_pictures(Path(folder, "wide"), (96, 64), blue=0.1)
        if _only_relative(get_dataloader, first):
            first, second, wide = (f"{os.path.relpath(path)}/" for path in (first, second, wide))
            advice.append("a data_dir that begins at the root of the disk, like /home/me/faces/, is not found: something "
                          "is put before it. Take data_dir as it comes.")

        what = "get_dataloader(4, 32, data_dir)"
        loader = _call(f"{what} to run", get_dataloader, 4, 32, first)
        if loader is None:
            _no_result("get_dataloader", get_dataloader, "without the loader D never sees a face.")
        batches = _read(what, loader)
        if not hasattr(loader, "dataset") and not isinstance(loader, (list, tuple)):
            _fail(f"{what} to have its pictures as loader.dataset.", "a loader without a dataset.",
                  "the notebook reads from it how many faces there are.", "the return: a DataLoader over the dataset.")
        _judge_batches(what, batches, 4, 32, blue=0.1)
        again = _read(what, loader)
        _judge_frame(what, torch.cat([*batches, *again]))
        _judge_order(batches, again)
        if {frozenset(_order([batch])) for batch in batches} == {frozenset(_order([batch])) for batch in again}:
            advice.append("the same faces always share a batch; only the order of the batches changes. Shuffle the "
                          "pictures, not the batches: shuffle=True does.")

        what = "get_dataloader(batch_size=7, image_size=24, data_dir=another_dir)"
        if _takes(get_dataloader, batch_size=7, image_size=24, data_dir=second):
            loader = _call(f"{what} to run", get_dataloader, batch_size=7, image_size=24, data_dir=second)
        else:
            advice.append("the arguments have other names than batch_size, image_size and data_dir. The notebook calls "
                          "by position, but who calls by name gets an error.")
            loader = _call(f"{what} to run", get_dataloader, 7, 24, second)
        _judge_batches(what, _read(what, loader, 1), 7, 24, blue=0.9)
        try:
            square = next(iter(get_dataloader(3, 32, wide)))[0].shape[-2:] == (32, 32)
        except Exception:
            square = False
        del loader
    if not square:
        advice.append("pictures that are not square come out with unequal sides, as Resize(s) alone leaves them. "
                      "Resize((s, s)), or Resize(s) and CenterCrop(s), suits every folder.")
    return advice


def _only_relative(get_dataloader, folder):
    """Does it find the folder by a path from here, but not by one from the root of the disk?"""
    try:
        get_dataloader(4, 32, folder)
    except FileNotFoundError:
        try:
            return get_dataloader(4, 32, f"{os.path.relpath(folder)}/") is not None
        except Exception:
            pass
    except Exception:
        pass  # the check runs into it again, and says so
    return False


def _judge_batches(what, batches, batch_size, image_size, blue):
    """One pass of the loader: sizes, range, colour, and whether these are the pictures of the folder asked for."""
    if not batches:
        _fail(f"{what} to give 24 pictures in batches of {batch_size}.", "no batch at all.",
              "without batches D never sees a face.", "the dataset: ImageFolder(data_dir, transform).")
    images, shape = batches[0], f"shape ({batch_size}, 3, {image_size}, {image_size})"
    spread = images.float().std(1).max() if images.shape[1] == 3 else 1
    if images.shape[1] == 1 or spread < 0.02 * images.float().abs().max():
        _fail(f"{what} to give colour pictures, {shape}.", f"grey ones: {_summary(images)}.",
              "G makes three channels; if real faces are grey, D tells the fakes by their colour alone.",
              "the transforms: leave Grayscale out; the folder's pictures are read as RGB.")
    if images.shape[1:] != (3, image_size, image_size):
        _fail(f"{what} to give pictures of {image_size} x {image_size}, {shape}.",
              f"{_summary(images)}, from files of 64 x 64.",
              "D and G are built for one size, and that is image_size.",
              "the transforms: Resize((image_size, image_size)), with the argument and not a fixed number.")
    if len(images) != batch_size:
        _fail(f"{what} to give batches of {batch_size}.", f"a first batch of {len(images)}.",
              "the batch size sets the speed and what BatchNorm's statistics are taken over: it is yours to choose.",
              "the DataLoader: batch_size=batch_size.")
    pixels = torch.cat(batches)
    low, high = pixels.min(), pixels.max()
    if not pixels.is_floating_point() or not -0.01 < low < 0.5 < high < 1.01:
        hint = ""
        if pixels.is_floating_point() and low < -0.01:
            hint = "; leave Normalize out"
        elif pixels.is_floating_point() and high < 0.01:
            hint = "; a further division by 255 is one too many"
        _fail(f"{what} to give floating-point pixels in [0, 1].", f"{_summary(pixels)}.",
              "scale() takes [0, 1] to the [-1, 1] of G's tanh, in the training step: from any other range it misses.",
              f"the transforms: ToTensor() gives [0, 1]{hint}.")
    if pixels.dtype != torch.float32:
        _fail(f"{what} to give pixels in single precision, float32.", f"{_summary(pixels)}.",
              "D's weights are float32: its first layer refuses any other type.",
              "the transforms: ToTensor() gives float32; leave .double(), .half() and float64 arrays out.")
    if abs(_middle(pixels)[:, 2].mean() - blue) > 0.3:
        _fail_pictures(what)


def _fail_pictures(what):
    _fail(f"{what} to show the pictures in the folder data_dir.",
          "other pictures than those in that folder, or other colours.",
          "with another folder, such as your own photographs, the GAN would go on learning the old faces.",
          "the dataset: ImageFolder(data_dir, ...), with the argument and not a fixed path. If the path is right: the "
          "order of the channels, red, green, blue.")


def _judge_frame(what, pixels):
    """The first folder's pictures: is each in colour, the right way up, and seen as far as its frame?"""
    grey = pixels.std(1).amax((1, 2)) < 0.02
    if grey.any():
        _fail(f"{what} to show every picture in its colours.", f"{int(grey.sum())} of {len(pixels)} in grey.",
              "what is done to the real pictures G learns to do: some of its faces would be grey.",
              "the transforms: leave RandomGrayscale out, and any change of colour that shows.")
    above, below, left, right = (edge.mean(1) for edge in _edges(pixels))
    exchanged = (above > 0.5) & (below > 0.5) & ((left - right).abs() > 0.6) & (torch.minimum(left, right) < 0.25)
    turned = (above - below < -0.25) | exchanged
    if turned.any():
        slip = "height and width exchanged" if exchanged.any() else "upside down"
        _fail(f"{what} to show every picture the right way up.", f"{int(turned.sum())} of {len(pixels)} {slip}.",
              "G would learn to make faces that lie on their side or stand on their head.",
              "the transforms: mirror left and right only, and keep the order (channels, height, width).")
    frame = (pixels[:, 2] > 0.5).float().mean((1, 2))  # above and at the sides; what is inside has little blue
    if frame.min() < 0.1:
        _fail(f"{what} to show whole pictures, made smaller.",
              f"a part of each: in {int((frame < 0.1).sum())} of {len(pixels)} the outer frame is hardly in sight.",
              "cut without a resize, or cut to a small part, a face loses hair, chin and ears: G never learns them.",
              "the transforms: Resize before any crop, and a crop that keeps nearly all.")
    sides = torch.cat(_edges(pixels)[2:]).mean(0)  # purple: more red than blue, more blue than green
    if sides[0] < sides[2] - 0.1 or sides[2] < sides[1] - 0.1:
        _fail_pictures(what)


def _judge_order(batches, batches_again):
    """Two passes of the loader over the first folder: is the order another one each time?"""
    if not batches_again:
        _fail("a loader that can be gone through once per epoch.", "nothing on the second pass: it is used up.",
              "training passes over the faces many times.", "the return: the DataLoader itself, not iter(loader).")
    order, again = _order(batches), _order(batches_again)
    if order == sorted(order) or order == again:
        _fail("the pictures in a new order at every pass.",
              "the order of the files." if order == sorted(order) else "the same order at every pass.",
              "in a fixed order the same faces always share a batch, and D's gradients lean the same way every time.",
              "the DataLoader: shuffle=True.")
    if len({*order, *again}) < 16:
        _fail("all 24 pictures of the folder.", f"only {len({*order, *again})} of them in two passes.",
              "G can only become as varied as the faces D has seen.", "the dataset: is a part of it cut off?")


@_check("scale", "the images, stretched from [0, 1] to feature_range",
        "G's tanh makes images in [-1, 1]; real ones must come in the same range or D tells them apart by it")
def test_scale(scale):
    """Check scale(x, feature_range=(-1, 1)): linear from [0, 1] to the range, on a copy, for any shape."""
    _judge_signature("scale", scale, "x", "feature_range")
    device = torch.empty(0).device
    x = torch.rand(5, 3, 8, 8, device=device) * 0.5 + 0.2  # neither 0 nor 1 occurs: the batch's own limits are no guide
    before = x.clone()
    result = _call("scale(x) to run on x of shape (5, 3, 8, 8)", scale, x)
    by_name = not _takes(scale, x, (0, 1)) and _takes(scale, x, feature_range=(0, 1))
    if result is None:
        _no_result("scale", scale, "D takes what scale returns.")
    if not isinstance(result, torch.Tensor):
        _fail("scale(x) to return a tensor.", f"{_summary(result)}.", "D takes tensors.", "the return.")
    if not torch.equal(x, before):
        _fail("x itself left alone, and a new tensor returned.", f"x changed in place: now {_summary(x)}.",
              "a batch that is used twice would be scaled twice, and no error would say so.",
              "write x * ... and not x *= ..., x.mul_() or x.sub_().")
    if result.is_floating_point() and result.dtype != x.dtype:
        _fail(f"scale(x) to keep the type of x, {str(x.dtype).removeprefix('torch.')}.", f"{_summary(result)}.",
              "D's weights are float32: its first layer refuses any other type.",
              "scale: numpy and .double() give float64; a result of x * ... keeps the type.")
    zeros, one = torch.zeros(2, 3, device=device), torch.ones(1, device=device)
    for values, *limits in ((x,), (x, (0, 1)), (x, (-2, 3)), (x[0], (5, 7)), (zeros,), (one,)):
        call = f"scale(x, {limits[0]})" if limits else "scale(x)"
        how = ((), {"feature_range": limits[0]}) if by_name and limits else (limits, {})
        result = _call(f"{call} to run on x of shape {tuple(values.shape)}", scale, values.clone(), *how[0], **how[1])
        _judge_scaled(call, values, result, *(limits[0] if limits else (-1, 1)))
    call = "scale(x, feature_range=(-3, 0))"
    _judge_scaled(call, x, _call(f"{call} to run", scale, x.clone(), feature_range=(-3, 0)), -3, 0)
    return []


def _judge_scaled(call, x, result, low, high):
    """Is result = low + x (high - low)? If not, say which known slip it looks like."""
    wanted, look = x * (high - low) + low, ""
    if isinstance(result, torch.Tensor) and result.shape == x.shape and result.is_floating_point():

        def like(guess):
            return torch.allclose(result.to(guess), guess, atol=1e-4)

        if like(wanted):
            return
        if like(x):
            look = "x comes back as it was. "
        elif like(x * 2 - 1):
            look = "this is right for (-1, 1) only: use both numbers of feature_range. "
        elif like(high - x * (high - low)):
            look = "the range is turned round: low comes first. "
        elif abs(result.min() - low) + abs(result.max() - high) < 1e-3 or not result.isfinite().all():
            look = "x.min() and x.max(): the batch is stretched by its own limits; x has [0, 1] as its range. "
        elif like(x / 255 * (high - low) + low):
            look = "the division by 255: ToTensor has done that already. "
    _fail(f"{call} to take values from {x.min():.3g} to {x.max():.3g} to {wanted.min():.3g} to {wanted.max():.3g}.",
          f"{_summary(result)}.",
          "real faces and G's must share one range, the same for every batch, or D tells them by range alone.",
          f"{look}The formula: x * (high - low) + low, with low, high = feature_range.")


# ---------------------------------------------------------------------------------------------------------------------
# The two networks
# ---------------------------------------------------------------------------------------------------------------------


def _build(what, network, *args, **kwargs):
    """The learner's network, built; `what` is the call in words."""
    net = _call(f"{what} to build a network", network, *args, **kwargs)
    if net is None:
        raise _NotBegun(f"{what} is None")
    if not isinstance(net, nn.Module):
        _fail(f"{what} to build a torch.nn.Module.", f"{_summary(net)}.",
              "training asks it for its parameters and its mode.", "the class line: class ...(nn.Module).")
    if not vars(net):
        raise _NotBegun("__init__ is empty")
    if "_modules" not in vars(net):
        _fail(f"{what} to build a network.", "a module whose own set-up was never run.",
              "without it PyTorch cannot keep the layers.", "call super().__init__() as the first line of __init__.")
    return _uncompiled(net)


def _judge_shapes(name, net, x, shape, why):
    """Does net run on 7 and 13 inputs in training mode, on 3 and on 1 in eval mode, and give (n, *shape)?"""
    for n, training in ((7, True), (13, True), (3, False), (1, False)):
        call = f"{name} to run in {'training' if training else 'eval'} mode on a batch of shape {tuple(x[:n].shape)}"
        out = _call(call, net.train(training), x[:n])
        if out is None or isinstance(out, torch.Tensor) and torch.equal(out, x[:n]):
            if out is None:
                _no_result("forward", type(net).forward, "all of training works with what D and G return.")
            raise _NotBegun("forward returns its input")
        if not isinstance(out, torch.Tensor) or tuple(out.shape) != (n, *shape):
            _fail(f"{name} to turn shape {tuple(x[:n].shape)} into {(n, *shape)}.", f"{_summary(out)}.", why,
                  "the last lines of forward, and the size of the picture after each layer.")
        if not out.isfinite().all():
            _fail(f"{name} to give finite numbers.", f"{_summary(out)}.",
                  "a nan spreads through the loss into every weight of both networks.",
                  "divisions, logs and roots in forward.")


def _judge_layers(name, net, x):
    """Run net on x in training mode: are all weights at work registered, and is the result in the graph?

    Returns the _Watch that looked on.
    """
    with _Watch(x) as watch:
        out = _call(f"{name} to run in training mode", net.train(), x)
    strangers = watch.strangers([x, *net.parameters(), *net.buffers()])
    if strangers:
        _fail(f"every layer that {name} uses to be listed by its parameters().",
              f"a weight of shape {tuple(strangers[0].shape)} at work that is not among them.",
              "the optimizer is given parameters() and nothing else: this layer would stay random for ever.",
              "layers kept in a plain list, or made inside forward: use nn.ModuleList or nn.Sequential, in __init__.")
    if not any(True for _ in net.parameters()):
        _fail(f"{name} to have layers with weights.", "a network without parameters.",
              "what has no weights cannot learn.", "__init__: the layers.")
    if not out.requires_grad:
        _fail(f"{name} to give a result with a gradient.", f"{_summary(out)}, cut off from the graph.",
              "the loss reaches the weights through this graph: cut off, nothing is learned.",
              "forward: detach(), .data, .item(), torch.tensor(...) or no_grad().")
    return watch


def _backward(net, x):
    """A forward and a backward pass in training mode. Returns the gradient at x, zeros if there is none."""
    net.train().zero_grad()
    with torch.no_grad():
        for parameter in net.parameters():  # off special values: a gate that starts at 0 stops all gradients behind it
            parameter.add_(0.01 * torch.randn_like(parameter))
    x = x.clone().requires_grad_()
    net(x).square().sum().backward()
    return torch.zeros_like(x) if x.grad is None else x.grad


def _judge_gradients(name, net):
    """After a backward: has every weight of the network got a gradient?"""
    idle = [key for key, p in net.named_parameters() if p.grad is None or p.ndim > 1 and not p.grad.any()]
    if idle:
        _fail(f"every weight of {name} to get a gradient.",
              f"none for {', '.join(idle[:3])}{' and others' if len(idle) > 3 else ''}.",
              "a layer without a gradient stays as it was drawn at random; G learns only through what D passes on.",
              "forward: is the layer used, and is nothing after it cut off by detach(), .data or no_grad()?")


def _judge_alone(net, x, kind):
    """In eval mode, does each result depend on its own input alone? Returns the results, (n, ...)."""
    net.eval()
    with torch.no_grad():
        together, again = net(x), net(x)
        if not torch.equal(together, again):
            return together  # noise in eval mode is a matter for the advice
        alone = torch.cat([net(x[i:i + 1]) for i in range(len(x))])
    difference = (together - alone).abs().max()
    if difference > 1e-3 * together.std() + 1e-5 * together.abs().max() + 1e-7:
        _fail(f"in eval mode, the same {kind} for an input whether it comes alone or in a batch.",
              f"values that differ by up to {difference:.3g}.",
              "then nothing said about one face is about that face: its neighbours have a say.",
              "view() or reshape() that mixes images, statistics over the batch, or track_running_stats=False.")
    return together


def _judge_width(name, narrow, wide):
    """Does twice the conv_dim make a larger network?"""
    sizes = [sum(p.numel() for p in net.parameters()) for net in (narrow, wide)]
    if sizes[0] >= sizes[1]:
        _fail(f"a larger conv_dim to make {name} larger.", f"{sizes[0]:,} weights for 16 and {sizes[1]:,} for 32.",
              "conv_dim is the dial between speed and quality; build_network turns it.",
              "__init__: channels that are written as numbers instead of multiples of conv_dim.")


def _driven(net, x, training=False):
    """net(x), in eval mode unless told otherwise, with weights five times too large: what its end function does shows."""
    with _kept(net), torch.no_grad():
        net.train(training)
        for parameter in net.parameters():
            parameter.mul_(5)
        return net(x).nan_to_num(0)


@_check("Discriminator", "a network that turns images (batch, 3, 32, 32) into one value each, (batch, 1)",
        "D is the only teacher that G has: G learns from D's judgement and from nothing else")
def test_discriminator(Discriminator, image_size=32, real_loss=None):
    """Check the class Discriminator(conv_dim): forward (B, 3, 32, 32) -> (B, 1), logits or probabilities.

    image_size: another size of the pictures, which the class may take as an argument of this name. real_loss: if it is
    Wasserstein's, D need have no normalisation, and no advice asks for it.

    Sound: any batch size, one in eval mode too; each image judged by itself in eval mode; every weight learning;
    sizes reduced by strides, not by pooling; a size that follows conv_dim.
    """
    sized = _sized(Discriminator, image_size)
    narrow, wide = (_build(f"Discriminator({width})", Discriminator, width, **sized) for width in (16, 32))
    device = _device_of(narrow)
    contrast = torch.linspace(0.2, 1, 13, device=device)[:, None, None, None]
    images = contrast * (torch.rand(13, 3, image_size, image_size, device=device) * 2 - 1)
    for net, name in ((narrow, "Discriminator(16)"), (wide, "Discriminator(32)")):
        _judge_shapes(name, net, images, (1,), "the losses compare one value for each image with one label for each.")
    watch = _judge_layers("D", narrow, images)
    scores = _judge_alone(narrow, images, "value")
    gradient = _backward(narrow, images)
    if not gradient.any() or scores.max() == scores.min():
        _fail("a value that changes with the image.", f"no change over 13 different images: {_summary(scores)}.",
              "G learns from how D's value changes with the pixels: a constant teaches nothing.",
              "the end of forward: a softmax over one value is always 1; detach() and .data cut the image off.")
    _judge_gradients("D", narrow)
    _judge_width("D", narrow, wide)
    _judge_end(watch, narrow, images)
    for step in watch.pools():
        _fail("sizes reduced by convolutions with a stride, and one value from a layer with weights.",
              f"pooling: {step.name} takes {tuple(step.tensors[0].shape)} to {tuple(step.out.shape)}.",
              "pooling throws away where things are, and G's gradient through it is coarse: a stride learns what to keep.",
              "forward: instead of pooling, mean, sum or resizing use stride=2, and end in a layer with weights.")
    unseen = 1 - gradient.any(0).float().mean()
    if unseen > 0.3:
        _fail("a value that depends on the whole image.", f"{unseen:.0%} of the pixels have no part in it.",
              "where D does not look, G has no reason to paint anything.", "forward: slices or crops of the image.")
    per_channel = torch.linalg.svdvals(gradient.transpose(0, 1).flatten(1).double())
    if per_channel[1] < 1e-4 * per_channel[0]:
        _fail("a value that depends on colour.", "one that sees grey: red, green and blue always count alike.",
              "G could paint faces in any colour, and D would not mind.",
              "forward: a mean over the channels, or a conversion to grey.")
    return (_discriminator_advice(watch, narrow, images, real_loss)
            + _size_advice("Discriminator", Discriminator, image_size))


def _sized(network, image_size):
    """The argument image_size, where the class takes one and the size is not the usual."""
    return {"image_size": image_size} if image_size != 32 and _names(network, "image_size") else {}


def _names(function, name):
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _size_advice(name, network, image_size):
    """Advice for a class that takes image_size and makes nothing of it."""
    if image_size != 32 or not _names(network, "image_size"):
        return []
    try:
        net = network(20, 8, image_size=64) if name == "Generator" else network(8, image_size=64)
        with torch.no_grad():
            if name == "Generator":
                fits = net.eval()(torch.randn(2, 20, device=_device_of(net))).shape == (2, 3, 64, 64)
            else:
                fits = net.eval()(torch.zeros(2, 3, 64, 64, device=_device_of(net))).shape == (2, 1)
    except Exception:
        fits = False
    return [] if fits else [f"{name} takes image_size, but does not fit pictures of 64 x 64 with image_size=64. Let the "
                            "number of its layers follow it, or leave the argument out."]


def _judge_end(watch, D, images):
    """What comes after D's last layer must not spoil its one value for each image."""
    for step in watch.last(len(images)):
        kind = next((words for part, words in (("dropout", "dropout"), ("batch_norm", "BatchNorm")) if part in step.name),
                    "ReLU" if step.name.rstrip("_") == "relu" else "")
        if kind:
            why = {"dropout": "it sets scores of whole images to 0, whatever D has seen, and stretches the rest.",
                   "BatchNorm": "it makes half of every batch look real, and an image's score depend on its neighbours.",
                   "ReLU": "all images that D takes for fake would get the same 0, and G no gradient from them."}[kind]
            _fail("D's value as its last layer gives it, or through a sigmoid.", f"{kind} on the value itself.", why,
                  f"the end of forward: {kind} belongs before the last layer, not after it.")


def _is_linear(loss, device):
    """Is it Wasserstein's loss, which grows evenly and without end?"""
    curve = _curve(loss, [-20, -10, 0, 10, 20], device)
    steps = [b - a for a, b in itertools.pairwise(curve)]
    return all(math.isfinite(step) and step and abs(step / steps[0] - 1) < 1e-3 for step in steps)


def _discriminator_advice(watch, D, images, real_loss=None):
    """Lines on what is sound in a discriminator but known to be weaker; a _Watch of it in training mode."""
    advice = []
    for norm, words in (("batch_norm", "BatchNorm"), ("instance_norm", "InstanceNorm")):
        if norm in watch.by_layer()[0]:
            advice.append(f"{words} on D's first layer hides the images' own brightness and contrast from D; the DCGAN "
                          f"paper has none there. {_asked('norm')}")
    slopes = {step.setting("negative_slope", 1, 0.01) for step in watch.steps if "leaky_relu" in step.name}
    if "relu" in watch.names():
        advice.append("ReLU in D passes no gradient where it is zero, and G learns through D. LeakyReLU(0.2) does. "
                      f"{_asked('slope')}")
    elif not slopes:
        advice.append(f"D has no LeakyReLU. {_asked('slope')}")
    if any(not 0.1 <= slope <= 0.2 for slope in slopes):
        advice.append(f"LeakyReLU with slopes of {_listed(sorted(slopes))}. {_asked('slope')} PyTorch's default of 0.01 is "
                      "close to ReLU.")
    if not watch.normalises() and not (real_loss and _is_linear(real_loss, _device_of(D))):
        advice.append("D has no normalisation. BatchNorm after the middle layers, or spectral norm, steadies training. "
                      f"(A critic with a gradient penalty does without.) {_asked('norm')}")
    elif watch.normalises() and "batch_norm" not in watch.names():
        advice.append(f"D has a normalisation other than BatchNorm, which is sound. {_asked('norm')}")
    if watch.idle_norms():
        advice.append(_IDLE_NORMS.format("D"))
    rates = watch.dropouts()
    if max(rates, default=0) > 0.4:
        advice.append(f"a dropout of {max(rates):g} hides much of what D sees from it, and makes G's gradient noisy. "
                      f"{_asked('dropout')} 0.1 to 0.3 is usual.")
    if not rates:
        advice.append(f"D has no dropout. {_asked('dropout')} 0.1 to 0.3 is usual: D learns the faces by heart more slowly.")
    kernels = [kernel for kernel, _ in watch.kernels("conv2d")]
    if len(set(kernels)) != 1:
        advice.append(f"D's convolutions have kernels of {_listed(kernels)}. {_asked('kernel')}")
    if max((stride for _, stride in watch.kernels("conv2d")), default=1) < 2:
        advice.append("no convolution in D has a stride of 2 or more. Strides see larger and larger parts of the face. "
                      f"{_asked('strides')}")
    if any(step.name.rstrip("_") == "tanh" for step in watch.last(len(images))):
        advice.append("D ends in tanh. Its values stop at -1 and 1, and so does what it can tell G: leave it out, the loss "
                      "for raw scores has its sigmoid inside.")
    D.eval()
    with torch.no_grad():
        if not torch.equal(D(images), D(images)):
            advice.append("D's value changes from call to call in eval mode. F.dropout needs training=self.training; "
                          "nn.Dropout knows by itself.")
    return advice


@_check("Generator", "a network that turns z (batch, z_size) into images (batch, 3, 32, 32) in [-1, 1]",
        "these images are what the whole GAN is for")
def test_generator(Generator, Discriminator=None, image_size=32):
    """Check the class Generator(z_size, conv_dim): forward (B, z_size) -> (B, 3, 32, 32) in [-1, 1].

    Sound: any batch size, one in eval mode too; every image made from its own z and from nothing else; every weight
    learning; a size that follows conv_dim. With Discriminator, its depth is compared as well. image_size: another size
    of the images, which the classes may take as an argument of this name.
    """
    _judge_signature("Generator", Generator, "z_size", "conv_dim")
    sized = _sized(Generator, image_size)
    narrow = _build("Generator(100, 16)", Generator, 100, 16, **sized)
    wide = _build("Generator(z_size=100, conv_dim=32)", Generator, z_size=100, conv_dim=32, **sized)
    short = _build("Generator(20, 16)", Generator, 20, 16, **sized)
    z = torch.randn(13, 100, device=_device_of(narrow))
    for net, name, numbers in ((narrow, "Generator(100, 16)", z), (wide, "Generator(100, 32)", z),
                               (short, "Generator(20, 16)", z[:, :20])):
        _judge_shapes(name, net, numbers, (3, image_size, image_size),
                      "D takes pictures of this one shape, the real faces' own.")
    watch = _judge_layers("G", narrow, z)
    noise = _judge_source(narrow, z)
    _judge_range(narrow, z)
    _judge_alone(narrow, z, "image")
    blind = int((~_backward(narrow, z).any(0)).sum())
    if blind:
        _fail("every number in z to have a say in the image.", f"{blind} of 100 that change nothing.",
              "z is all the variety that the faces can have.", "forward: slices of z, detach() or .data on the way.")
    _judge_gradients("G", narrow)
    _judge_width("G", narrow, wide)
    _judge_canvas(narrow, z)
    return (_generator_advice(watch, narrow, noise, Discriminator, image_size)
            + _size_advice("Generator", Generator, image_size))


def _judge_canvas(G, z):
    """Does G paint in three colours, and on all of the picture?"""
    with torch.no_grad():
        images = G.eval()(z).double()
    spread = images.std(0)
    if images.std(1).max() < 1e-4 * images.std():
        _fail("pictures in colour: three channels that differ.", "the same in all three channels: grey.",
              "real faces have colour: D tells grey ones at a glance.",
              "the last layer: three channels of its own, and no expand() or repeat() after it.")
    still = (spread < 1e-3 * spread.mean()).float().mean()
    if still > 0.02:
        _fail("a picture in which every pixel follows z.", f"{still:.0%} of the pixels are the same for every z.",
              "a frame or a patch that never changes gives the fakes away.",
              "forward: padding around a smaller picture; the sizes after each layer.")


def _judge_source(G, z):
    """Do the images come from z, and from z alone? Returns whether a little other randomness is in them."""
    G.eval()
    with torch.no_grad():
        _seed(1)
        images = G(z)
        _seed(1)
        other_z = G(z.flip(0) * 0.9)
        _seed(2)
        same_z = G(z)
    spread, noise = (images - other_z).abs().mean(), (images - same_z).abs().mean()
    if spread < 1e-7 or noise > 0.5 * spread:
        _fail("the image to come from z: other z, other image; same z, same image.",
              "another image each time for one and the same z." if noise > 1e-7 else "the same image for every z.",
              "z is what G turns into variety, and the fixed z shows how the same faces get better.",
              "forward: use its argument z; draw nothing at random there, and fix nothing in __init__.")
    return bool(noise > 1e-7)


def _judge_range(G, z):
    """Do G's pixels fill [-1, 1], however hard it is driven, without being stuck at its ends?"""
    pixels = _driven(G, 1000 * z)
    low, high = pixels.min().item(), pixels.max().item()
    if not -1.001 < low < -0.8 or not 0.8 < high < 1.001:
        _fail("pixels that reach over [-1, 1] and never leave it.",
              f"values from {low:.3g} to {high:.3g} when G is driven hard.",
              "real images come scaled to [-1, 1]: any other range gives the fakes away before D looks at a face.",
              "the end of forward: torch.tanh, nothing after it. (A sigmoid gives 0 to 1; without either, no limits.)")
    training = _driven(G, 1000 * z, training=True).abs().max().item()
    if training > 1.001:
        _fail("pixels that never leave [-1, 1], in training mode too.", f"values up to {training:.3g}.",
              "fakes that leave the range of real pictures are told by it alone.",
              "the end of forward: nothing after torch.tanh. Dropout there blanks pixels and stretches the rest.")
    with torch.no_grad():
        stuck = (G.train()(z).abs() > 0.99).float().mean()
    if stuck > 0.5:
        _fail("pixels all over [-1, 1] from a fresh G.", f"{stuck:.0%} of them stuck at -1 or 1.",
              "at its ends tanh has no slope: no gradient passes, and G cannot learn.",
              "the end of forward: one tanh only, and nothing multiplied in before it.")


_IDLE_NORMS = ("the BatchNorm layers of {} never normalise: in training, too, they go by their running statistics. Leave "
               "their mode to train() and eval().")


def _generator_advice(watch, G, noise, Discriminator, image_size):
    """Lines on what is sound in a generator but known to be weaker; a _Watch of it in training mode."""
    advice = []
    for norm, words in (("batch_norm", "BatchNorm"), ("instance_norm", "InstanceNorm")):
        if norm in watch.by_layer()[-1]:
            whole = "batch" if norm == "batch_norm" else "picture"
            advice.append(f"{words} on G's last layer forces every {whole} to the same mean colour and contrast. "
                          "The DCGAN paper leaves normalisation out there.")
    if not watch.normalises():
        advice.append("G has no normalisation. BatchNorm after every layer but the last steadies training.")
    if watch.idle_norms():
        advice.append(_IDLE_NORMS.format("G"))
    if watch.dropouts():
        advice.append(f"a dropout of {max(watch.dropouts()):g} in G. G is to make one face of one z. "
                      f"{_asked('less dropout')}")
    sizes = watch.kernels("conv")
    uneven = [(kernel, stride) for kernel, stride in watch.kernels("conv_transpose2d") if kernel % stride]
    if uneven:
        kernel, stride = uneven[-1]
        where = "G's last layer" if sizes[-1] == uneven[-1] else "a transposed layer of G"
        advice.append(f"{where} has kernel {kernel} and stride {stride}: where the kernel is not divisible by the "
                      "stride its strokes overlap unevenly, and the faces show checkerboards. 4 and 2 is usual. "
                      f"{_asked('transposed')}")
    elif not _well_transposed(watch):
        stride = f"G's last convolution has a stride of {sizes[-1][1]}" if sizes else "G has no convolution"
        what = stride if watch.kernels("conv_transpose2d") or not sizes else "G has no transposed convolution: sound"
        advice.append(f"{what}. {_asked('transposed')}")
    if absent := _absent_parts(watch):
        advice.append(f"G has no {' and no '.join(absent)}, but other layers in their place. {_asked('parts')}")
    if not hasattr(G, "z_size"):
        advice.append("G has no attribute z_size. The training steps read it to draw z of the right length.")
    if noise:
        advice.append("the same z gives slightly different images in eval mode. F.dropout needs training=self.training.")
    if Discriminator is not None:
        D = _build("Discriminator(16)", Discriminator, 16, **_sized(Discriminator, image_size))
        with _Watch() as seen:
            D(torch.zeros(2, 3, image_size, image_size, device=_device_of(D)))
        deep, shallow = len(watch.layers()), len(seen.layers())
        if deep < shallow + 2:
            advice.append(f"G has {deep} layers with weights and D has {shallow}. Making a face is harder than judging "
                          f"one. {_asked('depth')}")
    return advice


@_check("weights_init_normal", "new weights for the layer m, drawn from a normal distribution with mean 0 and std 0.02",
        "the DCGAN paper found that GANs start best from these; D and G begin as equals")
def test_weights_init(weights_init_normal):
    """Check weights_init_normal(m), applied to a network of the check's own.

    Sound: mean 0, std 0.02, normal, on convolutional, transposed and linear layers with and without bias; biases zero
    or left alone; BatchNorm left alone or with weights near 1.
    """
    net = nn.Sequential(
        nn.Conv2d(16, 64, 5, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2),
        nn.Sequential(nn.Conv2d(32, 48, 4), nn.ConvTranspose2d(48, 32, 4, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
        nn.ModuleList([nn.ConvTranspose2d(32, 48, 4, bias=False), nn.Dropout(0.2)]),
        nn.Linear(200, 100), nn.BatchNorm1d(100), nn.Linear(150, 150, bias=False), nn.Flatten(), nn.Tanh())
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    norms = [m for m in net.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    with torch.no_grad():
        for parameter in itertools.chain.from_iterable(layer.parameters() for layer in layers):
            parameter.uniform_(0.2, 0.6)  # like nothing that an answer would draw
    before = {key: value.clone() for key, value in net.state_dict().items()}
    _seed(_INITIAL)
    random_before = torch.get_rng_state()
    crashes = _apply(net, weights_init_normal)
    after = net.state_dict()
    if all(torch.equal(before[key], after[key].to(before[key])) for key in before):
        if crashes:
            raise next(iter(crashes.values()))
        if not torch.equal(random_before, torch.get_rng_state()):
            _fail("new weights in the layers.", "numbers drawn at random, but no weight of any layer has changed.",
                  "D and G would start from PyTorch's own weights.",
                  "write into m.weight: nn.init does, a copy does not.")
        if _empty(weights_init_normal):
            raise _NotBegun("no weight of any layer has changed")
        _fail("new weights in the layers.", "no weight of any layer has changed: your condition has matched no layer.",
              "D and G would start from PyTorch's own weights.",
              "the condition: the classes are called Conv2d, ConvTranspose2d and Linear, with capitals.")
    for norm in norms:  # the worst fault first, and a crash last
        if (norm.weight - 1).abs().mean() > 0.2 or norm.bias.abs().mean() > 0.2:
            _fail("BatchNorm left alone: its weight at 1 and its bias at 0.", f"as its weight {_summary(norm.weight)}.",
                  "BatchNorm's weight is the scale of its output: around 0 it switches its layer off.",
                  "your condition: it lets BatchNorm through. It must not match every layer that has a weight.")
    names = {module: name for name, module in net.named_modules()}
    for layer in layers:
        kind = f"{type(layer).__name__}{' without bias' if layer.bias is None else ''}"
        old = before[f"{names[layer]}.weight"]
        if layer in crashes and torch.equal(layer.weight.detach().to(old), old):
            continue
        _judge_weight(kind, layer.weight.detach(), old)
        if layer.bias is not None and layer.bias.any() and not torch.equal(layer.bias, before[f"{names[layer]}.bias"]):
            _fail(f"the biases of a {kind} at zero, or left as they were.", f"{_summary(layer.bias)}.",
                  "a bias shifts a whole feature map: noise there gives D and G a lean before they have seen a face.",
                  "m.bias: nn.init.zeros_(m.bias), or leave it alone.")
    if crashes:
        raise next(iter(crashes.values()))
    _judge_side_effects(net, layers, weights_init_normal)
    if any((norm.weight != 1).any() or norm.bias.any() for norm in norms):
        return ["BatchNorm's weights are drawn around 1. The DCGAN tutorial does it and it works; left at exactly 1 "
                "they start every channel at the same scale, and there is one thing less to explain."]
    return []


_INITIAL = 20471  # a seed that no answer would choose


def _apply(net, weights_init_normal):
    """net.apply(weights_init_normal), to the end. Returns: for each layer on which it broke, the failure."""
    crashes = {}
    for module in [part for part in reversed(list(net.modules())) if part is not net] + [net]:
        try:
            _call(f"weights_init_normal to run on every layer, by net.apply(weights_init_normal); on a "
                  f"{type(module).__name__}", weights_init_normal, module)
        except AssertionError as failed:
            crashes[module] = failed
    return crashes


def _judge_side_effects(net, layers, weights_init_normal):
    """Does it leave alone what it has not to draw: the random numbers of others, and whether layers can learn?"""
    if not all(p.requires_grad for p in net.parameters()):
        _fail("layers that can learn.", "requires_grad is False on some of their parameters.",
              "frozen weights stay as they were drawn: D or G would not learn.", "requires_grad, or a detach() too many.")
    drawn = [layer.weight.detach().clone() for layer in layers]
    seeded = torch.initial_seed() != _INITIAL
    _seed(_INITIAL + 1)
    net.apply(weights_init_normal)
    if seeded or any(torch.equal(layer.weight, old) for layer, old in zip(layers, drawn, strict=True)):
        _fail("new random weights at every call.", "a seed that is set inside weights_init_normal.",
              "layers of one shape get the same weights, and all that is random afterwards repeats itself.",
              "torch.manual_seed: set it once, in a cell of its own, if at all.")


def _judge_weight(kind, weight, before):
    """Is the weight of one layer drawn from a normal distribution with mean 0 and std 0.02?"""
    expected = f"the weights of a {kind} drawn from a normal distribution, mean 0 and std 0.02."
    if weight.dtype != before.dtype:
        _fail(expected, f"weights in {str(weight.dtype).removeprefix('torch.')}.",
              "images come in float32: a layer of any other type refuses them.", "numpy gives float64: add .float().")
    weight = weight.double()
    if torch.equal(weight.to(before), before):
        _fail(expected, "weights left as they were.", "one layer on another scale than the rest sets the tone for all.",
              "which layers your condition lets through: Conv2d, ConvTranspose2d and Linear all count.")
    mean, std = weight.mean().item(), weight.std().item()
    if not abs(mean) < 0.001 or not 0.019 < std < 0.021:
        _fail(expected, f"mean {mean:.2g}, std {std:.3g}.",
              "much larger weights drive tanh and sigmoid into their flat ends, with much smaller ones the signal dies.",
              "nn.init.normal_(m.weight, 0.0, 0.02): the mean comes first, and the std is not the variance.")
    fourth = ((weight - mean) / std).pow(4).mean().item()
    if not 2.7 < fourth < 3.3:
        _fail(expected, f"the right mean and std, but another distribution: its fourth moment is {fourth:.2f}, not 3.",
              "the course and the DCGAN paper ask for normal weights; with others results do not compare.",
              "nn.init.normal_, not uniform_ and not one that cuts the tails off.")


# ---------------------------------------------------------------------------------------------------------------------
# The losses and the optimizers
# ---------------------------------------------------------------------------------------------------------------------


def _gives_probabilities(D):
    """Does D end in a sigmoid (or otherwise never leave [0, 1])?"""
    size = _size_of(D)
    scores = _driven(D, 100 * torch.randn(16, 3, size, size, device=_device_of(D)))
    return bool(scores.min() >= 0 and scores.max() <= 1)


def _curve(loss, values, device):
    """The loss of 256 equal outputs at each of the values; nan where it cannot be computed."""
    results = []
    for value in values:
        _seed(3)  # labels drawn at random are the same ones at every value
        try:
            with torch.no_grad():
                results.append(float(loss(torch.full((256, 1), float(value), device=device))))
        except Exception:
            results.append(math.nan)
    return results


def _logistic_label(loss, device):
    """The label of a binary cross-entropy with its sigmoid inside, c (log(1 + e^t) - label t); None for other losses."""
    points = (-4, -1, 0, 1, 4)
    curve = _curve(loss, points, device)
    c = curve[2] / math.log(2)
    if not math.isfinite(sum(curve)) or c <= 0:
        return None
    label = (math.log1p(math.exp(4)) - curve[4] / c) / 4
    fits = all(abs(y / c - math.log1p(math.exp(t)) + label * t) < 0.01 for t, y in zip(points, curve, strict=True))
    return label if fits else None


def _has_sigmoid(real_loss, fake_loss, device):
    """Do the losses apply a sigmoid of their own: levelling off far out, but not yet at 0 or 1?"""
    if any(_logistic_label(loss, device) is not None for loss in (real_loss, fake_loss)):
        return True
    real, fake = _curve(real_loss, [1, 2, 8], device), _curve(fake_loss, [0, -8, -16], device)
    return real[0] > min(real[1:]) + 0.005 and fake[0] > fake[1] + 0.1 and abs(fake[1] - fake[2]) < 0.02


def _loss_device(loss, D):
    """Where the loss is at work: with D, or on the GPU if its labels are there."""
    if D is not None:
        return _device_of(D)
    if torch.cuda.is_available():
        try:
            loss(torch.full((2, 1), 0.5))
        except RuntimeError:
            return torch.device("cuda")
        except Exception:
            pass  # the check runs into it again, and says so
    return _device_of()


@_check("real_loss and fake_loss", "two numbers that say how far D's outputs are from 'real' and from 'fake'",
        "these two losses are the whole game: D lowers both on its images, G lowers real_loss on its fakes")
def test_losses(real_loss, fake_loss, D=None):
    """Check real_loss(D_out) and fake_loss(D_out) on outputs D_out of shape (N, 1).

    Sound: binary cross-entropy on logits or probabilities, least squares, hinge, a smoothed real label. With D, your
    discriminator, also whether losses and D agree on who applies the sigmoid: exactly one of them.
    """
    device = _loss_device(real_loss, D)
    advice = []
    for name, loss in (("real_loss", real_loss), ("fake_loss", fake_loss)):
        for n in (64, 7, 3, 256):
            mixed = torch.randperm(n, device=device)
            _judge_loss(name, loss, torch.linspace(0.1, 0.9, n, device=device)[mixed, None])
    _judge_labels(real_loss, fake_loss, device)
    advice += _label_advice(real_loss, device) + _logarithm_advice(real_loss, fake_loss, device)
    try:
        real_loss(torch.full((1, 1), 0.5, device=device)), fake_loss(torch.full((1, 1), 0.5, device=device))
    except Exception:
        advice.append("a batch of one image is too small for these losses: squeeze() makes its (1, 1) a number without "
                      "a batch. squeeze(1) keeps it, and so do labels like torch.ones_like(D_out).")
    if float(fake_loss(torch.full((512, 1), 0.3, device=device))) > 1.5 * _curve(fake_loss, [0.3], device)[0] > 0:
        advice.append("the losses grow with the batch, as sums do. With means, a learning rate suits every batch size.")
    if D is not None:
        advice += _judge_meeting(real_loss, fake_loss, D)
    return advice


def _judge_loss(name, loss, outputs):
    """One loss on outputs (N, 1): a finite scalar with a gradient, made from N comparisons."""
    n, sizes = len(outputs), []
    outputs = outputs.clone().requires_grad_()

    def note(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), _Watch() as watch:
        value = _call(f"{name}(D_out) to run on D_out of shape ({n}, 1)", loss, outputs)
    if value is None:
        _no_result(name, loss, "backward() starts from what it returns.")
    if not isinstance(value, torch.Tensor):
        _fail(f"{name}(D_out) to return a tensor with one number.", f"{_summary(value)}.",
              "backward() starts from this tensor; a plain number has no graph to go back through.",
              "the return: the loss itself, without .item() or float().")
    if value.numel() != 1:
        _fail(f"{name}(D_out) to return one number for the whole batch.", f"{_summary(value)}.",
              "backward() starts from a single number.", "reduction='none', or a mean() that is missing.")
    if not value.isfinite():
        _fail(f"{name}(D_out) to be finite for outputs from 0.1 to 0.9.", f"{value.item()}.",
              "a nan or inf goes into every weight at the next step.", "logs of negative numbers or of zero.")
    gradient = torch.autograd.grad(value, outputs, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None or not gradient.any():
        _fail(f"{name}(D_out) to have a gradient at D_out.", "none: it does not depend on D_out, or is cut off from it.",
              "D and G learn from this gradient and from nothing else.", f"{name}: detach(), .data, .item(), a constant.")
    if max([*sizes, *(step.out.numel() for step in watch.steps)]) >= n * n:
        _fail(f"{n} outputs compared with {n} labels, one each.",
              f"{n} x {n} comparisons: shapes ({n}, 1) and ({n},) are spread into a table.",
              "every image is then compared with every other image's label, without an error and at a cost.",
              "the shapes: torch.ones_like(D_out), or squeeze both.")
    part = int((gradient != 0).sum())
    if n - part > max(1, n // 8):  # one may lie at its label
        _fail(f"{name}(D_out) to look at all {n} outputs.", f"a gradient for {part} of them.",
              "the rest of each batch would teach nothing.", f"{name}: an index, or a size that is fixed.")
    _judge_mean(name, loss, outputs.detach())


def _judge_mean(name, loss, outputs):
    """Is it the mean of the losses, and not the loss of the mean?"""
    for low, high in ((0.1, 0.9), (-3.0, 3.0)):
        values = (low + (outputs - 0.1) / 0.8 * (high - low)).requires_grad_()
        curve = _curve(loss, [low, (low + high) / 2, high], outputs.device)
        try:
            (gradient,) = torch.autograd.grad(loss(values).sum(), values)
        except Exception:
            continue
        bend = abs(curve[0] + curve[2] - 2 * curve[1])
        alike = (gradient - gradient.mean()).abs().max() < 1e-5 * gradient.abs().max()
        if math.isfinite(bend) and bend > 0.01 * (abs(curve[2] - curve[0]) + 1e-6) and alike:
            _fail(f"{name}(D_out) to be the mean of one loss for each output.",
                  "the loss of their mean: every output gets the same gradient, whatever it is.",
                  "images on which D errs most must count most; a batch that is right on average would teach nothing.",
                  f"{name}: the loss first and the mean after it, not loss(D_out.mean()).")


def _judge_labels(real_loss, fake_loss, device):
    """Does real_loss fall towards high outputs and fake_loss towards low ones, and is the fake label 0?"""
    real, fake = (_curve(loss, [0.1, 0.5, 0.9], device) for loss in (real_loss, fake_loss))
    for name, loss, curve in (("real_loss", real_loss, real), ("fake_loss", fake_loss, fake)):
        if not all(map(math.isfinite, curve)):
            _call(f"{name}(D_out) to run on 256 equal outputs", loss, torch.full((256, 1), 0.5, device=device))
            _fail(f"{name}(D_out) to be finite for outputs from 0.1 to 0.9.", f"{_listed(curve)}.",
                  "a nan or inf goes into every weight at the next step.", "logs of negative numbers or of zero.")
    wants = ["high" if a > b > c else "low" if a < b < c else "middling" for a, b, c in (real, fake)]
    if wants != ["high", "low"]:
        look = "which labels are used: 1 in real_loss, 0 in fake_loss."
        if wants == ["low", "high"]:
            look = ("the sign: a loss is least where D is right." if min(real + fake) < 0 else
                    "the labels are swapped: 1 belongs in real_loss, 0 in fake_loss.")
        elif wants[0] == wants[1]:
            look = "both use the same label: 1 belongs in real_loss, 0 in fake_loss."
        numbers = [" ".join(f"{value:.2f}" for value in curve) for curve in (real, fake)]
        _fail("real_loss least for high outputs, fake_loss least for low ones.",
              f"real_loss is least for {wants[0]}, fake_loss for {wants[1]} ones. For outputs 0.1, 0.5, 0.9: "
              f"real_loss {numbers[0]}; fake_loss {numbers[1]}.",
              "D would be taught to call faces fake and fakes faces, or to tell nothing apart.", look)
    label = _logistic_label(fake_loss, device)
    close_to_0 = _curve(fake_loss, [0.02, 0.06], device)
    if label > 0.01 if label is not None else close_to_0[0] > close_to_0[1]:
        _fail("0 as the label of fakes.", "a label above 0: fake_loss rises again as D grows sure that a fake is one.",
              "smoothing is for the real side only. Fakes with a label above 0 hold G where it is: D asks for them.",
              "fake_loss: labels of zero, without smoothing or noise.")


def _real_label(real_loss, device):
    """The label in real_loss, where it is a cross-entropy on logits or on probabilities, or least squares; else None."""
    label = _logistic_label(real_loss, device)
    if label is not None:
        return label

    def least(values):
        curve = _curve(real_loss, values, device)
        place = min(range(len(values)), key=curve.__getitem__)
        return values[place], 0 < place < len(values) - 1

    value, inside = least([value / 100 for value in range(50, 151)])
    if inside:
        return value
    if _curve(real_loss, [0.0001], device)[0] > 6:  # a logarithm, made for [0, 1]
        value, inside = least([value / 100 for value in range(50, 100)] + [0.9999])
        return value if inside else 1.0
    return None


def _label_advice(real_loss, device):
    """Lines on the label of real images: smoothed, but not the wrong way."""
    label = _real_label(real_loss, device)
    if label is None:
        return []
    if label > 1.01:
        return [f"the real label is {label:.2g}: smoothing goes below 1, as to 0.9. Above 1 D is never sure enough. "
                f"{_asked('smoothing')}"]
    if label > 0.99:
        return [_NOT_SMOOTHED]
    return []


_NOT_SMOOTHED = f"the real label is 1. {_asked('smoothing')} A label of 0.9 keeps D from growing too sure."


def _logarithm_advice(real_loss, fake_loss, device):
    """Lines on cross-entropy that fails where D is sure, or under autocast."""
    for name, loss, far in (("real_loss", real_loss, -60.0), ("fake_loss", fake_loss, 60.0)):
        with _Watch() as watch:
            _curve(loss, [0.5], device)
        if "binary_cross_entropy" in watch.names():
            return ["BCELoss takes probabilities, and under autocast on a GPU, as train() runs there, PyTorch refuses it. "
                    "Let D give raw scores to BCEWithLogitsLoss, or keep the loss outside autocast."]
        if _logistic_label(loss, device) is not None and not math.isfinite(_curve(loss, [far], device)[0]):
            return [f"{name} becomes infinite where D is sure: the sigmoid rounds to 0 or 1, and its logarithm has no end. "
                    "BCEWithLogitsLoss and F.logsigmoid compute the two together."]
    return []


def _judge_meeting(real_loss, fake_loss, D):
    """The losses on what D really gives: is the sigmoid applied exactly once? Returns advice."""
    device, size = _device_of(D), _size_of(D)
    images = torch.rand(7, 3, size, size, device=device) * 2 - 1
    scores = _call(f"D to run on images of shape {tuple(images.shape)}", D.train(), images)
    for name, loss in (("real_loss", real_loss), ("fake_loss", fake_loss)):
        _call(f"{name} to run on D's output of shape {tuple(scores.shape)}", loss, scores)
    if _gives_probabilities(D):
        if _has_sigmoid(real_loss, fake_loss, device):
            _fail_sigmoids("the loss")
        curve = _curve(fake_loss, [-1, 0, 2], device)
        steep = _curve(fake_loss, [0.9999], device)[0] > 6  # a logarithm, made for [0, 1]
        if curve[0] < curve[1] - 0.01 and math.isfinite(curve[2]) and not steep:
            return ["D ends in a sigmoid, but these losses want scores below 0 for fakes, where a sigmoid never gets. "
                    "Without the sigmoid they have their full range."]
        return []
    wrong = _curve(real_loss, [-4, -2], device)
    if math.isnan(sum(wrong)) or wrong[0] == wrong[1]:
        _fail("losses that take whatever D gives.", "raw scores (logits) from D, for losses that only know [0, 1].",
              "as soon as a score leaves [0, 1], the gradient is 0 or nan, or training ends with an error.",
              "use BCEWithLogitsLoss, which has the sigmoid inside and takes raw scores.")
    if _read_as_probability(D, real_loss):
        return []
    return [f"no sigmoid, neither in D nor in the losses, which is sound with these. {_asked('value')}"]


def _read_as_probability(D, real_loss):
    """Is D's value turned into a probability, in D, in D.probability or in the loss?"""
    device, size = _device_of(D), _size_of(D)
    if _gives_probabilities(D) or _logistic_label(real_loss, device) is not None:
        return True
    if not hasattr(D, "probability"):
        return False
    chance = D.probability(100 * torch.randn(5, 3, size, size, device=device))
    return bool(((chance >= 0) & (chance <= 1)).all())


def _fail_sigmoids(where):
    _fail("one sigmoid between D's last layer and the loss.", f"two: D ends in a sigmoid, and {where} applies its own.",
          "squashed twice, a loss cannot get near 0 even when D is right, and its gradient stays weak.",
          "drop D's sigmoid and keep the loss for raw scores, BCEWithLogitsLoss: it keeps its slope where D is sure, and "
          "runs under autocast on a GPU, which BCELoss does not.")


@_check("d_optimizer and g_optimizer", "two optimizers, one over D's parameters and one over G's",
        "D and G play against each other: each must be moved by its own optimizer and by no other")
def test_optimizers(d_optimizer, g_optimizer, D, G):
    """Check the two optimizers: all of one network's parameters each, no others, and a learning rate that can work."""
    for name, optimizer in (("d_optimizer", d_optimizer), ("g_optimizer", g_optimizer)):
        if optimizer in (None, ...):  # as the notebook has it before an answer is written
            raise _NotBegun(f"{name} is {optimizer}")
        if not hasattr(optimizer, "param_groups") or not hasattr(optimizer, "zero_grad"):
            _fail(f"{name} to be an optimizer of torch.optim.", f"{_summary(optimizer)}.",
                  "training calls its zero_grad() and step().", f"{name} = torch.optim.Adam(...).")
    if d_optimizer is g_optimizer:
        _fail("two optimizers.", "one and the same for D and G.",
              "a step of it moves both networks at once: each step for D would also spoil G.", "the line of g_optimizer.")
    _judge_parameters("d_optimizer", d_optimizer, "D", D, "G", G)
    _judge_parameters("g_optimizer", g_optimizer, "G", G, "D", D)
    advice = {}
    for name, optimizer in (("d_optimizer", d_optimizer), ("g_optimizer", g_optimizer)):
        for group in optimizer.param_groups:
            for line in _judge_rate(name, group):
                advice.setdefault(line, {})[name] = None
    advice = [f"{' and '.join(names)}: {line}" for line, names in advice.items()]
    if not all(isinstance(o, (torch.optim.Adam, torch.optim.AdamW)) for o in (d_optimizer, g_optimizer)):
        kinds = sorted({type(o).__name__ for o in (d_optimizer, g_optimizer)} - {"Adam", "AdamW"})
        advice.append(f"{' and '.join(kinds)} in place of Adam. {_asked('optimizers')}")
    return advice


def _judge_parameters(name, optimizer, net_name, net, other_name, other):
    """Does an optimizer hold exactly the parameters of its own network?"""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p): key for key, p in net.named_parameters()}
    needed = {id(p) for p in net.parameters() if p.requires_grad}
    expected = f"{name} to hold the parameters of {net_name}, all of them and no others."
    if held & {id(p) for p in other.parameters()}:
        both = f"{net_name} and of {other_name} together" if held & own.keys() else other_name
        _fail(expected, f"those of {both}.", f"its step would move {other_name}, which plays for the other side.",
              f"{name}: {net_name}.parameters().")
    missing = needed - held
    if missing == needed:
        _fail(expected, "the parameters of some other network.",
              f"its step would leave {net_name} as it is, without an error: often a {net_name} that was built anew since.",
              f"run the cell that builds {name} again, after build_network.")
    if missing:
        _fail(expected, f"{len(missing)} of {len(needed)} are missing, among them {own[min(missing, key=list(own).index)]}.",
              "layers that are left out stay as they were drawn at random.",
              f"{name}: {net_name}.parameters(), not a part of it.")
    if held - own.keys():
        _fail(expected, f"{len(held - own.keys())} parameters besides that are in neither network.",
              "they are moved to no purpose, and are often a sign of a network that was built anew.",
              f"{name}: {net_name}.parameters().")


def _rate(group):
    """The learning rate that training began with: schedules, PyTorch's too, keep it when they lower the other."""
    return float(group.get("initial_lr", group["lr"]))


def _judge_rate(name, group):
    """A learning rate that can work; advice on rates and betas that are less usual."""
    rate, betas = _rate(group), group.get("betas")
    if group.get("maximize"):
        _fail(f"{name} to make its loss smaller.", "maximize=True.", "D and G would each learn to be wrong.",
              f"{name}: leave maximize out.")
    if not 1e-6 <= rate <= (0.02 if betas else 1.0):
        _fail(f"a learning rate for {name} that can work: 0.0002 to 0.001 for Adam.", f"lr = {rate:g}.",
              "too low, and the faces never come; too high, and the weights leap about and one network wins at once.",
              f"{name}: lr=0.0002 is where the DCGAN paper starts.")
    if betas and float(betas[0]) > 0.9 and float(betas[0]) > float(betas[1]):
        _fail(f"betas of {name} in their order: first the gradients' mean, 0.1 to 0.5, then their size, 0.999.",
              f"betas = ({float(betas[0]):g}, {float(betas[1]):g}): exchanged.",
              "gradients of a thousand steps ago, against another opponent, would still move the weights.",
              f"{name}: betas=(beta1, beta2), as in (0.1, 0.999).")
    advice = []
    if betas is None and "momentum" in group and "alpha" not in group and rate < 0.003:
        advice.append(f"lr = {rate:g} is a rate for Adam. SGD takes steps as small as the gradients are: it would hardly "
                      "move.")
    if betas and not 0.0002 <= round(rate, 9) <= 0.001:
        advice.append(f"lr = {rate:g}. Between 0.0002 and 0.001 Adam trains GANs of this size well. "
                      f"{_asked('optimizers')}")
    if betas and not 0.1 <= float(betas[0]) <= 0.3:
        beta1 = float(betas[0])
        reason = ("is PyTorch's default, and carries gradients on for ten steps and more, while the opponent moves on"
                  if beta1 == 0.9 else "carries gradients on for many steps, while the opponent moves on"
                  if beta1 > 0.7 else "is the DCGAN paper's choice, and works" if beta1 == 0.5 else "is unusual")
        advice.append(f"beta1 = {beta1:g} {reason}. 0.1 to 0.3 follows the opponent faster. Measure which suits. "
                      f"{_asked('optimizers')}")
    return advice


# ---------------------------------------------------------------------------------------------------------------------
# The training steps
# ---------------------------------------------------------------------------------------------------------------------

# What is real is light above and dark below; what is fake has a light stretch down the middle. Both are far wider than
# what sound augmentation moves, and both look in a mirror as they do outside it.
_HALVES = torch.ones(32, device="cpu").double()
_HALVES[16:] = -1
_MIDDLE = -torch.ones(32, device="cpu").double()
_MIDDLE[8:24] = 1
_REAL, _FAKE = _HALVES[:, None].expand(3, 32, 32), _MIDDLE.expand(3, 32, 32)


def _is_real(images):
    """Which of the images show the real pattern more than the fake one, (n,) on the CPU."""
    images = images.double().cpu()
    return (images * _REAL).mean((1, 2, 3)) > (images * _FAKE).mean((1, 2, 3)).abs()


class _Seen(list):
    """What a probe has seen; a copy of the probe notes it here too."""

    def __deepcopy__(self, memo):
        return self


class _ProbeD(nn.Module):
    """A small D that notes what it sees. Its outputs lie inside (0, 1): good as probabilities and as logits."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.003 * (_REAL - _FAKE).to(torch.get_default_dtype()))
        self.level = 0.3
        self.seen = _Seen()  # a pair for each call: the images, and the list of gradients that came back to the outputs

    def forward(self, images):
        if images.ndim != 4 or images.shape[1:] != (3, 32, 32):
            raise ValueError(f"D takes images of shape (batch, 3, 32, 32) and got {tuple(images.shape)}")
        out = self.level + 0.25 * torch.tanh(100 * (images * self.weight).mean((1, 2, 3)))[:, None]
        gradients = []
        if out.requires_grad:
            out.register_hook(lambda gradient: gradients.append(gradient.detach()))
        self.seen.append((images.detach().clone(), gradients))
        return out

    def probability(self, images):
        return self(images)


class _ProbeG(nn.Module):
    """A small G that notes the z it is given, which may be of any length."""

    def __init__(self):
        super().__init__()
        self.z_size = 37
        self.paint = nn.Parameter((0.5 * _FAKE).to(torch.get_default_dtype()))
        self.mix = nn.Parameter(torch.randn(2048, 3) / 8)
        self.seen = _Seen()

    def forward(self, z):
        if z.ndim != 2:
            raise ValueError(f"G takes z of shape (batch, z_size) and got {tuple(z.shape)}")
        self.seen.append(z.detach().clone())
        return self.paint + 0.4 * torch.tanh(z @ self.mix[:z.shape[1]])[:, :, None, None]


class _Game:
    """The two probes and their optimizers; the learner's steps are the moves in it."""

    def __init__(self, discriminator_step, generator_step, device):
        self.d_step, self.g_step, self.device = discriminator_step, generator_step, device
        self.D, self.G = _ProbeD().to(device), _ProbeG().to(device)
        self.pushes = []  # for each step of d_optimizer: how strongly it pulls real and fake scores
        self.batch_changed = False
        self.attach()

    def attach(self):
        """New optimizers, for the D and G there are."""
        self.d_optimizer = torch.optim.SGD(self.D.parameters(), lr=0.03)
        self.g_optimizer = torch.optim.SGD(self.G.parameters(), lr=300.0)
        self.d_optimizer.register_step_pre_hook(lambda *_: self.pushes.append(self._push()))

    def _push(self):
        gradient = self.D.weight.grad
        return (0, 0) if gradient is None else [abs(float((gradient.cpu() * side).sum())) for side in (_REAL, _FAKE)]

    def move(self, side, n, fakes=None):
        """Run the learner's step for "D" or "G" on n images, and with fakes given, as train() runs it.

        Returns: its result; whether D and whether G moved; how D's scores of real images, of fakes and of G's paint
        changed.
        """
        D, G = self.D.train(), self.G.train()
        D.seen.clear(), G.seen.clear(), self.pushes.clear()
        noise = torch.rand(n, 3, 32, 32, device=self.device) * 2 - 1
        real = 0.5 + 0.25 * _REAL.to(noise) + 0.25 * noise
        before, scores = [p.detach().clone() for p in (*D.parameters(), *G.parameters())], self._scores(real)
        more, words = ((), "") if fakes is None else ((fakes,), ", fake_images")
        if side == "D":
            given = real.clone()
            result = _call(f"discriminator_step(D, G, real_images, d_optimizer{words}) to run on {n} images",
                           self.d_step, D, G, given, self.d_optimizer, *more)
            self.batch_changed |= not torch.equal(given, real)
        else:
            result = _call(f"generator_step(D, G, batch_size={n}, g_optimizer{words}) to run",
                           self.g_step, D, G, n, self.g_optimizer, *more)
        after = (*D.parameters(), *G.parameters())
        d_moved, *g_moved = [not torch.equal(new, old) for new, old in zip(after, before, strict=True)]
        changes = [new - old for new, old in zip(self._scores(real), scores, strict=True)]
        return result, d_moved, any(g_moved), changes

    def _scores(self, real):
        weight, paint = self.D.weight.detach().double().cpu(), self.G.paint.detach().double().cpu()
        return [float((images * weight).mean()) for images in (real.double().cpu() * 2 - 1, _FAKE, paint)]

    def clear(self):
        """No gradient left from the step before."""
        for parameter in (*self.D.parameters(), *self.G.parameters()):
            parameter.grad = None

    def spoil(self):
        """Make what the steps left in the gradients large and adverse: whoever clears them first does not notice."""
        for parameter, adverse in ((self.D.weight, _REAL - _FAKE), (self.G.paint, self.D.weight.detach())):
            if parameter.grad is not None and parameter.grad.any():
                parameter.grad.copy_(1000 * adverse.to(parameter))


@_check("discriminator_step and generator_step", "one training step of D and one of G, each returning its loss",
        "training is nothing but these two steps in turn, thousands of times")
def test_training_steps(discriminator_step, generator_step, D=None, G=None):
    """Check discriminator_step(D, G, real_images, d_optimizer) and generator_step(D, G, batch_size, g_optimizer).

    They run in turn on a small D and G of the check's own, which draw z themselves; and, where they have the argument
    fake_images, as train() runs them: one set of fakes for the two, under autocast. With D and G given, also on those.
    Sound: with or without detach where the fakes are the step's own, one backward pass or two, gradients cleared before
    use by whatever means, pictures changed a little before D sees them, if real and fake ones are alike.
    """
    for name, step, third in (("discriminator_step", discriminator_step, "real_images"),
                              ("generator_step", generator_step, "batch_size")):
        _judge_signature(name, step, "D", "G", third, f"{name[0]}_optimizer")
    given = [net for net in (D, G) if net is not None]
    game = _Game(discriminator_step, generator_step, _steps_device(discriminator_step, generator_step, given))
    advice, drawn = [], {"D": [], "G": []}
    for side, n in (("D", 6), ("G", 5)):  # one move each, with no gradients left from before
        game.clear()
        result, *outcome = game.move(side, n)
        (_judge_d_step if side == "D" else _judge_g_step)(game, n, result, *outcome)
        advice += _judge_result(side, result)
        drawn[side].append(torch.cat(game.G.seen))
    for side, n in (("D", 6), ("G", 5), ("D", 11), ("G", 9)):  # in turn, with what they leave behind
        if n > 6:
            game.spoil()
        *_, (real, fake, paint) = game.move(side, n)
        if (real <= 0 or fake >= 0) if side == "D" else paint <= 0:
            _fail_leftovers(side)
        drawn[side].append(torch.cat(game.G.seen))
    advice += _judge_drawn("discriminator_step", drawn["D"], 6, game.G.z_size)
    advice += _judge_drawn("generator_step", drawn["G"], 5, game.G.z_size)
    if D is not None and _gives_probabilities(D) and _applies_sigmoid(game):
        _fail_sigmoids("the loss in discriminator_step")
    as_in_training = _take_fakes(discriminator_step, generator_step)
    if as_in_training:
        advice += _judge_rounds(game)
    else:
        advice.append("the steps have no argument fake_images. The notebook's train() makes one set of fakes for both "
                      "steps and hands it to each: as a last argument, fake_images=None, which is used when it is given.")
    if game.batch_changed:
        advice.append("discriminator_step changes the batch itself. A loader that keeps its pictures in memory would "
                      "give them scaled already the next time: x * 2 - 1 makes a new tensor, x.mul_(2) does not.")
    if len(given) == 2:
        _judge_together(discriminator_step, generator_step, D, G, as_in_training)
    return list(dict.fromkeys(advice))


def _take_fakes(*steps):
    """Can both steps be called as train() calls them, with fake_images after the other arguments?"""
    return all(_takes(step, None, None, None, None, None) and _fifth_is_fakes(step) for step in steps)


def _fifth_is_fakes(step):
    """Is the fifth argument for fakes, and not a setting of the learner's own, as smooth=True?"""
    try:
        fifth = list(inspect.signature(step).parameters.values())[4:5]
    except (TypeError, ValueError):
        return True
    words = ("fake", "image", "picture", "faces", "generated")
    return all(one.kind is one.VAR_POSITIONAL or any(word in one.name.lower() for word in words) for one in fifth)


def _judge_rounds(game):
    """Both steps as train() runs them: one set of fakes for the two, under autocast. Returns advice."""
    advice = []
    game.D, game.G = _ProbeD().to(game.device), _ProbeG().to(game.device)  # fresh, so that no earlier step has a say
    game.attach()
    for n in (6, 4):
        game.spoil()  # what the first round has left in the gradients
        with _autocast(game.device):
            fakes = game.G(torch.randn(n, game.G.z_size, device=game.device))
            made = fakes.detach().clone()
            result, *outcome = game.move("D", n, fakes)
            if n == 4 and (outcome[-1][0] <= 0 or outcome[-1][1] >= 0):
                _fail_leftovers("D")
            _judge_given("D", game, n, result, *outcome)
            _judge_fakes_kept(game, fakes, made)
            advice += _judge_result("D", result) + _idle_fakes("discriminator_step", game)
            result, *outcome = game.move("G", n, fakes)
            if n == 4 and outcome[-1][2] <= 0:
                _fail_leftovers("G")
            _judge_given("G", game, n, result, *outcome)
            advice += _judge_result("G", result) + _idle_fakes("generator_step", game)
    return advice


def _autocast(device):
    """What train() runs the steps in: matrix products and convolutions in bfloat16, every pass with the weights of now."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, torch.amp.is_autocast_available(kind), cache_enabled=False)


def _judge_given(side, game, n, result, *outcome):
    """One move with fakes given, judged as any other; a failure says that it was with fake_images."""
    try:
        (_judge_d_step if side == "D" else _judge_g_step)(game, n, result, *outcome, given=True)
    except _NotBegun:
        _fail(f"{'discriminator' if side == 'D' else 'generator'}_step to work when fake_images is given.",
              "nothing done, and None returned.", "train() makes one set of fakes and gives it to both steps.",
              "an `if fake_images is None:` under which too much stands.")


def _idle_fakes(name, game):
    if game.G.seen:
        return [f"{name} makes fakes of its own although fake_images gives it some: that is work done twice."]
    return []


def _judge_fakes_kept(game, fakes, made):
    """Has D's step left the given fakes, and the graph from them back to G, for G's step?"""
    expected = "the given fake_images left as they are by discriminator_step, with their graph back to G."
    why = "train() gives the same fakes to G's step next: it learns through their graph."
    if not fakes.requires_grad:
        _fail(expected, "fakes that are cut off from G for good.", why,
              "detach_() cuts the tensor itself. detach() gives another one and leaves this one whole.")
    if not torch.equal(fakes.detach(), made):
        _fail(expected, "other pixels in them than before.", why,
              "what changes fake_images in place, such as mul_, add_ or +=: work on fake_images.detach() * 1, say.")
    try:
        torch.autograd.grad(fakes.sum(), game.G.paint, retain_graph=True)
        torch.autograd.grad(fakes.square().sum(), game.G.mix, retain_graph=True)
    except RuntimeError:
        _fail(expected, "a graph that is used up: G's step would end in 'backward through the graph a second time'.", why,
              "fake_loss(D(fake_images.detach())): the fakes detached, D's backward() ends at them.")


def _steps_device(discriminator_step, generator_step, given):
    """Where the learner's steps make their tensors: with the networks given, else where they run."""
    if not given and torch.cuda.is_available():
        game = _Game(discriminator_step, generator_step, "cpu")
        try:
            game.move("D", 4), game.move("G", 4)
        except AssertionError:
            return torch.device("cuda")
    return _device_of(*given)


def _judge_used(name, game, result, moved):
    """Has the step worked with the D and G it was given, and left them in training mode?"""
    if not game.D.seen and not game.G.seen:
        if result is None and not moved:
            raise _NotBegun(f"{name} returns None and has touched nothing")
        _fail(f"{name} to use the D and G that it is given.", "neither was called.",
              "a step that reads networks from the notebook's globals trains old ones after they are built anew.",
              "the names inside the step: its arguments.")
    for net, net_name in ((game.D, "D"), (game.G, "G")):
        if not net.training:
            _fail(f"{net_name} in training mode after {name}, as before.", "eval mode.",
                  "in eval mode BatchNorm and dropout no longer do their work, from the second step on.",
                  f"after {net_name}.eval(), set {net_name}.train() again.")
        if not all(p.requires_grad for p in net.parameters()):
            _fail(f"{net_name} able to learn after {name}.", "requires_grad is False on its parameters.",
                  "its next step would have nothing to change.", "set requires_grad_(True) again at the end of the step.")


def _judge_d_step(game, n, result, d_moved, g_moved, changes, given=False):
    """One move of D, on n real images: what D saw, and where its scores went."""
    _judge_used("discriminator_step", game, result, d_moved or g_moved)
    rows = torch.cat([images.double().cpu() for images, _ in game.D.seen] or [torch.zeros(0, 3, 32, 32)])
    real, fake = rows[_is_real(rows)], rows[~_is_real(rows)]
    if not game.G.seen and not given:
        fake = fake[:0]  # whatever they are, this G has not made them
    for kind, part in (("real images", real), ("images of the given G", fake)):
        if not len(part):
            _fail("D to see real images and fakes in its step.", f"no {kind} among the {len(rows)} that D was shown.",
                  "shown one kind only, D says the same of everything, and G has nothing to learn from.",
                  "the step: D(real images) with real_loss and D(G(z)) with fake_loss.")
    low, high = real.min().item(), real.max().item()
    if slip := _scale_slip(real, _REAL):
        _fail("D to see real images in [-1, 1]; the loader gives them in [0, 1].",
              f"real images from {low:.2f} to {high:.2f}: {slip}.",
              "G's images lie in [-1, 1]: D would tell real from fake by range alone, and G learn nothing about faces.",
              "scale(real_images), exactly once, before D sees them.")
    _judge_fakes(fake)
    if g_moved:
        _fail("G unchanged by D's step.", "G's weights have moved.",
              "D's step lowers D's loss: moving G along makes its faces easier to tell, the opposite of its aim.",
              "d_optimizer holds D's parameters only; call no step of another optimizer here.")
    count = _counted(game.D.seen)
    if d_moved and count < 0.75 * n:
        _fail("all real images to count in D's step.", f"{count} of {n} with a gradient.",
              "the rest of each batch would teach D nothing.", "an index, or a loop whose last turn alone is used.")
    if not d_moved:
        _fail("D's weights to move.", "they are as before: no step(), or none with gradients.", "D would never learn.",
              "the order: zero_grad(), then backward(), then step(). After backward(), zero_grad() wipes them out.")
    up, down = changes[0], -changes[1]
    if up < 0.02 * down or down < 0.02 * up:
        idle = "real images" if abs(up) < 0.02 * abs(down) else "fakes" if abs(down) < 0.02 * abs(up) else ""
        _fail("D's score to rise on real images and to fall on fakes.",
              f"the {idle} count for nothing in the step." if idle else
              f"{'a fall' if up < 0 else 'a rise'} on real images, {'a rise' if down < 0 else 'a fall'} on fakes.",
              "D's two answers together are what G learns from.",
              "both losses, added before backward(), or two backward() calls with no zero_grad() between them."
              if idle else "real_loss belongs to D(real images), fake_loss to D(G(z)).")
    if len(game.pushes) == 2:
        (real_first, fake_first), (real_second, _) = game.pushes
        if fake_first < 0.05 * real_first and real_second > 0.4 * real_first:
            _fail("gradients cleared before each of the two steps.", "the real images' gradient is used twice.",
                  "real images weigh double, and D leans towards calling everything real.",
                  "zero_grad() before the second backward(), or one step() after both.")


def _counted(seen):
    """How many of the real images that D has seen got a gradient at D's value for them."""
    total = 0
    for images, gradients in seen:
        if gradients:
            total += int((sum(gradients).cpu().flatten(1).any(1) & _is_real(images)).sum())
    return total


def _scale_slip(images, pattern):
    """Images that should be in [-1, 1] and show half of the pattern: what is wrong with their scale, "" for nothing.

    Told by their mean and by how strong the pattern is: noise on them, or a small shift, changes neither by much.
    """
    images = images.double().cpu()
    middle, strength = images.mean().item(), (images * pattern).mean((1, 2, 3))
    if abs(middle) <= 0.4 and strength.max() >= 0.3 and strength.median() <= 0.85:
        return ""
    if 0.4 < middle < 0.8 and strength.median() < 0.45:
        return "not scaled"
    return "scaled twice" if -1.3 < middle < -0.7 else "on another scale"


def _judge_fakes(images):
    low, high = images.min().item(), images.max().item()
    if _scale_slip(images, _FAKE):
        _fail("D to see G's images as G makes them, in [-1, 1].", f"fakes from {low:.2f} to {high:.2f}.",
              "real and fake must come to D on one scale.", "scale() is for the real images only.")


def _judge_g_step(game, n, result, d_moved, g_moved, changes, given=False):
    """One move of G, with n fakes: has G, and G alone, moved to what D calls real?"""
    _judge_used("generator_step", game, result, d_moved or g_moved)
    if not game.G.seen and not given or not game.D.seen:
        _fail("D's judgement of new images of G.", f"{'G' if game.D.seen else 'D'} was not called.",
              "G has no other teacher than what D says about its images.", "the step: real_loss(D(G(z))).")
    _judge_fakes(torch.cat([images for images, _ in game.D.seen]))
    if d_moved:
        _fail("D unchanged by G's step.", "D's weights have moved.", "moved along with G, D learns to be fooled.",
              "g_optimizer holds G's parameters only; call no step of another optimizer here.")
    if not g_moved:
        _fail("G's weights to move.", "they are as before: no step(), or none with gradients.",
              "G would never get better.",
              "a graph cut between G and the loss by detach(), no_grad() or .data; a zero_grad() after backward()."
              + (" With fake_images given, too: they come with their graph." if given else ""))
    if changes[2] <= 0:
        _fail("G to move towards images that D scores higher, as real.", "D's score of G's images falls.",
              "G would learn to be caught.", "the label: G's loss is real_loss(D(G(z))).")


def _judge_result(side, result):
    """A step gives back its loss: a float, or a tensor with one number. Returns advice."""
    name = "discriminator_step" if side == "D" else "generator_step"
    try:
        number = float(result)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        _fail(f"{name} to return its loss, one finite number.", f"{_summary(result)}.",
              "train() collects these numbers: the two curves are how you see whether the game is in balance.",
              "the return: loss.item().")
    if isinstance(result, torch.Tensor) and result.requires_grad:
        return [f"{name} returns its loss with the graph that made it. Kept in a list, it keeps all that memory: "
                "return loss.item() or loss.detach()."]
    return []


def _fail_leftovers(side):
    name, other = ("discriminator_step", "G") if side == "D" else ("generator_step", "D")
    _fail(f"{name} to use the gradients of its own backward() only.",
          f"{side} is pushed the wrong way by gradients left over from before.",
          f"{other}'s step sends its gradient through {side}, too: left there, it is added to {side}'s own and works "
          f"against it.", f"zero_grad() before backward() in {name}.")


def _judge_drawn(name, drawn, n, z_size):
    """The z's that one step drew for batches of n, n and about 2n images: new ones, as many as needed. Returns advice."""
    first, second, third = drawn
    k = min(len(first), len(third))
    within = len(third) > 1 and torch.equal(third[0], third[1])
    if within or torch.equal(first, second) or torch.equal(first[:k], third[:k]):
        _fail(f"new z for every image in {name}.", "the same z again.",
              "G would learn to make a few fixed faces, and nothing in between.",
              "draw z inside the step, with no seed set there, one row for each image. fixed_z is for looking only.")
    if len(third) == len(first) or len(first) % n:
        _fail(f"as many fakes in {name} as there are images in its batch.",
              f"{len(first)}, whatever the batch." if len(third) == len(first) else f"{len(first)} for {n} images.",
              "the last batch of an epoch is smaller, and a batch size is yours to change.",
              "the first size of z: real_images.size(0) in D's step, the argument batch_size in G's.")
    if z_size > 1 and (third == third[:, :1]).all():
        _fail(f"z with {z_size} numbers of their own in {name}.", "one number, repeated through all of z.",
              "G would have a single dial for all that tells faces apart.",
              "draw torch.randn(n, G.z_size); expand and repeat only copy.")
    advice = []
    if first.shape[1] != z_size:
        advice.append(f"{name} draws z with {first.shape[1]} numbers for a G whose z_size is {z_size}. "
                      "Take it from G.z_size: a fixed or global number breaks with the next G.")
    if (torch.cat(drawn) >= 0).all():
        advice.append(f"{name} draws z from positive numbers only. Around 0, as torch.randn gives them, G starts better.")
    return advice


def _applies_sigmoid(game):
    """Does the loss in discriminator_step apply a sigmoid? Told by how its gradient at fakes grows with D's output."""
    strength = []
    for level in (0.1, 0.8):
        game.D = _ProbeD().to(game.device)
        game.D.level = level
        game.d_optimizer = torch.optim.SGD(game.D.parameters(), lr=0.0)
        game.move("D", 8)
        for images, gradients in list(game.D.seen):
            fake = ~_is_real(images)
            if fake.any() and gradients:
                with torch.no_grad():
                    output = game.D(images[fake.to(images.device)]).mean().item()
                strength.append((output, gradients[0].cpu()[fake].mean().item()))
                break
    if len(strength) < 2 or not strength[0][1]:
        return False
    (low, weak), (high, strong) = strength
    grows = (1 + math.exp(-low)) / (1 + math.exp(-high))  # the gradient of log(1 + e^t) is the sigmoid
    return abs(strong / weak - grows) < 0.01


def _judge_together(discriminator_step, generator_step, D, G, as_in_training):
    """The steps on the learner's own networks, alone and as in training: does each move its own network, and only it?"""
    D.train(), G.train()
    device, size = _device_of(D), _size_of(D)
    for n, given in ((7, False), (4, as_in_training and hasattr(G, "z_size"))):
        words = ", fake_images" if given else ""
        with _autocast(device) if given and _has_bfloat16(device) else contextlib.nullcontext():
            fakes = [G(torch.randn(n, G.z_size, device=device))] if given else []
            with _only_moves("discriminator_step", "D", D, G):
                _call(f"discriminator_step(D, G, real_images, d_optimizer{words}) to run with your D and G on {n} images",
                      discriminator_step, D, G, torch.rand(n, 3, size, size, device=device),
                      torch.optim.SGD(D.parameters(), lr=0.01), *fakes)
            with _only_moves("generator_step", "G", G, D):
                _call(f"generator_step(D, G, batch_size={n}, g_optimizer{words}) to run with your D and G",
                      generator_step, D, G, n, torch.optim.SGD(G.parameters(), lr=0.01), *fakes)


def _has_bfloat16(device):
    """Does this machine train in bfloat16? Elsewhere it is emulated, and slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()


@contextlib.contextmanager
def _only_moves(step, name, mine, other):
    """Fail unless the weights of `mine` have moved at the end, and those of `other` have not."""
    before = [[p.detach().clone() for p in net.parameters()] for net in (mine, other)]
    yield
    moved, spoilt = [any(not torch.equal(p, old) for p, old in zip(net.parameters(), values, strict=True))
                     for net, values in zip((mine, other), before, strict=True)]
    if not moved:
        _fail(f"{step} to move your {name}.", f"the weights of your {name} are as before, though a small {name} of the "
              "check's own was moved.", f"in training {name} would stay as it was drawn.",
              f"{step}: a condition on the networks; or your {name}, does its result depend on its weights?")
    if spoilt:
        _fail(f"{step} to move {name} only.", "the weights of the other network have moved.",
              "D and G play against each other: each step moves its own side.", f"{step}: the optimizers it calls.")


# ---------------------------------------------------------------------------------------------------------------------
# Training mode and evaluation mode
# ---------------------------------------------------------------------------------------------------------------------


@_check("mode_difference", "a number: how much the faces of z change with the rest of their batch, in the mode asked for",
        "a generator used in training mode makes another face of the same z whenever its company changes")
def test_mode_difference(mode_difference):
    """Try it with a small generator that has BatchNorm, in both modes, and hold it against the same worked out here."""
    G = nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 8, 4), nn.BatchNorm2d(8), nn.ReLU(),
                      nn.Conv2d(8, 3, 3, padding=1), nn.Tanh())
    z, one, other = torch.randn(3, 4), torch.randn(5, 4) * 0.3, torch.randn(5, 4) * 2 + 1
    advice = []
    for training in (True, False):
        call = f"mode_difference(G, z, one, other, training={training}) for 3 z in batches of 8 gives one number"
        wanted, everything = _mode_difference_of(G, z, one, other, training)
        probe = copy.deepcopy(G).train(not training)  # so that it is for the answer to set the mode
        result = _call(call, mode_difference, probe, z, one, other, training)
        if result is None:
            _fail(f"{call}.", "None.", "the comparison needs the number.", "the last line: does it return the difference?")
        if isinstance(result, torch.Tensor) and result.numel() == 1:
            advice += ["it returns a tensor: .item() makes a plain number of it."] * training
        elif not isinstance(result, (int, float, np.floating)):
            _fail(f"{call}.", f"{_summary(result)}.", "a mean over all pixels is one number.", ".mean().item()")
        _judge_mode_difference(call, float(result), wanted, everything, training)
    return advice


def _mode_difference_of(G, z, one, other, training):
    """The mean absolute difference of the faces of z, and that of the whole batches, in a copy of G in this mode."""
    G = copy.deepcopy(G).train(training)
    with torch.no_grad():
        first, second = (G(torch.cat([z, rest])) for rest in (one, other))
    return (first - second)[:len(z)].abs().mean().item(), (first - second).abs().mean().item()


def _judge_mode_difference(call, got, wanted, everything, training):
    if abs(got - wanted) < 1e-5 + 1e-3 * wanted:
        return
    if abs(got - everything) < 1e-5 + 1e-3 * everything:
        why, look = ("the rest of the two batches differs anyway; the question is what becomes of the same z.",
                     "take the faces of z alone, the first len(z) of each batch.")
    elif training and got == 0:
        why, look = ("in training mode BatchNorm uses the batch at hand, so the faces of z must change with it.",
                     "G.train(training), before the faces are made; and are both batches in use?")
    elif not training and got > 1e-6:
        why, look = ("in evaluation mode a face depends on its z alone, whatever else is in the batch.",
                     "G.train(training), before the faces are made: G.train(False) is G.eval().")
    else:
        why, look = ("another measure, or other pictures, cannot be compared with the numbers in the text.",
                     "(first - second).abs().mean(), first and second being the faces of z in the two batches.")
    _fail(f"{call}: {wanted:.4f} here.", f"{got:.4f}.", why, look)


# ---------------------------------------------------------------------------------------------------------------------
# The rubric report
# ---------------------------------------------------------------------------------------------------------------------


class RubricReport:
    """The rubric as a table: HTML in Jupyter, plain text elsewhere.

    lines: (part, what is asked, verdict, note) each; the verdict is "met", "not met" or "a person decides".
    """

    def __init__(self, lines, faces=None, generated=None):
        self.lines = lines
        self._faces, self._generated = faces, generated  # PNGs in base64, of real and generated images, of these alone

    def __repr__(self):
        text = [self._count(), ""]
        for part, asked, verdict, note in self.lines:
            text.append(textwrap.fill(f"{verdict:<17} {part}: {asked}", 118, subsequent_indent=" " * 18))
            if note:
                text.append(textwrap.fill(note, 118, initial_indent=" " * 18, subsequent_indent=" " * 18))
        return "\n".join(text)

    def save(self, folder, photographs=True):
        """Write report.html and report.json into a folder, which is made where there is none. Returns: both paths.

        photographs: False leaves the real images out of the page, so that no face of the data is passed on. Home and
        working folder are cut out of the notes. Raises: OSError if the folder cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [(*rest, _impersonal(note)) for *rest, note in self.lines]
        told = RubricReport(lines, self._faces if photographs else None, self._generated)
        page, data = folder / "report.html", folder / "report.json"
        head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Rubric report</title>'
        page.write_text(f"{head}<body>{told._repr_html_()}</body></html>\n", encoding="utf-8")
        lines = [dict(zip(("part", "asked", "verdict", "note"), line, strict=True)) for line in lines]
        data.write_text(json.dumps({"summary": self._count(), "lines": lines}, indent=1), encoding="utf-8")
        return page, data

    def _repr_html_(self):
        colours = {"met": "#2a9d57", "not met": "#d1495b", "a person decides": "#8a7f00"}
        cell = '<td style="text-align:left;vertical-align:top">'
        rows = "".join(f'<tr>{cell}{html.escape(part)}</td>{cell}{html.escape(asked)}</td>{cell}'
                       f'<b style="color:{colours[verdict]}">{verdict}</b></td>{cell}{html.escape(note)}</td></tr>'
                       for part, asked, verdict, note in self.lines)
        picture = self._faces or self._generated
        said = "Above: real images. Below: generated ones." if self._faces else "Generated images."
        faces = "" if picture is None else (
            f'<p>{said}<br><img alt="{said}" style="image-rendering:pixelated" src="data:image/png;base64,{picture}"></p>')
        return f"<p><b>{self._count()}</b></p><table>{rows}</table>{faces}"

    def _count(self):
        verdicts = [verdict for _, _, verdict, _ in self.lines]
        return (f"Rubric: {verdicts.count('met')} of {len(verdicts)} lines met, {verdicts.count('not met')} not met, "
                f"{verdicts.count('a person decides')} for a person to decide.")


def rubric_report(get_dataloader=None, scale=None, D=None, G=None, weights_init_normal=None, real_loss=None,
                  fake_loss=None, d_optimizer=None, g_optimizer=None, discriminator_step=None, generator_step=None,
                  history=None, samples=None, real_images=None, fake_images=None, mode_difference=None):
    """Go through the rubric with what the notebook built. Returns a RubricReport; what is left out counts as not met.

    history: {"images": [...], "d_loss": [...], "g_loss": [...]}; samples: the fixed z's faces, one batch for each time
    they were kept; real_images: a batch as the loader gives it, in [0, 1]; fake_images: G's, in [-1, 1].
    """
    given = dict(locals())
    lines = []

    def line(part, asked, judge, *needs):
        absent = [name for name in needs if given[name] is None]
        verdict, note = False, f"the report was given no {' and no '.join(absent)}."
        try:
            if not absent:
                with _no_trace(*(given[name] for name in needs)):
                    verdict, note = judge(*(given[name] for name in needs))
        except Exception as error:
            note = f"it could not be judged: {type(error).__name__}: {textwrap.shorten(str(error), 150)}"
        lines.append((part, asked, {True: "met", False: "not met", None: "a person decides"}[verdict], note))

    line("Data", "square pictures from a folder, tensors in [0, 1], shuffled batches", _rubric_data, "get_dataloader")
    line("Data", "scale takes [0, 1] to any range given", functools.partial(_rubric_check, test_scale), "scale")
    line("Discriminator", _ASKED["strides"], _rubric_strides, "D")
    line("Discriminator", _ASKED["slope"], _rubric_leaky, "D")
    line("Discriminator", _ASKED["norm"], functools.partial(_rubric_norm, real_loss=real_loss), "D")
    line("Discriminator", _ASKED["kernel"], _rubric_kernel, "D")
    line("Discriminator", _ASKED["dropout"], _rubric_dropout, "D")
    line("Discriminator", _ASKED["value"], _rubric_value, "D", "real_loss")
    line("Generator", _ASKED["depth"], _rubric_depth, "G", "D")
    line("Generator", _ASKED["transposed"], _rubric_transposed, "G")
    line("Generator", _ASKED["less dropout"], _rubric_less_dropout, "G", "D")
    line("Generator", _ASKED["parts"], _rubric_parts, "G")
    line("Generator", "images of the processed data's shape", _rubric_shape, "G", "real_images")
    line("Training", "weights drawn with mean 0 and std 0.02, BatchNorm left alone",
         functools.partial(_rubric_check, test_weights_init), "weights_init_normal")
    line("Training", _ASKED["smoothing"], _rubric_losses, "real_loss", "fake_loss", "D")
    line("Training", _ASKED["optimizers"], _rubric_optimizers, "d_optimizer", "g_optimizer", "D", "G")
    line("Training", "D and G in turn, real images scaled", functools.partial(_rubric_check, test_training_steps),
         "discriminator_step", "generator_step", "D", "G")
    line("Training", "a loss history of the whole training", _rubric_history, "history")
    line("Results", "the fixed z's faces kept through training", _rubric_samples, "samples")
    line("Results", "BatchNorm's running statistics, and what eval() changes, shown and explained",
         _rubric_statistics, "G")
    line("Results", "the effect of train() and eval() on the faces measured", functools.partial(
        _rubric_check, test_mode_difference), "mode_difference")
    line("Results", "the faces are realistic", _rubric_faces, "real_images", "fake_images")
    for asked in ("what is noticed about the faces", "how they could be improved", "one change tried, before and after"):
        line("Analysis", f"in writing: {asked}", lambda: (None, "the answer stands in the notebook, under Questions."))
    return RubricReport(lines, _faces_png(real_images, fake_images=fake_images),
                        _faces_png(fake_images=fake_images))


# Each of these judges one line: whether it is met (None: a person decides), and a note.


def _rubric_check(check, *args):
    """A line that one of the checks judges."""
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            check(*args)
    except AssertionError as error:
        return False, " ".join(str(error).split("Why it matters")[0].split())
    return True, " ".join(said.getvalue().removeprefix("Tests Passed").split())


def _rubric_data(get_dataloader):
    met, note = _rubric_check(test_get_dataloader, get_dataloader)
    return met and "not square" not in note and "share a batch" not in note, note


def _looked_at(net):
    """A _Watch of D or G at work on four inputs, in training mode."""
    device = _device_of(net)
    size = None if hasattr(net, "z_size") else _size_of(net)
    x = torch.rand(4, 3, size, size, device=device) if size else torch.randn(4, net.z_size, device=device)
    with torch.no_grad(), _Watch(x) as watch:
        net.train()(x)
    return watch


def _rubric_strides(D):
    watch = _looked_at(D)
    strides = [stride for _, stride in watch.kernels("conv2d")]
    pools = [step.name for step in watch.pools()]
    return max(strides, default=1) > 1 and not pools, f"strides {_listed(strides)}; pooling: {_listed(pools)}."


def _rubric_leaky(D):
    slopes = [step.setting("negative_slope", 1, 0.01) for step in _looked_at(D).steps if "leaky_relu" in step.name]
    return bool(slopes) and all(0.1 <= slope <= 0.2 for slope in slopes), f"slopes {_listed(slopes)}."


def _rubric_norm(D, real_loss=None):
    watch = _looked_at(D)
    count, first = sum(step.name == "batch_norm" for step in watch.steps), "batch_norm" in watch.by_layer()[0]
    if not count and callable(real_loss) and _is_linear(real_loss, _device_of(D)):
        return None, "no BatchNorm: a critic with Wasserstein's loss and a gradient penalty does without. Is there one?"
    return count > 0 and not first, f"{count} BatchNorm layers, {'one' if first else 'none'} of them on the first layer."


def _rubric_kernel(D):
    sizes = [kernel for kernel, _ in _looked_at(D).kernels("conv2d")]
    return len(set(sizes)) == 1, f"kernels {_listed(sizes)}."


def _rubric_dropout(D):
    rates = _looked_at(D).dropouts()
    return bool(rates) and max(rates) <= 0.4, f"dropout {_listed(rates)}."


def _rubric_value(D, real_loss):
    size = _size_of(D)
    images = 100 * torch.randn(5, 3, size, size, device=_device_of(D))
    out = D(images)
    if tuple(out.shape) != (5, 1):
        return False, f"D gives {_summary(out)} for 5 images."
    if not _read_as_probability(D, real_loss):
        return False, "D gives logits, and the sigmoid is nowhere."
    if _gives_probabilities(D):
        return True, "D ends in a sigmoid."
    inside = _logistic_label(real_loss, _device_of(D)) is not None
    return True, f"D gives logits, and {'the sigmoid is inside the loss' if inside else 'D.probability the probability'}."


def _rubric_depth(G, D):
    deep, shallow = len(_looked_at(G).layers()), len(_looked_at(D).layers())
    return deep >= shallow + 2, f"G has {deep} layers with weights, D has {shallow}."


def _rubric_transposed(G):
    watch = _looked_at(G)
    return _well_transposed(watch), f"kernel/stride {_listed([f'{k}/{stride}' for k, stride in watch.kernels('conv')])}."


def _well_transposed(watch):
    sizes = watch.kernels("conv")
    return bool(watch.kernels("conv_transpose2d")) and sizes[-1][1] == 1 and not any(k % stride for k, stride in sizes)


def _rubric_less_dropout(G, D):
    mine, other = _looked_at(G).dropouts(), _looked_at(D).dropouts()
    return not mine or max(mine) < max(other, default=0), f"G: dropout {_listed(mine)}; D: dropout {_listed(other)}."


def _rubric_parts(G):
    absent = _absent_parts(_looked_at(G))
    return not absent, f"no {' and no '.join(absent)}." if absent else ""


def _absent_parts(watch):
    parts = {"BatchNorm": "batch_norm", "ReLU": "relu", "tanh": "tanh"}
    return [part for part, name in parts.items() if name not in watch.names()]


def _rubric_shape(G, real_images):
    made, real = tuple(_looked_at(G).steps[-1].out.shape[1:]), tuple(real_images.shape[1:])
    return made == real, f"G makes {made}, the data has {real}."


def _rubric_losses(real_loss, fake_loss, D):
    met, note = _rubric_check(test_losses, real_loss, fake_loss, D)
    label = _real_label(real_loss, _device_of(D)) if met else None
    smoothed = label is None or label <= 0.99
    return met and smoothed, note or ("" if label is None else f"the real label is {label:.2g}, the fake label 0.")


def _rubric_optimizers(d_optimizer, g_optimizer, D, G):
    met, note = _rubric_check(test_optimizers, d_optimizer, g_optimizer, D, G)
    if not met:
        return met, note
    found = [(type(o).__name__, _rate(group), float(group.get("betas", (0,))[0]))
             for o in (d_optimizer, g_optimizer) for group in o.param_groups]
    note = "; ".join(f"{name}, lr {lr:g}, beta1 {beta1:g}" for name, lr, beta1 in found) + "."
    adam = all(isinstance(o, (torch.optim.Adam, torch.optim.AdamW)) for o in (d_optimizer, g_optimizer))
    if not adam or not all(0.0002 <= round(lr, 9) <= 0.001 for _, lr, _ in found):
        return False, note
    if all(0.1 <= beta1 <= 0.3 for *_, beta1 in found):
        return True, note
    half = all(0.1 <= beta1 <= 0.3 or beta1 == 0.5 for *_, beta1 in found)
    return None if half else False, note + (" Is a reason for 0.5 given that was measured?" if half else "")


def _rubric_history(history):
    lists = [list(history[key]) for key in ("images", "d_loss", "g_loss")]
    if len(set(map(len, lists))) != 1 or len(lists[0]) < 2:
        return False, f"{_listed([len(values) for values in lists])} entries for images, d_loss and g_loss."
    if not all(math.isfinite(value) for value in itertools.chain(*lists)):
        return False, "nan or inf among the losses."
    return True, f"{lists[0][-1]:,} images seen; at the end D's loss is {lists[1][-1]:.2f}, G's {lists[2][-1]:.2f}."


def _rubric_samples(samples):
    changed = len(samples) > 1 and not torch.equal(samples[0], samples[-1])
    return changed, f"kept {len(samples)} times{'' if changed else ', without a change'}."


def _rubric_statistics(G):
    batches = [int(m.num_batches_tracked) for m in G.modules() if getattr(m, "num_batches_tracked", None) is not None]
    if not batches:
        return False, "G has no BatchNorm with running statistics."
    z = torch.randn(64, G.z_size, device=_device_of(G))
    with torch.no_grad():
        changed = (G.eval()(z) - G.train()(z)).abs().mean()
    return None, (f"updated by {max(batches):,} batches; eval() changes G's pixels by {changed:.3f} on average. "
                  "Is that shown, and the reason given?")


def _rubric_faces(real_images, fake_images):
    real, fake = real_images.detach().float().cpu() * 2 - 1, fake_images.detach().float().cpu()
    variety = [float((images - images.roll(1, 0)).abs().mean()) for images in (real, fake)]
    return None, (f"compare the faces. Brightness {real.mean():.2f} real, {fake.mean():.2f} generated; contrast "
                  f"{real.std():.2f} and {fake.std():.2f}; variety {variety[0]:.2f} and {variety[1]:.2f} "
                  "(mean difference of two pictures: far less than real means that faces repeat).")


def _listed(values):
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values) or "none"


def _impersonal(text):
    """A text without the paths of the working folder and of the home folder: the latter holds the user's name."""
    for path, short in ((Path.cwd(), "."), (Path.home(), "~")):
        if path != path.parent:  # the root is in every path
            text = text.replace(str(path), short)
    return text


def _faces_png(*real_images, fake_images):
    """A row of up to 12 images for each, generated ones last, as base64 of a PNG; None if one is no batch of images."""
    try:
        rows = [torch.cat(list(images.detach().float().cpu()[:12]), 2)
                for images in (*real_images, (fake_images + 1) / 2)]
        width = min(row.shape[2] for row in rows)
        grid = torch.cat([row[:, :, :width] for row in rows], 1).clamp(0, 1).permute(1, 2, 0)
        picture = Image.fromarray((grid * 255).round().byte().numpy())
        file = io.BytesIO()
        picture.resize((picture.width * 2, picture.height * 2), Image.NEAREST).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()
    except Exception:
        return None
