"""Plain sentences made of WordNet's common words: what people do, where, and what is not there.

Dictionary glosses say what words mean; they hardly ever say that a dog is running on a beach.
These do, in forms of our own, with words drawn from WordNet by what they are (animals, artifacts,
verbs of motion) and by how common they are. No sentence of any benchmark is among them, and none
was looked at to write the forms.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from .captions import article, fetch_wordnet
from .scenes import plural

NOUNS = {
    "animal": "05", "artifact": "06", "body": "08", "food": "13", "place": "15", "object": "17",
    "person": "18", "plant": "20",
}  # fmt: skip
VERBS = {
    "saying": "32", "consuming": "34", "contact": "35", "making": "36", "motion": "38",
    "seeing": "39", "owning": "40", "social": "41",
}  # fmt: skip
LEAST_TAGGED = 3
"""Times that a word occurs in WordNet's tagged texts, for it to be common."""

Words = dict[str, dict[str, int]]
"""Words by kind, each with how often it occurs."""

PEOPLE = ("man", "woman", "boy", "girl", "child", "person", "baby", "player", "group of people")


def words_by_kind(folder: Path) -> Words:
    """Common single words by kind, with what they are first of all."""
    numbers = {number: kind for kind, number in (*NOUNS.items(), *VERBS.items())}
    found: Words = {kind: {} for kind in (*NOUNS, *VERBS, "quality")}
    for part in ("noun", "verb", "adj"):
        files = {
            line[:8]: line[9:11]
            for line in (folder / f"data.{part}").read_text().splitlines()
            if not line.startswith(" ")
        }
        common: dict[str, int] = {}
        for line in (folder / "cntlist.rev").read_text().splitlines():
            key, number, count = line.split()
            lemma, _, rest = key.partition("%")
            if number == "1" and rest[0] == {"noun": "1", "verb": "2", "adj": "3"}[part]:
                common[lemma] = int(count)
        for line in (folder / f"index.{part}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            lemma = fields[0]
            if not lemma.isalpha() or len(lemma) < 3 or common.get(lemma, 0) < LEAST_TAGGED:
                continue
            kind = "quality" if part == "adj" else numbers.get(files[fields[-int(fields[2])]])
            if kind is not None:
                found[kind][lemma] = common[lemma]
    return found


def inflections(folder: Path) -> dict[str, dict[str, str]]:
    """Irregular -ing and past forms by verb, from WordNet's list of exceptions."""
    found: dict[str, dict[str, str]] = {"ing": {}, "past": {}}
    for line in (folder / "verb.exc").read_text().splitlines():
        form, base = line.split()[:2]
        if form.endswith("ing"):
            found["ing"].setdefault(base, form)
        elif not form.endswith("s"):
            found["past"][base] = form  # the participle comes after the past
    return found


def inflect(verb: str, form: str, irregular: dict[str, dict[str, str]]) -> str:
    """``ing``, ``past`` (participle) or ``s`` of a verb.

    >>> inflect("make", "ing", {"ing": {}, "past": {}}), inflect("carry", "s", {})
    ('making', 'carries')
    """
    if form == "s":
        if verb.endswith(("s", "x", "ch", "sh", "z", "o")):
            return verb + "es"
        return verb[:-1] + "ies" if re.search("[^aeiou]y$", verb) else verb + "s"
    if verb in irregular[form]:
        return irregular[form][verb]
    if form == "ing":
        if verb.endswith("ie"):
            return verb[:-2] + "ying"
        return (verb[:-1] if re.search("[^eoy]e$", verb) else verb) + "ing"
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if re.search("[^aeiou]y$", verb) else verb + "ed"


def sentences(packages: Path, count: int, seed: int = 0) -> list[str]:
    """So many distinct sentences."""
    folder = fetch_wordnet(packages)
    words, irregular = words_by_kind(folder), inflections(folder)
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[_sentence(words, irregular, rng)] = None
    return list(found)


def _sentence(words: Words, irregular: dict[str, dict[str, str]], rng: random.Random) -> str:
    def word(kind: str) -> str:
        return rng.choices(list(words[kind]), [n**0.7 for n in words[kind].values()])[0]

    def noun(*kinds: str) -> str:
        kind = rng.choice(kinds)
        return rng.choice(PEOPLE) if kind == "person" and rng.random() < 0.6 else word(kind)

    def phrase(*kinds: str) -> str:
        head = noun(*kinds)
        if rng.random() < 0.3:
            head = f"{word('quality')} {head}"
        draw = rng.random()
        if draw < 0.6:
            return article(head) + head
        return (
            f"the {head}"
            if draw < 0.85
            else f"{rng.choice(('two', 'three', 'some', 'many'))} {plural(head)}"
        )

    def be(subject: str) -> str:
        several = subject.startswith(("two ", "three ", "some ", "many "))
        return "are" if several else "is"

    verb = word(rng.choice(("consuming", "contact", "making", "motion", "motion", "seeing",
                            "owning", "saying", "social")))  # fmt: skip
    ing, past = inflect(verb, "ing", irregular), inflect(verb, "past", irregular)
    who = phrase("person", "person", "animal")
    what = phrase("artifact", "food", "animal", "plant", "object", "person", "body")
    where = (
        f"{rng.choice(('in', 'on', 'near', 'at', 'behind', 'under', 'next to', 'over'))} "
        f"{phrase('place', 'artifact', 'object', 'plant')}"
    )
    forms: Sequence[str] = (
        f"{who} {be(who)} {ing} {what}", f"{who} {be(who)} {ing}", f"{who} {be(who)} {ing} {where}",
        f"{who} {be(who)} {ing} {what} {where}", f"{what} {be(what)} being {past} by {who}",
        f"there {be(who)} {who} {where}", f"there is no {noun('person', 'animal')} {ing} {what}",
        f"{who} {be(who)} not {ing} {what}", f"nobody is {ing} {what}",
        f"{who} {ing} {what} {where}", f"{what} {where}", f"{who} and {what}",
        f"{what} {past} {where}", f"{noun('person')} {inflect(verb, 's', irregular)} {what}",
        f"{who} who {be(who)} {ing} {what}", f"how to {verb} {what}",
        f"{word('quality')} {noun('artifact', 'place')} {past} in {noun('place')}",
        f"you should {verb} {what}", f"{who} with {what}", f"{what} without {phrase('artifact')}",
    )  # fmt: skip
    said = rng.choice(forms)
    return said + "." if rng.random() < 0.5 else said
