"""swirl: step-wise reinforcement learning for tool-using language models."""
