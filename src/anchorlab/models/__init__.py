"""Classifiers: how they are called, wrapped, opened and built."""
