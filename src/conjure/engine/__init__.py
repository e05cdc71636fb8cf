"""Plans the network calls, batches them, runs the paths and the cross predictions."""

from conjure.engine.network import Network
from conjure.engine.pair import Trace, count_calls, run_pair

__all__ = ["Network", "Trace", "count_calls", "run_pair"]
