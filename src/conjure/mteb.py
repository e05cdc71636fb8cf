"""Encoders for mteb: ``import conjure.mteb``."""

from conjure.evaluate.mteb import Encoder, PairScorer

__all__ = ["Encoder", "PairScorer"]
