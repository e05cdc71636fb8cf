"""Plans the network calls, batches them, runs the paths and the cross predictions."""

from conjure.engine.block import run_block
from conjure.engine.execute import run_jobs
from conjure.engine.jobs import Block, Job, count_calls
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.plan import Limits, last_uses, plan_blocks
from conjure.engine.trace import Trace

__all__ = [
    "Block",
    "Job",
    "Limits",
    "Network",
    "PathCache",
    "Trace",
    "count_calls",
    "last_uses",
    "plan_blocks",
    "run_block",
    "run_jobs",
]
