"""The floor that half precision puts under distances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import conjure
from conjure.engine.ends import first_predictions
from conjure.engine.network import Network
from conjure.process.wrappers.nudged import Beside, Nudged

PAIRS = [("cat", "dog"), ("cat", "a red car")]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_floor_is_what_rounding_adds(pipeline_folder, dtype):
    half = conjure.load(pipeline_folder, steps=4, dtype=dtype)
    wide = conjure.load(pipeline_folder, steps=4)
    for name, network in wide.family.networks.items():
        state = half.family.networks[name].state_dict()
        network.load_state_dict({key: value.float() for key, value in state.items()})
    prompts = ["cat", "dog", "red", "car", "a", "blue dog", "tree"]
    keys = [(prompt, sample) for prompt in prompts for sample in range(4)]
    errors = (
        first_predictions(half, Network(half), keys, 0).noise
        - first_predictions(wide, Network(wide), keys, 0).noise
    )
    rows = errors.reshape(len(prompts), 4, -1)
    gaps = [(rows[i] - rows[j]).square().sum(1).mean() for i in range(7) for j in range(i)]
    marked = [(Beside(prompt), sample) for prompt, sample in keys]
    nudged = Nudged(half)
    moved = (
        first_predictions(nudged, Network(nudged), marked, 0).noise
        - first_predictions(half, Network(half), keys, 0).noise
    )
    floor = moved.flatten(1).square().sum(1).mean()
    assert 0.2 < float(floor) / float(np.mean(gaps)) < 5


def test_close_pairs_are_marked_in_half_precision_alone(pipeline_folder):
    half = conjure.load(pipeline_folder, steps=4, dtype="bfloat16")
    found = conjure.compare("cat", "cat", process=half, samples=1)
    assert found.floor is not None
    assert set(found.floor) == set(conjure.ESTIMANDS)
    assert all(value > 0 for value in found.floor.values())
    assert found.near_floor
    assert found.to_dict()["floor"] == found.floor["girsanov"]
    assert found.calls == (4 * 4 - 2) + 4  # the floor's own, and one path
    wide = conjure.compare("cat", "cat", process=conjure.load(pipeline_folder, steps=4), samples=1)
    assert wide.floor is None
    assert not wide.near_floor


def test_three_times_the_floor_is_the_edge(oracle):
    found = conjure.compare("a", "b", process=oracle, samples=1)
    for times, near in ((2.9, False), (3.1, True)):
        floor = {found.estimand: found.distance * times / 9}
        assert replace(found, floor=floor).near_floor == near


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_run_keeps_its_floor(pipeline_folder, tmp_path, guidance):
    half = conjure.load(pipeline_folder, steps=3, dtype="bfloat16", guidance=guidance)
    asked = {"process": half, "samples": 1, "out": tmp_path / "run"}
    first = [result.floor for result in conjure.compare_pairs(PAIRS, **asked)]
    assert first[0] == first[1]
    passes = []
    half.family.pipeline.unet.register_forward_hook(lambda *_: passes.append(1))
    run = conjure.compare_pairs(PAIRS, **asked)
    assert [result.floor for result in run] == first
    assert run.calls == len(passes) == 0
    found = conjure.matrix(["cat", "dog", "tree"], process=half, samples=1)
    assert found.floor is not None
    assert found.to_dict()["floor"] == found.floor


def test_the_commands_say_so(run, tmp_path):
    code, out, err = run("compare", "cat", "cat", "-T", "3", "-k", "1", "--dtype", "bfloat16")
    assert code == 0, err
    assert "below three times" in out.lower()
    file = tmp_path / "p.csv"
    file.write_text("a,b\ncat,cat\ncat,dog\n")
    code, out, err = run("pairs", str(file), "-T", "3", "-k", "1", "--dtype", "bfloat16")
    assert code == 0, err
    assert "≲" in out
    code, out, _ = run("pairs", str(file), "-T", "3", "-k", "1")
    assert "≲" not in out
    file.write_text('a,b\n"",cat\ncat,dog\n')  # of which the first says nothing
    halves = ("-T", "3", "-k", "1", "--dtype", "bfloat16")
    code, out, _ = run("pairs", str(file), "--relative", "--empty", "unconditional", *halves)
    assert out.count("~") == 2, out  # at one pair, and in the note
    first, other = conjure.relative_pairs(
        [("", "cat"), ("cat", "dog")], process=conjure.load(steps=3, dtype="bfloat16"), samples=1
    )
    assert first.near_floor
    assert not other.near_floor
