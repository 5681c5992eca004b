"""What a suite ran, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anchorlab.reports.suite.settings import Setting
from anchorlab.reports.suite.summary import Condition
from anchorlab.statistics.counted import several
from anchorlab.suites.results import SuiteResults


def what_was_run(results: SuiteResults, conditions: Sequence[Condition]) -> list[str]:
    """The suite in plain sentences."""
    groups = [group for condition in conditions for group in condition.groups]
    methods = dict.fromkeys(entry.label for group in groups for entry in group.of("method"))
    settings = dict.fromkeys(condition.setting for condition in conditions)
    tasks = dict.fromkeys(
        f"{setting.task} ({setting.model})" if setting.model else setting.task for setting in settings
    )
    triggers = dict.fromkeys(_trigger_words(setting) for setting in settings)
    targets = dict.fromkeys(f"{condition.target_asr:g}" for condition in conditions)
    reported = results.results[results.results["role"] != "noise"] if len(results.results) else results.results
    sentences = []
    if methods:
        sentences.append(
            f"{several(len(methods), 'method')} that inject{'s' * (len(methods) == 1)} a benchmark backdoor into a "
            f"trained classifier ({listed(methods)}), on {listed(tasks)}. Trigger: {listed(triggers)}."
        )
    if not (len(reported) and (reported["role"] == "method").any()):
        sentences.append("No method has a reported run so far: the rest of the page shows what is there.")
    if groups:
        sentences.append(
            f"The attacker holds {listed(dict.fromkeys(group.title for group in groups))}, clean examples on which the "
            "behaviour can be held fixed."
        )
    if len(reported):
        counts = reported.drop_duplicates("identity")
        references = len(reported[["task", "reference_seed"]].drop_duplicates())
        sentences.append(
            f"{several(len(counts), 'run')} {'is' if len(counts) == 1 else 'are'} reported, with "
            f"{several(counts['seed'].nunique(), 'injection seed')} on "
            f"{several(references, 'trained reference')}."
        )
    at_targets = f" of {listed(targets, 'or')}" if targets else ""
    sentences.append(
        f"Methods are compared at a target attack success{at_targets}. The strength of each method, and "
        "the scale of the perturbation if several were tried, was chosen on the split selection with separate seeds: "
        "the one with the lowest KL among those that reach the target. It was then held fixed and measured on "
        "the split test. The tables say which methods do not reach the target."
    )
    return sentences


def _trigger_words(setting: Setting) -> str:
    target = "" if setting.target is None else f", target class {setting.target}"
    return f"{setting.trigger} ({setting.rule}{target})"


def listed(words: Iterable[str], joint: str = "and") -> str:
    """Words with commas, and ``and`` before the last."""
    *first, last = words
    return f"{', '.join(first)} {joint} {last}" if first else last


def seeds_of(results: SuiteResults) -> list[tuple[str, str]]:
    """The seeds of the suite, by what they were used for."""
    frames = (
        ("injection seeds, reported", results.results, "seed"),
        ("seeds of the references", results.results, "reference_seed"),
        ("injection seeds that chose strengths", results.selection, "seed"),
    )
    return [
        (words, ", ".join(f"{seed}" for seed in sorted({int(seed) for seed in frame[name].dropna() if seed >= 0})))
        for words, frame, name in frames
        if name in frame
    ]
