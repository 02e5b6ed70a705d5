"""The torch corner: a causal language model on this machine."""
