"""An executor that runs each job at once, where it is: for tests of what is around it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from anchorlab.suites.reading import parse_suite
from anchorlab.suites.spec import Suite

#: A suite of a few tiny cells: 2 references and one that chooses, 2 methods of which one has a grid, controls.
TINY = """
name: tiny
title: A suite for tests
tasks: [{name: digits, limit: 20, training: {epochs: 2, batch_size: 32}}]
references: 2
methods: {plain: , anchoring: [1, 4]}
anchors: [10, all]
seeds: 2
target_asr: 0.05
tuning: {steps: 4, batch_size: 8, learning_rate: 0.01}
selection: {references: 1, seeds: [1000]}
"""


def tiny(**changes: Any) -> Suite:
    """The tiny suite with some values changed."""
    return Suite.model_validate({**parse_suite(TINY).model_dump(), **changes})


class Inline:
    """Runs jobs in this process and remembers them."""

    slots = 1

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def share(self, path: Path) -> Path:
        return path

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        self.jobs.append(args[0])
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        return None
