"""What the parts of an analysis share: models, examples, attacks, resamples; each is built when it is first needed."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from anchorlab.artifacts.manifest import GradientRecord
from anchorlab.artifacts.provenance import versions, weights_hash
from anchorlab.attacks.attack import Attack
from anchorlab.data import Split
from anchorlab.models.accelerator import find_device
from anchorlab.models.device import move_to_device
from anchorlab.models.wrap import unwrap
from anchorlab.perturbation.budget import Budget
from anchorlab.perturbation.low_rank import LowRank
from anchorlab.perturbation.parts import Part, Tables, Tick
from anchorlab.perturbation.probe import Probe, Triggered
from anchorlab.perturbation.settings import AnalysisSettings
from anchorlab.perturbation.weights import Perturbation, WeightSpace
from anchorlab.seeding import derive
from anchorlab.settings import values_of
from anchorlab.statistics.resampling import Resamples

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Context:
    """What an analysis works on, and what its parts share.

    Attributes:
        reference: the clean model, where it was.
        perturbations: candidate to its perturbation, on the device.
        attacks: candidate to the attack that it is measured with.
        backdoored: the candidates that carry an attack of their own.
        examples: the clean examples.
        statistics: inputs from which BatchNorm's statistics are estimated again; None for a model without any.
        gradients: candidate to what its injection recorded of gradients, of those that did.
        settings: how closely to look.
        seed: of everything random.
        budget: what may be spent.
        adapters: candidate to what its adapter adds to the weights, of those that have one.
    """

    reference: nn.Module
    perturbations: Mapping[str, Perturbation]
    attacks: Mapping[str, Attack | None]
    backdoored: Sequence[str]
    examples: Split
    statistics: dict[str, Tensor] | None
    gradients: Mapping[str, Sequence[GradientRecord]]
    settings: AnalysisSettings
    seed: int
    budget: Budget
    adapters: Mapping[str, LowRank] = field(default_factory=dict)
    _shared: dict[Any, Any] = field(default_factory=dict, repr=False)

    def part(self, what: str, names: Sequence[str], measure: Callable[[Tick], Tables], steps: int = 1) -> Part:
        """Something to measure that depends on the named candidates, and on all that is common."""
        inputs = [
            self._common,
            [[name, self._hashes[name], attack.record if (attack := self.attacks[name]) else None] for name in names],
        ]
        return Part(what, inputs, steps, measure)

    def shared(self, make: Callable[[Context], T]) -> T:
        """What ``make`` gives for this context; it is called once, however many parts ask."""
        if make not in self._shared:
            self._shared[make] = make(self)
        return cast(T, self._shared[make])

    @property
    def candidates(self) -> list[str]:
        """Names of all candidates."""
        return list(self.perturbations)

    @cached_property
    def moving(self) -> list[str]:
        """Names of the candidates whose parameters differ from the reference's, and not only buffers."""
        return [name for name, perturbation in self.perturbations.items() if perturbation.moves_parameters]

    @cached_property
    def device(self) -> torch.device:
        """Where models and examples are."""
        return find_device()

    @cached_property
    def model(self) -> nn.Module:
        """The reference on the device, in evaluation mode, every parameter trainable; nothing moves its weights."""
        return move_to_device(copy.deepcopy(self.reference).eval().requires_grad_(), self.device)

    @cached_property
    def space(self) -> WeightSpace:
        """Where models at other points of weight space are built."""
        return WeightSpace(self.model)

    @cached_property
    def clean(self) -> Split:
        """The clean examples, on the device."""
        return self.examples.to(self.device)

    def first(self, count: int) -> Split:
        """The first clean examples, on the device; all if there are fewer."""
        return self.clean.select(torch.arange(min(count, len(self.clean)), device=self.device))

    @cached_property
    def probe(self) -> Probe:
        """The clean examples with the reference's logits."""
        return Probe(self.clean, self.model)

    @cached_property
    def resamples(self) -> Resamples:
        """Bootstrap replicates of all clean examples."""
        return self.resamples_of(len(self.examples))

    def resamples_of(self, count: int) -> Resamples:
        """Bootstrap replicates of the first clean examples."""
        return Resamples(count, seed=derive(self.seed, "bootstrap"), resamples=self.settings.resamples)

    def triggered(self, name: str) -> Triggered | None:
        """The attacked examples with the trigger of a candidate's attack; None without one."""
        attack = self.attacks[name]
        if attack is None:
            return None
        # By its record, because many candidates share one attack.
        if (key := attack.key) not in self._shared:
            self._shared[key] = Triggered(self.clean, attack)
        return cast(Triggered, self._shared[key])

    @cached_property
    def _common(self) -> list[Any]:
        """What every part depends on, as JSON values."""
        digest = hashlib.sha256()
        tensors = [*self.examples.inputs.items(), ("labels", self.examples.labels), *(self.statistics or {}).items()]
        for name, value in tensors:
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return [
            versions()["anchorlab"],
            weights_hash(unwrap(self.reference)),
            getattr(self.reference, "preprocessing", None),
            digest.hexdigest(),
            values_of(self.settings),
            self.seed,
        ]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {name: perturbation.digest() for name, perturbation in self.perturbations.items()}
