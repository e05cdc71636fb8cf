"""What a comparison costs: wall time against the bare network calls, and memory.

    python -m benchmarks.compare [--model MODEL] [--steps T] [--samples K] [--dtype DTYPE]

Prints, for each guidance setting, in one run and one dtype:

- ``compare``: the library, after loading;
- ``bare``: the same number of network rows in the same batches, and nothing else;
- ``naive``: one pair, one sample, one state at a time (benchmarks/naive.py), scaled up from one
  sample.

The three are interleaved and the median of their ratios is printed, so that a busy machine slows
all of them alike. Then the peak memory of fresh processes that take more and more samples.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

import torch

import conjure
from benchmarks.bare import Recorded, bare_calls, seconds
from benchmarks.naive import naive_distances
from conjure.process.pipeline import PipelineProcess

PROMPTS = ("snow leopard", "bengal tiger")


def main() -> None:
    arguments = parse()
    if arguments.peak is not None:
        print(json.dumps(peak_memory(arguments)))
        return
    print(
        f"{arguments.model}, {arguments.dtype}, T = {arguments.steps}, k = {arguments.samples}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(
        f"{'guidance':>8} {'calls':>7} {'compare':>9} {'bare':>9} {'ratio':>7} {'naive':>9} "
        f"{'speed-up':>9}"
    )
    for guidance in (1.0, 7.5):
        process = conjure.load(
            arguments.model, steps=arguments.steps, guidance=guidance, dtype=arguments.dtype
        )
        print(time_guidance(process, arguments), flush=True)
    moved = deviation(arguments)
    print(f"\nlargest relative deviation of an estimand in float32 from float64: {moved:.1e}")
    print("\npeak memory of a fresh process, MiB")
    for samples in (4, 16, 64, 256):
        command = [sys.executable, "-m", "benchmarks.compare", "--peak", str(samples)]
        command += ["--model", arguments.model, "--dtype", arguments.dtype]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{samples:>8} samples {json.loads(done.stdout):>9.0f}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time and memory of conjure.compare.")
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def time_guidance(process: PipelineProcess, arguments: argparse.Namespace) -> str:
    """One row of the table."""
    samples = arguments.samples
    recorded = Recorded.of(process)
    result = conjure.compare(*PROMPTS, process=recorded, samples=samples)

    def library() -> None:
        conjure.compare(*PROMPTS, process=process, samples=samples)

    bare = bare_calls(process, recorded.sizes, PROMPTS[0])
    assert sum(recorded.sizes) == result.calls

    def naive() -> None:
        naive_distances(process, *PROMPTS, samples=1, seed=0)

    bare()
    times = [(seconds(library), seconds(bare)) for _ in range(arguments.repeats)]
    slow = seconds(naive) * samples
    fast, plain = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    return (
        f"{process.guidance:>8g} {result.calls:>7,} {fast:>8.2f}s {plain:>8.2f}s {ratio:>7.3f} "
        f"{slow:>8.2f}s {slow / fast:>8.2f}x"
    )


def deviation(arguments: argparse.Namespace) -> float:
    """How far float32 moves any estimand, on the same paths' noise."""
    narrow, wide = (
        conjure.compare(
            *PROMPTS,
            process=conjure.load(arguments.model, steps=arguments.steps, dtype=dtype),
            samples=4,
        ).estimands
        for dtype in ("float32", "float64")
    )
    return max(
        abs(found.distance / exact.distance - 1)
        for found, exact in zip(narrow.values(), wide.values(), strict=True)
        if found is not None and exact is not None
    )


def peak_memory(arguments: argparse.Namespace) -> float:
    """MiB at most resident while comparing with ``--peak`` samples and few steps."""
    import resource

    process = conjure.load(arguments.model, steps=3, dtype=arguments.dtype)
    conjure.compare(*PROMPTS, process=process, samples=arguments.peak)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    main()
