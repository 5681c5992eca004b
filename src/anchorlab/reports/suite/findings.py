"""What a suite found, in sentences: a pure function of its results, for the terminal and the page.

What is claimed of methods is claimed of runs whose backdoor works, paired by reference and seed, and at one common ASR
where at least two methods have a value there. Intervals are Student's t over references; with one or two references the
range of the runs stands in their place, and a method counts as lower only if it is lower in every pair. ``doubts`` says
what was not reached and what the numbers cannot mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.reports.suite.defence_findings import detector_findings, repair_findings
from anchorlab.reports.suite.equal import AtOneASR, common_asr
from anchorlab.reports.suite.paired import ENOUGH_RUNS, Paired, capitalised, pair, write_ratio
from anchorlab.reports.suite.parts import Part, parts_of
from anchorlab.reports.suite.sentences import listed
from anchorlab.statistics.counted import several
from anchorlab.statistics.numbers import defined, significant
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.smoke import is_smoke_form
from anchorlab.suites.spec import BENIGN

#: The method that every other one is compared with.
BASELINE = "plain"

#: What else is compared after KL, which ranks the methods.
_FURTHER = ("churn", "negative_flips", "accuracy")


def findings(results: SuiteResults) -> tuple[str, ...]:
    """What a suite found, in sentences, the most important first.

    Empty if no backdoor works yet, and for a smoke form, whose figures mean nothing.

    Args:
        results: of the suite, finished or not.
    """
    if is_smoke_form(results.title):
        return ()
    parts = parts_of(results)
    leads = [(part, _Lead.of(part, results.equal)) for part in parts]
    sentences = list(_overview([lead for _, lead in leads if lead is not None], len(parts)))
    for part, lead in leads:
        if lead is not None:
            sentences += [part.say(sentence) for sentence in lead.sentences(part)]
    return (*sentences, *repair_findings(results), *detector_findings(results))


@dataclass(frozen=True)
class _Lead:
    """The method of least KL in a part, among those that no other beats in the runs that the two share.

    Attributes:
        label: its name.
        methods: label to the runs that are compared, of each method that has any, the lead first, the others by KL.
        rivals: methods that are not distinguishable from it in KL.
        at_one: label to the runs of each method at the common ASR, and as they were reported.
        asr: the common ASR at which the runs are compared; None where they are compared as they were reported.
    """

    label: str
    methods: Mapping[str, pd.DataFrame]
    rivals: Sequence[str]
    at_one: Mapping[str, AtOneASR]
    asr: float | None

    @classmethod
    def of(cls, part: Part, equal: pd.DataFrame) -> _Lead | None:
        """The lead of a part; None where no backdoor works."""
        at_one = {label: AtOneASR.of(runs, equal) for label, runs in part.methods.items()}
        asr = common_asr(at_one)
        working = {label: one.working if asr is None else one.runs for label, one in at_one.items()}
        kl = _mean_kl({label: runs for label, runs in working.items() if len(runs)})
        ordered = sorted((label for label in kl if defined(kl[label])), key=lambda label: kl[label])
        if not ordered:
            return None
        # Means are over the runs that all methods share, and pairs over the runs that two of them share.
        first = next((label for label in ordered if not _is_beaten(label, working, ordered)), ordered[0])
        methods = {label: working[label] for label in sorted(ordered, key=lambda label: label != first)}
        pairs = {label: pair(methods[first], methods[label], "kl") for label in methods if label != first}
        rivals = [label for label, paired in pairs.items() if paired is None or paired.side >= 0]
        return cls(first, methods, rivals, at_one, asr)

    @property
    def others(self) -> list[str]:
        """All methods but the lead."""
        return [label for label in self.methods if label != self.label]

    @property
    def baseline(self) -> str:
        """Plain tuning, or the second if plain tuning leads or was not run."""
        return BASELINE if BASELINE in self.others else self.others[0]

    @property
    def _few(self) -> bool:
        """Whether so few runs are paired that nothing is distinguishable."""
        paired = pair(self.methods[self.label], self.methods[self.baseline], "kl")
        return paired is None or (paired.bounds is None and paired.runs < ENOUGH_RUNS)

    def sentences(self, part: Part) -> Iterator[str]:
        """What a part found of its methods."""
        if not self.others:
            yield _alone(self.label, self.methods[self.label], part)
        else:
            yield self._first(part)
            yield from self._not_compared()
            if not self._few:
                yield from self._further()
                yield from self._others_against_baseline()
        yield from _beside_controls(self.label, self.methods[self.label], part, self._at)

    @property
    def _at(self) -> str:
        """At which ASR runs are compared, to end a clause with; empty if each stands at its own."""
        return "" if self.asr is None else f" at ASR {self.asr:g}"

    def _first(self, part: Part) -> str:
        paired = pair(self.methods[self.label], self.methods[self.baseline], "kl")
        ratio = "" if paired is None else f"its KL is {_against(paired, self.baseline)}; "
        reached = f"{ratio}{self._as_reported(part)}"
        count = f"{several(len(self.methods), 'method')}{self._at}"
        if self._few:
            return f"{self.label} has the least KL of {count}, in too few runs to distinguish them: {reached}."
        if not self.rivals:
            return f"{self.label} changes clean behaviour least of {count}: {reached}."
        if len(self.rivals) == len(self.others):
            return f"{self.label} has the least KL of {count}, but no other is distinguishable from it: {reached}."
        verb = "is" if len(self.rivals) == 1 else "are"
        return (
            f"{self.label} has the least KL of {count}, and {listed(self.rivals)} {verb} not distinguishable from it: "
            f"{reached}."
        )

    def _as_reported(self, part: Part) -> str:
        """The ASR of the lead's own runs, and the ratio of KL at it where the first ratio is at another."""
        ours, theirs = self.at_one[self.label].working, self.at_one[self.baseline].working
        asr = _mean(ours, "asr", 3)
        paired = None if self.asr is None else pair(ours, theirs, "kl")
        if paired is None:
            return f"its ASR is {asr} of the {part.target_asr:g} asked for"
        ratio = _factor(paired, f" times {_genitive(self.baseline)}")
        return f"as reported, at ASR {asr} against {_mean(theirs, 'asr', 3)}, it is {ratio}"

    def _not_compared(self) -> Iterator[str]:
        """Methods and runs that have no value at the common ASR."""
        if self.asr is None:
            return
        lacking = {label: one for label, one in self.at_one.items() if len(one.runs) < len(one.working)}
        counts = [
            f"{len(one.runs) or 'none'} of {several(len(one.working), 'run')} of {label}"
            + ("" if one.walked else " (measured at one scale)")
            for label, one in lacking.items()
        ]
        if counts:
            yield f"not all runs have a value{self._at}, because nothing is extrapolated: {listed(counts)} have one."

    def _further(self) -> Iterator[str]:
        """How the lead differs from the baseline beside KL."""
        ours, theirs = self.methods[self.label], self.methods[self.baseline]
        compared = {METRICS[name].title: pair(ours, theirs, name) for name in _FURTHER}
        differing = [
            f"in {title} {_difference(paired)}"
            for title, paired in compared.items()
            if paired is not None and paired.side
        ]
        alike = [title for title, paired in compared.items() if paired is not None and not paired.side]
        if differing:
            yield f"{self.label} differs from {self.baseline} {listed(differing)}{self._at}."
        if alike:
            yield f"{self.label} is not distinguishable from {self.baseline} in {listed(alike, 'or')}{self._at}."

    def _others_against_baseline(self) -> Iterator[str]:
        """How the methods that do not lead differ in KL from the baseline."""
        if self.baseline != BASELINE:
            return
        pairs = {
            label: paired
            for label in self.others
            if label != BASELINE and (paired := pair(self.methods[label], self.methods[BASELINE], "kl")) is not None
        }
        differing = [f"{label}'s is {_factor(paired)}" for label, paired in pairs.items() if paired.side]
        alike = [label for label, paired in pairs.items() if not paired.side]
        if differing:
            yield f"against {BASELINE}, the KL of the other methods{self._at}: {listed(differing)}."
        if alike:
            yield f"not distinguishable from {BASELINE} in KL{self._at}: {listed(alike)}."


def _is_beaten(label: str, methods: Mapping[str, pd.DataFrame], others: Sequence[str]) -> bool:
    """Whether another method has a lower KL than this one, distinguishably."""
    pairs = [pair(methods[label], methods[other], "kl") for other in others if other != label]
    return any(paired is not None and paired.side > 0 for paired in pairs)


def _mean_kl(methods: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """The mean KL of each method, over the references and seeds that all have if there are any."""
    keys = ["reference_seed", "seed"]
    indexed = {label: runs.set_index(keys)["kl"].astype(float) for label, runs in methods.items()}
    common = None
    for kl in indexed.values():
        common = kl.index if common is None else common.intersection(kl.index)
    shared = common if common is not None and len(common) else None
    return {label: _over_references(kl if shared is None else kl.loc[shared], "kl") for label, kl in indexed.items()}


def _over_references(values: pd.Series[float], name: str) -> float:
    """The mean over references of runs' values, by ``reference_seed``; not a number where it is undefined."""
    mean = METRICS[name].over_references(values, values.index.get_level_values("reference_seed")).value
    return float("nan") if mean is None else mean


def _overview(leads: Sequence[_Lead], parts: int) -> Iterator[str]:
    """One sentence over all parts, if methods are compared in several."""
    compared = [lead for lead in leads if lead.others]
    if len(compared) < 2:
        return
    counts: dict[str, list[bool]] = {}
    for lead in compared:
        counts.setdefault(lead.label, []).append(not lead.rivals)
    words = [
        f"{label} has the least KL in {len(alone)} of {parts} parts of the suite, and in {sum(alone) or 'none'} "
        "of them is distinguishable from every other method"
        for label, alone in sorted(counts.items(), key=lambda item: -len(item[1]))
    ]
    yield capitalised(f"{'; '.join(words)}.")


def _alone(label: str, runs: pd.DataFrame, part: Part) -> str:
    asked = {*part.choices["method"].astype(str), *part.methods}
    settled = {*part.missed["method"].astype(str), *part.methods}
    why = "the only method with a run whose backdoor works"  # those of others failed, or are not done
    if asked == settled:
        why = "the only method that was run" if len(asked) == 1 else "the only method whose backdoor works"
    references = runs["reference_seed"].nunique()
    return (
        f"{label} is {why}, so nothing is compared: its KL is {_mean(runs, 'kl')}, its churn {_mean(runs, 'churn')}, "
        f"its ASR {_mean(runs, 'asr', 3)} of the {part.target_asr:g} asked for, mean of {several(len(runs), 'run')} on "
        f"{several(references, 'reference')}."
    )


def _beside_controls(label: str, runs: pd.DataFrame, part: Part, at: str) -> Iterator[str]:
    """What an update without a backdoor changes, as a scale for the lead's KL."""
    benign = part.controls.get(BENIGN)
    if benign is None or not len(benign):
        return
    yield (
        f"for scale, a benign update changes the reference by a KL of {_mean(benign, 'kl')}, "
        f"and {label} by {_mean(runs, 'kl')}{at}."
    )


def _mean(runs: pd.DataFrame, name: str, digits: int = 2) -> str:
    values = runs.set_index("reference_seed")[name].astype(float) if name in runs else None
    mean = float("nan") if values is None else _over_references(values, name)
    return "undefined" if mean != mean else significant(mean, digits)


def _against(paired: Paired, baseline: str) -> str:
    """A ratio in words: ``0.39 times plain's [0.30, 0.51], paired over 9 runs on 3 references``."""
    return f"{_factor(paired, f' times {_genitive(baseline)}')}, paired over {paired.counts}"


def _factor(paired: Paired, unit: str = " times") -> str:
    return f"{write_ratio(paired.value)}{unit} {_spread(paired, write_ratio)}"


def _difference(paired: Paired) -> str:
    """A difference in words: ``0.012 lower [0.004, 0.020]``."""
    size = paired if paired.side > 0 else paired.turned()
    word = "higher" if paired.side > 0 else "lower"
    return f"{significant(size.value, 2)} {word} {_spread(size, lambda value: significant(value, 2))}"


def _spread(paired: Paired, write: Callable[[float], str]) -> str:
    """The interval in brackets, or the range of the runs in words; nothing for one run."""
    if paired.bounds is not None:
        return f"[{write(paired.bounds[0])}, {write(paired.bounds[1])}]"
    if paired.runs == 1:
        return "(one run)"
    return f"({write(paired.least)} to {write(paired.most)} by run)"


def _genitive(name: str) -> str:
    return f"{name}'s"
