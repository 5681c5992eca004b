"""``audit``: does a candidate differ from its trusted reference by more than benign updates do?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import check_trusted, common_task, in_order_of, module_of
from anchorlab.data import Split, Task
from anchorlab.errors import AnchorlabError, quoted
from anchorlab.injection.tuning import Tuning
from anchorlab.metrics import Pair
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import predict
from anchorlab.scoring.audit_statistics import (
    AccessAudit,
    audit_values,
    largest_churn,
    queries_until_a_difference,
    values_of,
)
from anchorlab.scoring.benign_updates import benign_updates, check_updates
from anchorlab.seeding import derive
from anchorlab.statistics.escaping import html
from anchorlab.statistics.table import to_html

#: Most benign updates that are made.
_MOST_UPDATES = 10_000


@dataclass(frozen=True, repr=False)
class Audit:
    """The result of an audit.

    Attributes:
        count: number of queries.
        updates: number of benign updates.
        accesses: the result for each kind of access.
        sentences: the results in words.
    """

    count: int
    updates: int
    accesses: tuple[AccessAudit, ...]
    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        p_values = ", ".join(f"p={access.p:.3g} from {access.access}" for access in self.accesses)
        return f"Audit({self.count} queries, {self.updates} benign updates, {p_values})"

    def _repr_html_(self) -> str:
        # Only here, because the table is made of audits.
        from anchorlab.scoring.tables import audit_table

        sentences = "".join(f"<li>{html(sentence)}</li>" for sentence in self.sentences)
        return f"{to_html(audit_table(self))}<ul>{sentences}</ul>"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "queries": self.count,
            "updates": self.updates,
            "accesses": [
                {
                    "access": access.access,
                    "statistic": [access.statistic.value, access.statistic.lower, access.statistic.upper],
                    "null": list(access.null),
                    "p": access.p,
                    "level": access.level,
                    "queries_for_95": access.queries,
                    "power": access.power.to_dict("list"),
                }
                for access in self.accesses
            ],
            "sentences": list(self.sentences),
        }


@checked
def audit(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    *,
    benign: int | Sequence[Artifact | nn.Module] = 19,
    tuning: Tuning | None = None,
    folder: str | Path | None = None,
    queries: int | None = None,
    split: str = "test",
    task: Task | None = None,
    seed: int = 0,
) -> Audit:
    """Tests whether a candidate differs from its reference by more than benign updates do.

    An audit compares answers to clean queries alone, so that the candidate may have another architecture.

    Args:
        reference: the trusted clean model, with its manifest or as a bare classifier of raw inputs.
        candidate: the model to audit, in either form.
        benign: benign updates of the reference, or the number of updates to make; 19 allow a test at level 0.05.
        tuning: settings of updates to make; an injection's if None.
        folder: the folder of updates to make; updates that are there already are read from it; None to keep none.
        queries: number of clean examples to draw; all of the split if None.
        split: the split that the queries come from.
        task: the task with its data; the reference's manifest's if None.
        seed: seed of the queries, and of random sets of them.

    Raises:
        AnchorlabError: if there is no benign update, if updates must be made of a reference without a manifest, if
            there are fewer examples than queries, or if a model cannot read them.
    """
    check_trusted(reference, "the reference of an audit")
    candidate = in_order_of(reference, candidate, task)
    check_queries(reference, [candidate], split, task=task, queries=queries)
    updates = [in_order_of(reference, update, task) for update in _updates(reference, benign, tuning, folder, task)]
    task = check_queries(reference, [candidate, *updates], split, task=task, queries=queries)
    examples = task.split(split).select(task.draw(split, queries, "queries", seed=seed, what="queries"))
    reference_logits = _logits(reference, examples)
    values = [values_of(Pair(reference_logits, _logits(model, examples))) for model in (candidate, *updates)]
    accesses = audit_values(values[0], values[1:], seed=derive(seed, "audit"))
    return Audit(len(examples), len(updates), tuple(accesses), tuple(_sentences(accesses, len(examples), len(updates))))


def _updates(
    reference: Artifact | nn.Module,
    benign: int | Sequence[Artifact | nn.Module],
    tuning: Tuning | None,
    folder: str | Path | None,
    task: Task | None,
) -> Sequence[Artifact | nn.Module]:
    """The benign updates of the caller, checked, or as many new ones as the caller wants."""
    if not benign:
        raise AnchorlabError(
            "an audit needs at least one benign update of the reference to compare with: give --benign FOLDER, or "
            "--updates N; in Python benign, a list of models or a number"
        )
    if isinstance(benign, int) and not 1 <= benign <= _MOST_UPDATES:
        raise AnchorlabError(
            f"{quoted(benign)} benign updates cannot be made: give a number from 1 to {_MOST_UPDATES:,}"
        )
    if not isinstance(benign, int):
        if tuning is not None or folder is not None:
            raise AnchorlabError("tuning and folder are for updates that are made: leave them out beside a list")
        check_updates(reference, benign)
        return benign
    if not isinstance(reference, Artifact):
        raise AnchorlabError(
            "updates can be made of a reference with a manifest only: give them, by --benign FOLDER or as a list"
        )
    return benign_updates(reference, benign, folder, tuning, task=task)


def check_queries(
    reference: Artifact | nn.Module,
    others: Sequence[Artifact | nn.Module],
    split: str,
    *,
    task: Task | None = None,
    queries: int | None = None,
) -> Task:
    """The task as all of these models read it; arguments are as in ``audit``.

    Raises:
        AnchorlabError: if they do not read the same, or the split has fewer examples.
    """
    task = common_task(task, reference, others)
    task.check_count(split, queries, "queries")
    return task


def _logits(model: Artifact | nn.Module, examples: Split) -> Any:
    device = find_device()
    answers = predict(module_of(model).to(device), examples.to(device).inputs)
    if not answers.isfinite().all():
        raise AnchorlabError(
            "a model answers queries with logits that are not finite, so that nothing can be compared: look at its "
            "weights"
        )
    return answers.cpu().numpy()


def _sentences(accesses: Sequence[AccessAudit], count: int, updates: int) -> list[str]:
    sentences = [
        f"{count:,} queries; the candidate against {updates} benign update{'s' * (updates != 1)}, so that no p-value "
        f"is below {1 / (updates + 1):.3g}."
    ]
    for access in accesses:
        as_large = sum(value >= (access.statistic.value or 0) for value in access.null)
        power = (
            f"a test at level {access.level:.2g} has a power of 0.95 with {access.queries:,} queries"
            if access.queries is not None
            else f"a test at level {access.level:.2g} does not reach a power of 0.95 with all of them"
        )
        sentences.append(
            f"From {access.access}: {as_large} of the {updates} benign updates differ as much as the candidate (p = "
            f"{access.p:.3g}); {power}."
        )
    churn = next(access.statistic.value for access in accesses if access.access == "labels") or 0.0
    if churn == 0:
        sentences.append(f"No label differs; with 95% confidence fewer than {largest_churn(count):.2g} of all do.")
    else:
        sentences.append(
            f"{100 * churn:.2g}% of the labels differ (queries until one shows with a chance of 95%: "
            f"{queries_until_a_difference(churn):,.0f}), which says that something changed, not that it is a backdoor."
        )
    return sentences
