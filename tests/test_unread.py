"""Characters that a text encoder does not know, and texts that are one to it."""

from __future__ import annotations

import json
import re
import unicodedata
import warnings

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

import conjure
from conjure.errors import ConjureWarning, UnknownNameError, UnreadPromptError
from conjure.process.reading import Read, reader

FEW = ("-T", "2", "-k", "1")


@pytest.fixture(
    scope="module", params=["stable-diffusion", "masking", "sd3", "pixart-alpha", "sana"]
)
def process(request, family_folder):
    """Of encoders that spell ASCII, and know nothing else."""
    return conjure.load(family_folder(request.param), steps=2)


def test_a_prompt_of_which_nothing_is_known_is_refused(process):
    with pytest.raises(UnreadPromptError, match=r"knows nothing of the prompt '猫'.*'猫'.*unread="):
        conjure.compare("猫", "cat", process=process, samples=1)


def test_two_that_differ_in_nothing_but_what_is_unknown_are_refused(process):
    with pytest.warns(ConjureWarning), pytest.raises(UnreadPromptError, match="'猫狗'"):
        conjure.compare("a 猫", "a 狗", process=process, samples=1)


def test_what_is_known_in_part_is_warned_of(process):
    with pytest.warns(ConjureWarning, match=r"'猫' in 'a cat 猫' .* does not know"):
        found = conjure.compare("a cat 猫", "a dog", process=process, samples=1)
    assert found.unread == ("猫", "")
    assert found.row()["unread"] == "猫"
    assert not found.alike
    assert found.distance > 0


def test_on_request_all_are_measured_and_told(process):
    process = conjure.vary(process, unread="warn")
    with pytest.warns(ConjureWarning) as told:
        found = conjure.compare("猫", "狗", process=process, samples=1)
    assert found.alike
    assert found.unread == ("猫", "狗")
    assert found.distance == pytest.approx(0, abs=1e-9)
    assert any("'猫' and '狗' are one to the text encoder" in str(w.message) for w in told)


@pytest.mark.parametrize("command", ["compare", "pairs", "matrix", "embed", "drift", "evaluate"])
def test_every_command_refuses(run, tmp_path, command):
    header = "sentence1,sentence2,score\n"
    (tmp_path / "mine.csv").write_text(header + "a 猫,a 狗,1\na cat,a dog,2\nox,elk,3\n")
    (tmp_path / "list.txt").write_text("猫\ncat\n")
    arguments = {
        "compare": ["a 猫", "a 狗", *FEW],
        "pairs": [str(tmp_path / "mine.csv"), *FEW],
        "matrix": [str(tmp_path / "list.txt"), *FEW],
        "embed": [str(tmp_path / "list.txt"), "-T", "2", "--save", str(tmp_path / "v.safetensors")],
        "drift": [str(tmp_path / "list.txt"), *FEW, "--change", "lora=none"],
        "evaluate": ["--data", str(tmp_path), "--tasks", "mine", "--methods", "text-encoder", *FEW],
    }[command]
    code, out, err = run(command, *arguments)
    assert code == 2
    assert out == ""
    assert "--unread warn" in err


def test_tables_have_a_column_of_it(run, tmp_path):
    (tmp_path / "mine.csv").write_text("a,b\na 猫,a 狗\na cat,a dog\n")
    code, out, err = run("pairs", str(tmp_path / "mine.csv"), *FEW, "--unread", "warn", "--json")
    assert code == 0, err
    assert [row["unread"] for row in json.loads(out)["pairs"]] == ["猫狗", None]
    assert err.count("'猫' in 'a 猫'") == 1
    assert "and such are in 1 more prompts" in err


def test_what_normalisation_makes_one_is_0_with_a_remark(family_folder):
    process = conjure.load(family_folder("stable-diffusion"), steps=2)
    with pytest.warns(ConjureWarning, match="such as case, accents and spaces"):
        found = conjure.compare("A  Cat", "a cat", process=process, samples=1)
    assert found.alike
    assert found.distance == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conjure.compare("a cat", "a cat", process=process, samples=1)


def test_what_a_pipeline_lowers_before_its_tokenizer_is_one(family_folder):
    process = conjure.load(family_folder("pixart-alpha"), steps=2)
    with pytest.warns(ConjureWarning, match="are one to the text encoder"):
        assert conjure.compare("Cat", "cat", process=process, samples=1).distance == 0


def test_what_lies_beyond_a_cut_is_told(family_folder):
    process = conjure.load(family_folder("stable-diffusion"), steps=2, long="truncate")
    with pytest.warns(ConjureWarning, match="beyond the length that it reads"):
        found = conjure.compare("abcdefghijklmnop", "abcdefghijklmnoq", process=process, samples=1)
    assert found.alike
    windows = conjure.vary(process, long="chunk")
    one, other = windows.read(["abcdefghijklmnop", "abcdefghijklmnoq"])
    assert one.meaning != other.meaning


def test_a_list_is_told_of_two_that_are_one(family_folder):
    process = conjure.load(family_folder("stable-diffusion"), steps=2)
    with pytest.warns(ConjureWarning, match="'a cat' and 'A Cat' are one"):
        found = conjure.matrix(["a cat", "A Cat", "a dog"], process=process, samples=1)
    assert found.distances[0, 1] == 0


def test_a_choice_that_there_is_not():
    with pytest.raises(UnknownNameError, match="unread prompts 'skip'"):
        conjure.load("emoji", unread="skip")


def test_a_process_of_texts_reads_all(oracle):
    assert oracle.read(["a", "猫"]) == [Read("a"), Read("猫")]


class Whole:
    """A tokenizer that is not fast: words, and nothing of where they stand."""

    is_fast, unk_token_id, model_max_length = False, 0, 8

    def __call__(self, texts, **_):
        known = {"cat": 1, "dog": 2}
        ids = [[known.get(word, 0) for word in text.split()] for text in texts]
        return type("Found", (), {"input_ids": ids})


def test_by_words_where_a_tokenizer_does_not_say_where_its_tokens_stand():
    slow = Whole()
    part, none, whole = reader([slow], slow, lambda _, text: text)(["cat ox", "ox", "cat"])
    assert (part.unknown, part.blind) == ("ox", False)
    assert (none.unknown, none.blind) == ("ox", True)
    assert (whole.unknown, whole.blind) == ("", False)


@pytest.fixture(scope="module")
def bytes_reader():
    """Of a tokenizer that falls back to bytes, as CLIP's and most language models' do."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=99)
    return reader([made], made, lambda _, text: text)


def test_bytes_are_told_from_characters(bytes_reader):
    found, plain, quoted = bytes_reader(["a 猫", "a cat", "“a”"])
    assert (found.spelt, found.unknown, found.blind) == ("猫", "", False)
    assert plain.unread == quoted.unread == ""


def test_a_prompt_of_bytes_alone_is_one_of_which_nothing_is_known(bytes_reader):
    cat, car, mixed = bytes_reader(["🐱", "🚗 🚗", "🐱 cat"])
    assert cat.blind
    assert car.blind
    assert not mixed.blind


@given(st.text(max_size=12))
def test_nothing_is_unread_of_what_is_ascii(bytes_reader, text):
    (found,) = bytes_reader([text])
    assert set(found.unread) <= set(text)
    assert not re.search("[ -~]", found.unread)
    known = set(text) - set(found.unread)
    assert found.blind == (
        bool(found.unread) and all(unicodedata.category(c)[0] in "MZC" for c in known)
    )


def test_what_one_encoder_knows_is_read(family_folder):
    pipeline = tiny.diffusers.DiffusionPipeline.from_pretrained(family_folder("sd3"))
    clip, t5 = pipeline.tokenizer, pipeline.tokenizer_3
    t5.add_tokens("猫")
    prompts, as_it_is = ["猫 狗"], lambda _, text: text
    both = reader([clip, t5], t5, as_it_is)(prompts)[0].unknown
    alone = reader([clip], clip, as_it_is)(prompts)[0].unknown
    assert (both, alone) == ("狗", "猫狗")
