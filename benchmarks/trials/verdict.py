"""What is made of a command's end."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.trials.forked import UNFORESEEN, Outcome

SUCCEEDED, REFUSED, INTERRUPTED = "succeeded", "refused", "interrupted"
TRACEBACK, HUNG, WRONG = "tracebacks", "hung", "wrong"
GOOD = (SUCCEEDED, REFUSED, INTERRUPTED)
VERDICTS = (*GOOD, TRACEBACK, HUNG, WRONG)


@dataclass(frozen=True)
class Verdict:
    """Of one trial.

    Args:
        kind: One of ``VERDICTS``.
        command: As it is typed.
        why: What went wrong, on one line; trials with the same line have one cause.
        said: All that there is to read about it.
        lost: Stored rows that are gone.
    """

    kind: str
    command: str
    why: str = ""
    said: str = ""
    lost: int = 0


def typed(arguments: Sequence[str]) -> str:
    """A command line as it is typed."""
    return shlex.join(["conjure", *arguments]).encode("utf-8", "backslashreplace").decode()


def judge(arguments: Sequence[str], outcome: Outcome) -> Verdict:
    """Whether a command succeeded or refused in words, or what else it did."""
    kind, why = _kind(arguments, outcome)
    said = "\n".join(part for part in (outcome.out, outcome.err, outcome.trace) if part)
    return Verdict(kind, typed(arguments), why, said)


CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""By which a text can rule a terminal."""

DATA = frozenset({"-", "csv", "markdown", "latex"})
"""Arguments by which standard output is no screen but data, which is left as it is."""


def _kind(arguments: Sequence[str], outcome: Outcome) -> tuple[str, str]:
    kind, why = _ended(arguments, outcome)
    screen = outcome.err if DATA & set(arguments) else outcome.out + outcome.err
    if kind in GOOD and (control := CONTROLS.search(screen)):
        return WRONG, f"the terminal is sent {control[0]!r}"
    return kind, why


def _ended(arguments: Sequence[str], outcome: Outcome) -> tuple[str, str]:
    code, err = outcome.code, outcome.err
    if code is None:
        return HUNG, "hung"
    if code < 0:
        return TRACEBACK, f"ended by signal {-code}"
    if outcome.trace or code == UNFORESEEN:
        return TRACEBACK, cause(outcome.trace)
    if "Traceback" in err or "Exception ignored" in err:
        return TRACEBACK, err.strip().splitlines()[-1]
    if code == 0:
        return _success(arguments, outcome)
    if code == 130:
        return (INTERRUPTED, "") if "Interrupted" in err else (WRONG, "interrupted without a word")
    found_damage = code == 1 and "status" in arguments
    if code != 2 and not found_damage:
        return WRONG, f"exit status {code}"
    words = err + outcome.out  # without any argument it is the help that says what is missing
    return (REFUSED, "") if words.strip() else (WRONG, "refused without a word")


def _success(arguments: Sequence[str], outcome: Outcome) -> tuple[str, str]:
    if "--json" in arguments and not {"-h", "--help"} & set(arguments):
        try:
            json.loads(outcome.out, parse_constant=_refuse)
        except ValueError as error:
            return WRONG, f"--json printed no JSON: {str(error).split(':')[0]}"
    return SUCCEEDED, ""


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def cause(trace: str) -> str:
    """The error of a trace, and the place in conjure from which it came.

    >>> cause('File "/x/conjure/io/rows.py", line 7, in rows\\n    1/0\\nZeroDivisionError: by 0')
    'ZeroDivisionError in io/rows.py:7 rows'
    """
    places = re.findall(r'conjure/([\w/]+\.py)", line (\d+), in (\S+)', trace)
    errors = re.findall(r"^([A-Za-z_][\w.]*)(?::.*)?$", trace, re.MULTILINE)
    where = "{}:{} {}".format(*places[-1]) if places else "no place of conjure's"
    return f"{errors[-1] if errors else 'an error'} in {where}"
