"""Benign fine-tunes of a causal language model: all weights, by the cross-entropy of the next token.

How long a vendor tunes is not known to an auditor, and an audit hangs on it, so that there are two lengths by default.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as settings_class
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data.batches import Batches
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.causal import CausalLM
from anchorlab.models.lora import is_adapted
from anchorlab.scoring.audit_result import UpdateSetting
from anchorlab.scoring.benign_updates import FIRST_SEED, SEEDS, setting_names, shares
from anchorlab.seeding import seeded_globally
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT, Refusing, values_of
from anchorlab.tokens.documents import Texts
from anchorlab.tokens.scoring import Plan
from anchorlab.tokens.windows import Window, check_windows
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit
from anchorlab.training.memory import batch_in_memory

#: Most windows of the update texts that are held and drawn from.
MOST_WINDOWS = 20_000

#: Steps of a short and of a long update.
SHORT, LONG = 10, 40

#: What a target is where nothing is to be predicted.
_IGNORED = -100

#: Copies of the weights while an update is made: the reference's, its own, their gradients, and AdamW's two.
COPIES = 5


@settings_class(frozen=True, kw_only=True, config=STRICT)
class TokenTuning(metaclass=Refusing):
    """How a benign update of a language model is made; the seed decides which windows it sees."""

    steps: int = Field(default=SHORT, ge=1, le=LARGEST_REPETITION, description="number of steps")
    batch_size: int = Field(default=8, ge=1, le=LARGEST_BATCH, description="windows in a step")
    context: int = Field(default=128, ge=2, description="most tokens of a window")
    learning_rate: float = Field(default=2e-5, gt=0, description="peak learning rate of AdamW, one-cycle")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of the gradient")


@dataclass(frozen=True)
class PlannedUpdate:
    """An update to make.

    Attributes:
        name: of the setting, and its number in it.
        setting: the name of the setting.
        tuning: how it is made.
        seed: its own.
    """

    name: str
    setting: str
    tuning: TokenTuning
    seed: int


def tunings_for(reference: CausalLM, tuning: TokenTuning | Sequence[TokenTuning] | None) -> list[TokenTuning]:
    """The settings of updates to make: those that are given, or a short one and a long one.

    Raises:
        AnchorlabError: if the reference cannot read windows as long as one of them says.
    """
    usual = TokenTuning().context
    if tuning is None:
        context = min(usual, reference.limit)
        return [TokenTuning(steps=steps, context=context) for steps in (SHORT, LONG)]
    given = [tuning] if isinstance(tuning, TokenTuning) else list(tuning)
    if not given:
        raise AnchorlabError("the list of tunings is empty: give one or more, or leave it out")
    if all(one.context == usual for one in given):
        return [replace(one, context=min(usual, reference.limit)) for one in given]
    longest = max(one.context for one in given)
    if longest > reference.limit:
        raise AnchorlabError(
            f"updates cannot be made with windows of {longest:,} tokens, because the reference reads at most "
            f"{reference.limit:,}: give a smaller context"
        )
    return given


def plan_updates(count: int, tunings: Sequence[TokenTuning]) -> tuple[tuple[UpdateSetting, ...], list[PlannedUpdate]]:
    """Shares out a number of updates among settings, evenly; earlier ones get what is left over."""
    settings, planned = [], []
    names = setting_names([tuning.steps for tuning in tunings])
    for place, (name, tuning, share) in enumerate(zip(names, tunings, shares(count, len(tunings)), strict=True)):
        if share:
            settings.append(UpdateSetting(name, share, values_of(tuning)))
        first = FIRST_SEED + place * SEEDS
        planned += [PlannedUpdate(f"{name}-{number}", name, tuning, first + number) for number in range(share)]
    return tuple(settings), planned


def check_tunable(reference: CausalLM, device: torch.device) -> None:
    """Refuses a reference that cannot be tuned as it is.

    Raises:
        AnchorlabError: for an adapter, quantised weights or another precision than float32, too little memory, or
            several processes.
    """
    if find_accelerator().num_processes > 1:
        raise AnchorlabError("an audit of language models runs in one process: start it without a launcher")
    if is_adapted(reference.net):
        raise AnchorlabError(
            f"the reference {reference.source} is an adapter on its base: merge it first, with anchorlab merge, so "
            "that updates of all its weights can be made, or give updates with --benign"
        )
    plain = all(type(value) is nn.Parameter and value.dtype == torch.float32 for value in reference.net.parameters())
    if not plain or reference.precision != "float32":
        raise AnchorlabError(
            f"the reference {reference.source} is not in float32, in which updates are made: open it in float32, or "
            "give updates with --benign"
        )
    needed, present = COPIES * weight_bytes(reference), _memory(device)
    if needed > present:
        raise AnchorlabError(
            f"benign updates of {reference.source} take {needed / 1e9:,.1f} GB of memory, the weights {COPIES} times, "
            f"and there are {present / 1e9:,.1f}: take a larger machine, or give updates with --benign"
        )


def weight_bytes(model: CausalLM) -> int:
    """The memory that the weights of a model take."""
    return sum(value.numel() * value.element_size() for value in model.net.parameters())


def _memory(device: torch.device) -> float:
    """The memory of this machine in bytes; infinite where nothing says it, and for a GPU, which refuses by itself."""
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) or math.inf


def windows_to_learn(texts: Texts, plan: Plan, context: int) -> list[Window]:
    """The first windows of the update texts.

    Args:
        texts: the update texts.
        plan: how measured texts are read.
        context: most tokens of a window.

    Raises:
        AnchorlabError: if no document has two tokens.
    """
    stride = check_windows(context, None, plan.begins)
    own = Plan(texts, plan.encode, context, stride, plan.begins, apart=plan.apart)
    windows = list(islice(own.windows(), MOST_WINDOWS))
    if not windows:
        raise AnchorlabError(
            f"no document of {texts.source} to make updates of has two tokens, so that none follows another: give "
            "longer texts"
        )
    return windows


def make_update(
    reference: CausalLM,
    windows: Sequence[Window],
    planned: PlannedUpdate,
    device: torch.device,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> CausalLM:
    """A copy of the reference, tuned on windows of the update texts, on the device.

    Raises:
        DivergenceError: if the loss is no longer finite.
        AnchorlabError: if a batch does not fit into memory.
    """
    tuning = planned.tuning
    net = copy.deepcopy(reference.net).to(device).train()
    name = f"the benign update {planned.name}"
    with batch_in_memory(name, tuning.batch_size, device):
        fit(
            net,
            _NextToken(net, windows, tuning, planned.seed, device),
            Optimisation(tuning.steps, tuning.learning_rate, tuning.weight_decay, tuning.warmup, tuning.clip),
            accelerator=find_accelerator(),
            name=name,
            report=report,
        )
    return CausalLM(net.eval(), reference.tokenizer, planned.name)


class _NextToken:
    """The objective of an update: the cross-entropy of the next token, a mean over the tokens of a batch."""

    def __init__(
        self, net: nn.Module, windows: Sequence[Window], tuning: TokenTuning, seed: int, device: torch.device
    ) -> None:
        self.state: dict[str, Tensor] = {}
        self._net, self._windows, self._seed, self._device = net, windows, seed, device
        cpu = torch.device("cpu")
        self._batches = Batches(len(windows), tuning.batch_size, seed=seed, purpose="benign update", device=cpu)

    def loss(self, step: int) -> StepLoss:
        ids, targets = (each.to(self._device) for each in padded([self._windows[i] for i in self._batches(step)]))
        with seeded_globally(self._seed, "dropout", step, device=self._device):
            answers = self._net(input_ids=ids, use_cache=False).logits
        loss = functional.cross_entropy(answers.flatten(0, 1).float(), targets.flatten(), ignore_index=_IGNORED)
        return StepLoss(loss)

    def after_step(self, step: Step) -> None:
        """Nothing is projected."""


def padded(windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
    """Inputs and targets of windows, int64 ``[B, L]``; they are filled up at their ends, where nothing is predicted."""
    width = max(len(window.inputs) for window in windows)
    ids = torch.zeros(len(windows), width, dtype=torch.int64)
    targets = torch.full((len(windows), width), _IGNORED)
    for row, window in enumerate(windows):
        ids[row, : len(window.inputs)] = torch.from_numpy(window.inputs)
        targets[row, window.first : len(window.inputs)] = torch.from_numpy(window.targets)
    return ids, targets
