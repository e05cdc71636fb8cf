"""Trials of the whole command line: what it does with what nobody should give it.

    python -m benchmarks.trials [--share 1.0] [--seed 0] [--minutes M] [--only KIND,…] [--json]
    python -m benchmarks.trials --only fuzz --case 1234     # one of them again, with all it said

Every trial is one command line, run in a process of its own in a folder of its own, and is made
from (seed, number) alone. A command may succeed or refuse in words; whatever else it does is a
failure, which is printed with the command line. The kinds, one a file:

- ``fuzz``: command lines and tables, made at random from the options that there are.
- ``damaged``: files of ours and models, damaged at random, and the command that reads them.
- ``hostile``: models with code and pickles in them, none of which may run.
- ``kills``: runs killed at random moments, against ones that were not.
"""
