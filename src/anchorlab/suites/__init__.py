"""Suites: many injections over methods, strengths, numbers of anchors and seeds, resumable."""
