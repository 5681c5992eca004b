"""The candidates of an analysis: their names, what they are, and the attack that each is measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.perturbation.wording import REFERENCE
from anchorlab.triggers import Trigger

Model = Artifact | nn.Module


def name_candidates(candidates: Mapping[str, Model] | Sequence[Model]) -> dict[str, Model]:
    """Candidates by name; listed ones are named after what they are, with a number where that is not enough.

    Raises:
        AnchorlabError: if there is none, or one has the reference's name.
    """
    if isinstance(candidates, Mapping):
        named = dict(candidates)
    else:
        kinds = [kind_of(candidate) or "candidate" for candidate in candidates]
        named = {}
        for index, (kind, candidate) in enumerate(zip(kinds, candidates, strict=True)):
            number = kinds[:index].count(kind) + 1
            named[kind if kinds.count(kind) == 1 else f"{kind} {number}"] = candidate
    if not named:
        raise AnchorlabError("no candidate was given: give at least one model to compare with the reference")
    if REFERENCE in named:
        raise AnchorlabError(f"a candidate cannot be called '{REFERENCE}': give it another name")
    return named


def kind_of(candidate: Model) -> str:
    """Its method, or what its manifest says it is; empty without a manifest."""
    if not isinstance(candidate, Artifact):
        return ""
    manifest = candidate.manifest
    return str(manifest.method["name"]) if manifest.method is not None else manifest.kind


def has_backdoor(candidate: Model) -> bool:
    """Whether the manifest names a trigger."""
    return isinstance(candidate, Artifact) and candidate.trigger is not None


def attacks_on(
    candidates: Mapping[str, Model],
    task: Task,
    *,
    trigger: str | Trigger | None,
    target: int | str | None,
    label_rule: str | LabelRule | None,
) -> dict[str, Attack | None]:
    """Each candidate's attack; a candidate without one gets the first attack of the others.

    Raises:
        AnchorlabError: if a target or label rule is given, but no trigger is named anywhere.
    """
    attacks = {
        name: attack_of(model, task, trigger=trigger, target=target, label_rule=label_rule)
        if has_backdoor(model) or trigger is not None
        else None
        for name, model in candidates.items()
    }
    first = next((attack for attack in attacks.values() if attack is not None), None)
    if first is None and (target is not None or label_rule is not None):
        raise AnchorlabError(
            "a target or label rule was given, but no trigger is known: give --trigger as well, because no candidate "
            "has a manifest that names one"
        )
    return {name: attack or first for name, attack in attacks.items()}
