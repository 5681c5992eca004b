"""Members that are registered for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anchorlab.registry import Registry


@contextmanager
def registered(registry: Registry[Any], **members: Any) -> Iterator[None]:
    """Inside, the registry has these members too."""
    for name, member in members.items():
        registry.register(name, member)
    try:
        yield
    finally:
        for name in members:
            registry.unregister(name)
