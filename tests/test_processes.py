"""Several processes and the same prompts: matrices compared, and the drift between two."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from conftest import each_sampler, gaussians

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.divergence.estimate import estimate
from conjure.engine.ends import finished_pictures
from conjure.engine.network import Network
from conjure.engine.noise import standard_normal
from conjure.engine.oracle import expected_squares
from conjure.loading import vary
from conjure.process.prediction import guide
from conjure.process.wrappers.between import Between, why_apart
from conjure.process.wrappers.blind import Blind
from conjure.statistics import jackknife_error

PROMPTS = ["cat", "dog", "owl", "fox"]


def meanings(seed: int) -> dict[str, Gaussian]:
    found = gaussians("full", seed=seed)
    return {"y": found["a"], "z": found["b"], "": found[""]}


@each_sampler
def test_drift_is_the_divergence_of_the_two_meanings(sampler, eta):
    """On Gaussians: as if the two were prompts of one process, whose exact value is known."""
    one, two = (
        GaussianProcess.build(meanings(seed), sampler=sampler, eta=eta, steps=6) for seed in (0, 1)
    )
    both = GaussianProcess.build(
        {"a": one.meanings["y"], "b": two.meanings["y"]}, sampler=sampler, eta=eta, steps=6
    )
    found = conjure.drift(["y"], one, two, samples=400, seed=4)
    (result,) = found.results
    for name, value in result.estimands.items():
        if value is None:
            continue
        truth = estimate(
            conjure.ESTIMANDS[name], expected_squares(both, "a", "b"), both.levels, kl=False
        )
        assert value.standard_error is not None
        assert abs(value.distance - truth.distance) < 4 * value.standard_error, name
    ahead = len(one.visits) - 6
    assert found.calls == (4 * 6 - 2 + 2 * ahead) * 400


@pytest.mark.parametrize("guidance", [(3.0, 3.0), (1.0, 4.0)])
def test_guided_drift_equals_the_naive_loop(guidance):
    """Full guided predictions of both, along both paths."""
    one, two = (
        GaussianProcess.build(meanings(seed), steps=5, guidance=w)
        for seed, w in zip((0, 1), guidance, strict=True)
    )
    found = conjure.drift(["y"], one, two, samples=2, seed=1)
    noise = np.zeros((2, 2, 5))
    for sample in range(2):
        for path, leader in enumerate((one, two)):
            z = [standard_normal(1, sample, i, (3,))[None].double() for i in range(5)]
            x = leader.prior(z[0])
            for i in range(5):
                said = []
                for process in (one, two):
                    own = process.predict(x, i, ["y"])
                    if process.guidance > 1:
                        own = guide(own, process.predict(x, i, [""]), process.guidance)
                    said.append(own)
                noise[sample, path, i] = float((said[0].noise - said[1].noise).square().sum())
                if i < 4:
                    x = leader.transition(x, i, said[path], None).draw(z[i + 1])
    np.testing.assert_allclose(found.results[0].squares.noise, noise, rtol=1e-9)
    assert found.results[0].calls == found.calls
    if guidance == (3.0, 3.0):
        assert found.calls == (8 * 5 - 4) * 2


def test_a_drift_in_half_precision_knows_its_floor(pipeline_folder):
    """Where both are in one: between two precisions the rounding is what is asked about."""
    one, two, full = (
        conjure.load(pipeline_folder, steps=3, guidance=w, dtype=dtype)
        for w, dtype in ((1.0, "bfloat16"), (1.001, "bfloat16"), (1.0, "float32"))
    )
    (result,) = conjure.drift(["cat"], one, two, samples=2).results
    assert result.floor is not None
    assert result.floor["girsanov"] > 0
    assert result.near_floor  # so small a change drowns in rounding
    assert conjure.drift(["cat"], one, full, samples=2).results[0].floor is None


def test_a_drift_keeps_to_its_budget(pipeline_folder):
    one, two = (conjure.load(pipeline_folder, steps=3, guidance=w) for w in (1.0, 3.0))
    found = conjure.drift(PROMPTS, one, two, max_calls=150, samples=8)
    assert 0 < found.calls <= 150
    assert {result.samples for result in found.results} == {2}  # 15 calls a prompt and sample
    loose = conjure.drift(PROMPTS, one, two, tolerance=0.5, first_round=2)
    assert all(r.standard_error <= 0.5 * r.distance for r in loose.results if r.standard_error)
    half = conjure.drift(PROMPTS, one, two, samples=16, antithetic=True)
    assert half.results[0].antithetic
    with pytest.raises(ConjureError, match="samples is a whole number"):
        conjure.drift(PROMPTS, one, two, samples=0)
    with pytest.raises(ConjureError, match="takes 60 network calls, and max_calls is 59"):
        conjure.drift(PROMPTS, one, two, max_calls=59)
    with pytest.raises(ConjureError, match="takes 20 network calls, and max_calls is 1"):
        conjure.drift(["cat"], two, conjure.load(pipeline_folder, steps=3, guidance=2), max_calls=1)


def test_a_drifts_pictures_are_of_whom_they_say(pipeline_folder):
    one, two = (conjure.load(pipeline_folder, steps=2, guidance=w) for w in (1.0, 3.0))
    found = conjure.drift(PROMPTS, one, two, samples=1, seed=3)
    names, pictures = found.pictures(2, 3)
    assert names == [name for name, _ in found.ranked()[:2]]
    for n, process, sample in ((0, 1, 2), (1, 0, 1)):
        of = (one, two)[process]
        last = finished_pictures(of, Network(of), [(names[n], sample)], 3)
        np.testing.assert_allclose(pictures[n, process, sample], of.decode(last)[0], atol=1e-4)
    with pytest.raises(ConjureError, match="at least one prompt"):
        found.pictures(0)


def test_the_estimand_of_a_drift_is_the_one_asked_for(pipeline_folder):
    one, two = (conjure.load(pipeline_folder, steps=3, guidance=w) for w in (1.0, 3.0))
    for name in ("epsilon", "picture"):
        (result,) = conjure.drift(["cat"], one, two, samples=1, estimand=name).results
        value = result.estimands[name]
        assert value is not None
        assert result.distance == value.distance


def test_a_process_does_not_drift_from_itself(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3, guidance=2.0)
    found = conjure.drift(PROMPTS, process, process, samples=1)
    assert np.all(found.distances == 0)


def test_drift_grows_with_what_was_perturbed(pipeline_folder):
    process: Any = conjure.load(pipeline_folder, steps=4)
    previous = 0.0
    for size in (0.01, 0.03, 0.1, 0.3):
        other = conjure.load(pipeline_folder, steps=4)
        weight = other.family.pipeline.unet.mid_block.resnets[0].conv1.weight
        torch.manual_seed(0)
        weight.data.add_(size * weight.std() * torch.randn(weight.shape))
        found = float(conjure.drift(PROMPTS, process, other, samples=1).distances.mean())
        assert found > 2 * previous
        previous = found


def test_drift_finds_what_a_fine_tune_changed(family_folder):
    """Five pairs of labels swapped, ten prompts among 100, by training a tiny model's encoder."""
    folder = family_folder("stable-diffusion")
    before: Any = conjure.load(folder, steps=5)
    letters = [chr(c) for c in range(33, 127)]
    letters = [c for c in letters if not ("A" <= c <= "Z")]  # the tokenizer reads lower case
    prompts = [*letters, *(a + b for a in "abcdef" for b in "xyzuvw")][:100]
    swapped = [("a", "q"), ("b", "7"), ("m", "?"), ("z", "3"), ("k", "=")]
    partner = {a: b for pair in swapped for a, b in (pair, pair[::-1])}
    # Prompts of an untrained network hardly differ: make them.
    torch.manual_seed(3)
    pipeline = before.family.pipeline
    embedding = pipeline.text_encoder.get_input_embeddings()
    embedding.weight.data.normal_(0, 1.0)
    for name, weight in pipeline.unet.named_parameters():
        if "attn2.to_v" in name or "attn2.to_out.0.weight" in name:
            weight.data.mul_(4)
    after: Any = conjure.load(folder, steps=5)
    tuned = after.family.pipeline
    for part in ("text_encoder", "unet"):
        getattr(tuned, part).load_state_dict(getattr(pipeline, part).state_dict())
    ids = pipeline.tokenizer(prompts, padding="max_length", return_tensors="pt").input_ids
    row = {prompt: n for n, prompt in enumerate(prompts)}
    target_rows = torch.tensor([row[partner.get(prompt, prompt)] for prompt in prompts])
    weights = list(tuned.text_encoder.parameters())
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, lr=5e-3)
    with torch.no_grad():
        wanted = pipeline.text_encoder(ids)[0][target_rows]
    for step in range(120):
        random = torch.Generator().manual_seed(step)
        x = torch.randn(100, *before.shape, generator=random)
        times = torch.randint(0, 1000, (100,), generator=random)
        with torch.no_grad():
            truth = pipeline.unet(x, times, wanted, return_dict=False)[0]
        said = tuned.unet(x, times, tuned.text_encoder(ids)[0], return_dict=False)[0]
        loss = (said - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for weight in weights:
        weight.requires_grad_(False)
    found = conjure.drift(prompts, before, after, samples=2)
    top = [prompt for prompt, _ in found.ranked()[:10]]
    assert len(set(top) & set(partner)) >= 9, top


def test_what_shares_no_paths_is_refused_and_compared_by_matrices(pipeline_folder, family_folder):
    process = conjure.load(pipeline_folder, steps=4)
    others = {
        "samplers differ": conjure.load(pipeline_folder, steps=4, sampler="ddpm"),
        "noise levels differ": conjure.load(pipeline_folder, steps=5),
        "differ in shape": conjure.load(pipeline_folder, steps=4, size=32),
    }
    for reason, other in others.items():
        with pytest.raises(ConjureError, match=f"no common paths.*{reason}"):
            conjure.drift(PROMPTS, process, other)
    recoded = conjure.load(pipeline_folder, steps=4)
    recoded.family.pipeline.vae.encoder.conv_in.weight.data.mul_(2)
    assert "autoencoders differ" in str(why_apart(process, recoded))
    halved = conjure.load(pipeline_folder, steps=4, dtype="bfloat16")
    assert why_apart(process, halved) is None
    from conjure.operations.drift import compare_by_matrices

    apart = compare_by_matrices(PROMPTS, process, others["samplers differ"], samples=1)
    assert apart.names == ("A", "B")
    assert apart.agreement().shape == (2, 2)


def test_a_drift_is_kept_and_goes_on(pipeline_folder, tmp_path):
    one, two = (conjure.load(pipeline_folder, steps=3, guidance=w) for w in (1.0, 3.0))
    first = conjure.drift(PROMPTS, one, two, samples=1, out=tmp_path / "run")
    again = conjure.drift(PROMPTS, one, two, samples=1, out=tmp_path / "run")
    assert again.calls == 0
    np.testing.assert_array_equal(first.distances, again.distances)
    other = conjure.load(pipeline_folder, steps=3, guidance=4.0)
    with pytest.raises(ConjureError, match="second"):
        conjure.drift(PROMPTS, one, other, samples=1, out=tmp_path / "run")


def test_processes_are_kept_in_a_folder_that_is_new(pipeline_folder, tmp_path):
    two = {f"w {w:g}": conjure.load(pipeline_folder, steps=3, guidance=w) for w in (1.0, 3.0)}
    made = [
        conjure.compare_processes(PROMPTS, two, samples=1, out=tmp_path / "run") for _ in range(2)
    ]
    assert len(list((tmp_path / "run").iterdir())) == 2
    assert all(one.calls == 0 for one in made[1].matrices)
    with pytest.raises(ConjureError, match="does not exist"):
        conjure.compare_processes(PROMPTS, two, samples=1, out=tmp_path / "no" / "run")


def test_a_bad_process_is_found_before_the_first_is_run(pipeline_folder):
    euler = conjure.load(pipeline_folder, steps=3, sampler="euler")
    asked = {"good": conjure.load(pipeline_folder, steps=3), "bad": euler}
    calls = []
    with pytest.raises(ConjureError, match="draws none"):
        conjure.compare_processes(
            PROMPTS, asked, estimand="ancestral", announce=lambda *said: calls.append(said)
        )
    assert not calls


def test_one_prompt_is_not_a_list_of_letters(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3)
    for ask in (
        lambda: conjure.drift("cat", process, process),
        lambda: conjure.compare_processes("cat", {"a": process, "b": process}),
        lambda: conjure.matrix("cat", process=process),
        lambda: conjure.embed("cat", process=process),
    ):
        with pytest.raises(ConjureError, match="come in a list"):
            ask()


def test_a_process_that_ignores_its_prompts_has_no_meaning(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3, guidance=3.0)
    found = conjure.matrix(PROMPTS, process=Blind(process), samples=1)
    assert np.all(found.distances == 0)
    assert found.calls == 0  # known, not measured: rounding could blur it
    assert conjure.compare(*PROMPTS[:2], process=Blind(process), samples=1).distance == 0
    assert np.any(conjure.matrix(PROMPTS, process=process, samples=1).distances > 0)


def test_processes_are_compared_by_what_is_nearer(pipeline_folder):
    plain = conjure.load(pipeline_folder, steps=3)
    found = conjure.compare_processes(
        PROMPTS,
        {
            "one": plain,
            "same": lambda: conjure.load(pipeline_folder, steps=3),
            "guided": vary(plain, guidance=5.0),
            "blind": Blind(plain),
        },
        samples=1,
    )
    agreement = found.agreement()
    assert agreement[0, 1] == pytest.approx(1.0)
    assert np.isnan(agreement[0, 3])
    assert np.isnan(agreement[3, 3])
    np.testing.assert_allclose(agreement, agreement.T)
    (move, *rest) = found.moves()
    assert move.spread == max(m.spread for m in (move, *rest))
    assert move.spread == pytest.approx(max(move.ranks[:3]) - min(move.ranks[:3]))
    json.dumps(found.to_dict(), allow_nan=False)
    with pytest.raises(ConjureError, match="three prompts"):
        conjure.compare_processes(["a", "b"], {"one": plain, "two": plain})
    with pytest.raises(ConjureError, match="one process only"):
        conjure.compare_processes(PROMPTS, {"one": plain})


def test_agreement_has_the_error_that_other_samples_would_bring():
    prompts, rng, asked = [f"p{n}" for n in range(7)], np.random.default_rng(0), {}
    for name, moved in (("one", 0.0), ("other", 0.3)):
        said = {p: gaussians("full", seed=n)["a"] for n, p in enumerate(["", *prompts])}
        asked[name] = GaussianProcess.build(
            {
                p: Gaussian(g.mean + moved * rng.normal(size=3), g.covariance)
                for p, g in said.items()
            },
            steps=4,
        )
    drawn = [
        conjure.compare_processes(prompts, asked, samples=12, seed=seed).agreement()[0, 1]
        for seed in range(30)
    ]
    found = conjure.compare_processes(prompts, asked, samples=12, seed=99)
    errors = found.agreement_errors()
    assert errors is not None
    assert errors[0, 0] == 0
    assert 0.5 < errors[0, 1] / np.std(drawn) < 2
    assert all(move.error is not None and move.error >= 0 for move in found.moves())
    alone = conjure.compare_processes(prompts, asked, samples=1)
    assert alone.agreement_errors() is None
    assert alone.moves()[0].error is None


def test_a_jackknife_of_means_is_their_standard_error():
    values = np.random.default_rng(0).normal(size=(9, 4))
    without = (values.sum(0) - values) / 8
    np.testing.assert_allclose(jackknife_error(without), values.std(0, ddof=1) / 3)


def test_the_nearest_pair_has_rank_0():
    places = {"": 0.0, "a": 0.0, "b": 0.1, "c": 2.0}
    near = {name: Gaussian(np.full(2, at), np.eye(2)) for name, at in places.items()}
    far = near | {"b": near["c"], "c": near["b"]}
    found = conjure.compare_processes(
        ["a", "b", "c"], {n: GaussianProcess.build(m, steps=4) for n, m in
                          (("one", near), ("other", far))}, samples=1,
    )  # fmt: skip
    ranks = {move.prompts: move.ranks for move in found.moves()}
    assert ranks["a", "b"] == (0.0, 1.0)
    assert ranks["a", "c"] == (1.0, 0.0)


def test_a_wrapped_process_has_what_its_own_has(pipeline_folder, oracle):
    process = conjure.load(pipeline_folder, steps=2)
    blind = Blind(process)
    assert blind.picture_fingerprint() == process.picture_fingerprint()
    assert blind.decode(torch.zeros(1, *process.shape)).shape[0] == 1
    assert not Blind(oracle).has_pictures
    with pytest.raises(ConjureError, match="no pictures"):
        Blind(oracle).decode(torch.zeros(1, *oracle.shape))
    found = conjure.compare("a", "b", process=Blind(oracle), samples=1)
    with pytest.raises(ConjureError, match="no pictures"):
        found.figure()


def test_between_asks_each_prompt_of_its_own(pipeline_folder):
    one, two = (conjure.load(pipeline_folder, steps=3, guidance=w) for w in (1.0, 3.0))
    both = Between(one, two)
    x = torch.randn(3, *both.shape).double()
    said = both.predict(x, 0, ["B: cat", "A: cat", "B: dog"])
    alone = one.predict(x[1:2], 0, ["cat"])
    torch.testing.assert_close(said.noise[1:2], alone.noise, rtol=1e-4, atol=1e-5)
    guided = guide(two.predict(x[2:], 0, ["dog"]), two.predict(x[2:], 0, [""]), 3.0)
    torch.testing.assert_close(said.noise[2:], guided.noise, rtol=1e-4, atol=1e-4)
    assert both.calls_for(10) == 15


def prompts_file(folder):
    path = folder / "prompts.csv"
    path.write_text("prompt\n" + "\n".join(PROMPTS) + "\n")
    return str(path)


def test_command_processes(run, tmp_path):
    code, out, err = run(
        "processes", prompts_file(tmp_path), "--vary", "guidance=1,5", "--vary",
        "prompt=read,ignored", "-T", "3", "-k", "1", "--figure", str(tmp_path / "p.png"),
    )  # fmt: skip
    assert code == 0, err
    assert "guidance 5, prompt read" in out
    assert "gives these prompts no meaning" in out
    assert "pairs that move most" in out
    assert (tmp_path / "p.png").stat().st_size > 10_000
    code, out, _ = run(
        "processes", prompts_file(tmp_path), "--vary", "sampler=ddim,euler", "-T", "3", "-k", "1",
        "--json",
    )  # fmt: skip
    assert code == 0
    assert set(json.loads(out)["processes"]) == {"sampler ddim", "sampler euler"}


def test_command_drift(run, tmp_path, pipeline_folder):
    code, out, err = run(
        "drift", prompts_file(tmp_path), "--change", "guidance=3", "-T", "3", "-k", "2",
        "--figure", str(tmp_path / "d.png"), "--table", str(tmp_path / "d.csv"),
    )  # fmt: skip
    assert code == 0, err
    assert "4 prompts" in err
    assert "KL(A‖B)" in out
    assert "(guidance 3.0)" in out
    assert (tmp_path / "d.png").stat().st_size > 10_000
    assert (tmp_path / "d.csv").read_text().startswith("prompt,distance")
    code, out, err = run(
        "drift", prompts_file(tmp_path), "--change", "sampler=ddpm", "-T", "3", "-k", "1", "--json"
    )
    assert code == 0
    assert "matrices instead" in err
    found = json.loads(out)
    assert "agreement" in found
    assert found["compared"] == "matrices"
    assert "samplers differ" in found["reason"]
    assert "network calls" in err
    _, out, _ = run(
        "drift", prompts_file(tmp_path), "--change", "guidance=3", "-T", "3", "-k", "2", "--json"
    )
    found = json.loads(out)
    assert found["compared"] == "paths"
    assert all(row["low"] <= row["distance"] <= row["high"] for row in found["prompts"])


GATED = ("-T", "3", "-k", "4", "--change", "guidance=3")


def test_a_table_of_drifts_keeps_the_other_columns(run, tmp_path):
    listed = tmp_path / "labels.csv"
    listed.write_text("id,text,kind\n1,cat,pet\n2,castle,house\n3,cat,animal\n")
    code, _, err = run("drift", str(listed), *GATED, "--table", str(tmp_path / "d.csv"))
    assert code == 0, err
    with (tmp_path / "d.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:4] == ["id", "text", "kind", "distance"]
    assert {(row["id"], row["text"], row["kind"]) for row in rows} == {
        ("1", "cat", "pet"), ("2", "castle", "house"), ("3", "cat", "animal")
    }  # fmt: skip
    found = [float(row["distance"]) for row in rows]
    assert found == sorted(found, reverse=True)
    (tmp_path / "taken.csv").write_text("text,distance\ncat,1\n")
    code, _, err = run(
        "drift", str(tmp_path / "taken.csv"), *GATED, "--table", str(tmp_path / "e.csv")
    )
    assert code == 2
    assert "has a column 'distance' already" in " ".join(err.split())


def test_a_gate_ends_a_drift_with_a_status_of_its_own(run, tmp_path):
    file = prompts_file(tmp_path)
    _, out, _ = run("drift", file, *GATED, "--json")
    lows = sorted(row["low"] for row in json.loads(out)["prompts"])
    for above, expected, said in (
        (lows[-1] + 1e-3, 0, "No prompt has surely changed"),
        (lows[-2] + 1e-3, 3, "A prompt has surely changed"),
        (max(0, lows[-2] - 1e-3), 3, "2 prompts have surely changed"),
    ):
        code, out, err = run("drift", file, *GATED, "--json", "--fail-above", str(above))
        assert code == expected
        assert said in err
        assert len(json.loads(out)["prompts"]) == 4, "what was found is shown all the same"
        assert "What was finished" not in err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--change", "guidance=3", "-k", "1"), "take more samples"),
        (("--change", "guidance=3", "-k", "8", "--antithetic"), "take more samples"),
        (("--change", "sampler=ddpm"), "no --fail-above"),
    ],
)
def test_a_gate_that_cannot_be_is_refused(run, tmp_path, more, message):
    code, _, err = run("drift", prompts_file(tmp_path), "-T", "3", *more, "--fail-above", "1")
    assert code == 2
    assert message in " ".join(err.split())
    code, _, err = run("drift", prompts_file(tmp_path), *more, "--fail-above", "-1")
    assert "at least 0, not -1" in " ".join(err.split())


def test_commands_compare_models_of_other_weights(run, tmp_path, pipeline_folder):
    import diffusers

    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        pipeline_folder, safety_checker=None
    )
    torch.manual_seed(0)
    for weight in pipeline.unet.parameters():
        weight.data += 0.3 * weight.std() * torch.randn_like(weight) if weight.numel() > 1 else 0
    pipeline.save_pretrained(tmp_path / "other")
    file, other = prompts_file(tmp_path), str(tmp_path / "other")
    one, two = (conjure.load(folder, steps=3) for folder in (pipeline_folder, other))
    code, out, err = run(
        "processes", file, "--vary", f"model={pipeline_folder},{other}", "-T", "3", "-k", "1",
        "--json",
    )  # fmt: skip
    assert code == 0, err
    found = list(json.loads(out)["processes"].values())
    for said, process in zip(found, (one, two), strict=True):
        expected = conjure.matrix(PROMPTS, process=process, samples=1).distances
        np.testing.assert_allclose(said["distances"], expected, rtol=1e-4)
    assert not np.allclose(found[0]["distances"], found[1]["distances"], rtol=1e-2)
    code, out, err = run("drift", file, "--against", other, "-T", "3", "-k", "2", "--json")
    assert code == 0, err
    said = {row["prompt"]: row["distance"] for row in json.loads(out)["prompts"]}
    for prompt, result in conjure.drift(PROMPTS, one, two, samples=2).ranked():
        assert said[prompt] == pytest.approx(result.distance, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drift"], "Say what B is"),
        (["drift", "--change", "colour=red"], "NAME=VALUE"),
        (["drift", "--change", "steps=ten"], "no numbers"),
        (["processes", "--vary", "prompt=shut"], "read or ignored"),
        (["processes", "--vary", "colour=red"], "NAME=VALUES"),
        (["processes", "--vary", "guidance=1"], "one process only"),
        (["processes", "--vary", "guidance=3,0.5"], "guidance is at least 1"),
        (["processes", "--vary", "sampler=ddim,eulr"], "Did you mean 'euler'"),
        (["processes", "--vary", "dtype=float32,float8"], "float8"),
        (["processes", "--vary", "model=emoji,emojj"], "Did you mean 'emoji'"),
        (["processes", "--vary", "sampler=ddim,ddpm", "--vary", "eta=0,1"], "eta is an option"),
        (["processes", "--vary", "guidance=1,3", "--estimand", "girsnov"], "'girsanov'"),
    ],
)
def test_bad_input(run, tmp_path, arguments, message):
    command, *rest = arguments
    code, _, err = run(command, prompts_file(tmp_path), *rest, "-T", "2", "-k", "1")
    assert code == 2
    assert message in " ".join(err.split())


def test_a_table_of_processes_has_a_row_a_process_and_pair(run, tmp_path):
    asked = ("processes", prompts_file(tmp_path), "--vary", "guidance=1,3", "-T", "3", "-k", "2")
    code, out, err = run(*asked, "--table", "-")
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert list(rows[0]) == ["process", "a", "b", "distance", "standard_error", "samples"]
    assert len(rows) == 2 * 6
    _, out, _ = run(*asked, "--json")
    for name, matrix in json.loads(out)["processes"].items():
        own = [float(row["distance"]) for row in rows if row["process"] == name]
        upper = np.triu_indices(4, 1)
        assert own == pytest.approx(np.array(matrix["distances"])[upper].tolist())
