"""How the embedded model was made: drawings of emoji, and two small networks."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
