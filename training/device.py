"""The device to train on, the precision of its arithmetic, and the state of all its random numbers."""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F


def find_device():
    """Return the device to train on: an NVIDIA or AMD GPU, else an Apple GPU that can do all it takes, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        try:
            _one_step(torch.device("mps"))
            return torch.device("mps")
        except (NotImplementedError, RuntimeError, TypeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"Apple's GPU is not used, since PyTorch {torch.__version__} lacks something for it: {reason}")
    return torch.device("cpu")


def _one_step(device):
    """Do one small training step with each kind of layer and operation that the notebook uses. The random state stays."""
    with random_state_kept():
        layers = [nn.ConvTranspose2d(2, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 4), nn.LeakyReLU(0.2)]
        network = nn.Sequential(*layers, nn.Dropout(0.1), nn.Flatten(), nn.Tanh())
        network = network.to(device, memory_format=torch.channels_last)
        out = network(torch.randn(2, 2, 4, 4, device=device).flip(-1))
        F.binary_cross_entropy_with_logits(out, torch.full_like(out, 0.9)).backward()
        torch.optim.Adam(network.parameters(), fused=True).step()
        return network[0].weight.sum().item()


def fast_math(device):
    """Context in which convolutions run in bfloat16 where `device` has hardware for it, and in float32 elsewhere.

    On a CPU that means AMX or AVX-512 BF16: without them bfloat16 is emulated and slower than float32. The weights are
    rounded to bfloat16 anew for every pass. PyTorch would keep the rounded ones until the context ends, and G's step would
    ask the D from before D's step.
    """
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        bfloat16 = device.type == "cpu" and _cpu_has_bfloat16()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False) if bfloat16 else contextlib.nullcontext()


def _cpu_has_bfloat16():
    """Ask PyTorch, which has only a private function for it; a release without that function means float32."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def random_state():
    """Return the state of the random numbers of the CPU and of every GPU: {"cpu": tensor, "cuda": list, "mps": list}."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
    }


def set_random_state(state):
    """Put a random_state back; that of GPUs only where there are as many as when it was taken."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    if torch.backends.mps.is_available() and state["mps"]:
        torch.mps.set_rng_state(state["mps"][0])


@contextlib.contextmanager
def random_state_kept():
    """Context that leaves the random numbers as they were, so that what it does is not seen in the training."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
