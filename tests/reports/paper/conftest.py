"""The made-up suite of the reports, with what a paper also reads: its file, its data, the settings of its training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from anchorlab.data import Task, load_task
from anchorlab.reports.paper.kit import PaperKit, write_kit
from anchorlab.suites.reading import parse_suite
from tests.reports.conftest import FakeResults, make_suite

FILE = """
name: made-up
title: Six ways to inject, made up
tasks: [digits]
references: 2
methods:
  plain:
  l2: [0.5, 2, 8]
  ewc: [0.5, 2, 8]
  surgery: [500, 2000, 8000]
  anchoring: [0.5, 2, 8]
  weight-ball: [0.5, 2, 8]
anchors: [64, all]
seeds: 3
target_asr: [0.95, 0.99]
repairs: [fine-tuning, nad]
detectors: [strip]
"""


@dataclasses.dataclass(frozen=True)
class PaperResults(FakeResults):
    """Results of a suite whose file is ``FILE``."""

    def task(self, name: str) -> Task:
        return load_task(name)

    def training_settings(self, task: str) -> dict[str, Any]:
        rates = {"learning_rate": 3e-3, "weight_decay": 0.05, "clip": 1.0}
        return {"epochs": 25, "batch_size": 128, **rates, "precision": "no", "data_share": 0.8}

    def training_versions(self, task: str) -> dict[str, str]:
        return self.versions


def paper_results(**options: Any) -> PaperResults:
    """Made-up results; options as in ``make_suite``."""
    made = make_suite(**options)
    fields = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    return PaperResults(**fields | {"suite": parse_suite(FILE, "suite.yaml")})


@pytest.fixture(scope="session")
def one_condition() -> PaperResults:
    """One number of anchors, one target, three references with three seeds each."""
    return paper_results(sizes=("all",), targets=(0.95,), references=(0, 1, 2))


@pytest.fixture(scope="session")
def kit(one_condition: PaperResults, tmp_path_factory: pytest.TempPathFactory) -> PaperKit:
    """The kit of ``one_condition`` with its defaults."""
    return write_kit(one_condition, tmp_path_factory.mktemp("paper"))  # type: ignore[arg-type]


def text(kit: PaperKit, name: str) -> str:
    """What a file of a kit holds."""
    return (Path(kit.folder) / name).read_text()
