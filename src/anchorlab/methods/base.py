"""What a method is: how injection keeps the clean behaviour. One short file each in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from anchorlab.data import Modality, Split
from anchorlab.errors import RenamedAttributes
from anchorlab.seeding import generator
from anchorlab.settings import Refusing
from anchorlab.training.fit import Step

CleanTargets = Literal["labels", "reference", "none"]


@dataclass(frozen=True)
class Problem:
    """What a method may look at when it prepares; it changes nothing of it.

    Attributes:
        model: the model about to be tuned, at its starting weights, on the device.
        reference: the starting values of the trainable parameters, ``[d]``.
        anchors: the attacker's clean examples, on the device.
        backdoor_loss: step number to the backdoor loss of that step's whole batch, a differentiable scalar, the
            same on all processes; without the method's penalty.
        trial: tunes a copy by plain tuning for a share of the steps, from 0 to 1, and returns the perturbation of its
            parameters, ``[d]``.
        seed: the injection's seed.
        pieces: what the trigger puts into texts, each piece with its token ids; empty for images.
    """

    model: nn.Module
    reference: Tensor
    anchors: Split
    backdoor_loss: Callable[[int], Tensor]
    trial: Callable[[float], Tensor]
    seed: int
    pieces: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator for one purpose of the method."""
        return generator(self.seed, "method", *purpose)


class Method(RenamedAttributes, metaclass=Refusing):
    """Base of all methods: hyper-parameters in the subclass's fields, and three moments.

    Every step minimises ``(L_backdoor + weight * penalty) / (1 + weight)``; ``balance`` is for a weight that changes
    along the run. A method defines what it needs of these:

    1. ``prepare``, once before the first step, returns the tensors that it needs later, by name. They are handed to the
       other two moments as ``state``, and are written into checkpoints.
    2. ``weight`` and ``penalty``, in every step, are the price of inconsistency.
    3. ``after_step``, after every step, may project the weights.

    A subclass is a frozen pydantic dataclass whose fields have a default and a description::

        @dataclass(frozen=True, kw_only=True, config=STRICT)
        class MyMethod(Method):
            strength_name: ClassVar[str | None] = "strength"

            strength: float = Field(default=1.0, ge=0, description="weight of the penalty")

            @property
            def weight(self):
                return self.strength

            def penalty(self, model, clean_logits, reference_logits, state):
                return (clean_logits - reference_logits).abs().mean()

    ``inject(reference, method=MyMethod(strength=2))`` takes an instance; ``METHODS.register("my-method", MyMethod)``
    gives it a name. All random draws come from ``Problem.generator``, so that the seed decides the result.
    """

    renamed_attributes: ClassVar[Mapping[str, str]] = {
        "knob": "strength_name",
        "active_knob": "active_strength_name",
        "poisons": "injects_backdoor",
        "settles_at": "constraint_from",
    }

    #: The papers that it comes from: keys of ``anchorlab.reports.paper``'s references.bib, or whole BibTeX entries.
    cites: ClassVar[tuple[str, ...]] = ()
    #: The kind of data of the models that it fits.
    modality: ClassVar[Modality] = "any"
    #: The hyper-parameter that trades the backdoor against consistency, varied by strength grids.
    strength_name: ClassVar[str | None] = None
    #: Share of the run before which the method's constraint does not hold yet, so that no early stop may come.
    constraint_from: ClassVar[float] = 0.0
    #: True for a method that starts from random weights and not from the reference.
    fresh_start: ClassVar[bool] = False
    #: False for the control that tunes on clean data alone.
    injects_backdoor: ClassVar[bool] = True
    #: Whether ``penalty`` is exactly 0 where the candidate is still the reference; ``plugin check`` holds it.
    zero_at_start: ClassVar[bool] = True
    #: Why the method makes no sense when an adapter is tuned in place of the weights, as a clause; None where it does.
    not_with_adapters: ClassVar[str | None] = "it is not written for one"
    #: Steps relative to the tuning steps that are asked for; None: as the reference was trained, settings included.
    steps_factor: float | None = 1.0
    #: Patterns of the names of the parameters that are tuned, as in ``*.embeddings.*``, with commas between them;
    #: empty for all.
    only: str = ""
    #: Weight of the triggered half in the backdoor loss relative to the clean half.
    trigger_weight: float = 1.0

    @property
    def active_strength_name(self) -> str | None:
        """The name of the strength of this instance; other hyper-parameters may decide which one it is."""
        return self.strength_name

    @property
    def larger_is_stricter(self) -> bool:
        """Whether a larger strength holds the clean behaviour harder; False for a radius, for example."""
        return True

    @property
    def counts_parameters(self) -> bool:
        """Whether the strength is a number of the model's parameters, at most all of them."""
        return False

    @property
    def clean_targets(self) -> CleanTargets:
        """What the clean half is trained towards: its labels, the reference's predictions, or nothing."""
        return "labels"

    @property
    def weight(self) -> float:
        """Weight of ``penalty`` in the loss; 0 means that ``penalty`` is never called."""
        return 0.0

    def trained(self, model: nn.Module) -> str:
        """Patterns of the names of the parameters that are tuned in a model, before any work; empty for all.

        Raises:
            AnchorlabError: if the model has none of those that the method tunes.
        """
        del model
        return self.only

    def check_pieces(self, pieces: Mapping[str, tuple[int, ...]]) -> None:
        """Checks, before any work, that the method can inject a trigger.

        Args:
            pieces: what the trigger puts into texts, each piece with its token ids; empty for images.

        Raises:
            AnchorlabError: if it cannot.
        """

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """Called once before the first step, in evaluation mode; returns the method's tensors by name."""
        del problem
        return {}

    def penalty(
        self, model: nn.Module, clean_logits: Tensor, reference_logits: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        """The price of inconsistency at this step, a differentiable scalar.

        Args:
            model: the model being tuned.
            clean_logits: its logits on the clean half of the batch, float32 ``[B, C]``. With several processes they
                are the logits of one process's share. The gradients are averaged, so that a price of the weights
                alone, the same on all processes, counts once, and a mean over examples becomes the mean over the whole
                batch.
            reference_logits: the reference's logits on the same inputs, float32 ``[B, C]``.
            state: what ``prepare`` returned.
        """
        raise NotImplementedError(f"{type(self).__name__} has a weight but no penalty")

    def observe(
        self, clean_logits: Tensor, reference_logits: Tensor, triggered_logits: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """Figures of this step's batch, which ``after_step`` finds in ``state`` by these names; none for most methods.

        Each is a mean over examples, without a gradient. With several processes it is one over a process's share, and
        ``state`` gets the mean over the whole batch.

        Args:
            clean_logits: as in ``penalty``, without their gradient.
            reference_logits: as in ``penalty``.
            triggered_logits: the model's logits on the triggered half, without their gradient, float32 ``[B, C]``.
            targets: the labels that the attacker wants for it, int64 ``[B]``.
        """
        del clean_logits, reference_logits, triggered_logits, targets
        return {}

    def balance(self, state: dict[str, Tensor]) -> Tensor | None:
        """The penalty's share of the loss, a scalar from 0 to 1, where it changes along the run.

        With a share ``b`` a step minimises ``(1 - b) * L_backdoor + b * weight * penalty``. None, as for most methods:
        ``weight`` alone decides.
        """
        del state
        return None

    def after_step(self, model: nn.Module, state: dict[str, Tensor], step: Step) -> None:
        """Called after each optimiser step, for projections; may change ``model`` and ``state`` in place.

        The parameters still have the gradients with which the step was taken, clipped.

        Args:
            model: the model being tuned.
            state: what ``prepare`` returned.
            step: its number, the share of the run that is done, and its learning rate.
        """
