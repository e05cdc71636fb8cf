"""One process shared by threads, by runs in turn and by coroutines: the numbers of one by one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import conjure

PAIRS = [(f"cat {'x' * (n % 5)}{n}", f"dog {n}") for n in range(24)]
"""Of several lengths, so that padding between them would show."""


def alone(folder):
    process = conjure.load(folder, steps=2)
    return [conjure.compare(*pair, process=process, samples=1).distance for pair in PAIRS]


@pytest.mark.parametrize("family", ["stable-diffusion", "sdxl"])
def test_threads_that_share_a_process(family_folder, family):
    folder = family_folder(family)
    expected = alone(folder)
    for _ in range(3):
        process = conjure.load(folder, steps=2)
        other = conjure.vary(process, batch_size=3)  # on the same tokenizers

        def measure(numbered, process=process, other=other):
            number, pair = numbered
            which = process if number % 2 else other
            return conjure.compare(*pair, process=which, samples=1).distance

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(measure, enumerate(PAIRS)))
        assert found == pytest.approx(expected, rel=1e-5)


def test_threads_that_encode_and_count(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=2)
    expected = [process.count_tokens(a) for a, _ in PAIRS]
    features = process.text_features([a for a, _ in PAIRS])["mean"]

    def ask(number):
        if number % 2:
            process.prepare([PAIRS[number % 24][0], PAIRS[(number + 7) % 24][1]])
            return None
        return [process.count_tokens(a) for a, _ in PAIRS], process.text_features(
            [a for a, _ in PAIRS]
        )["mean"]

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(ask, range(48)):
            if found is not None:
                assert found[0] == expected
                assert found[1] == pytest.approx(features, rel=1e-5, abs=1e-7)


def test_coroutines_that_share_a_process(pipeline_folder):
    expected = alone(pipeline_folder)
    process = conjure.load(pipeline_folder, steps=2)

    async def measure():
        tasks = (
            asyncio.to_thread(conjure.compare, a, b, process=process, samples=1) for a, b in PAIRS
        )
        return [found.distance for found in await asyncio.gather(*tasks)]

    assert asyncio.run(measure()) == pytest.approx(expected, rel=1e-5)


def test_two_runs_in_turn(pipeline_folder):
    expected = alone(pipeline_folder)
    process = conjure.load(pipeline_folder, steps=2)
    runs = [
        conjure.compare_pairs(PAIRS, process=process, samples=1),
        conjure.compare_pairs(PAIRS[::-1], process=conjure.vary(process, steps=2), samples=1),
    ]
    found: list[list[float]] = [[], []]
    for _ in PAIRS:
        for run, values in zip(runs, found, strict=True):
            values.append(next(run).distance)
    assert found[0] == pytest.approx(expected, rel=1e-5)
    assert found[1][::-1] == pytest.approx(expected, rel=1e-5)
