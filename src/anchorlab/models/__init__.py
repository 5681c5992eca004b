"""Classifiers: how they are called, wrapped, opened and built."""

from anchorlab.models.call import predict

__all__ = ["predict"]
