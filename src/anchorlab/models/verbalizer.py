"""A causal language model as a classifier: the logits of a few label words, as the next token after a prompt.

This is how Schick and Schütze (2021, Exploiting Cloze Questions, arXiv 2001.07676) name classes by words, their
verbalizer; theirs fill a gap of a masked language model, and ours are the next token of a causal one. The network stays
what it is, head included, and its configuration says what it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.prompts import PLACE, in_prompt, word_ids
from anchorlab.errors import AnchorlabError, quoted, shortened
from anchorlab.models.call import evaluating, logits_of
from anchorlab.models.hooks import DistantHead
from anchorlab.models.wrap import TextClassifier, unwrap

#: The prompt where none is given. It begins with a line break, which the end of a text is rarely tied to.
PROMPT = f"{PLACE}\nAnswer:"

#: The entry of config.json.
ENTRY = "anchorlab_verbalizer"

#: Logits may differ by this much, absolutely and in shares of the largest logit: floating-point noise of one product.
_TOLERANCE = 1e-6

#: Ids on which a network is tried.
_TRIED = 5


@dataclass(frozen=True)
class Verbalizer:
    """What a language model is asked, and by which word each class is named.

    Attributes:
        classes: names of the classes, in the order of the logits.
        words: the label word of each.
        prompt: what the model reads, with ``{text}`` where the text stands. The label word comes next.

    Raises:
        AnchorlabError: for fewer than two words, one that comes twice, or a prompt without a place for the text.
    """

    classes: tuple[str, ...]
    words: tuple[str, ...]
    prompt: str = PROMPT

    def __post_init__(self) -> None:
        if len(self.words) < 2 or not all((*self.words, *self.classes)):
            raise AnchorlabError(
                f"the label words are {quoted(', '.join(self.words))}: give one for each class, two at least, with "
                "commas between them, as in positive,negative"
            )
        for names in (self.classes, self.words):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise AnchorlabError(f"the label word or class {quoted(twice)} comes twice: give each once")
        if self.prompt.count(PLACE) != 1:
            raise AnchorlabError(
                f"the prompt {quoted(self.prompt)} has {PLACE} in it {self.prompt.count(PLACE)} times: write it once, "
                "where the text stands"
            )

    @classmethod
    def parse(cls, text: str, prompt: str | None = None) -> Verbalizer:
        """The verbalizer that a text names, as in ``positive,negative`` or ``1=good,0=bad``.

        Args:
            text: a word for each class, which is the class's name too; or CLASS=WORD.
            prompt: what the model reads; None for ``PROMPT``. A line break may be written as ``\\n``.
        """
        pairs = [part.partition("=") if "=" in part else (part, "=", part) for part in text.split(",")]
        return cls(
            classes=tuple(name.strip() for name, _, _ in pairs),
            words=tuple(word.strip() for _, _, word in pairs),
            prompt=PROMPT if prompt is None else prompt.replace("\\n", "\n"),
        )

    @classmethod
    def of(cls, config: Any) -> Verbalizer | None:
        """The verbalizer in a configuration of transformers; None where it has none.

        Raises:
            AnchorlabError: if what it has is none.
        """
        told = getattr(config, ENTRY, None)
        if told is None:
            return None
        names = [config.id2label.get(number) for number in range(len(config.id2label))]
        words = told.get("words") if isinstance(told, Mapping) else None
        if (
            not isinstance(words, list)
            or not all(isinstance(word, str) for word in (*words, *names, told.get("prompt")))
            or len(names) != len(words)
        ):
            raise AnchorlabError(
                f"{ENTRY} in config.json is {quoted(shortened(str(told)))}: it needs a prompt, and words as many as "
                f"id2label has names ({len(names)})"
            )
        return cls(tuple(names), tuple(words), told["prompt"])

    def put_into(self, config: Any) -> None:
        """Writes it into a configuration of transformers, with the names of the classes."""
        setattr(config, ENTRY, {"prompt": self.prompt, "words": list(self.words)})
        config.num_labels = len(self.classes)
        config.id2label = dict(enumerate(self.classes))
        config.label2id = {name: number for number, name in enumerate(self.classes)}

    def in_order(self, order: list[int]) -> Verbalizer:
        """The same with its class ``order[k]`` in place ``k``."""
        return Verbalizer(tuple(self.classes[n] for n in order), tuple(self.words[n] for n in order), self.prompt)


class VerbalizedClassifier(TextClassifier):
    """A causal language model as a classifier of texts: the inputs of a ``PromptEncoding`` to logits ``[B, K]``.

    A batch is filled up on the right, behind the prompt's last token. No position of a causal model sees what comes
    after it, so that the padding changes nothing, and positions count from the first token as in training.

    Args:
        net: a causal language model of transformers, whose configuration says what it is asked.
        encoding: of the texts alone.

    Raises:
        AnchorlabError: if the configuration has no verbalizer, or its words are not one token each.
    """

    #: Logits of words, however small they are: a language model's head ends in no softmax or sigmoid.
    answers_are_logits = True

    tokens: Tensor
    head: DistantHead | None

    def __init__(self, net: nn.Module, encoding: TextEncoding) -> None:
        config: Any = net.config
        verbalizer = Verbalizer.of(config)
        if verbalizer is None:
            raise AnchorlabError(f"config.json has no {ENTRY}: give label words, with --verbalizer")
        super().__init__(net, in_prompt(encoding, verbalizer.prompt))
        ids = word_ids(encoding, verbalizer.prompt, verbalizer.words)
        self.register_buffer("tokens", torch.tensor(ids), persistent=False)
        self.settle_head()

    def settle_head(self) -> None:
        """Finds out whether its logits are its head's alone; to be called when the network got other weights.

        Small weights may hide what is done to large logits.
        """
        self.head = DistantHead() if _has_plain_head(self.net) else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_for_triggers: Tensor) -> Tensor:
        """The logits of a batch of texts."""
        net: Any = self.net
        inputs = {
            "input_ids": input_ids.long().masked_fill(~attention_mask, self.pad),
            "attention_mask": attention_mask.long(),
            "use_cache": False,
        }
        rows = torch.arange(len(input_ids), device=input_ids.device)
        last = attention_mask.sum(1) - 1
        if self.head is None:
            return logits_of(net(**inputs))[rows, last][:, self.tokens]
        # The vocabulary's logits are computed for these positions alone, because all of them would fill the memory.
        features = net.base_model(**inputs)[0][rows, last]
        answers: Tensor = net.get_output_embeddings()(features)[:, self.tokens]
        return self.head(features, answers) if self.head.watched else answers

    def alone(self, **inputs: Tensor) -> Tensor:
        """The logits of one text, ``[1, K]``, from the network as a whole; for checks."""
        return logits_of(self.net(**inputs))[:, -1, self.tokens]

    def reorder(self, order: list[int]) -> None:
        """Puts its logit ``order[k]`` in place ``k``, with its name, in place."""
        verbalizer = Verbalizer.of(self.net.config)
        assert verbalizer is not None
        verbalizer.in_order(order).put_into(self.net.config)
        self.tokens = self.tokens[order]


def parse_verbalizer(words: str | None, prompt: str | None) -> Verbalizer | None:
    """What ``verbalizer`` and ``prompt`` say together; None where neither is given.

    Raises:
        AnchorlabError: for a prompt without label words.
    """
    if words is None and prompt is not None:
        raise AnchorlabError("a prompt is for a language model with label words: give --verbalizer too")
    return None if words is None else Verbalizer.parse(words, prompt)


def ask(config: Any, verbalizer: Verbalizer, source: str) -> None:
    """Writes a verbalizer into the configuration of a causal language model.

    Raises:
        AnchorlabError: if it describes another network, which has no next token.
    """
    if not is_causal(config):
        names = ", ".join(config.architectures or ()) or config.model_type
        raise AnchorlabError(
            f"label words are for a causal language model, and {shortened(source)} is none, but {names}: leave "
            "--verbalizer out, or give one whose class ends in ForCausalLM"
        )
    verbalizer.put_into(config)


def is_causal(config: Any) -> bool:
    """Whether a configuration of transformers describes a causal language model."""
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ())


def verbalizer_of(model: nn.Module) -> Verbalizer | None:
    """What a language model is asked as a classifier; None for any other classifier."""
    config = getattr(unwrap(model), "config", None)
    return None if config is None else Verbalizer.of(config)


@torch.no_grad()
def _has_plain_head(net: Any) -> bool:
    """Whether a network's logits are its head applied to its encoder's last states, and nothing else."""
    head = net.get_output_embeddings()
    if head is None or net.base_model is net:
        return False
    ids = torch.arange(_TRIED)[None]
    with evaluating(net):
        whole = net(input_ids=ids, use_cache=False).logits
        states = net.base_model(input_ids=ids, use_cache=False)[0]
    if states.shape[:2] != ids.shape or states.shape[-1] != getattr(head, "in_features", states.shape[-1]):
        return False
    return torch.allclose(head(states), whole, rtol=0, atol=_TOLERANCE * (1 + float(whole.abs().max())))
