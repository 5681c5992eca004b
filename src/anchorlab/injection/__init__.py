"""Injection: one tuning loop, in which a method keeps the clean behaviour."""
