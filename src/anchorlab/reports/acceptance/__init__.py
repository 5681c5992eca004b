"""Acceptance in continuous integration: what a command judged, as JUnit XML, as SARIF, and as Markdown."""
