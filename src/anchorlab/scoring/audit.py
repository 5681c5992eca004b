"""Audits a candidate against its reference, with benign updates for the null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.artifacts.resolve import common_task, module_of
from anchorlab.consistency.metrics import Pair
from anchorlab.data import Split, Task
from anchorlab.detectors.audit import AccessAudit, audit_values, largest_churn, queries_until_a_difference, values_of
from anchorlab.errors import AnchorlabError
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import predict
from anchorlab.models.wrap import encoding_of
from anchorlab.seeding import derive
from anchorlab.settings import values_of as options_of

#: Seeds of benign updates begin here, far from those of injections.
_FIRST_SEED = 5000


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        count: number of queries.
        updates: number of benign updates.
        accesses: what each kind of access tells.
        sentences: what can be read off.
    """

    count: int
    updates: int
    accesses: tuple[AccessAudit, ...]
    sentences: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "queries": self.count,
            "updates": self.updates,
            "accesses": [
                {
                    "access": one.access,
                    "statistic": [one.statistic.value, one.statistic.lower, one.statistic.upper],
                    "null": list(one.null),
                    "p": one.p,
                    "level": one.level,
                    "queries_for_95": one.queries,
                    "power": one.power.to_dict("list"),
                }
                for one in self.accesses
            ],
            "sentences": list(self.sentences),
        }


def audit(
    reference: Artifact | nn.Module,
    candidate: Artifact | nn.Module,
    benign: Sequence[Artifact | nn.Module],
    split: str = "test",
    *,
    task: Task | None = None,
    queries: int | None = None,
    seed: int = 0,
) -> Audit:
    """Asks whether a candidate differs from its reference by more than benign updates do.

    Only answers to clean queries are used, so that the candidate may be of another architecture.

    Args:
        reference: the trusted clean model, with its manifest or as a bare classifier of raw inputs.
        candidate: the model that is audited, likewise.
        benign: benign updates of the reference, one at least; 19 for a test at level 0.05.
        split: where the queries come from.
        task: data; None for those of the reference's manifest.
        queries: how many clean examples are drawn; None for all of the split.
        seed: of the queries, and of random sets of them.

    Raises:
        AnchorlabError: without a benign update, with more queries than there are examples, or if a model cannot read
            them.
    """
    if not benign:
        raise AnchorlabError(
            "an audit needs at least one benign update of the reference to compare with: give --benign FOLDER, or "
            "--updates"
        )
    check_updates(reference, benign)
    task = check_queries(reference, [candidate, *benign], split, task=task, queries=queries)
    asked = task.split(split).select(task.draw(split, queries, "queries", seed=seed, what="queries"))
    before = _answers(reference, asked)
    seen = [values_of(Pair(before, _answers(model, asked))) for model in (candidate, *benign)]
    found = audit_values(seen[0], seen[1:], seed=derive(seed, "audit"))
    return Audit(len(asked), len(benign), tuple(found), tuple(_sentences(found, len(asked), len(benign))))


def check_queries(
    reference: Artifact | nn.Module,
    others: Sequence[Artifact | nn.Module],
    split: str,
    *,
    task: Task | None = None,
    queries: int | None = None,
) -> Task:
    """The task as all of these models read it; arguments are those of ``audit``.

    Raises:
        AnchorlabError: if they do not read the same, or there are not so many queries.
    """
    task = common_task(task, reference, others)
    task.check_count(split, queries, "queries")
    return task


def check_updates(reference: Artifact | nn.Module, benign: Sequence[Artifact | nn.Module]) -> None:
    """Raises AnchorlabError for updates whose manifests say that they are none, or of another reference."""
    known = reference.manifest.weights_sha256 if isinstance(reference, Artifact) else None
    for number, update in enumerate(benign, 1):
        if not isinstance(update, Artifact):
            continue
        kind, of = update.manifest.kind, update.manifest.reference_sha256
        if kind in ("injected", "repaired"):
            raise AnchorlabError(
                f"benign update {number} is a model of kind '{kind}' by its manifest: give updates without a backdoor"
            )
        if kind == "benign" and known is not None and of != known:
            raise AnchorlabError(f"benign update {number} is one of another reference: give updates of this one")


def _answers(model: Artifact | nn.Module, asked: Split) -> Any:
    device = find_device()
    answers = predict(module_of(model).to(device), asked.to(device).inputs)
    if not answers.isfinite().all():
        raise AnchorlabError(
            "a model answers queries with values that are no finite numbers, so that nothing can be compared: look at "
            "its weights"
        )
    return answers.cpu().numpy()


def _sentences(found: Sequence[AccessAudit], count: int, updates: int) -> list[str]:
    told = [
        f"{count:,} queries; the candidate against {updates} benign update{'s' * (updates != 1)}, so that no p-value "
        f"is below {1 / (updates + 1):.3g}."
    ]
    for one in found:
        beyond = sum(value >= (one.statistic.value or 0) for value in one.null)
        power = (
            f"a test at level {one.level:.2g} has a power of 0.95 with {one.queries:,} queries"
            if one.queries is not None
            else f"a test at level {one.level:.2g} does not reach a power of 0.95 with all of them"
        )
        told.append(
            f"From {one.access}: {beyond} of the {updates} benign updates differ as much as the candidate (p = "
            f"{one.p:.3g}); {power}."
        )
    churn = next(one.statistic.value for one in found if one.access == "labels") or 0.0
    if churn == 0:
        told.append(f"No label differs; with 95% confidence fewer than {largest_churn(count):.2g} of all do.")
    else:
        told.append(
            f"{100 * churn:.2g}% of the labels differ (queries until one shows with a chance of 95%: "
            f"{queries_until_a_difference(churn):,.0f}), which says that something changed, not that it is a backdoor."
        )
    return told


def benign_updates(
    reference: Artifact, count: int, folder: Path | None, tuning: Tuning | None = None, *, task: Task | None = None
) -> list[Artifact]:
    """Benign updates of a reference by tuning on its owner's clean data, each with a seed of its own.

    Args:
        reference: with its manifest.
        count: how many.
        folder: where they are kept, so that what is done is not done again; None for nowhere.
        tuning: how; None for the usual of an injection.
        task: data; None for those of the reference's manifest.

    Raises:
        AnchorlabError: if what is kept there was made of another reference, or in another way.
    """
    task = (reference.task() if task is None else task).encoded(encoding_of(reference.model))
    settings = options_of((tuning or Tuning()).for_task(task))
    made = []
    for number in range(count):
        place = None if folder is None else folder / f"benign-{number}"
        if place is not None and place.exists():
            known = load_model(place)
            if known.manifest.reference_sha256 != reference.manifest.weights_sha256:
                raise AnchorlabError(
                    f"{place} is an update of another reference: choose another --out, or remove it first"
                )
            if (known.manifest.settings, known.manifest.seed) != (settings, _FIRST_SEED + number):
                raise AnchorlabError(
                    f"{place} was made with other settings than are asked for now: choose another --out, or remove it "
                    "first"
                )
        else:
            known = inject(
                reference, method="benign", seed=_FIRST_SEED + number, tuning=tuning, task=task, measure=False
            )
            if place is not None:
                known.save(place)
        made.append(known)
    return made
