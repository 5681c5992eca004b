"""What a suite found of repairs and detectors, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from anchorlab.reports.suite.accusations import scanner_findings
from anchorlab.reports.suite.detections import Scores, detections_of_kind, scores_by_detector
from anchorlab.reports.suite.paired import capitalised
from anchorlab.reports.suite.repairs import REMOVED, by_oracle, mean_by_reference, split_into_parts
from anchorlab.reports.suite.sentences import listed
from anchorlab.reports.suite.working import of_working
from anchorlab.statistics.clustered_roc import auroc_over_references
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import span
from anchorlab.statistics.references import ENOUGH_REFERENCES
from anchorlab.statistics.roc import tpr_at
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import TOLERANCE

#: Fewer models without a backdoor than this have no threshold at an FPR of 5%.
_ENOUGH_CLEAN = 20


def repair_findings(results: SuiteResults) -> tuple[str, ...]:
    """Which repairs remove working backdoors, and at what cost of accuracy."""
    frame = results.repairs
    if not len(frame):
        return ()
    parts = list(split_into_parts(frame, ["task", "trigger", "defender"]))
    sentences: list[str] = []
    for title, part in parts:
        where = f"{title}: " if len(parts) > 1 else ""
        sentences += [_sentence(where, words) for words in _repairs(part)]
    return tuple(sentences)


def _repairs(part: pd.DataFrame) -> Iterator[str]:
    attacked = part[(part["role"] == "method") & ~by_oracle(part)]
    working = attacked[attacked["asr_before"].astype(float) >= attacked["target_asr"].astype(float) - TOLERANCE]
    once = working.drop_duplicates(["defence", "identity"])
    if not len(once):
        return
    by_repair = once.groupby("defence", sort=False)
    left = pd.Series({name: mean_by_reference(rows, "asr") for name, rows in by_repair}).sort_values(kind="stable")
    removing = [str(name) for name, asr in left.items() if asr < REMOVED]
    runs = by_repair["identity"].nunique()
    counted = f"{span(runs.min(), runs.max())} {'run' if runs.max() == 1 else 'runs'}"
    counts = f"means over {counted} on {several(once['reference_seed'].nunique(), 'reference')}"
    count = several(len(left), "repair")
    if removing and len(left) == 1:
        yield f"{_removal(once, removing[0], part)} leaves an ASR under {REMOVED:g}; {counts}."
    elif removing:
        each = listed(_removal(once[once["defence"] == name], name, part) for name in removing)
        verb = "leaves" if len(removing) == 1 else "leave"
        yield f"of {count}, {len(removing)} {verb} an ASR under {REMOVED:g}: {each}; {counts}."
    else:
        yield f"{'no repair' if len(left) == 1 else f'none of {count}'} leaves an ASR under {REMOVED:g}; {counts}."
    kept = left[left >= REMOVED]
    if len(kept):
        ends = f"{kept.iloc[0]:.2f}" if len(kept) == 1 else f"from {kept.iloc[0]:.2f} to {kept.iloc[-1]:.2f}"
        yield f"{listed(map(str, kept.index))} {'leaves' if len(kept) == 1 else 'leave'} {ends}."
    best = once[once["defence"] == left.index[0]]
    by_method = dict(iter(best.groupby("method", sort=False)))
    if len(by_method) > 1:
        kept_of = listed(
            f"{mean_by_reference(rows, 'asr'):.2f} of {mean_by_reference(rows, 'asr_before'):.2f} by {name}"
            for name, rows in by_method.items()
        )
        yield f"after {left.index[0]} the ASR of each method is {kept_of}."


def _removal(runs: pd.DataFrame, name: str, part: pd.DataFrame) -> str:
    """A repair with the ASR that it leaves and what it costs, on injected models and on clean references."""
    cost = _cost(runs)
    clean = part[(part["role"] == "reference") & (part["defence"] == name)].drop_duplicates("identity")
    harm = f", {_cost(clean)} on the clean reference" if len(clean) else ""
    return f"{name} ({mean_by_reference(runs, 'asr'):.2f}, accuracy {cost}{harm})"


def _cost(runs: pd.DataFrame) -> str:
    change = mean_by_reference(runs, "accuracy") - mean_by_reference(runs, "accuracy_before")
    return f"{change:+.3f}".replace("-", "−")


def detector_findings(results: SuiteResults) -> tuple[str, ...]:
    """How well detectors separate models with a working backdoor from others, and triggered inputs from clean ones."""
    if not len(results.detections):
        return ()
    working = replace(results, detections=of_working(results))
    sentences = []
    for title, scores_of in scores_by_detector(working).items():
        where = f"{title}: " if title else ""
        sentences += [_sentence(where, _of_models(name, scores)) for name, scores in scores_of.items()]
    sentences += [_sentence("", words) for words in scanner_findings(results)]
    frame = detections_of_kind(working, "input")
    parts = list(split_into_parts(frame, ["task", "trigger", "defender"])) if len(frame) else []
    for title, part in parts:
        where = f"{title}: " if len(parts) > 1 else ""
        sentences += [
            _sentence(where, _of_inputs(str(detector), runs)) for detector, runs in part.groupby("detector", sort=False)
        ]
    return tuple(sentences)


def _of_models(name: str, scores: Scores) -> str:
    area = auroc_over_references(scores.clean, scores.every)
    counts = f"{several(len(scores.every), 'model')} with a backdoor and {len(scores.clean):,} without"
    if len(scores.clean) >= _ENOUGH_CLEAN:
        rate = f"TPR {tpr_at(scores.clean.scores, scores.every.scores, 0.05).value:.2f} at an FPR of 5%"
    else:
        above = sum(score > max(scores.clean.scores) for score in scores.every.scores)
        rate = f"{above} of {len(scores.every)} score above all without one, too few for a TPR at 5% FPR"
    return f"{name} {_judgement(area)} {counts}: AUROC {area:.2f}; {rate}."


def _judgement(area: Estimate) -> str:
    """What an AUROC with its interval says; 0.5 is chance, and less is the wrong way round."""
    if (area.units or 0) < ENOUGH_REFERENCES:
        return "has too few references for an interval on"
    if area.bounds is None and area.value not in (0, 1):
        return "has no interval on"
    low, high = area.bounds or (area.value or 0.0, area.value or 0.0)
    if low <= 0.5 <= high:
        return "does not separate"
    return "ranks" if low > 0.5 else "ranks the wrong way round"


def _of_inputs(name: str, runs: pd.DataFrame) -> str:
    once = runs.drop_duplicates(["method", "identity"])
    each = listed(
        f"TPR {mean_by_reference(rows, 'tpr_at_5'):.2f} "
        f"(AUROC {mean_by_reference(rows, 'auroc'):.2f}) on models by {method}"
        for method, rows in once.groupby("method", sort=False)
    )
    asked = once["triggered_count"].astype(float)
    return (
        f"{name}, at a threshold for 5% FPR (measured: {mean_by_reference(once, 'false_alarms_at_5'):.2f}): {each}; "
        f"means over {several(len(once), 'model')} on {several(once['reference_seed'].nunique(), 'reference')}, with "
        f"{span(asked.min(), asked.max())} triggered inputs each."
    )


def _sentence(where: str, words: str) -> str:
    return where + words if where else capitalised(words)
