"""Is a weight perturbation adversarial? Measures its size, its effect, the basin, curvature, geometry and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import GradientRecord
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.resolve import common_task, in_order_of, module_of, named_task, note_other_cut
from anchorlab.attacks.label_rules import LabelRule
from anchorlab.data import Split, Task
from anchorlab.errors import renamed_keywords
from anchorlab.models.accelerator import find_device
from anchorlab.models.forms import check_trainable
from anchorlab.models.lora import is_adapted
from anchorlab.models.reestimation import has_batchnorm
from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.budget import Budget
from anchorlab.perturbation.candidates import Model, attacks_on, has_backdoor, kind_of, name_candidates
from anchorlab.perturbation.context import Context
from anchorlab.perturbation.low_rank import LowRank
from anchorlab.perturbation.parts import Tables, measure
from anchorlab.perturbation.settings import AnalysisSettings
from anchorlab.perturbation.tables import TABLES
from anchorlab.perturbation.tables.plane import plane_of
from anchorlab.perturbation.weights import perturbation_of
from anchorlab.perturbation.wording import REFERENCE
from anchorlab.settings import values_of
from anchorlab.triggers import Trigger

#: How the sentence begins that names what the budget did not suffice for.
SPENT = "Left out, because the budget"

#: Clean examples measured on, where the split has more and no other number is given.
_EXAMPLES = 2000


@renamed_keywords(rule="label_rule", detail="settings")
@checked
def analyze(
    reference: Artifact | nn.Module,
    candidates: Mapping[str, Artifact | nn.Module] | Sequence[Artifact | nn.Module],
    *,
    split: str = "test",
    task: Task | str | None = None,
    trigger: str | Trigger | None = None,
    target: int | str | None = None,
    label_rule: str | LabelRule | None = None,
    examples: int | None = None,
    settings: AnalysisSettings | None = None,
    budget: str | Budget | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    reference_name: str = REFERENCE,
) -> Analysis:
    """Measures how each candidate's weights differ from the reference's, and what that does.

    Clean behaviour is measured on clean examples of the split, drawn with the seed; intervals are of the bootstrap
    over these. A candidate with an attack of its own is measured with it. One without, such as a benign update, is
    measured with the first attack of the others.

    Args:
        reference: the trained clean model, with its manifest or as a bare classifier of raw inputs.
        candidates: the models compared with it, of the same architecture, by name, or in a list; listed ones are
            named after their methods.
        split: the split to measure on.
        task: the data to measure on, or the name of a task; the task of the reference's manifest if None.
        trigger: the trigger to measure for all; each candidate's manifest's if None.
        target: the attacker's label; the manifests' if None.
        label_rule: who is attacked; the manifests' if None.
        examples: how many clean examples; None for 2,000, or all if there are fewer.
        settings: how closely to look; None for the defaults.
        budget: what it may cost, for example ``"120s"`` or ``"40p"``; what does not fit is left out, and named. None
            for any cost.
        seed: of the examples, of the bootstrap and of random vectors.
        store: a folder that remembers what is measured, so that an interrupted analysis goes on; None for none.
        reference_name: what the reference is called.

    Raises:
        AnchorlabError: if an architecture differs, a candidate is identical to the reference, there are fewer
            examples than asked, the budget suffices for nothing, or a bound is violated.
    """
    settings = settings or AnalysisSettings()
    budget = Budget.parse(budget) if isinstance(budget, str) else budget or Budget()
    task = named_task(task, reference)
    given = name_candidates(candidates)
    note_other_cut([reference, *given.values()], task, split)
    reference = whole(reference)
    named = {name: in_order_of(reference, whole(candidate), task) for name, candidate in given.items()}
    for model in (reference, *named.values()):
        check_trainable(module_of(model), "an analysis")
    task = common_task(task, reference, list(named.values()))
    attacks = attacks_on(named, task, trigger=trigger, target=target, label_rule=label_rule)
    net = module_of(reference)
    context = Context(
        reference=net,
        perturbations={
            name: perturbation_of(net, module_of(candidate), name=name).to(find_device())
            for name, candidate in named.items()
        },
        attacks=attacks,
        backdoored=[name for name, candidate in named.items() if has_backdoor(candidate)],
        examples=_draw_examples(task, split, examples, seed),
        statistics=_draw_statistics(net, task, settings.statistics_examples, seed),
        gradients=_recorded_gradients(named),
        adapters={
            name: LowRank.of(module_of(candidate), find_device())
            for name, candidate in given.items()
            if is_adapted(module_of(candidate))
        },
        settings=settings,
        seed=seed,
        budget=budget,
    )
    tables, spent = _measure_tables(context, None if store is None else Path(store))
    kinds = {name: kind_of(candidate) for name, candidate in named.items()}
    perturbation = next(iter(context.perturbations.values()))
    return Analysis(
        reference=reference_name,
        candidates=tuple(named),
        kinds=kinds,
        task=task.name,
        split=split,
        count=len(context.examples),
        parameters=sum(difference.numel() for difference in perturbation.parameters.values()),
        buffers_left_out=perturbation.left_out,
        settings={
            "seed": seed,
            "budget": str(budget),
            **values_of(settings),
            "attacks": {name: attack.record if attack else None for name, attack in attacks.items()},
        },
        tables=tables,
        findings=tuple(sentence for table in TABLES.values() for sentence in table.findings(tables, kinds)),
        left_out=tuple(_left_out(context, spent)),
    )


def _measure_tables(context: Context, store: Path | None) -> tuple[Tables, list[str]]:
    """Every table, the cheap ones first; and in words what was left out because the budget was spent."""
    cheapest_first = sorted(TABLES.values(), key=lambda table: table.cost)
    parts = [part for table in cheapest_first for part in table.parts(context)]
    measured, spent = measure(parts, context.budget, store, "analysing")
    tables = {name: measured[name] if name in measured else table.recorded(context) for name, table in TABLES.items()}
    for name, table in TABLES.items():
        if table.complete is not None:
            tables[name] = table.complete(tables)
    return tables, spent


def _left_out(context: Context, spent: Sequence[str]) -> list[str]:
    """What was not measured and why, a sentence each."""
    sentences = []
    if spent:
        sentences.append(f"{SPENT} of {context.budget} was spent: {', '.join(spent)}.")
    still = [name for name in context.candidates if name not in context.moving]
    if still:
        sentences.append(
            f"Only buffers differ in {', '.join(still)}: angles, quadratic picture and curvature are of parameters."
        )
    if context.shared(plane_of) is None:
        sentences.append(
            "No plane is shown, because it takes two candidates whose parameters differ from the reference's in "
            "different directions."
        )
    if all(attack is None for attack in context.attacks.values()):
        sentences.append("No attack success is measured, because no manifest names a trigger and none was given.")
    return sentences


def _draw_examples(task: Task, split: str, count: int | None, seed: int) -> Split:
    """Clean examples, drawn with the seed; with the same seed fewer are a part of more.

    Raises:
        AnchorlabError: if there are fewer than asked for.
    """
    indices = task.draw(split, count, "analysis", split, seed=seed)
    return task.split(split).select(indices[: count or _EXAMPLES])


def _draw_statistics(reference: nn.Module, task: Task, count: int, seed: int) -> dict[str, Tensor] | None:
    """Inputs of the owner's, from which BatchNorm's statistics are estimated again; None for a model without any."""
    if not has_batchnorm(reference):
        return None
    indices = task.draw("owner", None, "statistics", seed=seed)[:count]
    return task.split("owner").select(indices).inputs


def _recorded_gradients(candidates: Mapping[str, Model]) -> dict[str, Sequence[GradientRecord]]:
    """What the injections recorded of gradients, of those that did."""
    return {
        name: candidate.manifest.gradients
        for name, candidate in candidates.items()
        if isinstance(candidate, Artifact) and candidate.manifest.gradients is not None
    }
