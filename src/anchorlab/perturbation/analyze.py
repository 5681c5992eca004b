"""Is the change of weights an adversarial weight perturbation? Size, function, basin, curvature, geometry, bounds."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as options
from torch import Tensor, nn

from anchorlab import __version__
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import GradientRecord
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.artifacts.resolve import attack_of, common_task, module_of
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import LABEL_RULES, LabelRule
from anchorlab.data import Split, Task
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_device
from anchorlab.models.device import move_to_device
from anchorlab.models.reestimation import has_batchnorm
from anchorlab.models.wrap import unwrap
from anchorlab.perturbation.analysis import REFERENCE, TABLES, Analysis
from anchorlab.perturbation.behaviour import Behaviour, Probe, Triggered
from anchorlab.perturbation.bounds import bounds_of
from anchorlab.perturbation.budget import Budget
from anchorlab.perturbation.curvature import CleanHessian, largest_eigenvalues, second_derivative, trace
from anchorlab.perturbation.findings import findings_of
from anchorlab.perturbation.function import diagonal_kl, linear_shift, quadratic_kl
from anchorlab.perturbation.intervals import Resamples, bounded, ratio
from anchorlab.perturbation.parts import Part, Tables, Tick, measure
from anchorlab.perturbation.paths import SCALES, path, rate
from anchorlab.perturbation.planes import Plane, marks, plane_through, survey
from anchorlab.perturbation.size import sizes
from anchorlab.perturbation.weights import Perturbation, WeightSpace, cosines, perturbation_of
from anchorlab.seeding import derive, generator
from anchorlab.settings import STRICT, values_of
from anchorlab.triggers import TRIGGERS, Trigger

#: Clean examples measured on, where there are so many and nothing else is asked for.
_EXAMPLES = 2000


@options(frozen=True, kw_only=True, config=STRICT)
class AnalysisSettings:
    """In how much detail an analysis looks."""

    curvature_examples: int = Field(default=256, ge=1, description="clean examples whose mean loss has the Hessian")
    diagonal_examples: int = Field(default=256, ge=2, description="clean examples for what EWC's diagonal sees")
    statistics_examples: int = Field(
        default=512, ge=2, description="the owner's inputs from which BatchNorm's statistics are estimated again"
    )
    eigenvalues: int = Field(default=3, ge=1, description="largest eigenvalues of the Hessian")
    trace_vectors: int = Field(default=10, ge=2, description="random vectors that estimate the Hessian's trace")
    plane_steps: int = Field(default=13, ge=3, description="places along either axis of the plane")
    plane_examples: int = Field(default=500, ge=1, description="clean examples measured at each place of the plane")
    resamples: int = Field(default=1000, ge=100, description="replicates of the bootstrap over instances")


def analyze(
    reference: Artifact | nn.Module,
    candidates: Mapping[str, Artifact | nn.Module] | Sequence[Artifact | nn.Module],
    split: str = "test",
    *,
    task: Task | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    rule: str | LabelRule | None = None,
    examples: int | None = None,
    detail: AnalysisSettings | None = None,
    budget: str | Budget | None = None,
    seed: int = 0,
    store: Path | None = None,
    reference_name: str = REFERENCE,
) -> Analysis:
    """Measures how each candidate's weights differ from the reference's, and what that does.

    Clean behaviour is measured on clean examples of the split, drawn with the seed; intervals are of the bootstrap
    over these. A candidate's own attack is measured on it; one without, such as a benign update, is measured with the
    first attack that is known.

    Args:
        reference: the trained clean model, with its manifest or as a bare classifier of raw inputs.
        candidates: the models compared with it, of the same architecture, by name, or in a list, where they are named
            after their methods.
        split: the split to measure on.
        task: data to measure on; None for those of the reference's manifest.
        trigger: trigger to measure for all; None for those of the candidates' manifests.
        target: the attacker's label, likewise.
        rule: label rule, likewise.
        examples: how many clean examples; None for 2,000, or all if there are fewer.
        detail: how closely to look; None for the usual.
        budget: what it may cost, for example ``"120s"`` or ``"40p"``; what does not fit is left out, and named. None
            for any cost.
        seed: of the examples, of the bootstrap and of random vectors.
        store: a folder that remembers what is measured, so that an interrupted analysis goes on; None for none.
        reference_name: what the reference is called.

    Raises:
        AnchorlabError: if an architecture differs, a candidate is identical to the reference, there are fewer
            examples than asked, the budget suffices for nothing, or a bound is violated.
    """
    budget = Budget.parse(budget) if isinstance(budget, str) else budget or Budget()
    named = _named(candidates)
    task = common_task(task, reference, list(named.values()))
    attacks = _attacks(named, task, trigger=trigger, target=target, label_rule=rule)
    work = _Work(
        reference=module_of(reference),
        perturbations={
            name: perturbation_of(module_of(reference), module_of(candidate), name=name).to(find_device())
            for name, candidate in named.items()
        },
        attacks=attacks,
        backdoored=[name for name, candidate in named.items() if _names_one(candidate)],
        examples=_drawn(task, split, examples, seed),
        statistics=_statistics(module_of(reference), task, detail or AnalysisSettings(), seed),
        detail=detail or AnalysisSettings(),
        seed=seed,
        budget=budget,
    )
    tables, spent = measure(work.parts(), budget, store, "analysing")
    for name, candidate in named.items():
        if isinstance(candidate, Artifact) and candidate.manifest.gradients is not None:
            _add(tables, "gradients", _gradients(name, candidate.manifest.gradients))
    tables = {name: tables.get(name, pd.DataFrame()) for name in TABLES}
    _derive(tables)
    kinds = {name: _kind(candidate) for name, candidate in named.items()}
    return Analysis(
        reference=reference_name,
        candidates=tuple(named),
        kinds=kinds,
        task=task.name,
        split=split,
        count=len(work.examples),
        parameters=sum(change.numel() for change in next(iter(work.perturbations.values())).parameters.values()),
        buffers_left_out=next(iter(work.perturbations.values())).left_out,
        settings={
            "seed": seed,
            "budget": str(budget),
            **values_of(work.detail),
            "attacks": {name: _told(attack) for name, attack in attacks.items()},
        },
        tables=tables,
        findings=tuple(findings_of(tables, kinds)),
        left_out=tuple(work.left_out(spent)),
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """What an analysis consists of; models are built when the first part needs them."""

    reference: nn.Module
    perturbations: Mapping[str, Perturbation]
    attacks: Mapping[str, Attack | None]
    backdoored: Sequence[str]
    examples: Split
    statistics: dict[str, Tensor] | None
    detail: AnalysisSettings
    seed: int
    budget: Budget

    def parts(self) -> list[Part]:
        """Everything to measure, the cheapest and most telling first."""
        moving = [name for name, change in self.perturbations.items() if change.moves_parameters]
        every = list(self.perturbations)
        detail = self.detail
        parts = [self._part(f"sizes of {name}", [name], partial(self._sizes, name)) for name in every]
        if len(moving) > 1:
            parts.append(self._part("angles", moving, partial(self._angles, moving)))
        parts.append(self._part("behaviour of the reference", every[:1], self._reference_behaviour))
        parts += [self._part(f"behaviour of {name}", [name], partial(self._behaviour, name)) for name in every]
        parts += [self._part(f"quadratic picture of {name}", [name], partial(self._quadratic, name)) for name in moving]
        parts += [self._part(f"bounds of {name}", [name], partial(self._bounds, name)) for name in every]
        for words, statistics in (("paths", None), ("paths with re-estimated statistics", self.statistics)):
            if words == "paths" or statistics is not None:
                parts += [
                    self._part(f"{words} of {name}", [name], partial(self._path, name, statistics), len(SCALES))
                    for name in every
                ]
        parts += [self._part(f"curvature along {name}", [name], partial(self._rayleigh, name)) for name in moving]
        parts.append(self._part("trace", [], self._trace, detail.trace_vectors))
        parts.append(self._part("largest eigenvalues", [], self._eigenvalues, 10))
        if self._plane is not None:
            spanned = [self._plane.first, self._plane.second]
            others = [name for name in moving if name not in spanned]
            parts.append(self._part("plane", spanned + others, self._survey, detail.plane_steps**2))
        return parts

    def left_out(self, spent: Sequence[str]) -> list[str]:
        """What is not there and why, a sentence each."""
        sentences = []
        if spent:
            sentences.append(f"Left out, for the budget of {self.budget} was spent: {', '.join(spent)}.")
        still = [name for name, change in self.perturbations.items() if not change.moves_parameters]
        if still:
            sentences.append(
                f"Only buffers differ in {', '.join(still)}: angles, quadratic picture and curvature are of parameters."
            )
        if self._plane is None:
            sentences.append(
                "No plane is shown, for it takes two candidates whose parameters differ from the reference's in "
                "different directions."
            )
        buffers = next(iter(self.perturbations.values())).left_out
        if buffers:
            shown = ", ".join(buffers[:3]) + (f" and {len(buffers) - 3} more" if len(buffers) > 3 else "")
            sentences.append(f"Integer buffers, which only count, are left out: {shown}.")
        if all(attack is None for attack in self.attacks.values()):
            sentences.append("No attack success is measured, for no manifest names a trigger and none was given.")
        return sentences

    def _part(self, what: str, names: Sequence[str], run: Any, steps: int = 1) -> Part:
        """A part that depends on the named candidates, and on all that is common."""
        inputs = [
            self._common,
            [[name, self._hashes[name], _told(self.attacks[name])] for name in names],
        ]

        def tables(tick: Tick) -> Tables:
            found: Tables = run(tick) if steps > 1 else run()
            return found

        return Part(what, inputs, steps, tables)

    # ---------------------------------------------------------------------------------------------
    # What parts share.

    @cached_property
    def _common(self) -> list[Any]:
        """What every part depends on."""
        digest = hashlib.sha256()
        held = [*self.examples.inputs.items(), ("labels", self.examples.labels), *(self.statistics or {}).items()]
        for name, value in held:
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        preprocessing = getattr(self.reference, "preprocessing", None)
        return [
            __version__,
            weights_hash(unwrap(self.reference)),
            preprocessing,
            digest.hexdigest(),
            values_of(self.detail),
            self.seed,
        ]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {name: change.digest() for name, change in self.perturbations.items()}

    @cached_property
    def _device(self) -> torch.device:
        return find_device()

    @cached_property
    def _model(self) -> nn.Module:
        """The reference, on the device; it stays where it is."""
        return move_to_device(copy.deepcopy(self.reference).eval().requires_grad_(), self._device)

    @cached_property
    def _space(self) -> WeightSpace:
        return WeightSpace(self._model)

    @cached_property
    def _clean(self) -> Split:
        return self.examples.to(self._device)

    @cached_property
    def _probe(self) -> Probe:
        return Probe(self._clean, self._model)

    @cached_property
    def _resamples(self) -> Resamples:
        return self._resampled(len(self.examples))

    def _resampled(self, count: int) -> Resamples:
        return Resamples(count, seed=derive(self.seed, "bootstrap"), resamples=self.detail.resamples)

    def _first(self, count: int) -> Split:
        return self._clean.select(torch.arange(min(count, len(self._clean)), device=self._device))

    @cached_property
    def _triggered_by(self) -> dict[str, Triggered]:
        """By attack, in words, for many candidates share one."""
        return {}

    def _triggered(self, name: str) -> Triggered | None:
        attack = self.attacks[name]
        if attack is None:
            return None
        if (key := repr(attack)) not in self._triggered_by:
            self._triggered_by[key] = Triggered(self._clean, attack)
        return self._triggered_by[key]

    @cached_property
    def _hessian(self) -> CleanHessian:
        return CleanHessian(self._model, self._first(self.detail.curvature_examples), self.budget.spend)

    @cached_property
    def _plane(self) -> Plane | None:
        moving = {name: one for name, one in self.perturbations.items() if one.moves_parameters}
        return plane_through(moving, self.backdoored)

    # ---------------------------------------------------------------------------------------------
    # The parts.

    def _sizes(self, name: str) -> Tables:
        return {"sizes": _of(name, sizes(self.reference, self.perturbations[name]))}

    def _angles(self, names: list[str]) -> Tables:
        found = cosines([self.perturbations[name] for name in names])
        rows = [
            {
                "candidate": one,
                "other": other,
                "cosine": float(found[i, j]),
                "degrees": math.degrees(math.acos(float(found[i, j]))),
            }
            for i, one in enumerate(names)
            for j, other in enumerate(names)
            if i != j
        ]
        return {"angles": pd.DataFrame(rows)}

    def _reference_behaviour(self) -> Tables:
        first = next(iter(self.perturbations))
        return {"behaviour": _of(REFERENCE, pd.DataFrame([self._behaves(self._model, first, "all")]))}

    def _behaviour(self, name: str) -> Tables:
        change = self.perturbations[name]
        parts = {"all": change}
        if change.moves_buffers and change.moves_parameters:
            parts |= {"weights": change.weights_alone(), "buffers": change.buffers_alone()}
        rows = [self._behaves(self._space.at((1.0, one)), name, part) for part, one in parts.items()]
        return {"behaviour": _of(name, pd.DataFrame(rows))}

    def _behaves(self, model: nn.Module, name: str, part: str) -> dict[str, Any]:
        found, triggered = self._probe.behaviour(model), self._triggered(name)
        row: dict[str, Any] = {"part": part}
        for value in ("accuracy", "kl", "logit_distance", "churn"):
            row |= bounded(value, self._resamples.estimate(getattr(found, value)))
        hits = None if triggered is None else triggered.hits(model)
        return row | rate("asr", hits, triggered) | {"asr_count": 0 if triggered is None else triggered.count}

    def _quadratic(self, name: str) -> Tables:
        change = self.perturbations[name]
        found: Behaviour = self._probe.behaviour(self._space.at((1.0, change.weights_alone())))
        shift = linear_shift(self._model, change, self._clean)
        quadratic = quadratic_kl(self._probe.logits.astype(np.float64), shift)
        few = self._first(self.detail.diagonal_examples)
        diagonal = diagonal_kl(self._model, change, few, generator=generator(self.seed, "diagonal"))
        estimate = self._resamples.estimate
        row = {
            **bounded("kl", estimate(found.kl)),
            **bounded("kl_quadratic", estimate(quadratic)),
            **bounded("kl_ratio", estimate(np.stack([quadratic, found.kl], axis=1), ratio)),
            **bounded("logit_distance", estimate(found.logit_distance)),
            **bounded("logit_distance_linear", estimate((shift**2).mean(axis=1))),
            **bounded("ewc", self._resampled(len(few)).estimate(diagonal)),
            "fisher_norm": math.sqrt(2 * float(quadratic.mean())),
        }
        return {"quadratic": _of(name, pd.DataFrame([row]))}

    def _bounds(self, name: str) -> Tables:
        pair = self._probe.pair(self._space.at((1.0, self.perturbations[name])))
        bounds, instances = bounds_of(pair, self._probe.labels)
        return {"bounds": _of(name, bounds), "instances": _of(name, instances)}

    def _path(self, name: str, statistics: dict[str, Tensor] | None, tick: Tick) -> Tables:
        on_device = None if statistics is None else {key: value.to(self._device) for key, value in statistics.items()}
        found = path(
            self._space,
            self.perturbations[name],
            self._probe,
            self._triggered(name),
            self._resamples,
            statistics_from=on_device,
            report=tick,
        )
        return {table: _of(name, frame) for table, frame in found.items()}

    def _rayleigh(self, name: str) -> Tables:
        few = self._first(self.detail.curvature_examples)
        change = self.perturbations[name]
        along = second_derivative(self._model, change, few)
        resamples = self._resampled(len(few))
        row = {
            **bounded("rayleigh", resamples.estimate(along / change.norm**2)),
            **bounded("loss_quadratic", resamples.estimate(along / 2)),
        }
        return {"rayleigh": _of(name, pd.DataFrame([row]))}

    def _trace(self, tick: Tick) -> Tables:
        before = self._hessian.products
        value, error = trace(
            self._hessian,
            self.detail.trace_vectors,
            generator=generator(self.seed, "trace"),
            device=self._device,
            report=tick,
        )
        products, size = self._hessian.products - before, self._hessian.size
        rows = [
            {"quantity": "trace", "value": value, "error": error, "products": products},
            {"quantity": "mean eigenvalue", "value": value / size, "error": error / size, "products": products},
        ]
        return {"spectrum": pd.DataFrame(rows)}

    def _eigenvalues(self, tick: Tick) -> Tables:
        before = self._hessian.products
        found = largest_eigenvalues(self._hessian, self.detail.eigenvalues, generator=generator(self.seed, "lanczos"))
        products = self._hessian.products - before
        rows = [
            {"quantity": f"eigenvalue {number}", "value": value, "error": residual, "products": products}
            for number, (value, residual) in enumerate(zip(found.values, found.residuals, strict=True), start=1)
        ]
        return {"spectrum": pd.DataFrame(rows)}

    def _survey(self, tick: Tick) -> Tables:
        assert self._plane is not None
        attacked = next((name for name, attack in self.attacks.items() if attack is not None), None)
        few = self._first(self.detail.plane_examples)
        attack = None if attacked is None else self.attacks[attacked]
        found = survey(
            self._space,
            self._plane,
            self.perturbations,
            Probe(few, self._model),
            None if attack is None else Triggered(few, attack),
            self.detail.plane_steps,
            tick,
        )
        return {"plane": found, "models": marks(self._plane)}


def _of(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the candidate's name before each row."""
    table.insert(0, "candidate", name)
    return table


def _add(tables: Tables, name: str, rows: pd.DataFrame) -> None:
    tables[name] = pd.concat([tables[name], rows], ignore_index=True) if name in tables else rows


def _named(candidates: Mapping[str, Artifact | nn.Module] | Sequence[Artifact | nn.Module]) -> dict[str, Any]:
    """Candidates by name; a list's are called after what they are, with a number where that is not enough."""
    if isinstance(candidates, Mapping):
        named = dict(candidates)
    else:
        kinds = [_kind(candidate) or "candidate" for candidate in candidates]
        named = {}
        for at, (kind, candidate) in enumerate(zip(kinds, candidates, strict=True)):
            number = kinds[:at].count(kind) + 1
            named[kind if kinds.count(kind) == 1 else f"{kind} {number}"] = candidate
    if not named:
        raise AnchorlabError("no candidate was given: give at least one model to compare with the reference")
    if REFERENCE in named:
        raise AnchorlabError(f"a candidate cannot be called '{REFERENCE}': give it another name")
    return named


def _kind(candidate: Artifact | nn.Module) -> str:
    """Its method, or what its manifest says it is; empty without a manifest."""
    if not isinstance(candidate, Artifact):
        return ""
    manifest = candidate.manifest
    return str(manifest.method["name"]) if manifest.method is not None else manifest.kind


def _attacks(named: Mapping[str, Artifact | nn.Module], task: Task, **given: Any) -> dict[str, Attack | None]:
    """Each candidate's attack; for one that has none, the first that is known."""
    found = {
        name: attack_of(model, task, **given) if _names_one(model) or given["trigger"] is not None else None
        for name, model in named.items()
    }
    first = next((attack for attack in found.values() if attack is not None), None)
    if first is None and (given["target"] is not None or given["label_rule"] is not None):
        raise AnchorlabError(
            "a target or label rule was given, but no trigger is known: give --trigger as well, for no candidate has "
            "a manifest that names one"
        )
    return {name: attack or first for name, attack in found.items()}


def _names_one(model: Artifact | nn.Module) -> bool:
    return isinstance(model, Artifact) and model.trigger is not None


def _told(attack: Attack | None) -> dict[str, Any] | None:
    """An attack as JSON values."""
    if attack is None:
        return None
    return {"trigger": TRIGGERS.to_dict(attack.trigger), "label_rule": LABEL_RULES.to_dict(attack.rule)}


def _drawn(task: Task, split: str, count: int | None, seed: int) -> Split:
    """Clean examples, drawn with the seed; with the same seed fewer are a part of more.

    Raises:
        AnchorlabError: if there are fewer than asked for.
    """
    indices = task.draw(split, count, "analysis", split, seed=seed)
    return task.split(split).select(indices[: count or _EXAMPLES])


def _statistics(reference: nn.Module, task: Task, detail: AnalysisSettings, seed: int) -> dict[str, Tensor] | None:
    """Inputs of the owner's, from which BatchNorm's statistics are estimated again; None for a model without any."""
    if not has_batchnorm(reference):
        return None
    indices = task.draw("owner", None, "statistics", seed=seed)[: detail.statistics_examples]
    return task.split("owner").select(indices).inputs


def _gradients(name: str, records: Sequence[GradientRecord]) -> pd.DataFrame:
    table = pd.DataFrame([record.model_dump() for record in records])
    return _of(name, table.astype({column: float for column in table if column != "step"}))


def _derive(tables: Tables) -> None:
    """What follows from several tables."""
    if len(tables["paths"]) and len(tables["quadratic"]):
        quadratic = tables["quadratic"].set_index("candidate")["kl_quadratic"]
        paths, behaviour = tables["paths"], tables["behaviour"]
        # Where buffers move too, the prediction, which is of the parameters, is of another path.
        others = set(behaviour[behaviour["part"] == "buffers"]["candidate"]) if len(behaviour) else set()
        predicted = paths["candidate"].map(quadratic) * paths["scale"] ** 2
        known = (paths["buffers"] == "stored") & ~paths["candidate"].isin(others)
        tables["paths"] = paths.assign(kl_quadratic=predicted.where(known))
    if len(tables["rayleigh"]):
        found = tables["spectrum"]
        spectrum = dict(zip(found["quantity"], found["value"], strict=True)) if len(found) else {}
        largest, mean = (spectrum.get(name, math.nan) for name in ("eigenvalue 1", "mean eigenvalue"))
        rayleigh = tables["rayleigh"]["rayleigh"]
        tables["rayleigh"] = tables["rayleigh"].assign(to_largest=rayleigh / largest, to_mean=rayleigh / mean)
