"""What there is to do for one task and one trigger of a suite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.settings import build, strength_value, values_of
from anchorlab.suites.cells import Cell, InjectionCell, NoiseCell, ReferenceJob, Walk, examples_hash
from anchorlab.suites.choosing import Trials, choose_from, choose_rate, first_strength, grid_of, search
from anchorlab.suites.former_choice import FormerChoice, choose_formerly
from anchorlab.suites.parts import MethodSpec, TaskSpec, TriggerSpec
from anchorlab.suites.planned import Chosen, Plan, Reported, Role, Undecided
from anchorlab.suites.selection import Choice, RateChoice
from anchorlab.suites.spec import BENIGN, STOPPED, Suite
from anchorlab.suites.store import Store
from anchorlab.suites.walk import FACTORS
from anchorlab.triggers import TRIGGERS

#: The noise floor: label, batch size and precision of the second pass over the reference.
NOISE: dict[str, tuple[int, Literal["no", "bf16"]]] = {
    "same model, other batch size": (37, "no"),
    "same model, bf16": (500, "bf16"),
}

#: A method's label to its learning rate; None while it is not chosen. A label is missing where nothing is chosen.
Rates = dict[str, RateChoice | None]


@dataclass(frozen=True)
class Condition:
    """One task and one trigger of a suite; adds to a plan."""

    suite: Suite
    store: Store
    task: TaskSpec
    trigger: TriggerSpec
    references: list[ReferenceJob]
    choosing: list[ReferenceJob]
    former: FormerChoice | None
    common_asr: float
    plan: Plan

    def rates(self) -> Rates:
        """The learning rate of each method that has one to choose: at its first strength, with all anchors."""
        values = self.suite.learning_rates
        labels = {label: method for label, method in self.suite.methods.items() if values and method.takes_rates}
        if len(values) == 1:
            return {label: RateChoice(values[0], None, reached=True) for label in labels}
        return {label: self._rate(label, method) for label, method in labels.items()}

    def _rate(self, label: str, method: MethodSpec) -> RateChoice | None:
        # A search of a count begins where the number of parameters says, and a reference has to be there for that.
        if not self._trained(self.choosing) and self._waiting():
            return None
        strength = first_strength(method, self._parameters)
        by_rate = {rate: self._trials("all", label, method, rate) for rate in self.suite.learning_rates}
        choice = choose_rate(by_rate, strength, max(self.suite.target_asr))
        cells = [cell for trials in by_rate.values() for cell in trials.cells.values()]
        self.plan.rates += [(self.task, self.trigger, cell) for cell in cells]
        return choice

    def method(self, anchors: str, label: str, method: MethodSpec, rates: Rates) -> None:
        """The runs that choose a method's strength and, for each target that can be reached, the reported runs."""
        rate = rates.get(label)
        choices, trials = None, self._trials(anchors, label, method, None if rate is None else rate.learning_rate)
        if label not in rates or rate is not None:
            choices = self._choices(trials, method)
            self.plan.selection += [(self.task, self.trigger, cell) for cell in trials.cells.values()]
        if choices is None:
            strengths = len({cell.strength for cell in trials.cells.values()})
            self.plan.open.append(Undecided(self.task, label, strengths))
            self.plan.undecided += self._references_left * len(self.suite.seeds) * len(self.suite.target_asr)
            return
        for target, choice in zip(self.suite.target_asr, choices, strict=True):
            strength = choice.strength if method.grid or method.searched else None
            parameters = method.parameters(strength)
            self.plan.chosen.append(Chosen(self.task, self.trigger, anchors, label, target, parameters, choice, rate))
            if choice.reached:
                self._report(label, method, strength, anchors, choice.scale, "method", target, rate)

    def _choices(self, trials: Trials, method: MethodSpec) -> list[Choice] | None:
        """The choice for each target; None while it is open."""
        targets = self.suite.target_asr
        if self.former is not None:
            return choose_formerly(trials, method, targets, self.former.extensions)
        if not self.suite.chooses(method):
            built = METHODS.build(method.method, method.set)
            strength = strength_value(built, built.active_strength_name)
            nothing = Choice(strength, self.suite.scales[0], reached=True, at_edge=False, tried=0, best_asr=math.nan)
            return [nothing] * len(targets)
        if not self._trained(self.choosing) and self._waiting():
            return None
        if method.searched:
            return search(trials, grid_of(method, self._parameters), targets, self.suite.selection.tries)
        return choose_from(trials, [*method.grid] or [None], targets)

    def controls(self, anchors: str, rates: Rates) -> None:
        """Plain tuning stopped at each target, and a benign update, both with plain tuning's own settings and rate.

        Or the benign update alone, where a suite asks for no other control.
        A suite without plain tuning gives them the rate of its first method that chooses one.
        """
        methods = self.suite.methods
        plain = self.suite.plain
        tuning = {} if plain is None else methods[plain].tuning
        like = next(iter(rates), "") if plain is None else plain
        rate = rates.get(like)
        targets = self.suite.target_asr if self.suite.controls is True else []
        if self.suite.controls and like in rates and rate is None:
            self.plan.undecided += self._references_left * len(self.suite.seeds) * (len(targets) + 1)
        elif self.suite.controls:
            for target in targets:
                stopped = MethodSpec(method="plain", tuning={**tuning, "stop_at_asr": target})
                self._report(STOPPED, stopped, None, anchors, 1.0, "control", target, rate)
            benign = MethodSpec(method="benign", tuning=tuning)
            self._report(BENIGN, benign, None, anchors, 1.0, "control", math.nan, rate)

    def noise_floor(self) -> None:
        """Each reference compared with itself."""
        if self.suite.controls is True:
            for job in self._trained(self.references):
                for label, (batch_size, precision) in NOISE.items():
                    common = self._common(job, label, "test")
                    cell = self.store.kept(NoiseCell(**common, batch_size=batch_size, precision=precision))
                    self._add(cell, "noise", math.nan, job.seed, "")

    def _trials(self, anchors: str, label: str, method: MethodSpec, rate: float | None) -> Trials:
        """Makes the runs that judge a strength, on all references that choose and are trained."""
        scales = tuple(self.suite.scales)
        jobs = self._trained(self.choosing)
        seeds = self.suite.selection.seeds if self.former is None else self.former.seeds

        def cells_at(strength: float | None) -> list[InjectionCell]:
            shared = self._shared(method, strength, anchors, rate)
            return [
                self.store.kept(
                    InjectionCell(**self._common(job, label, "selection"), **shared, seed=seed, scales=scales)
                )
                for job in jobs
                for seed in seeds
            ]

        return Trials(self.store, cells_at, untrained=self._waiting())

    def _waiting(self) -> bool:
        """Whether a reference that chooses is yet to be trained."""
        return any(self.store.manifest(job) is None and not self.store.failed(job) for job in self.choosing)

    @property
    def _references_left(self) -> int:
        """The number of reported references, without those that failed."""
        return sum(self.store.manifest(job) is not None or not self.store.failed(job) for job in self.references)

    def _parameters(self) -> int | None:
        """The number of parameters of the task's model."""
        return next((self.store.parameters(job) for job in self._trained(self.choosing)), None)

    def _report(
        self,
        label: str,
        method: MethodSpec,
        strength: float | None,
        anchors: str,
        scale: float,
        role: Role,
        target: float,
        rate: RateChoice | None,
    ) -> None:
        shared = self._shared(method, strength, anchors, None if rate is None else rate.learning_rate)
        if role == "method":
            missing = [job for job in self.references if self.store.manifest(job) is None]
            waiting = [job for job in missing if not self.store.failed(job)]
            self.plan.undecided += len(waiting) * len(self.suite.seeds)
        shared |= {"scales": (scale,)}
        walk = self._walk(method)
        for job in self._trained(self.references):
            common = self._common(job, label, "test")
            for seed in self.suite.seeds:
                self._add(self._kept(walk, {**common, **shared, "seed": seed}), role, target, job.seed, anchors)

    def _walk(self, method: MethodSpec) -> Walk | None:
        """The further scales of a reported run; none where there is no backdoor, or weights are far from the reference.

        Between a model of a fresh start and the reference lie models that are worse than both.
        """
        kind = METHODS[method.method]
        return Walk(asr=self.common_asr, factors=FACTORS) if kind.injects_backdoor and not kind.fresh_start else None

    def _kept(self, walk: Walk | None, values: dict[str, Any]) -> InjectionCell:
        """The cell with its walk, unless the same one without it was finished by an earlier version."""
        cell = self.store.kept(InjectionCell(**values, walk=walk))
        if walk is not None and not self.store.done(cell):
            before = self.store.kept(InjectionCell(**values))
            if self.store.done(before) or self.store.failed(before):
                return before
        return cell

    def _shared(self, method: MethodSpec, strength: float | None, anchors: str, rate: float | None) -> dict[str, Any]:
        """What the runs of a method at a strength share, whatever their reference and seed."""
        built = METHODS.build(method.method, method.parameters(strength))
        chosen = {} if rate is None else {"learning_rate": rate}
        tuning = build(Tuning, "the tuning", {**self.suite.tuning, **method.tuning, **chosen})
        return {
            "method": method.method,
            "parameters": values_of(built),
            "strength": strength_value(built, built.active_strength_name),
            "anchors": None if anchors == "all" else int(anchors),
            "anchors_from": self.suite.anchors_from if method.anchors_data is None else "owner",
            "anchors_data": method.anchors_data,
            "tuning": values_of(tuning.for_model(self.task.architecture)),
        }

    def _common(self, job: ReferenceJob, label: str, split: str) -> dict[str, Any]:
        manifest = self.store.manifest(job)
        assert manifest is not None
        return {
            "reference": job.name,
            "reference_sha256": manifest["weights_sha256"],
            "label": label,
            "trigger": TRIGGERS.to_dict(self.trigger.built),
            "rule": self.trigger.label_rule,
            "target": self.trigger.label,
            "split": split,
            "examples_sha256": examples_hash(manifest, split),
        }

    def _add(self, cell: Cell, role: Role, target_asr: float, reference_seed: int, anchors: str) -> None:
        self.plan.reported.append(Reported(cell, self.task, self.trigger, role, target_asr, reference_seed, anchors))

    def _trained(self, jobs: list[ReferenceJob]) -> list[ReferenceJob]:
        return [job for job in jobs if self.store.manifest(job) is not None]
