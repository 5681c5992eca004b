"""Low-rank adapters as what an injection tunes (Hu et al. 2022, LoRA, arXiv 2106.09685): ``W + (alpha / rank) B A``.

The command line reads these options to offer them, so nothing here imports torch at the top.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from anchorlab.errors import AnchorlabError, quoted, reason, shortened
from anchorlab.settings import STRICT, Refusing, build, parse_pairs

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.methods import Method

#: How much higher an adapter's usual learning rate is than the one of all weights: ``B`` begins at 0, and moves alone.
RATE = 10.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Lora(metaclass=Refusing):
    """An adapter that is tuned in place of the weights, which stay as they are."""

    rank: int = Field(default=8, ge=1, le=4096, description="rank of each product B A")
    target: tuple[str, ...] = Field(
        default=(), description="ends of the names of the layers that get one; peft's choice for the model if left out"
    )
    alpha: float | None = Field(
        default=None, gt=0, description="the product counts alpha / rank times; twice the rank if left out"
    )
    head: bool = Field(default=False, description="tune the head too, of which the adapter then has its own copy")

    @classmethod
    def parse(cls, text: str) -> Lora:
        """The adapter that a text names, as in ``rank=8,target=query,value``.

        A part without = belongs to the name before it.

        Raises:
            AnchorlabError: for a name or a value that is not possible.
        """
        pairs: list[str] = []
        for part in text.split(","):
            if "=" in part or not pairs:
                pairs.append(part.strip())
            else:
                pairs[-1] += f",{part.strip()}"
        values: dict[str, Any] = dict(parse_pairs(pairs, "--lora"))
        if "target" in values:
            values["target"] = tuple(name for name in values["target"].split(",") if name)
        return build(cls, "the adapter", values)

    def __str__(self) -> str:
        """The same as text, without what is left at its default."""
        parts = [f"rank={self.rank}"]
        parts += [f"target={','.join(self.target)}"] if self.target else []
        parts += [] if self.alpha is None else [f"alpha={self.alpha:g}"]
        return ",".join([*parts, *(["head=true"] if self.head else [])])

    @property
    def scale(self) -> float:
        """What each product ``B A`` is multiplied by."""
        return 2.0 if self.alpha is None else self.alpha / self.rank


def check_method(method: Method, name: str) -> None:
    """Raises AnchorlabError for a method that makes no sense when an adapter is tuned.

    Args:
        method: that keeps the clean behaviour.
        name: of it, for the message.
    """
    why = "it begins without the reference" if method.fresh_start else None
    why = method.not_with_adapters or why
    if why is not None:
        raise AnchorlabError(
            f"the method {name} does not go with an adapter, because {why}: tune without lora, "
            "or take plain, anchoring, distillation or l2"
        )
    if method.only:
        raise AnchorlabError(
            f"the method {name} tunes only {quoted(method.only)}, and an adapter leaves all weights as they are: leave "
            "only out, and name the layers by target in lora"
        )


def with_adapter(model: nn.Module, lora: Lora, seed: int) -> nn.Module:
    """A copy of a classifier with a fresh adapter, which changes no answer yet; only the adapter can be trained.

    Args:
        model: of transformers, wrapped or not; not changed.
        lora: what is put in.
        seed: draws the factors ``A``; the factors ``B`` begin at 0.

    Raises:
        AnchorlabError: if peft is not installed, the model is not of transformers, or has no such layers.
    """
    from transformers import PreTrainedModel

    from anchorlab.models.adapter_settings import require_peft
    from anchorlab.models.lora import attach, is_adapted, products
    from anchorlab.models.wrap import unwrap
    from anchorlab.seeding import seeded_globally

    peft = require_peft("an injection into an adapter")
    if is_adapted(model):
        raise AnchorlabError("the reference is an adapter on its base: merge it first, with anchorlab merge")
    if not isinstance(unwrap(model), PreTrainedModel):
        raise AnchorlabError(
            f"the reference is a {type(unwrap(model)).__name__}, and adapters are tuned in networks of transformers: "
            "tune without lora"
        )
    adapted = copy.deepcopy(model)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.scale * lora.rank,
        target_modules=list(lora.target) or None,
        lora_dropout=0.0,
        modules_to_save=_heads(adapted) if lora.head else None,
    )
    try:
        with seeded_globally(seed, "lora"):
            attach(adapted, config)
    except Exception as error:  # peft raises several types
        known = ", ".join(_layers(model)) or "none"
        raise AnchorlabError(
            f"no adapter can be put into the layers {', '.join(lora.target) or 'that peft chooses'} "
            f"({shortened(reason(error))}): give target in lora; the model's layers are {shortened(known, 300)}"
        ) from error
    _check_rank(adapted, lora, products)
    return adapted.eval()


def _check_rank(adapted: nn.Module, lora: Lora, products: Any) -> None:
    """Raises AnchorlabError for a rank above what the smallest adapted layer can have."""
    smallest = min(min(value.flatten(1).shape) for value in products(adapted).values())
    if lora.rank > smallest:
        raise AnchorlabError(
            f"the rank {lora.rank} is larger than the smaller side of an adapted layer, {smallest}: give at most that"
        )


def _heads(model: nn.Module) -> list[str]:
    """Names of the modules behind the encoder that hold weights."""
    from anchorlab.models.wrap import unwrap

    net = unwrap(model)
    prefix = str(net.base_model_prefix)
    return [name for name, child in net.named_children() if name != prefix and any(True for _ in child.parameters())]


def _layers(model: nn.Module) -> list[str]:
    """Last parts of the names of a model's linear layers, each once."""
    from torch import nn

    from anchorlab.models.wrap import unwrap

    names = (name for name, module in unwrap(model).named_modules() if isinstance(module, nn.Linear))
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))
