"""Where all models of an audit are measured alike: on the same windows, against the same answers of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from anchorlab.errors import AnchorlabError
from anchorlab.models.causal import CausalLM
from anchorlab.models.device import lent
from anchorlab.scoring.token_answers import ReferenceDraws, Watcher, low_margin_queries
from anchorlab.scoring.token_statistics import measured
from anchorlab.statistics.arrays import Integers
from anchorlab.statistics.estimate import Estimate
from anchorlab.tokens.answers import Live, Stored, write_answers
from anchorlab.tokens.scoring import Plan, score
from anchorlab.tokens.store import TokenStore


@dataclass(frozen=True)
class Asking:
    """What the models are asked.

    Attributes:
        top: length of the lists of likeliest tokens.
        queries: most prompts at which tokens are sampled.
        samples: tokens that each model answers at each prompt.
        seed: of the sampled tokens.
    """

    top: int
    queries: int
    samples: int
    seed: int


class Bench:
    """Measures models against a reference, whose answers wait in a file.

    Args:
        reference: the reference; it answers at once.
        plan: what all models read.
        asking: what they are asked.
        file: where the reference's answers are written.
        device: where models compute.

    Raises:
        AnchorlabError: if no document has two tokens, or the lists are longer than the vocabulary.
    """

    def __init__(self, reference: CausalLM, plan: Plan, asking: Asking, file: Path, device: torch.device) -> None:
        if asking.top > len(reference.tokenizer):
            raise AnchorlabError(
                f"lists of {asking.top:,} likeliest tokens are longer than the vocabulary of "
                f"{len(reference.tokenizer):,}: give a smaller number"
            )
        self._plan, self._asking, self._file, self._device = plan, asking, file, device
        #: Number of tokens that are scored, and of documents up to the last one that has any.
        self.tokens = self.documents = 0
        scored = set()
        for window in plan.windows():
            self.tokens += len(window.targets)
            self.documents = window.document + 1
            scored.add(window.document)
        #: Number of documents that have scored tokens.
        self.scored = len(scored)
        if not self.tokens:
            raise AnchorlabError(
                f"no document of {plan.texts.source} has two tokens, so that none follows another: give longer texts"
            )
        with lent(device, reference.net):
            write_answers(file, reference, plan.batches(), {})
        #: The scored tokens at which tokens are sampled, int64 ``[Q]``.
        self.queries: Integers = low_margin_queries(plan.batches(), Stored(file, {}), asking.queries)
        self._draws = ReferenceDraws(asking.samples, asking.seed)
        #: Mean distance of two draws of the reference itself, known once a model was measured.
        self.chance = 0.0

    def measure(
        self, model: CausalLM, name: str, report: Callable[[float], None] = lambda share: None
    ) -> dict[str, Estimate]:
        """All statistics of a model; see ``token_statistics``.

        Args:
            model: of the reference's vocabulary.
            name: keeps its sampled tokens apart from those of other models.
            report: gets the share that is done.
        """
        watcher = Watcher(self._asking.top, self.queries, self._draws, name)
        with TokenStore() as store, lent(self._device, model.net):
            score(
                self._plan.batches(),
                Stored(self._file, {}),
                Live(model, self._device),
                store,
                watcher,
                lambda document: report((document + 1) / self.documents),
            )
            seen = watcher.seen()
            self.chance = float(seen.sampled_again.mean())
            return measured(store, seen, self.documents)
