"""A small bent network, a small encoder of texts, and the exact derivatives of both in double precision."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from anchorlab import AnalysisSettings
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.data import Split
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import encoding_of
from anchorlab.perturbation.budget import Budget
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.weights import Perturbation, perturbation_of
from anchorlab.seeding import generator, seeded_globally
from anchorlab.triggers import Blended
from tests.tokenizers import TEXTS
from tests.zoo import Bent, save_text


@dataclass(frozen=True)
class Case:
    """A model, a candidate near it, and examples.

    Attributes:
        exact: the model in double precision.
        perturbation: of the candidate, whole.
    """

    model: nn.Module
    candidate: nn.Module
    examples: Split
    perturbation: Perturbation
    exact: nn.Module

    def logits(self, scale: float | Tensor) -> Tensor:
        """At ``w + scale d`` in the parameters, in double precision."""
        names = [name for name, _ in self.exact.named_parameters()]
        moved = {
            name: value + scale * difference.double()
            for (name, value), difference in zip(
                self.exact.named_parameters(), self.perturbation.parameters.values(), strict=True
            )
        }
        assert list(moved) == names
        output = functional_call(self.exact, moved, (), self.examples.inputs)
        return output if isinstance(output, Tensor) else output.logits

    def losses(self, scale: float | Tensor) -> Tensor:
        """Cross-entropy of each example there."""
        return functional.cross_entropy(self.logits(scale), self.examples.labels, reduction="none")

    def gradient(self, scale: float) -> Tensor:
        """Of the mean loss there, with respect to all parameters, one after another."""
        moved = copy.deepcopy(self.exact)
        with torch.no_grad():
            for parameter, difference in zip(moved.parameters(), self.perturbation.parameters.values(), strict=True):
                parameter += scale * difference.double()
        output = moved(**self.examples.inputs)
        logits = output if isinstance(output, Tensor) else output.logits
        loss = functional.cross_entropy(logits, self.examples.labels)
        gradient = torch.autograd.grad(loss, list(moved.parameters()), allow_unused=True, materialize_grads=True)
        return torch.cat([part.reshape(-1) for part in gradient])


def case(model: nn.Module, examples: Split, size: float) -> Case:
    """With a candidate that is the model plus noise of that size in every parameter."""
    candidate = copy.deepcopy(model)
    draw = generator(0, "change")
    with torch.no_grad():
        for parameter in candidate.parameters():
            parameter += size * torch.randn(parameter.shape, generator=draw)
    return Case(model, candidate, examples, perturbation_of(model, candidate), copy.deepcopy(model).double())


def bent(seed: int = 0) -> Bent:
    with seeded_globally(seed, "bent"):
        model = Bent().eval()
        for buffer in (model.norm.running_mean, model.norm.running_var):
            buffer.uniform_(0.5, 1.5)
    return model.requires_grad_()


def pictures(count: int = 40) -> Split:
    draw = generator(1, "pictures")
    pixels = torch.randint(0, 256, (count, 1, 2, 2), generator=draw, dtype=torch.uint8)
    return Split({"pixel_values": pixels}, torch.randint(0, 3, (count,), generator=draw))


@pytest.fixture
def small() -> Case:
    return case(bent(), pictures(), 0.1)


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A BERT of one layer: embeddings, attention with masks, LayerNorm, GELU."""
    folder: Path = save_text("bert", tmp_path_factory.mktemp("bert") / "model", ["bad", "good", "mixed"])
    model = open_pretrained(str(folder), kind="text").eval().requires_grad_()
    encoding = encoding_of(model)
    assert encoding is not None
    labels = torch.arange(len(TEXTS)) % 3
    return case(model, Split(encoding.encode(list(TEXTS)), labels, TEXTS), 0.05)


@pytest.fixture(params=["small", "reader"])
def either(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def context(small: Case) -> Context:
    """Of a candidate that moves parameters alone, and of one that moves nothing."""
    return Context(
        reference=small.model,
        perturbations={
            "near": perturbation_of(small.model, small.candidate),
            "still": perturbation_of(small.model, small.candidate).buffers_alone(),
        },
        attacks={"near": Attack(Blended(), AllToOne(target=0)), "still": None},
        backdoored=["near"],
        examples=small.examples,
        statistics=None,
        gradients={},
        settings=AnalysisSettings(),
        seed=0,
        budget=Budget(),
    )
