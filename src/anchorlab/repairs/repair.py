"""Repairs a model with the defender's clean examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import DefenderRecord, manifest_of
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import RunMeter, weights_hash
from anchorlab.artifacts.resolve import check_trusted, common_task, in_order_of, module_of, named_task, note_other_cut
from anchorlab.data import Task
from anchorlab.defender.context import DefenderContext
from anchorlab.defender.data import DefenderCount, draw_defender_data
from anchorlab.defender.device import check_fits_task, check_layers, copy_to_device, data_to_device
from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.device import exact_arithmetic, move_to_cpu
from anchorlab.models.forms import check_trainable
from anchorlab.models.memory import MemoryGrowth
from anchorlab.models.weights import copy_requires_grad
from anchorlab.models.wrap import unwrap
from anchorlab.progress import progress_bar
from anchorlab.repairs.base import Repair
from anchorlab.repairs.oracles import build_repair, full_name, is_oracle
from anchorlab.repairs.pruning import DepthChooser, Pruning
from anchorlab.seeding import seeded_globally
from anchorlab.settings import values_of

#: Steps of the progress bar, whatever a repair counts.
_BAR = 100


@checked
def repair(
    model: Artifact | nn.Module,
    repair: str | Repair = "nad",
    *,
    parameters: Mapping[str, Any] | None = None,
    defender_data: DefenderCount = "usual",
    task: Task | str | None = None,
    trusted: Artifact | nn.Module | None = None,
    choose_depth: DepthChooser | None = None,
    seed: int = 0,
) -> Artifact:
    """Repairs a copy of a model. The repair sees the model and clean examples, and nothing else.

    Args:
        model: the suspicious model, with its manifest or as a bare classifier of raw inputs.
        repair: a repair, or its registered name; ``oracle-NAME`` prunes to a depth that ``choose_depth`` chooses.
        parameters: hyper-parameters of a repair given by name.
        defender_data: number of clean examples that the defender has, drawn from the split ``defender`` with the seed;
            ``usual`` for 640, or all if there are fewer; None for all.
        task: the task with its data, or its name; the manifest's if None.
        trusted: an earlier version of the model that the defender trusts, for repairs that need one.
        choose_depth: chooses the depth of an oracle (``anchorlab.scoring.repairs.choose_on_test``).
        seed: seed of all draws.

    Returns:
        The repaired model with its manifest, on the CPU; its manifest keeps the trigger and the label rule of the
        model's manifest, so that the rest of the backdoor can be measured.

    Raises:
        AnchorlabError: if an argument is impossible, or the repair does not fit the model.
    """
    task = named_task(task, model)
    note_other_cut([model], task, "defender")
    model, trusted = whole(model), None if trusted is None else whole(trusted)
    chosen = build_repair(repair, parameters or {})
    name = full_name(repair, chosen)
    if is_oracle(repair) and choose_depth is None:
        raise AnchorlabError(
            f"the repair {name} needs somebody who knows the attack to choose the depth: give choose_depth, see "
            "anchorlab.scoring.repairs.choose_on_test"
        )
    task = check_repair(model, chosen, name, defender_data=defender_data, task=task, trusted=trusted, seed=seed)
    trusted = None if trusted is None else in_order_of(model, trusted, task)
    data, digest = draw_defender_data(task, defender_data, seed=seed, min_examples=chosen.min_examples)
    accelerator = find_accelerator()
    device = accelerator.device
    meter = RunMeter(device)
    with progress_bar(f"repairing by {name}", _BAR) as bar, MemoryGrowth(device) as growth:
        context = DefenderContext(
            accelerator,
            seed,
            report=lambda done, total, figures: bar(_BAR * done // total, figures),
            trusted=None if trusted is None else copy_to_device(module_of(trusted), device),
        )
        suspicious = copy_to_device(module_of(model), device)
        # For repairs of third parties, which may draw from the global generator.
        with exact_arithmetic(device), seeded_globally(seed, "defence", name, device=device):
            data = data_to_device(data, device)
            if is_oracle(repair) and isinstance(chosen, Pruning) and choose_depth is not None:
                repaired = chosen.repair_to_depth(suspicious, data, context, choose_depth)
            else:
                repaired = chosen.repair(suspicious, data, context)
            repaired = move_to_cpu(_checked(repaired, module_of(model), name))
    cost = meter.cost()
    copy_requires_grad(module_of(model), repaired)
    before = model.manifest if isinstance(model, Artifact) else None
    original = weights_hash(module_of(model))
    if weights_hash(repaired) == original:
        context.notes.insert(0, f"the repair {name} changed nothing")
    manifest = manifest_of(
        repaired,
        task,
        kind="repaired",
        architecture=before.architecture if before else type(unwrap(module_of(model))).__name__,
        seed=seed,
        reference_sha256=original,
        method=before.method if before else None,
        trigger=before.trigger if before else None,
        label_rule=before.label_rule if before else None,
        anchors=before.anchors if before else None,
        defence={"name": name, **values_of(chosen)},
        note="; ".join(context.notes) or None,
        defender=DefenderRecord(count=len(data), sha256=digest),
        cost=cost,
        grown_bytes=growth.bytes,
    )
    return Artifact(repaired, manifest)


def _checked(repaired: Any, before: nn.Module, name: str) -> nn.Module:
    """What a repair returned, which may be somebody else's: a model of the same tensors, which are still finite.

    Raises:
        AnchorlabError: if it is anything else.
    """
    if not isinstance(repaired, nn.Module):
        raise AnchorlabError(
            f"the repair {name} returned {type(repaired).__name__}: let repair return the repaired copy"
        )
    tensors, after = before.state_dict(), repaired.state_dict()
    for key in dict.fromkeys((*tensors, *after)):
        if key not in tensors or key not in after or tensors[key].shape != after[key].shape:
            raise AnchorlabError(
                f"the repair {name} returned another architecture, in which {key} is another: let repair return a copy "
                "of the model with other values"
            )
        if not after[key].isfinite().all() and tensors[key].isfinite().all():
            raise AnchorlabError(
                f"the repair {name} left weights that are not finite, in {key}: lower its learning rate, if it has one"
            )
    return repaired


def check_repair(
    model: Artifact | nn.Module,
    chosen: Repair,
    name: str,
    *,
    defender_data: DefenderCount = "usual",
    task: Task | None = None,
    trusted: Artifact | nn.Module | None = None,
    seed: int = 0,
) -> Task:
    """The task as all models read it; whatever is wrong is said before anything is computed.

    Args:
        model: the suspicious model.
        chosen: the repair.
        name: what it is called.
        defender_data: number of clean examples that the defender has, as in ``repair``.
        task: the task with its data; the manifest's if None.
        trusted: an earlier version of the model that the defender trusts.
        seed: seed of all draws.

    Raises:
        AnchorlabError: as ``repair``.
    """
    check_trusted(trusted, "the trusted version")
    others = [] if trusted is None else [in_order_of(model, trusted, task)]
    task = common_task(task, model, others)
    check_fits_task(chosen, task, name)
    for each in (model, *others):
        check_trainable(module_of(each), f"the repair {name}")
    check_layers(chosen, module_of(model), task=task)
    if chosen.needs_trusted and trusted is None:
        raise AnchorlabError(
            f"the repair {name} needs an earlier version of the model that is trusted: give --trusted "
            "FOLDER, or trusted in Python"
        )
    draw_defender_data(task, defender_data, seed=seed, min_examples=chosen.min_examples)
    return task
