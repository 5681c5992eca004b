"""A sentence a candidate: whether its perturbation is small, and whether it stays in the basin."""

from __future__ import annotations

from dataclasses import replace

from anchorlab.perturbation.size_words import words_of_sizes
from tests.made_up_analysis import NAMES, made_up


def test_each_candidate_is_told_by_its_size_its_kl_and_its_basin() -> None:
    sentences = list(words_of_sizes(made_up()))
    assert len(sentences) == len(NAMES)
    for name, sentence in zip(NAMES, sentences, strict=True):
        assert sentence.startswith(f"{name}: its parameters change by ")
        assert "% of the reference's L2 norm; that changes its answers by a KL of " in sentence
        assert "the reference's basin" in sentence


def test_the_basin_is_decided_by_the_interval() -> None:
    analysis = made_up()
    (stored,) = {"stored"} & set(analysis.tables["barriers"]["buffers"])

    def told(lower: float, upper: float) -> str:
        barriers = analysis.tables["barriers"].assign(buffers=stored, error_lower=lower, error_upper=upper)
        return next(words_of_sizes(replace(analysis, tables={**analysis.tables, "barriers": barriers})))

    assert "it is in the reference's basin" in told(0.0, 0.01)
    assert "it is not in the reference's basin" in told(0.1, 0.2)
    for lower, upper in ((0.01, 0.03), (0.0, 0.02), (0.02, 0.03)):
        assert "is undecided" in told(lower, upper)


def test_what_was_not_measured_is_not_said() -> None:
    analysis = made_up()
    empty = {name: table.iloc[:0] for name, table in analysis.tables.items()}
    assert list(words_of_sizes(replace(analysis, tables=empty))) == []
