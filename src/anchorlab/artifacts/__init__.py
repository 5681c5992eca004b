"""Model folders: weights, manifest and model card, and the task and attack that a manifest names."""
