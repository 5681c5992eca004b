"""A suite's own data are the ones that its references were trained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anchorlab import AnchorlabError
from anchorlab.artifacts.manifest import task_record
from anchorlab.suites import own_data
from anchorlab.suites.own_data import check_data
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.spec import Suite

OWN = """
name: own
title: Reviews of our own
tasks: [{{name: {data}, model: bert-tiny, columns: {{text: review, label: mood}}}}]
triggers: [{{trigger: "word:cf", target: pos}}]
references: 2
methods: {{plain: }}
"""


def write_reviews(path: Path, word: str) -> None:
    rows = [f"a {word} film number {n},{'pos' if n % 2 else 'neg'}" for n in range(200)]
    path.write_text("\n".join(["review,mood", *rows]) + "\n", encoding="utf-8")


def trained(suite: Suite, seed: int) -> Any:
    """A store in which the reference of one seed is trained, on the data as they are now."""
    record = task_record(suite.tasks[0].load(seed=seed)).model_dump(mode="json")
    return SimpleNamespace(folder=Path("runs/own"), manifest=lambda job: {"task": record} if job.seed == seed else None)


@pytest.mark.parametrize("seed", [0, 1])
def test_data_that_changed_since_a_reference_was_trained_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    file = tmp_path / "reviews.csv"
    write_reviews(file, "fine")
    suite = parse_suite(OWN.format(data=file))
    store = trained(suite, seed)
    monkeypatch.setattr(own_data, "_has_work", lambda *_: True)
    check_data(suite, store)
    write_reviews(file, "poor")
    with pytest.raises(AnchorlabError, match=r"reviews.csv are others than .* runs.own .* restore the data, or run"):
        check_data(suite, store)


def test_data_that_changed_after_everything_was_done_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "reviews.csv"
    write_reviews(file, "fine")
    suite = parse_suite(OWN.format(data=file))
    store = trained(suite, 0)
    monkeypatch.setattr(own_data, "_has_work", lambda *_: False)
    write_reviews(file, "poor")
    check_data(suite, store)
