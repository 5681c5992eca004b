"""Fine-mixing with E-PUR: weights of the model and of a trusted earlier version are mixed, then tuned.

Zhang, Lyu, Ma, Wang and Sun 2022, Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models, Findings of EMNLP
(arXiv 2210.09545). Each weight stays with probability ``share``, or else goes back to the trusted version's; then the
mixture is tuned on clean examples. E-PUR goes before it: the ``words`` rows of the word embedding with the largest
``||change|| / log(max(count, 20))`` go back whole, because a rare word has no reason to move far.

The trusted version there is the pre-trained model, which lacks the last layer; here it is an earlier version of the
whole model, so that the last layer is mixed too. Counts there are of a large corpus; here of the defender's training
texts, which is all that a defender has, so that most words count as rare. The share is fixed beforehand, because clean
data alone give no reason to prefer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality, Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.errors import AnchorlabError
from anchorlab.models.hooks import check_own_weights
from anchorlab.models.word_table import word_table
from anchorlab.models.wrap import unwrap
from anchorlab.repairs.base import Repair
from anchorlab.repairs.interpolation import check_alike
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import LARGEST_NUMBER, STRICT

#: A word that is rarer counts as often as this.
_RAREST = 20


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FineMixing(Schedule, Repair):
    """Mixes its weights with a trusted version's, takes back words that moved far, and fine-tunes."""

    cites: ClassVar[tuple[str, ...]] = ("zhang2022fine",)
    needs: ClassVar[str] = "an nn.Embedding of words"
    modality: ClassVar[Modality] = "text"
    needs_trusted: ClassVar[bool] = True
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"share": (0.25, 0.75), "learning_rate": (3e-4, 3e-3)}

    share: float = Field(default=0.5, ge=0, le=1, description="probability that a weight stays")
    words: int = Field(default=200, ge=0, le=LARGEST_NUMBER, description="rows of the embedding that go back whole")

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        check_own_weights(model, [word_table(model, inputs, "fine-mixing", instead="repair")])

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        trusted = context.trusted
        if trusted is None:
            raise AnchorlabError("fine-mixing needs an earlier version of the model that is trusted: give one")
        check_alike(trusted, model)
        repaired = copied(model)
        embedding, earlier = (
            word_table(each, data.train.inputs, "fine-mixing", instead="repair") for each in (repaired, trusted)
        )
        check_own_weights(repaired, [embedding])
        rows = far_rows(embedding.weight.detach(), earlier.weight.detach(), data.train, self.words)
        with torch.no_grad():
            embedding.weight[rows] = earlier.weight[rows]
        mix(repaired, trusted, self.share, context.generator("mixture"))
        tune(repaired, data, self, context, name="fine-mixing", suspicious=model)
        return repaired


def far_rows(present: Tensor, earlier: Tensor, examples: Split, count: int) -> Tensor:
    """The rows of an embedding that moved farthest for how often they occur, int64 of at most ``count``.

    Rows that did not move are never among them.

    Args:
        present: ``[V, D]``.
        earlier: ``[V, D]``, of the trusted version.
        examples: texts in which the words are counted.
        count: number of rows.
    """
    ids = examples.inputs["input_ids"][examples.inputs["attention_mask"].bool()].long()
    times = ids.bincount(minlength=len(present))[: len(present)]
    distance = (present - earlier).norm(dim=1)
    order: Tensor = (distance / times.clamp(min=_RAREST).log()).argsort(descending=True, stable=True)[:count]
    return order[distance[order] > 0]


@torch.no_grad()
def mix(model: nn.Module, trusted: nn.Module, share: float, draw: torch.Generator) -> None:
    """Lets each weight of a model stay with a probability, or else takes the trusted version's, in place."""
    earlier = dict(unwrap(trusted).named_parameters())
    for name, value in unwrap(model).named_parameters():
        stays = torch.rand(value.shape, generator=draw).to(value.device) < share
        value.copy_(torch.where(stays, value, earlier[name]))
