"""The page of a comparison of two causal language models."""
