"""What a suite found, in sentences, from results made by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
from scipy import stats

from anchorlab.reports.suite.doubts import doubts, none_reached
from anchorlab.reports.suite.findings import findings
from anchorlab.reports.suite.paired import pair
from anchorlab.reports.suite.working import of_working
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.spec import Suite
from tests.suites.inline import tiny

PLACE = {"task": "digits", "trigger": "five-pixel", "rule": "all-to-one", "target": 0, "anchors_asked": "all"}


@dataclasses.dataclass(frozen=True)
class Made:
    """As much of results as the sentences read."""

    results: pd.DataFrame
    choices: pd.DataFrame
    selection: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    equal: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    repairs: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    detections: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    failed: pd.DataFrame = dataclasses.field(
        default_factory=lambda: pd.DataFrame(columns=["what", "stage", "error", "identity"])
    )
    pending: int = 0
    title: str = "made by hand"
    suite: Suite = dataclasses.field(
        default_factory=lambda: parse_suite("name: a\ntitle: a\ntasks: [digits]\nmethods: {plain: , surgery: [8, 9]}\n")
    )


def run(method, kl, *, reference=0, seed=0, asr=0.99, role="method", target=0.95, **more):
    return {
        **PLACE, "model": "resnet-tiny", "method": method, "role": role, "target_asr": target, "kl": kl, "asr": asr,
        "churn": 0.1 * kl, "negative_flips": 0.01, "accuracy": 0.9, "seed": seed, "reference_seed": reference,
        "identity": f"{method}{reference}{seed}{target}", **more,
    }  # fmt: skip


def choice(method, *, reached=True, best=0.99, strength=4.0, at_edge=False, target=0.95, **more):
    return {
        **PLACE, "method": method, "target_asr": target, "reached": reached, "best_asr": best, "strength": strength,
        "at_edge": at_edge, **more,
    }  # fmt: skip


def suite(runs, choices=None, **more):
    methods = dict.fromkeys(row["method"] for row in runs if row["role"] == "method")
    return Made(pd.DataFrame(runs), pd.DataFrame(choices or [choice(name) for name in methods]), **more)


def compared(references, seeds=1, *, plain=0.1, ours=(0.03, 0.05)):
    """Runs of plain and anchoring; anchoring's KL goes through the values of ``ours``."""
    runs = []
    for index in range(references * seeds):
        place = {"reference": index // seeds, "seed": index % seeds}
        runs += [run("plain", plain, **place), run("anchoring", ours[index % len(ours)], **place)]
    return runs


def test_the_method_of_least_kl_leads_with_its_ratio_and_students_interval_over_references():
    first, *_ = findings(suite(compared(4)))
    logs = np.log([0.3, 0.5, 0.3, 0.5])
    half = stats.t.ppf(0.975, 3) * stats.sem(logs)
    low, high = (f"{np.exp(logs.mean() + sign * half):.2g}" for sign in (-1, 1))
    assert first == (
        f"Anchoring changes clean behaviour least of 2 methods: its KL is 0.39 times plain's [{low}, {high}], paired "
        "over 4 runs on 4 references; its ASR is 0.990 of the 0.95 asked for."
    )


def test_seeds_of_one_reference_are_one_unit():
    ours = pd.DataFrame(compared(3, seeds=4))
    paired = pair(*(ours[ours["method"] == name] for name in ("anchoring", "plain")), "kl")
    assert (paired.runs, paired.references) == (12, 3)
    assert paired.bounds is None  # the references do not differ, which says nothing of how far others would


def test_one_or_two_references_have_no_interval_and_that_is_said():
    for references in (1, 2):
        made = suite(compared(references, seeds=3))
        text = " ".join(findings(made))
        assert "times plain's (0.30 to 0.50 by run), paired over" in text
        assert "[" not in text
        assert any("no interval between references can be given" in sentence for sentence in doubts(made))
    assert not any("no interval" in sentence for sentence in doubts(suite(compared(3))))


def test_fewer_than_three_pairs_distinguish_nothing():
    first, *rest = findings(suite(compared(2)))
    assert "in too few runs to distinguish them" in first
    assert not any("distinguish" in sentence or "differs" in sentence for sentence in rest)


def test_nothing_is_claimed_of_methods_whose_intervals_meet():
    first, *_ = findings(suite(compared(4, ours=(0.05, 0.15))))
    assert "has the least KL of 2 methods, but no other is distinguishable from it" in first


def test_what_differs_beside_kl_is_said_with_its_direction_and_what_does_not_too():
    _, further, alike, *_ = findings(suite(compared(4)))
    assert further.startswith("Anchoring differs from plain in churn 0.0060 lower [0.0")
    assert alike == "Anchoring is not distinguishable from plain in negative flips or accuracy."


def test_a_run_whose_backdoor_failed_is_no_evidence():
    runs = compared(4)
    for row in runs:
        row["asr"] = 0.4 if row["method"] == "anchoring" else 0.99
    made = suite(runs)
    assert findings(made)[0].startswith("Plain is the only method whose backdoor works, so nothing is compared")
    assert "The backdoor failed on test" in doubts(made)[0]
    assert "anchoring in 4 of 4 runs (ASR down to 0.40)" in doubts(made)[0]


def test_a_method_that_another_beats_does_not_lead():
    """All three methods share reference 0 alone, where ours is lowest; on all six plain is far lower."""
    logs = [-0.01, 1.0, 1.0, 1.1, 0.9, 1.0]
    runs = [run("plain", 0.1, reference=index) for index in range(6)]
    runs += [run("ours", 0.1 * np.exp(log), reference=index) for index, log in enumerate(logs)]
    first, *rest = findings(suite([*runs, run("third", 0.2, reference=0)]))
    assert first.startswith("Plain has the least KL of 3 methods, and third is not distinguishable from it: ")
    assert not any(sentence.startswith("Ours has the least") for sentence in (first, *rest))


def test_a_method_whose_runs_all_crashed_is_not_passed_over():
    made = suite([run("plain", 0.1, reference=index) for index in range(3)], [choice("plain"), choice("anchoring")])
    assert findings(made)[0].startswith("Plain is the only method with a run whose backdoor works, so nothing")
    alone = suite([run("plain", 0.1, reference=index) for index in range(3)], [choice("plain")])
    assert findings(alone)[0].startswith("Plain is the only method that was run, so nothing")


def test_parts_without_a_working_backdoor_count_as_parts():
    runs = [
        row | {"target_asr": target, "asr": 0.99 if target < 0.99 else 0.3, "identity": f"{row['identity']}{target}"}
        for target in (0.9, 0.95, 0.99)
        for row in compared(4)
    ]
    choices = [choice(name, target=target) for target in (0.9, 0.95, 0.99) for name in ("plain", "anchoring")]
    assert findings(suite(runs, choices))[0].startswith("Anchoring has the least KL in 2 of 3 parts of the suite, ")


def test_a_reference_with_many_runs_counts_once_in_what_a_repair_leaves():
    """Reference 0 keeps .5 in one run, reference 1 .05 in three: .275 over references and .1625 over runs."""
    rows = [repaired("tune", 0.5)] + [repaired("tune", 0.05, reference=1) | {"identity": f"b{n}"} for n in range(3)]
    rows += [repaired("prune", 0.9), repaired("prune", 0.9, reference=1)]
    text = findings(suite(compared(3), repairs=pd.DataFrame(rows)))
    assert "None of 2 repairs leaves an ASR under 0.2; means over 2 to 4 runs on 2 references." in text
    assert "Tune and prune leave from 0.28 to 0.90." in text or "Tune and prune leave from 0.27 to 0.90." in text


def test_a_run_that_fails_at_one_target_is_judged_at_the_other():
    """It has an ASR of .93: enough for .95, and more than five points below .99."""
    both = [run("plain", 0.1, asr=0.93, target=target) | {"identity": "a"} for target in (0.95, 0.99)]
    rows = [judged(9.0, of="a", target_asr=target) for target in (0.95, 0.99)] + [judged(1.0, role="reference")]
    made = suite(both, detections=pd.DataFrame(rows))
    assert of_working(made)["target_asr"].tolist() == [0.95, 0.95]


def test_no_finding_where_no_backdoor_works():
    assert findings(suite([run("plain", 0.1, asr=0.2)])) == ()


def test_a_mean_asr_under_the_target_is_said():
    assert any("lies under the 0.95 asked for: plain 0.940" in s for s in doubts(suite([run("plain", 0.1, asr=0.94)])))
    uneven = [run("plain", 0.1, seed=0, asr=0.94), run("plain", 0.1, seed=1, asr=0.94)]
    uneven.append(run("plain", 0.1, reference=1, asr=0.97))  # the mean over references is .955, as in the table
    assert not any("lies under the 0.95 asked for" in sentence for sentence in doubts(suite(uneven)))


def test_parts_are_named_by_what_varies_and_counted_first():
    runs = [
        row | {"target_asr": target, "identity": f"{row['identity']}{target}"}
        for target in (0.9, 0.95)
        for row in compared(4)
    ]
    choices = [choice(name, target=target) for target in (0.9, 0.95) for name in ("plain", "anchoring")]
    first, second, *_ = findings(suite(runs, choices))
    assert first == (
        "Anchoring has the least KL in 2 of 2 parts of the suite, and in 2 of them is distinguishable from every other "
        "method."
    )
    assert second.startswith("target ASR 0.9: anchoring changes clean behaviour least")


def test_what_was_not_reached_comes_with_its_best_asr_and_the_cure():
    tried = pd.DataFrame([{"method": "l2", "strength": value} for value in (1.0, 4.0)])
    choices = [
        choice("plain", reached=False, best=0.8, strength=np.nan),
        choice("l2", reached=False, best=0.7, at_edge=True),
    ]
    made = Made(pd.DataFrame(), pd.DataFrame(choices), selection=tried)
    assert none_reached(made)
    assert doubts(made) == (
        "None of 2 methods reached an ASR of 0.95 on selection; the best was plain 0.80 and l2 0.70 at strength 4, "
        "which is the edge of its grid. The likeliest cure: raise steps or learning_rate under tuning; or let the "
        "grid of l2 go further beyond that strength.",
    )


def test_a_count_is_not_called_a_strength():
    made = Made(pd.DataFrame(), pd.DataFrame([choice("surgery", reached=False, best=0.7, strength=64000.0)]))
    assert "surgery 0.70 at count 64,000" in doubts(made)[0]


def test_one_strength_has_no_edge():
    made = Made(pd.DataFrame(), pd.DataFrame([choice("l2", reached=False, best=0.7, at_edge=True)]))
    assert "edge" not in doubts(made)[0]
    assert doubts(made)[0].startswith("L2 did not reach an ASR of 0.95 on selection")


def test_a_suite_of_which_one_method_reached_its_target_is_not_in_vain():
    assert not none_reached(suite(compared(1)))
    assert not none_reached(Made(pd.DataFrame(), pd.DataFrame()))


def test_failed_and_missing_runs_are_said():
    made = dataclasses.replace(
        suite(compared(3)),
        failed=pd.DataFrame([{"what": "ewc, seed 3", "error": "the loss is not finite"}]),
        pending=2,
    )
    failed, pending = doubts(made)
    assert failed.startswith("1 run failed, the first: ewc, seed 3: the loss is not finite.")
    assert pending == "2 runs are not done yet: the numbers may change."


def repaired(defence, asr, *, method="plain", before=0.99, role="method", accuracy=0.88, reference=0):
    return {
        **PLACE, "defender": "640", "method": method, "role": role, "target_asr": 0.95, "defence": defence,
        "defence_name": defence, "identity": f"{defence}{method}{reference}", "asr": asr, "asr_before": before,
        "accuracy": accuracy, "accuracy_before": 0.9, "reference_seed": reference,
    }  # fmt: skip


def test_repairs_that_remove_the_backdoor_come_with_their_cost():
    rows = [
        repaired("tune", 0.05), repaired("prune", 0.9),
        repaired("tune", 0.0, method="reference", role="reference", before=0.0, accuracy=0.895),
    ]  # fmt: skip
    made = suite(compared(3), repairs=pd.DataFrame(rows))
    text = findings(made)
    assert (
        "Of 2 repairs, 1 leaves an ASR under 0.2: tune (0.05, accuracy −0.020, −0.005 on the clean reference); means "
        "over 1 run on 1 reference."
    ) in text
    assert "Prune leaves 0.90." in text


def test_a_repair_of_a_backdoor_that_had_failed_is_no_evidence():
    made = suite(compared(3), repairs=pd.DataFrame([repaired("tune", 0.01, before=0.3)]))
    assert not any("tune" in sentence for sentence in findings(made))


def judged(score, *, role="method", of="", **more):
    return {
        **PLACE, "model": "resnet-tiny", "defender": "640", "method": "plain" if role == "method" else role,
        "role": role, "target_asr": 0.95, "detector": "cleanse", "kind": "model", "score": score, "of": of,
        "weights_sha256": f"{role}{score}", "identity": f"{role}{score}", "reference_seed": 0, **more,
    }  # fmt: skip


def test_detectors_of_models_come_with_auroc_and_n_and_no_rate_that_so_few_models_have():
    rows = [judged(5.0 + index, reference_seed=index) for index in range(4)]
    rows += [judged(1.0 + index, role="reference", reference_seed=index) for index in range(4)]
    sentence = findings(suite(compared(3), detections=pd.DataFrame(rows)))[-1]
    assert sentence.startswith("Cleanse ranks 4 models with a backdoor and 4 without: AUROC 1.00; ")
    assert sentence.endswith("4 of 4 score above all without one, too few for a TPR at 5% FPR.")


def test_a_detector_whose_auroc_may_be_chance_does_not_separate():
    ours, clean = (0.0, 1.7, 2.2, 3.0), (0.5, 1.5, 2.5, 2.0)
    rows = [judged(score, reference_seed=index) for index, score in enumerate(ours)]
    rows += [judged(score, role="reference", reference_seed=index) for index, score in enumerate(clean)]
    assert "Cleanse does not separate 4 models" in findings(suite(compared(3), detections=pd.DataFrame(rows)))[-1]


def test_a_detector_that_scores_clean_models_higher_ranks_the_wrong_way_round():
    rows = [judged(1.0 + index, reference_seed=index) for index in range(4)]
    rows += [judged(9.0 + index, role="reference", reference_seed=index) for index in range(4)]
    sentence = findings(suite(compared(3), detections=pd.DataFrame(rows)))[-1]
    assert sentence.startswith("Cleanse ranks the wrong way round 4 models with a backdoor and 4 without: AUROC 0.00")


def test_models_whose_backdoor_failed_are_not_detected():
    failed = run("plain", 0.1, asr=0.1)
    rows = [judged(9.0, of=failed["identity"]), judged(5.0), judged(1.0, role="reference")]
    sentence = findings(suite([failed, *compared(3)[1:]], detections=pd.DataFrame(rows)))[-1]
    assert "1 model with a backdoor and 1 without" in sentence


def test_detectors_of_inputs_come_with_tpr_at_five_percent():
    rates = {"tpr_at_5": 0.31, "false_alarms_at_5": 0.06, "auroc": 0.72, "triggered_count": 400}
    rows = [judged(np.nan, kind="input", **rates)]
    assert findings(suite(compared(3), detections=pd.DataFrame(rows)))[-1] == (
        "Cleanse, at a threshold for 5% FPR (measured: 0.06): TPR 0.31 (AUROC 0.72) on models by plain; means over 1 "
        "model on 1 reference, with 400 triggered inputs each."
    )


def test_the_sentences_of_a_whole_made_up_suite(suite):
    assert findings(suite)[0].startswith("Anchoring has the least KL in 4 of 4 parts of the suite")
    assert any("weight-ball" in sentence and "0.50" in sentence for sentence in doubts(suite))


def test_a_smoke_form_finds_nothing_and_says_why():
    title = smoke_form(tiny()).title
    made = dataclasses.replace(suite(compared(4)), title=title)
    assert findings(made) == ()
    assert doubts(made)[0] == "Every cell of this smoke form is tiny, so that its figures mean nothing."


def test_a_reference_at_chance_and_few_attacked_examples_are_said():
    at_chance = {
        "accuracy_reference": 0.5,
        "count": 40,
        "by_class": json.dumps({"a": {"count": 20}, "b": {"count": 20}}),
    }
    attacked = {"asr_count": 20, "asr_reference": 0.9}
    runs = [row | at_chance | attacked for row in compared(3)]
    text = doubts(suite(runs))
    assert text[0].startswith("Reference 0 of digits is at chance: it is right on 0.500 of 40 examples")
    assert text[0].endswith("So are 2 more of its 3 references.")
    assert any("this shows no backdoor" in sentence for sentence in text)
    assert any(sentence.startswith("The ASR stands on 20 attacked examples alone") for sentence in text)


def test_an_unfinished_suite_has_no_finding():
    assert findings(Made(pd.DataFrame(), pd.DataFrame())) == ()
    assert doubts(Made(pd.DataFrame(), pd.DataFrame())) == ()


def test_with_two_references_no_detector_is_said_to_rank():
    rows = [judged(5.0 + n, reference_seed=n) for n in range(2)]
    rows += [judged(1.0 + n, role="reference", reference_seed=n) for n in range(2)]
    sentence = findings(suite(compared(3), detections=pd.DataFrame(rows)))[-1]
    assert sentence.startswith("Cleanse has too few references for an interval on 2 models with a backdoor")
