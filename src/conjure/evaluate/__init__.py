"""The evidence: how well methods agree with human judgements of similarity."""

from conjure.evaluate.examples import Conventions, Examples, read_examples
from conjure.evaluate.results import Difference, Evaluation, Score, open_evaluation
from conjure.evaluate.run import evaluate
from conjure.evaluate.table import make_table, render
from conjure.evaluate.tasks import PARTS_OF_SPEECH, SEVEN, TASKS, Task, load_task

__all__ = [
    "PARTS_OF_SPEECH",
    "SEVEN",
    "TASKS",
    "Conventions",
    "Difference",
    "Evaluation",
    "Examples",
    "Score",
    "Task",
    "evaluate",
    "load_task",
    "make_table",
    "open_evaluation",
    "read_examples",
    "render",
]
