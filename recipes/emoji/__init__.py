"""How the embedded model was made: drawings of emoji, and three small networks."""
