"""What is near and what is far: a few pairs on the embedded model, to get a feel for the scale.

python -m benchmarks.scale
"""

from __future__ import annotations

from collections.abc import Iterator

import conjure

PAIRS = (
    ("dog", "dog"),
    ("red apple", "green apple"),
    ("grinning face", "smiling face"),
    ("tiger", "leopard"),
    ("snow leopard", "bengal tiger"),
    ("dog", "cat"),
    ("dog", "banana"),
    ("dog", "airplane"),
    ("dog", ""),
)


def rows() -> Iterator[str]:
    """The table, a line as soon as it is known."""
    process = conjure.load("emoji")
    yield f"{'':>14}   {'':<14} {'distance':>9} {'± s.e.':>7} {'KL →':>7} {'KL ←':>7}"
    for a, b in PAIRS:
        result = conjure.compare(a, b, process=process)
        yield (
            f"{a:>14} | {b or '(empty prompt)':<14} {result.distance:>9.2f} "
            f"{result.standard_error:>7.2f} {result.kl_forward:>7.2f} {result.kl_reverse:>7.2f}"
        )


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
