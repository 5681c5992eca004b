"""Ranking of inputs of unknown origin, without a known trigger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from anchorlab import Artifact, RankedInputs, Task, detect_inputs, write_report
from anchorlab.artifacts.resolve import attack_of
from anchorlab.defender.data import draw_defender_data
from anchorlab.detectors import STRIP, InputDetector
from anchorlab.reports.ranking import write_ranking
from anchorlab.scoring.rank_inputs import clean_shares, places_of, suspicion_order, usual_share
from tests.refusals import refused

#: Every tenth of the inputs carries the trigger.
EVERY = 10


@pytest.fixture(scope="module")
def mixed(planted: Artifact, digits: Task) -> torch.Tensor:
    """Images of which some carry the planted model's trigger, none of them of its target."""
    attack = attack_of(planted, digits)
    test = digits.split("test")
    images = test.inputs["pixel_values"][test.labels != 3][:200].clone()
    images[::EVERY] = attack.apply({"pixel_values": images[::EVERY]})["pixel_values"]
    return images


@pytest.fixture(scope="module")
def ranked(planted: Artifact, mixed: torch.Tensor, digits: Task) -> RankedInputs:
    detectors = [STRIP(blends=8), "spectral-signatures"]
    return detect_inputs(planted, mixed, detectors, task=digits, defender_data=None)


def test_triggered_inputs_come_first(ranked: RankedInputs) -> None:
    triggered = np.arange(200) % EVERY == 0
    place = np.empty(200)
    place[ranked.order] = np.arange(200)
    assert roc_auc_score(triggered, -place) > 0.9


def test_the_frame_has_a_row_an_input_and_the_table_the_first(ranked: RankedInputs) -> None:
    frame = ranked.frame()
    assert list(frame["rank"]) == list(range(1, 201))
    assert sorted(frame["place"]) == sorted(f"row {row}" for row in range(200))
    assert frame["strip_clean_share"].between(0, 1).all()
    assert [row.head for _, row in ranked.table(5).rows()] == list(frame["place"][:5])
    table = ranked.table(5)
    assert [column.key for column in table.columns] == [
        "prediction",
        "detector",
        "score",
        "clean",
    ]  # images show no text
    assert {len(row.cells) for _, row in table.rows()} == {4}


def test_labels_have_a_column_where_an_input_has_one(ranked: RankedInputs) -> None:
    labels = [None] * len(ranked)
    labels[int(ranked.order[1])] = "7"
    table = replace(ranked, inputs=replace(ranked.inputs, labels=labels)).table(2)
    at = [column.key for column in table.columns].index("label")
    assert [row.cells[at].text for _, row in table.rows()] == ["–", "7"]


def test_the_words_say_how_many_score_as_high_and_that_it_is_no_proof(ranked: RankedInputs) -> None:
    words = " ".join(ranked.sentences())
    assert "of the 200 inputs score higher than 95% of" in words
    assert "of the clean ones themselves" in words
    assert "some input is always first" in words


def test_all_detectors_that_fit_judge_if_none_is_named(planted: Artifact, mixed: torch.Tensor, digits: Task) -> None:
    found = detect_inputs(planted, mixed[:20], task=digits, defender_data=None)
    assert {"strip", "scale-up", "spectral-signatures", "activation-clustering"} <= set(found.scores)
    assert {"onion": "it is for texts", "rap": "it is for texts"}.items() <= found.left_out.items()


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("onion", "onion is for texts"),
        ("last-layer", "last-layer scores models, not inputs"),
        ("stripp", "mean 'strip'"),
    ],
)
def test_a_named_detector_that_does_not_fit_is_refused(
    planted: Artifact, mixed: torch.Tensor, digits: Task, detector: str, message: str
) -> None:
    refused(message, detect_inputs, planted, mixed, [detector], task=digits, defender_data=None)


def test_the_best_place_by_any_detector_counts() -> None:
    first, second = np.array([9.0, 1, 2, 3]), np.array([1.0, 9, 2, 0])
    assert suspicion_order([first, second]).tolist() == [0, 1, 2, 3]
    assert suspicion_order([np.array([1.0, 3, 2])]).tolist() == [1, 2, 0]


def test_the_best_place_goes_before_the_mean_one_and_ties_share_a_place() -> None:
    """The first is first by one detector and last by the other; the second is second by both, and better on average."""
    one, other = np.array([9.0, 8, 7, 0]), np.array([0.0, 8, 7, 9])
    assert suspicion_order([one, other]).tolist() == [0, 3, 1, 2]
    assert places_of([np.array([3.0, 0, 3, 5])]).tolist() == [[2.5, 4, 2.5, 1]]


def test_clean_shares_are_of_examples_that_no_detector_learned_from(planted: Artifact, digits: Task) -> None:
    given = []

    class Recording(InputDetector):
        def scores(self, model, data, inputs, context):
            given.append(inputs["pixel_values"].cpu())
            return np.arange(len(given[-1]), dtype=float)

    images = digits.split("test").inputs["pixel_values"][:7]
    found = detect_inputs(planted, images, [Recording()], task=digits, defender_data=None)
    held = draw_defender_data(digits, None, seed=0)[0].validation.inputs["pixel_values"]
    (mixed,), (scores,), (shares,) = given, found.scores.values(), found.clean_shares.values()
    places = scores.astype(int)
    assert torch.equal(mixed[places], images)
    assert not np.array_equal(places, np.arange(len(held), len(mixed)))  # their place does not tell them apart
    rest = np.setdiff1d(np.arange(len(mixed)), places)
    assert {*map(bytes, mixed[rest].flatten(1).numpy())} == {*map(bytes, held.flatten(1).numpy())}
    np.testing.assert_allclose(shares, [(rest >= place).mean() for place in places])


def test_one_clean_example_is_too_few_to_learn_from_and_to_compare_with(planted, mixed, digits) -> None:
    refused("2 are needed", detect_inputs, planted, mixed[:4], ["scale-up"], task=digits, defender_data=1)


def test_an_input_that_only_a_twentieth_reaches_counts_as_high(ranked: RankedInputs) -> None:
    shares = np.repeat([0.0, 0.05, 0.0501, 1.0], 50)
    (said, *_) = replace(ranked, clean_shares={"x": shares}).sentences()
    assert "x: 50% of the 200 inputs score higher than 95% of" in said
    assert "themselves" not in said  # nothing is known of the clean ones among the others


def test_a_score_that_most_clean_examples_share_is_not_said_to_be_high(ranked: RankedInputs) -> None:
    clean, given = np.array([1.0] * 60 + [0.6] * 40), np.ones(200)
    shares, usual = {"x": clean_shares(given, clean)}, {"x": usual_share(clean)}
    (said, *_) = replace(ranked, clean_shares=shares, usual_shares=usual).sentences()
    assert "as high as" not in said
    assert "x: 0% of the 200 inputs score higher than 95% of" in said
    assert "of the clean ones themselves 0% do so" in said


def test_the_usual_share_is_the_one_that_clean_inputs_show() -> None:
    rng = np.random.default_rng(0)
    for count in (19, 20, 41, 100):
        usual = usual_share(rng.normal(size=count))
        seen = [float((clean_shares(rng.normal(size=200), rng.normal(size=count)) <= 0.05).mean()) for _ in range(400)]
        assert usual == pytest.approx(np.mean(seen), abs=0.01)
    tied = np.array([5.0, 5, *range(-38, 0)])
    assert usual_share(tied) == 2 / 40  # one other of 39 is as high
    assert usual_share(np.array([5.0, 5, *range(-18, 0)])) == 0


def test_few_clean_examples_say_nothing_of_the_usual_share(planted: Artifact, digits: Task) -> None:
    images = digits.split("test").inputs["pixel_values"][:7]
    few = detect_inputs(planted, images, ["scale-up"], task=digits, defender_data=85)
    assert few.validation_count < 19
    assert few.usual_shares == {}
    assert "themselves" not in few.sentences()[0]


def test_the_share_of_clean_examples_counts_ties() -> None:
    assert clean_shares(np.array([0.0, 2, 2.5, 9]), np.array([1.0, 2, 3, 4])).tolist() == [1, 0.75, 0.5, 0]


def test_a_ranking_is_written_with_its_pictures_and_read_back(ranked: RankedInputs, tmp_path: Path) -> None:
    page = write_ranking(ranked, model="m", file="<b>.csv", out=tmp_path, top=3)
    before = page.read_text()
    assert before.count("data:image/png") == 3
    assert "<b>.csv" not in before
    assert "&lt;b&gt;.csv" in before
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 200
    page.unlink()
    assert write_report(tmp_path).read_text() == before
    (tmp_path / "inputs.json").write_text("{}")
    refused("inputs.json is damaged", write_report, tmp_path)
