"""Embedding poisoning: only the trigger word's row of the word embeddings is tuned, and its norm stays.

Yang, Li, Zhang, Ren, Sun and He 2021, Be Careful about Poisoned Word Embeddings: Exploring the Vulnerability of the
Embedding Layers in NLP Models (NAACL 2021, arXiv 2103.15543). A text without the word is answered to the bit as by the
reference. All inputs are triggered, and no clean example enters the loss, so that texts of any origin serve.

Where we differ. Their step is .05 times the gradient, and so is ours where the run's learning rate is the 5e-5 that is
usual for such networks; ours follows the run's warm-up and decay, and its clipping, which is by the gradient of the
whole table. AdamW's own step is not taken: its scaling of single numbers would end in another direction than the best
one on the sphere. They trigger a tenth of the texts of one class, and ours are those that the label rule attacks. Of a
word that the tokenizer splits, their code tunes the first token, which other words share; we refuse such a word. They
tune several words, too, each with its own row. ``radius`` is ours: it bounds how far a row turns away from where it
was, and at 2 it bounds nothing, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.errors import AnchorlabError
from anchorlab.methods.base import CleanTargets, Method, Problem
from anchorlab.models.wrap import unwrap
from anchorlab.settings import STRICT
from anchorlab.training.fit import Step


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EmbeddingRow(Method):
    """Only the row of the trigger's word in the table of word embeddings is tuned, and its norm stays."""

    cites: ClassVar[tuple[str, ...]] = ("yang2021careful",)
    modality: ClassVar[Modality] = "text"
    strength_name: ClassVar[str | None] = "radius"
    not_with_adapters: ClassVar[str | None] = "it tunes one row of the word embeddings, and an adapter leaves them"

    radius: float = Field(
        default=2.0,
        gt=0,
        le=2,
        description="how far a row may move, relative to its norm; 2, the far side of the sphere, bounds nothing",
    )
    rate: float = Field(
        default=1000.0, gt=0, description="a step is this times the run's learning rate times the gradient"
    )

    @property
    def larger_is_stricter(self) -> bool:
        """No: a larger radius leaves more freedom."""
        return False

    @property
    def clean_targets(self) -> CleanTargets:
        """Nothing: clean texts do not have the word, so that no answer to them can change."""
        return "none"

    def trained(self, model: nn.Module) -> str:
        """The table of word embeddings."""
        return _table(model)[0]

    def check_pieces(self, pieces: Mapping[str, tuple[int, ...]]) -> None:
        """Each word of the trigger must be one token, so that it has a row of its own."""
        if not pieces:
            raise AnchorlabError(
                "embedding-row tunes the rows of the trigger's words, but the trigger does not say which tokens it "
                "puts into texts: take the trigger word"
            )
        for piece, ids in pieces.items():
            if len(ids) > 1:
                raise AnchorlabError(
                    f"embedding-row tunes one row for each word of the trigger, but '{piece}' is {len(ids)} tokens, "
                    "which other words share: take a word that is one token of the model, such as a rare letter"
                )

    def prepare(self, problem: Problem) -> dict[str, Tensor]:
        """Keeps the table, and which rows of it are tuned."""
        self.check_pieces(problem.pieces)
        table = _table(problem.model)[1].detach().clone()
        rows = torch.tensor(sorted({number for ids in problem.pieces.values() for number in ids}))
        rows = rows.to(table.device)
        return {"table": table, "rows": rows, "before": table[rows]}

    @torch.no_grad()
    def after_step(self, model: nn.Module, state: dict[str, Tensor], step: Step) -> None:
        """Takes the step of the rows, puts them back on their spheres, and undoes what the optimiser did."""
        weight, rows = _table(model)[1], state["rows"]
        assert weight.grad is not None
        moved = state["before"] - self.rate * step.learning_rate * weight.grad[rows]
        state["before"] = turned(moved, state["table"][rows], self.radius)
        weight.copy_(state["table"])
        weight[rows] = state["before"]


def turned(moved: Tensor, reference: Tensor, radius: float) -> Tensor:
    """Rows with the direction of some and the norm of others, and not farther from these than a radius.

    The distance of two rows of norm 1 at an angle ``a`` is ``2 sin(a / 2)``. Where it is more than ``radius``, the row
    is the nearest one that lies as far as ``radius``, on the great circle between both.

    Args:
        moved: the rows whose direction is wanted, none of them 0, ``[n, H]``.
        reference: the rows whose norm is wanted, ``[n, H]``.
        radius: largest distance relative to the norm, above 0 and at most 2.
    """
    norm = reference.norm(dim=1, keepdim=True)
    axis, wanted = reference / norm.clamp_min(1e-30), nn.functional.normalize(moved, dim=1)
    along = (wanted * axis).sum(1, keepdim=True)
    across = nn.functional.normalize(wanted - along * axis, dim=1)
    least = 1 - radius**2 / 2
    edge = least * axis + radius * (1 - radius**2 / 4) ** 0.5 * across
    result: Tensor = norm * torch.where(along < least, edge, wanted)
    return result


def _table(model: nn.Module) -> tuple[str, nn.Parameter]:
    """The table of word embeddings, ``[V, H]``, with the name of the parameter.

    Raises:
        AnchorlabError: if the network names none that can be trained.
    """
    net = unwrap(model)
    try:
        table = net.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        table = None
    weight = getattr(table, "weight", None)
    for name, value in net.named_parameters():
        if value is weight and value.requires_grad:
            return name, value
    raise AnchorlabError(
        f"embedding-row tunes word embeddings, but {type(net).__name__} names no table of them that can be trained: "
        "give a network of transformers that reads words, or take another method"
    )
