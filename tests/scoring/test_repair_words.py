"""The score of a repair in sentences and as a table, of numbers that are made up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from anchorlab.scoring.relearning import Relearned
from anchorlab.scoring.repair_words import cautions_of_repair, memory_words, words_of_repair
from anchorlab.scoring.repairs import RepairScore
from anchorlab.scoring.tables import repair_table

USUAL = {
    **{"accuracy": 0.9, "accuracy_reference": 0.9, "count": 1000, "negative_flips": 0.0, "positive_flips": 0.0},
    **{"asr": 0.1, "asr_reference": 0.02, "asr_count": 200, "robust_accuracy": None, "robust_accuracy_reference": None},
    **{"kl": 0.5, "logit_distance": 0.5, "churn": 0.5, "intervals": {}, "undefined": {"asr": "nobody is attacked"}},
}


def scored(before: float | None, after: float | None, *, harmed: bool = False, **values: object) -> RepairScore:
    """A repair with these ASRs before and after."""
    sides = [SimpleNamespace(**USUAL | values | {"asr": asr}) for asr in (after, before, 0.02)]
    return RepairScore(sides[0], sides[1], sides[2] if harmed else None, 0.0, 0)


def test_memory_is_the_subject_of_its_sentence_whether_or_not_its_rise_is_known() -> None:
    assert memory_words(None, 2**30) == ", and the memory was 1.00 GiB at its peak"
    assert memory_words(2**25, 2**30) == ", the memory rose by 32 MiB, and was 1.00 GiB at its peak"


def test_the_rating_is_said_where_there_is_one() -> None:
    words = " ".join(words_of_repair(scored(1.0, 0.1)))
    assert "The ASR went from 1.000 to 0.100 of 200 attacked examples, above the clean reference's own 0.020" in words
    assert "Its effectiveness (DER) is 0.950 of 1" in words
    nothing = words_of_repair(scored(None, None))
    assert nothing[0].startswith("No ASR is known")
    assert not any("DER" in sentence for sentence in nothing)


@pytest.mark.parametrize(
    ("before", "after", "count", "beginnings"),
    [
        (1.0, 0.5, 200, []),
        (1.0, 0.51, 200, ["it left more than half of the backdoor"]),
        (0.9, 0.1, 200, []),
        (0.89, 0.8, 200, ["the ASR was 0.890 before the repair, so that there was little to remove"]),
        (0.89, 0.1, 49, ["the ASR was 0.890 before", "the ASR stands on 49 attacked examples alone"]),
        (None, None, 0, []),
    ],
)
def test_what_a_repair_did_not_reach_is_warned_of(before, after, count, beginnings) -> None:
    found = cautions_of_repair(scored(before, after, asr_count=count), name="it")
    assert [one[: len(words)] for one, words in zip(found, beginnings, strict=True)] == beginnings


@pytest.mark.parametrize("harmed", [False, True])
def test_the_clean_model_has_a_column_where_it_was_repaired_too(harmed: bool) -> None:
    table = repair_table(scored(1.0, 0.1, harmed=harmed))
    assert [column.title for column in table.columns] == ["before", "after", *["clean, after"] * harmed]
    asr = next(row for _, row in table.rows() if row.head == "asr")
    assert [cell.value for cell in asr.cells] == [1.0, 0.1, *[0.02] * harmed]


def test_one_relearned_example_is_one_and_controls_stand_beside_it() -> None:
    score = replace(scored(1.0, 0.1), relearned=Relearned({1: 0.5, 10: 0.9}, {1: 0.25, 10: 0.75}, {1: 0.125}))
    assert [one for one in words_of_repair(score) if one.startswith("Tuned a little")] == [
        "Tuned a little with 1 triggered example, its ASR goes to 0.500, the clean reference's to 0.250, that of the "
        "clean reference after the same repair to 0.125.",
        "Tuned a little with 10 triggered examples, its ASR goes to 0.900, the clean reference's to 0.750.",
    ]
