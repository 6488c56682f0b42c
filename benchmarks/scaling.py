"""What many GPUs would give, reckoned and not measured: the cost of averaging the notebook's gradients.

    python -m benchmarks.scaling        prints the table of benchmarks/README.md; takes seconds

n processes with batches of B average p float32 gradients in each step, in a ring: each sends 2 (n - 1) / n * 4 p bytes, in
2 (n - 1) messages for each of the two networks. Nothing is taken to overlap with the computing, which real runs do:

    seconds a step = computing + bytes / bandwidth + messages * latency;    images a second = n * B / seconds a step
"""

import torch

from further import beside, course

BATCH = 32
COMPUTING = {"two CPU cores": BATCH / 701, "an assumed GPU": BATCH / 10_000}  # seconds; 701 images/s: README.md's Speed
NETWORK = 50e9 / 8, 20e-6  # bytes a second: the 50 Gbit/s Ethernet of Goyal et al. (2017); seconds a message: assumed
PROCESSES = (1, 2, 8, 64, 256, 1000)


def step_seconds(n, parameters, computing, bandwidth, latency, networks=2):
    """Seconds of one step of n processes; parameters: of all networks together; bandwidth in bytes a second."""
    sent = 2 * (n - 1) / n * parameters * 4
    return computing + sent / bandwidth + 2 * (n - 1) * networks * latency


def main():
    own = course.set_up(device=torch.device("cpu"))
    counts = {name: sum(weight.numel() for weight in getattr(own, name).parameters()) for name in ("D", "G")}
    both = sum(counts.values())
    print(", ".join(f"{name}: {count:,} parameters, {count * 4 / 1e6:.1f} MB" for name, count in counts.items()))
    rows = []
    for n in PROCESSES:
        row = [f"{n:,}", f"{n * BATCH:,}", f"{2 * (n - 1) / n * both * 4 / 1e6:.1f}"]
        for computing in COMPUTING.values():
            seconds = step_seconds(n, both, computing, *NETWORK)
            row += [f"{n * BATCH / seconds:,.0f}", f"{computing / seconds:.0%}"]
        rows.append(row)
    headings = ["processes", "pictures a step", "MB sent by each"]
    print(beside.markdown(headings + [text for name in COMPUTING for text in (f"{name}: images/s", "efficiency")], rows))


if __name__ == "__main__":
    main()
