"""The whole analysis, on real data and on texts."""

from __future__ import annotations

import copy

import pandas as pd
import pytest
import torch
from torch import nn

from anchorlab import AnalysisSettings, AnchorlabError, Tuning, analyze, compare, inject
from anchorlab.artifacts.artifact import Artifact
from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.analyze import _draw_examples, _draw_statistics
from anchorlab.perturbation.tables import TABLES, bounds
from anchorlab.perturbation.tables.paths import SCALES
from tests.devices import forward_mode
from tests.perturbation.conftest import bent

#: Enough to see that everything is measured.
BRIEF = AnalysisSettings(
    curvature_examples=24, diagonal_examples=16, statistics_examples=48, eigenvalues=1, trace_vectors=2, plane_steps=3,
    plane_examples=40, resamples=100,
)  # fmt: skip

#: The tables of candidates without an adapter.
MADE = {name: table for name, table in TABLES.items() if name != "adapter"}


@pytest.fixture(scope="module")
def candidates(digits, reference, injected) -> dict[str, Artifact]:
    options = Tuning(steps=4, batch_size=8)
    plain = inject(reference, method="plain", tuning=options, anchors=64, task=digits, record_gradients=True)
    benign = inject(reference, method="benign", tuning=options, anchors=64, task=digits)
    return {"anchored": injected, "plain": plain, "benign": benign}


@pytest.fixture(scope="module")
def analysis(digits, reference, candidates) -> Analysis:
    return analyze(reference, candidates, examples=120, settings=BRIEF, task=digits)


@forward_mode
@pytest.mark.slow
@pytest.mark.parametrize("table", MADE.values(), ids=MADE)
def test_every_table_has_the_columns_that_its_record_describes(analysis, table):
    described = ["candidate"] if table.has_candidate else []
    for column in table.columns:
        described += [column.name]
        described += [f"{column.name}_lower", f"{column.name}_upper"] if column.has_interval else []
    assert list(analysis.tables[table.name]) == described
    assert len(analysis.tables[table.name])


@forward_mode
@pytest.mark.slow
def test_every_candidate_is_measured_and_agrees_with_compare(analysis, digits, reference, candidates):
    behaviour = analysis.tables["behaviour"].set_index("candidate")
    assert list(behaviour.index) == ["reference", "anchored", "plain", "benign"]
    whole = analyze(reference, [candidates["plain"]], settings=BRIEF, task=digits, budget="1p")
    known = compare(reference, candidates["plain"], task=digits)
    row = whole.tables["behaviour"].set_index("candidate").loc["plain"]
    assert whole.count == known.count
    for name in ("accuracy", "asr", "churn", "kl", "logit_distance"):
        assert row[name] == pytest.approx(getattr(known, name), rel=1e-3)
    assert row["asr_count"] == known.asr_count
    assert analysis.kinds == {"anchored": "anchoring", "plain": "plain", "benign": "benign"}
    assert analysis.parameters == sum(parameter.numel() for parameter in reference.model.parameters())


@forward_mode
def test_tables_hold_together(analysis):
    paths = analysis.tables["paths"]
    assert set(paths["buffers"]) == {"stored", "re-estimated"}
    assert len(paths) == 2 * 3 * len(SCALES)
    quadratic = analysis.tables["quadratic"].set_index("candidate")["kl_quadratic"]
    half = paths[(paths["scale"] == 0.5) & (paths["buffers"] == "stored")].set_index("candidate")["kl_quadratic"]
    pd.testing.assert_series_equal(half, quadratic / 4, check_names=False)
    spectrum = analysis.tables["spectrum"].set_index("quantity")["value"]
    assert spectrum["mean eigenvalue"] == pytest.approx(spectrum["trace"] / analysis.parameters)
    rayleigh = analysis.tables["rayleigh"]
    assert (rayleigh["rayleigh"] / rayleigh["to_mean"]).tolist() == pytest.approx([spectrum["mean eigenvalue"]] * 3)
    assert set(analysis.tables["gradients"]["candidate"]) == {"plain"}
    assert analysis.tables["models"]["candidate"].tolist() == ["reference", "anchored", "plain", "benign"]
    assert all(name.endswith("num_batches_tracked") for name in analysis.buffers_left_out)
    assert not any("num_batches_tracked" in sentence for sentence in analysis.left_out)


def assert_same(one: Analysis, other: Analysis) -> None:
    assert one.findings == other.findings
    for name in TABLES:
        pd.testing.assert_frame_equal(one.tables[name], other.tables[name], check_exact=True)


@forward_mode
@pytest.mark.slow
def test_an_interrupted_analysis_goes_on_to_the_same_numbers(
    analysis, digits, reference, candidates, tmp_path, monkeypatch
):
    options = {"examples": 120, "settings": BRIEF, "task": digits, "store": tmp_path}
    measured = []
    original = bounds.bounds_of

    def interrupted(*arguments):
        measured.append(1)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(bounds, "bounds_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        analyze(reference, candidates, **options)
    assert_same(analyze(reference, candidates, **options), analysis)
    # The first of the three was not measured again.
    assert len(measured) == 4


@forward_mode
@pytest.mark.slow
def test_another_seed_draws_other_examples(analysis, digits, reference, candidates):
    other = analyze(reference, candidates, examples=120, settings=BRIEF, task=digits, seed=1, budget="1p")
    assert not other.tables["behaviour"].equals(analysis.tables["behaviour"])
    pd.testing.assert_frame_equal(other.tables["sizes"], analysis.tables["sizes"])


@forward_mode
@pytest.mark.slow
def test_products_that_do_not_fit_are_named(digits, reference, candidates):
    few = analyze(reference, candidates, examples=60, settings=BRIEF, task=digits, budget="3p")
    assert few.tables["spectrum"]["quantity"].tolist() == ["trace", "mean eigenvalue"]
    assert "Left out, because the budget of 3 Hessian-vector products was spent: largest eigenvalues." in few.left_out
    assert few.tables["rayleigh"]["to_largest"].isna().all()
    assert len(few.tables["plane"])


def test_statistics_are_estimated_from_the_owner_s_inputs_and_fewer_examples_are_a_part_of_more(digits):
    drawn = _draw_statistics(bent(), digits, 30, seed=0)
    owner = {*map(bytes, digits.split("owner").inputs["pixel_values"].flatten(1).numpy())}
    assert all(bytes(image) in owner for image in drawn["pixel_values"].flatten(1).numpy())
    assert len(drawn["pixel_values"]) == 30
    assert _draw_statistics(nn.Linear(2, 2), digits, 30, seed=0) is None
    few, usual = (_draw_examples(digits, "test", count, seed=0) for count in (20, None))
    assert len(usual) == len(digits.split("test"))
    assert torch.equal(few.inputs["pixel_values"], usual.inputs["pixel_values"][:20])


def test_the_cheap_parts_come_first(monkeypatch, digits, reference, candidates):
    seen: list[str] = []

    def look(parts, *_):
        seen.extend(part.what for part in parts)
        raise AnchorlabError("seen")

    monkeypatch.setattr("anchorlab.perturbation.analyze.measure", look)
    with pytest.raises(AnchorlabError, match="seen"):
        analyze(reference, candidates, examples=20, settings=BRIEF, task=digits)
    kinds = list(dict.fromkeys(what.partition(" of ")[0].partition(" along ")[0] for what in seen))
    assert (kinds[:2], kinds[-4:]) == (["sizes", "angles"], ["curvature", "trace", "largest eigenvalues", "plane"])
    assert kinds.index("behaviour") < kinds.index("paths")


def test_what_is_impossible_is_refused(digits, reference, candidates):
    net, injected = reference.model, candidates["anchored"]
    size = len(digits.split("test"))
    with pytest.raises(AnchorlabError, match=f"{size + 1:,} examples are not possible: the split 'test' of digits has"):
        analyze(reference, candidates, examples=size + 1, task=digits)
    with pytest.raises(AnchorlabError, match="no manifest that names its data: give --data FILE or --task"):
        analyze(net, candidates)
    with pytest.raises(AnchorlabError, match="no candidate was given"):
        analyze(reference, {}, task=digits)
    with pytest.raises(AnchorlabError, match="a candidate cannot be called 'reference'"):
        analyze(reference, {"reference": injected}, task=digits)
    with pytest.raises(AnchorlabError, match="same is identical to the reference"):
        analyze(reference, {"same": copy.deepcopy(net)}, task=digits)
    with pytest.raises(AnchorlabError, match="was spent before anything was measured: give a larger one"):
        analyze(reference, candidates, task=digits, budget="0.000001s")
    with pytest.raises(AnchorlabError, match="a target or label rule was given, but no trigger is known"):
        analyze(reference, {"bare": injected.model}, task=digits, target=1)


@forward_mode
def test_former_keywords_warn_and_are_understood(digits, reference, candidates):
    plain = {"plain": candidates["plain"]}
    with pytest.warns(DeprecationWarning, match=r"analyze\(detail=\) is now called settings="):
        former = analyze(reference, plain, examples=20, detail=BRIEF, task=digits, budget="1p")
    assert former.settings["plane_steps"] == BRIEF.plane_steps


@forward_mode
@pytest.mark.slow
def test_bare_modules_are_measured_with_the_attack_that_is_given(digits, reference, candidates):
    nets = [candidates["anchored"].model, candidates["plain"].model]
    options = {"examples": 60, "settings": BRIEF, "task": digits, "budget": "1p"}
    without = analyze(reference.model, nets, **options)
    assert without.candidates == ("candidate 1", "candidate 2")
    assert without.tables["behaviour"]["asr"].isna().all()
    assert any("No attack success is measured" in sentence for sentence in without.left_out)
    given = analyze(reference.model, nets, **options, trigger="five-pixel", target=0)
    assert given.tables["behaviour"]["asr"].notna().all()


def test_buffers_alone_have_no_direction(digits, reference):
    moved = copy.deepcopy(reference.model)
    with torch.no_grad():
        for name, value in moved.named_buffers():
            if name.endswith("running_mean"):
                value += 0.1
    analysis = analyze(reference, {"moved": moved}, examples=60, settings=BRIEF, task=digits, budget="1p")
    assert any("Only buffers differ in moved" in sentence for sentence in analysis.left_out)
    assert analysis.tables["quadratic"].empty
    assert analysis.tables["rayleigh"].empty
    sizes = analysis.tables["sizes"].set_index("layer")["l2"]
    assert sizes["all parameters"] == 0
    assert sizes["buffers"] > 0
    assert analysis.tables["behaviour"].set_index("candidate").loc["moved", "kl"] > 0


@forward_mode
def test_where_weights_and_buffers_move_each_alone_is_measured(digits, reference):
    tracked = inject(reference, method="plain", tuning=Tuning(steps=4, batch_size=8, batchnorm="tracked"), task=digits)
    analysis = analyze(reference, [tracked], examples=60, settings=BRIEF, task=digits, budget="1p")
    rows = analysis.tables["behaviour"]
    assert rows["part"].tolist() == ["all", "all", "weights", "buffers"]
    assert rows["kl"].nunique() == 4
    assert any("the buffers alone shift logits by" in sentence for sentence in analysis.findings)
    # The prediction is of the weights; the path moves the buffers too.
    assert analysis.tables["paths"]["kl_quadratic"].isna().all()


class Lifted(nn.Module):
    """Softmax regression with a constant on all logits, which no probability sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.constant = nn.Linear(64, 10), nn.Parameter(torch.zeros(()))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.layer(pixel_values.flatten(1) / 255) + self.constant


@forward_mode
def test_a_perturbation_that_no_answer_sees_has_no_ratio(digits):
    torch.manual_seed(0)
    model = Lifted().eval()
    lifted = copy.deepcopy(model)
    lifted.constant.data += 1
    analysis = analyze(model, [lifted], examples=60, settings=BRIEF, task=digits, budget="1p")
    row = analysis.tables["quadratic"].iloc[0]
    assert row["logit_distance"] == pytest.approx(1, rel=1e-5)
    assert row["logit_distance_linear"] == pytest.approx(1, rel=1e-5)
    assert row["kl"] < 1e-12
    assert row["kl_quadratic"] < 1e-12
    assert set(analysis.tables["paths"]["buffers"]) == {"stored"}
