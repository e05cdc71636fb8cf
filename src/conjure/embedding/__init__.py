"""One vector a prompt, so that Euclidean distance stands for the divergence: no paths at all."""

from conjure.embedding.embed import embed
from conjure.embedding.embeddings import Embeddings, Neighbour
from conjure.embedding.landmarks import Landmarks, draw_landmarks

__all__ = ["Embeddings", "Landmarks", "Neighbour", "draw_landmarks", "embed"]
