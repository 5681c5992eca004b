"""A saved model folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(injected, tmp_path) -> Path:
    return injected.save(tmp_path / "model")
