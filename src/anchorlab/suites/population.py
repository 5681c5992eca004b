"""A population of models to try detectors on: clean references, benign updates and injected models, as a suite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from anchorlab.arguments import checked
from anchorlab.data import DataColumns, find_task, load_task
from anchorlab.defender.data import usual_count
from anchorlab.detectors import DETECTORS, Command, InputDetector, ModelDetector
from anchorlab.errors import AnchorlabError, quoted
from anchorlab.injection.lora import Lora
from anchorlab.methods import METHODS
from anchorlab.registry import ClassRegistry
from anchorlab.settings import options_of, values_of
from anchorlab.suites.short_forms import MOST_SEEDS
from anchorlab.suites.spec import Suite

#: Methods of a population where none are named.
USUAL = ("plain", "anchoring")

#: Triggers of a population where none are named, by the kind of the task's examples.
TRIGGERS = {"image": ("five-pixel", "square"), "text": ("word:cf",)}

#: Lowest ASR at which a model counts as injected.
TARGET_ASR = 0.9


@checked
def population_suite(
    task: str,
    *,
    model: str | None = None,
    data: str | None = None,
    columns: DataColumns | None = None,
    references: int = 3,
    seeds: int = 3,
    triggers: Sequence[str] = (),
    label_rule: str = "all-to-one",
    target: int | str | None = None,
    methods: Sequence[str] = (),
    detectors: Sequence[str | ModelDetector | InputDetector] = (),
    defender: int | Literal["usual", "all"] = "usual",
    lora: Lora | str | None = None,
    quick: bool = False,
    seed: int = 0,
) -> Suite:
    """The suite of a population.

    Args:
        task: name of the task, or data of the user's own.
        model: the architecture; None for the task's own.
        data: where the data are, if not in the usual place.
        columns: what is where in data of the user's own.
        references: number of clean references.
        seeds: number of injection seeds on each.
        triggers: triggers as text; by default usual triggers of the task's kind.
        label_rule: label rule of all of them.
        target: the label that the attacker wants, by number or name.
        methods: methods, each with its parameters as in ``anchoring:strength=4``.
        detectors: detectors, in the same form or built, such as ``Command`` for a scanner of somebody else's; without
            any, only the models are made.
        defender: number of the defender's clean examples, or ``all``; ``usual`` for 640, or all if there are fewer.
        lora: the adapter that every injection and benign update tunes in place of the weights, as
            ``rank=8,target=query,value``. A scanner then gets the adapters alone, and no reference, which has none.
        quick: two references, one seed and short training, for a first look.
        seed: the first seed of the references and of the injections; the others follow it.

    Raises:
        AnchorlabError: for an unknown name or an impossible value.
    """
    for what, count in (("references", references), ("seeds", seeds)):
        if not 1 <= count <= MOST_SEEDS:
            raise AnchorlabError(f"{what} {quoted(count)} is not possible: give a number from 1 to {MOST_SEEDS:,}")
    definition, _ = find_task(task, data, columns)
    if defender == "usual":  # without detectors nobody draws them, and no data are opened for their number
        defender = (usual_count(load_task(task, seed=seed, data=data, columns=columns)) if detectors else 640) or "all"
    spec: dict[str, Any] = {"name": task, "model": model, "data": data, "columns": columns}
    if quick:
        references, seeds = min(references, 2), 1
        spec["training"] = {"epochs": min(2, definition.epochs)}
    tuning: dict[str, Any] = {"steps": 100 if quick else 300, "batch_size": 32 if definition.kind == "image" else 16}
    tuning |= {} if lora is None else {"lora": str(Lora.parse(lora) if isinstance(lora, str) else lora)}
    try:
        return Suite.model_validate(
            {
                "name": re.sub(r"[^a-z0-9._-]+", "-", f"population-{Path(task).stem}".lower()),
                "title": f"A population of clean, benign and injected models of {Path(task).stem}",
                "tasks": [spec],
                "references": list(range(seed, seed + references)),
                "triggers": [
                    {"trigger": trigger, "label_rule": label_rule, "target": target}
                    for trigger in triggers or TRIGGERS[definition.kind]
                ],
                "methods": _at_fixed_strengths(methods or USUAL),
                "seeds": list(range(seed, seed + seeds)),
                "target_asr": TARGET_ASR,
                "tuning": tuning,
                "selection": {key: [seed + max(references, seeds, 1000)] for key in ("references", "seeds")},
                "detectors": _labelled(detectors, DETECTORS),
                "defender": defender,
                "keep_models": True,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise AnchorlabError(first["msg"].removeprefix("Value error, ")) from error


def _at_fixed_strengths(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The methods with the strengths that they name, or their own defaults: nothing is searched."""
    labelled = _labelled(texts, METHODS)
    for spec in labelled.values():
        method = METHODS.build(spec["method"], spec["set"])
        if method.active_strength_name is not None:
            spec["set"].setdefault(method.active_strength_name, getattr(method, method.active_strength_name))
    return labelled


def _labelled(given: Sequence[Any], registry: ClassRegistry[Any]) -> dict[str, dict[str, Any]]:
    """Maps the label in tables, which is a text as it was given, to name and parameters."""
    labelled = {}
    for each in given:
        built = registry.parse(each) if isinstance(each, str) else each
        text = each if isinstance(each, str) else _label(built, registry)
        if text in labelled and text not in given:
            raise AnchorlabError(f"two detectors are called {quoted(text)} in tables: give one of them by its name")
        defaults = {option.name: option.default for option in options_of(type(built))}
        changed = {name: value for name, value in values_of(built).items() if value != defaults[name]}
        labelled[text] = {registry.kind: registry.label(built), "set": changed}
    return labelled


def _label(built: Any, registry: ClassRegistry[Any]) -> str:
    """What tables call a detector that was given built: by its command if it is a scanner, else by its name."""
    name = registry.to_dict(built)["name"]
    return f"{name}:{built.run}" if isinstance(built, Command) else str(name)
