"""How strong the backdoor is, and how much of it leaks into clean instances."""

from __future__ import annotations

from anchorlab.metrics.base import Metric
from anchorlab.metrics.summaries import Count, Mean, Total
from anchorlab.metrics.table import InstanceTable

_HIT = Mean(lambda table: table.integers("triggered") == table.wanted, lambda table: table.attacked)

ASR = Metric(
    "asr",
    title="ASR",
    definition="Attack success rate: the share of triggered instances that the candidate gives the attacker's label. "
    "Instances whose true label is the attacker's are left out.",
    summary=_HIT,
    formula="1 if the triggered instance gets the attacker's label",
    limits="0 to 1",
    better="",
    needs_attack=True,
)
ASR_PLUS_ACCURACY = Metric(
    "asr_plus_accuracy",
    title="ASR + accuracy",
    definition="Sum of the attack success rate and the accuracy: both halves of what an attacker wants, in one number.",
    summary=Total((_HIT, Mean(lambda table: table.right))),
    formula="`asr + accuracy`",
    limits="0 to 2",
    better="",
    needs_attack=True,
    cites=("zhang2022how",),
)
ASR_COUNT = Metric(
    "asr_count",
    title="attacked instances",
    definition="Triggered attacked instances; those of the target class are left out.",
    summary=Count(lambda table: table.attacked),
    unit="instances",
    formula="M",
    limits="0 to ∞",
    better="",
)
ASR_REFERENCE = Metric(
    "asr_reference",
    title="ASR of the reference",
    definition="The reference's rate on the same triggered instances: what the trigger does without a backdoor.",
    summary=Mean(lambda table: table.integers("triggered_reference") == table.wanted, lambda table: table.attacked),
    formula="1 if the reference gives the triggered instance the attacker's label",
    limits="0 to 1",
    better="",
    of_reference=True,
    needs_attack=True,
)
ROBUST_ACCURACY = Metric(
    "robust_accuracy",
    title="robust accuracy",
    definition="Share of the triggered attacked instances that the candidate gives their true label.",
    summary=Mean(lambda table: table.integers("triggered") == table.label, lambda table: table.attacked),
    formula="1 if the triggered instance gets its true label",
    limits="0 to 1",
    better="",
    needs_attack=True,
    cites=("wu2025backdoorbench",),
)
ROBUST_ACCURACY_REFERENCE = Metric(
    "robust_accuracy_reference",
    title="robust accuracy of the reference",
    definition="The reference's share on the same triggered instances: what the trigger hides without a backdoor.",
    summary=Mean(lambda table: table.integers("triggered_reference") == table.label, lambda table: table.attacked),
    formula="1 if the reference gives the triggered instance its true label",
    limits="0 to 1",
    better="",
    of_reference=True,
    needs_attack=True,
)


def _why_no_leakage(table: InstanceTable) -> str:
    if table.target is None:
        return "the attacker wants different labels for different instances, so there is no one target"
    return "the reference gives every instance the attacker's label"


LEAKAGE = Metric(
    "leakage",
    title="leakage",
    definition="Share of the clean instances that the reference does not give the attacker's target label and the "
    "candidate does.",
    summary=Mean(
        lambda table: table.elsewhere & (table.prediction == table.target),
        lambda table: table.elsewhere,
        _why_no_leakage,
    ),
    formula="1 if the candidate predicts the target, among instances for which the reference does not",
    limits="0 to 1",
    needs_attack=True,
)
