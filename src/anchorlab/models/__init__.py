"""Classifiers: how they are called, wrapped, opened and built.

``predict`` is imported when it is first used, so that a module of this room that needs no torch comes without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anchorlab.models.call import predict

__all__ = ["predict"]


def __getattr__(name: str) -> Any:
    if name != "predict":
        raise AttributeError(f"module 'anchorlab.models' has no attribute '{name}'")
    from anchorlab.models.call import predict

    return predict
