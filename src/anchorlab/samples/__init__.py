"""Per-sample logs of two evaluations, such as lm-eval's: document by document, what changed by more than chance."""
