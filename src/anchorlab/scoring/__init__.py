"""Scores repairs and detectors. The attack's trigger and the test data meet them in this package alone."""
