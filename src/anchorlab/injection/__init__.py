"""Injection: one tuning loop, and methods that keep the clean behaviour."""
