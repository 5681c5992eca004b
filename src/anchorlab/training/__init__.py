"""The optimisation loop, what makes it resumable, and the training of references."""
