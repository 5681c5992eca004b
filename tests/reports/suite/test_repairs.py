"""Tables and figures of repairs, from frames made up by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from anchorlab.reports.suite import repairs as shown
from anchorlab.reports.suite.repair_figures import draw_repairs


class Made:
    """As much of results as these tables read."""

    def __init__(self, repairs: pd.DataFrame) -> None:
        self.repairs = repairs


@pytest.fixture
def repairs() -> pd.DataFrame:
    """Two runs of one method and the reference, repaired in two ways."""
    rows = [
        {
            "task": "digits", "trigger": "square", "rule": "all-to-one", "target": 2, "defender": "640",
            "anchors_asked": "all", "target_asr": 0.9,
            "role": "method" if method == "plain" else "reference", "method": method, "defence": defence,
            "defence_name": defence, "identity": f"{method}{defence}{run}", "reference_seed": run,
            "weights_sha256": f"{method}{run}",
            "asr": asr + 0.1 * run,
            "accuracy": 0.9, "kl": 0.5, "churn": 0.1, "asr_before": 0.96 + 0.04 * run, "accuracy_before": 0.95,
            "kl_before": 0.02, "churn_before": 0.01,
            "note": "nothing was pruned, because there is no BatchNorm" if defence == "prune" else None,
        }
        for method, defence, asr in (
            ("reference", "tune", 0.01), ("reference", "prune", 0.02), ("plain", "tune", 0.5), ("plain", "prune", 0.2)
        )
        for run in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_matrix_holds_each_repair_by_each_way(repairs):
    table, *others = shown.repairs_tables(Made(repairs))
    assert [column.title for column in table.columns] == ["plain", "clean reference"]
    (group,) = table.groups
    assert [row.head for row in group.rows] == ["no repair", "tune", "prune"]
    assert [[cell.value for cell in row.cells] for row in group.rows] == [
        pytest.approx([0.98, 0.98]), pytest.approx([0.55, 0.06]), pytest.approx([0.25, 0.07]),
    ]  # fmt: skip
    # Two models before, each beside two repairs, on two references.
    assert (group.rows[0].cells[0].bounds, group.rows[0].cells[0].interval) == (None, "(0.9600; 1.0000)")
    assert table.notes[0].startswith("One or two references say nothing of others")
    assert table.notes[2:] == ["prune, in 4 runs: nothing was pruned, because there is no BatchNorm."]
    assert [other.name for other in others] == ["repairs-accuracy", "repairs-kl", "repairs-churn"]


def test_intervals_are_over_references_however_many_seeds_each_has(repairs):
    third = repairs[repairs["reference_seed"] == 0].assign(reference_seed=2, asr=0.3)
    again = pd.concat([repairs, third])
    every = pd.concat([again, again.assign(weights_sha256="x" + again["weights_sha256"], asr=again["asr"] + 0.02)])
    every = every.assign(identity=[f"{row}" for row in range(len(every))])
    table, *_ = shown.repairs_tables(Made(every))
    means = [0.51, 0.61, 0.31]
    half = stats.t.ppf(0.975, 2) * stats.sem(means)
    assert table.groups[0].rows[1].cells[0].bounds == pytest.approx((np.mean(means) - half, np.mean(means) + half))


def test_oracles_are_shown_apart(repairs):
    oracles = repairs.assign(defence="deep", defence_name="oracle-anp", identity=lambda rows: "o" + rows["identity"])
    table, *_ = shown.repairs_tables(Made(pd.concat([oracles, repairs])))
    first, second = table.groups
    assert [row.head for row in first.rows] == ["no repair", "tune", "prune"]
    assert [row.head for row in second.rows] == ["deep"]
    assert "as no defender can" in second.title


def test_the_matrix_is_drawn(repairs, tmp_path):
    draw_repairs(repairs.assign(reference_seed=range(len(repairs))), tmp_path / "matrix")
    assert np.asarray(Image.open(tmp_path / "matrix.png").convert("L")).std() > 5


def test_the_title_of_the_matrix_rounds(repairs, tmp_path):
    full = repairs.assign(asr=0.9996, accuracy=0.9996, reference_seed=range(len(repairs)))
    draw_repairs(full, tmp_path / "matrix")
    assert "ASR 1.000 of 0.980, at accuracy 1.000 of 0.950" in (tmp_path / "matrix.svg").read_text()


def test_the_title_of_the_matrix_is_a_mean_over_references_as_the_table_is(repairs, tmp_path):
    """Two runs on the first reference, one on the second."""
    tune = repairs[(repairs["method"] == "plain") & (repairs["defence"] == "tune")]
    uneven = pd.concat([tune[:1], tune]).assign(
        asr=[0.1, 0.1, 0.9], accuracy=[0.8, 0.8, 0.9], asr_before=[1.0, 1.0, 0.9], accuracy_before=[0.9, 0.9, 0.8],
        identity=list("abc"), weights_sha256=list("abc"),
    )  # fmt: skip
    draw_repairs(uneven, tmp_path / "matrix")
    assert "ASR 0.500 of 0.950, at accuracy 0.850 of 0.850" in (tmp_path / "matrix.svg").read_text()
    table, *_ = shown.repairs_tables(Made(uneven))
    assert [row.cells[0].value for row in table.groups[0].rows] == pytest.approx([0.95, 0.5])


def test_nothing_is_shown_of_nothing():
    assert shown.repairs_tables(Made(pd.DataFrame())) == []


def test_what_a_suite_has_several_of_makes_parts(repairs):
    """Two sizes and two targets: the benign update serves every target of its size, the reference serves all."""
    method = repairs[repairs["method"] == "plain"].assign(role="method")
    runs = [method.assign(anchors_asked=size, target_asr=target) for size in ("64", "all") for target in (0.9, 0.99)]
    benign = [
        method.assign(method="benign", role="control", anchors_asked=s, target_asr=math.nan) for s in ("64", "all")
    ]
    reference = repairs[repairs["method"] == "reference"].assign(
        role="reference", anchors_asked="", target_asr=math.nan
    )
    parts = dict(shown.split_into_parts(pd.concat([*runs, *benign, reference]), ["task", "trigger"]))
    assert list(parts) == [
        f"digits, square, {size} anchors, target ASR {target:g}" for size in ("64", "all") for target in (0.9, 0.99)
    ]
    for rows in parts.values():
        assert rows["role"].value_counts().to_dict() == {"method": 4, "control": 4, "reference": 4}
        assert set(rows["anchors_asked"]) in ({"64", ""}, {"all", ""})


def test_where_no_method_works_controls_of_several_sizes_are_not_pooled(repairs):
    rows = repairs[repairs["method"] == "plain"]
    benign = [
        rows.assign(method="benign", role="control", anchors_asked=size, target_asr=math.nan) for size in ("64", "all")
    ]
    reference = repairs[repairs["method"] == "reference"].assign(anchors_asked="", target_asr=math.nan)
    works = rows.assign(role="method", trigger="cross")
    every = pd.concat([*benign, reference, works.assign(target_asr=0.9), works.assign(target_asr=0.99)])
    parts = dict(shown.split_into_parts(every, ["task", "trigger"]))
    assert list(parts) == [
        "digits, square, 64 anchors",
        "digits, square, all anchors",
        "digits, cross, all anchors, target ASR 0.9",
        "digits, cross, all anchors, target ASR 0.99",
    ]
    assert set(parts["digits, square, 64 anchors"]["anchors_asked"]) == {"64", ""}


def test_one_size_and_target_are_not_named(repairs):
    rows = repairs.assign(role="method")
    assert [title for title, _ in shown.split_into_parts(rows, ["task", "defender"])] == [
        "digits, 640 of the defender's examples"
    ]
    assert len(list(shown.split_into_parts(repairs.assign(role="reference"), ["task"]))) == 1


def test_a_trigger_with_several_targets_has_a_part_for_each(repairs):
    other = repairs.assign(target=3, asr=repairs["asr"] + 0.1, identity="o" + repairs["identity"])
    every = repairs.assign(target=math.nan, rule="all-to-all", identity="a" + repairs["identity"])
    table, *_ = shown.repairs_tables(Made(pd.concat([repairs, other, every])))
    assert [group.title for group in table.groups] == [
        f"digits, square, 640 of the defender's examples, {attack}"
        for attack in ("all-to-one, target 2", "all-to-one, target 3", "all-to-all")
    ]
    assert [group.rows[1].cells[0].value for group in table.groups] == pytest.approx([0.55, 0.65, 0.55])


def test_notes_that_differ_in_numbers_alone_are_one_and_stand_below_one_table(repairs):
    kept = [f"tune kept the weights after {20 * (run + 1)} of 320 steps" for run in range(4)]
    repairs.loc[repairs["defence"] == "tune", "note"] = kept
    table, *others = shown.repairs_tables(Made(repairs))
    assert table.notes[2:] == [
        "tune, in 4 runs: tune kept the weights after 20 to 80 of 320 steps.",
        "prune, in 4 runs: nothing was pruned, because there is no BatchNorm.",
    ]
    assert [len(other.notes) for other in others] == [2, 2, 2]


def test_a_model_that_did_not_change_differs_by_0_without_an_interval(repairs):
    three = pd.concat([repairs, repairs[repairs["reference_seed"] == 0].assign(reference_seed=2, identity="third")])
    three["identity"] += three["method"] + three["defence"]
    of_reference = three["role"] == "reference"
    same = three.assign(churn=three["churn"].where(~of_reference, 0.0))
    same["churn_before"] = same["churn_before"].where(~of_reference, 0.0)
    table = shown.repairs_tables(Made(same))[3]
    cells = [row.cells[1] for row in table.groups[0].rows]
    assert [(cell.value, cell.bounds) for cell in cells] == [(0, None)] * 3


def test_intervals_that_are_too_narrow_or_no_students_t_are_named(repairs):
    parts = [repairs[repairs["reference_seed"] == 0].assign(reference_seed=reference) for reference in range(4)]
    many = pd.concat(parts)
    many["identity"] += many["reference_seed"].astype(str)
    of_tune = (many["defence"] == "tune") & (many["role"] == "method")
    many.loc[of_tune, "asr"] = [0.01, 0.1, 0.5, 0.9]
    (table, *_) = shown.repairs_tables(Made(many))
    assert "In 1 of 1 cell references differ so much that the interval is too narrow" in table.notes[0]
    many.loc[of_tune, "asr"] = 0.0
    (table, *_) = shown.repairs_tables(Made(many))
    assert "too narrow" not in table.notes[0]
    assert "Where all references have 0, or all 1, the interval is Clopper and Pearson's" in table.notes[0]
