"""The judge: a small network that tells what a picture shows, and is no part of any model."""
