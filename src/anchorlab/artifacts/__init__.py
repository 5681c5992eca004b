"""Model folders: weights, manifest, model card, and what they say of task and attack."""
