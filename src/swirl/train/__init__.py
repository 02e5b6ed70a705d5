"""Step-wise RL on stored states."""
