"""What was computed, kept so that a killed run goes on and a longer one adds to it."""

from conjure.store.manifest import make_manifest
from conjure.store.opening import open_run
from conjure.store.run import Run

__all__ = ["Run", "make_manifest", "open_run"]
