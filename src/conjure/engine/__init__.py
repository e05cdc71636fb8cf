"""Plans the network calls, batches them, runs the paths and the cross predictions."""

from conjure.engine.block import Block, Job, Trace, run_block
from conjure.engine.execute import count_calls, run_jobs
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.plan import Limits, last_uses, plan_blocks

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
