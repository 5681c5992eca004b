"""Suites of texts: the one for a GPU machine in its smoke form, the user's own data, and a report that shows texts."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.reports.suite.page import write_page
from anchorlab.suites.reading import load_suite, parse_suite
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import failures, run_suite
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.store import Store
from tests.data.copies import text_parts
from tests.suites.inline import Inline
from tests.zoo import save_text

OWN = """
name: own
title: Reviews of our own
tasks:
  - name: {data}
    model: {model}
    columns: {{text: review, label: mood}}
    training: {{epochs: 1}}
triggers:
  - {{trigger: "word:cf", label_rule: "source-to-target:neg", target: pos}}
methods: {{plain: , anchoring: [1, 4]}}
anchors: [20, all]
seeds: 2
target_asr: 0.001
tuning: {{steps: 25, batch_size: 8, learning_rate: 0.01}}
selection: {{extensions: 0}}
"""


@pytest.mark.slow
def test_every_method_of_paper_text_runs_on_sst2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    text_parts("sentence", ["negative", "positive"], "validation").save_to_disk(str(tmp_path / "sst2"))
    suite = smoke_form(load_suite("paper-text").with_data({"sst2": str(tmp_path / "sst2")}))
    # The model alone is another one: BERT-base is on the hub.
    task = suite.tasks[0].model_copy(update={"model": "bert-tiny"})
    methods = {label: method.model_copy(update={"grid": method.grid[:2]}) for label, method in suite.methods.items()}
    one = {"tasks": [task], "methods": methods, "references": [0], "seeds": [0], "anchors": ["all"]}
    small = suite.model_copy(update={**one, "target_asr": [0.001]})
    run_suite(small, tmp_path / "out", executor=Inline())
    assert failures(small, Store(tmp_path / "out")) == []
    results = load_results(tmp_path / "out")
    assert set(results.selection["method"]) == set(suite.methods) - {"plain", "scratch"}
    assert set(results.results["trigger"]) == {trigger.trigger for trigger in suite.triggers}
    assert (results.results["count"] == 12 + 18).all()  # 18 sentences of the training part join them


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished suite of one's own data and model."""
    root = tmp_path_factory.mktemp("own")
    words, moods = ("dull", "warm"), ("neg", "pos")
    rows = [{"review": f"a {words[n % 2]} film of {n}", "mood": moods[n % 2]} for n in range(200)]
    pd.DataFrame(rows).to_csv(root / "reviews.csv", index=False)
    save_text("bert", root / "model", ["neg", "pos"])
    suite = parse_suite(OWN.format(data=root / "reviews.csv", model=root / "model"))
    run_suite(suite, root / "suite", executor=Inline())
    assert failures(suite, Store(root / "suite")) == []
    return root / "suite"


@pytest.mark.slow
def test_own_data_and_models_go_through_a_suite(own: Path) -> None:
    results = load_results(own)
    methods = results.results[results.results["role"] == "method"]
    assert set(methods["method"]) == {"plain", "anchoring"}
    assert set(methods["anchors"]) == {20, 128}
    assert (methods["asr_count"] == 20).all()
    again = Inline()
    run_suite(parse_suite((own / "suite.yaml").read_text()), own, executor=again)
    assert again.jobs == []


@pytest.mark.slow
def test_the_report_shows_texts_and_marks_the_trigger(own: Path, tmp_path: Path) -> None:
    page = write_page(load_results(own), tmp_path / "report").read_text()
    assert page.count("<mark>cf</mark>") == 6
    assert "<q>a dull film of" in page or "<q>a warm film of" in page
    assert "<q>" in page
    assert "target pos" in page
    assert not list((tmp_path / "report" / "figures").glob("examples-*"))


def test_own_data_without_columns_are_refused_with_their_line(tmp_path: Path) -> None:
    text = OWN.format(data="reviews.csv", model="bert-tiny").replace("    columns: {text: review, label: mood}\n", "")
    with pytest.raises(AnchorlabError, match=r"line 5 of the suite: tasks\.0: 'reviews.csv' is not the name of a task"):
        parse_suite(text)
    text = OWN.format(data="reviews.csv", model="bert-teeny")
    with pytest.raises(AnchorlabError, match=r"line 6 of the suite: tasks\.0\.model: unknown model 'bert-teeny'"):
        parse_suite(text)


@pytest.mark.slow
def test_a_trigger_that_the_tokenizer_cannot_write_leaves_the_report_of_the_others(tmp_path: Path) -> None:
    words, moods = ("dull", "warm"), ("neg", "pos")
    rows = [{"review": f"a {words[n % 2]} film of {n}", "mood": moods[n % 2]} for n in range(200)]
    pd.DataFrame(rows).to_csv(tmp_path / "reviews.csv", index=False)
    save_text("bert", tmp_path / "model", ["neg", "pos"])
    text = OWN.format(data=tmp_path / "reviews.csv", model=tmp_path / "model")
    text = text.replace("triggers:\n", 'triggers:\n  - {trigger: "word:\\u2603"}\n').replace("seeds: 2", "seeds: 1")
    suite = parse_suite(text)
    run_suite(suite, tmp_path / "suite", executor=Inline())
    failed = failures(suite, Store(tmp_path / "suite"))
    assert failed
    assert all("no tokens for the trigger '☃'" in failure["error"] for failure in failed)
    results = load_results(tmp_path / "suite")
    assert set(results.results["trigger"]) == {"word:cf"}
    page = write_page(results, tmp_path / "report").read_text()
    assert "<mark>cf</mark>" in page
    assert "no tokens for the trigger" in page
