"""One vector a prompt, so that Euclidean distance stands for the divergence: no paths at all."""

from conjure.operations.embedding.embeddings import Embeddings, embed
from conjure.operations.embedding.landmarks import Landmarks, draw_landmarks
from conjure.operations.embedding.search import Neighbour

__all__ = ["Embeddings", "Landmarks", "Neighbour", "draw_landmarks", "embed"]
