"""Which output of a model is which class: matched by name, and by number only where there are no names to match.

Names are the same if they are equal, or else equal but for case and spaces around and between words. A configuration
whose names are ``LABEL_0``, ``LABEL_1``, ... has none. Names 0, 1, ..., of a model or of data, only count the classes:
beside other names, the outputs are taken in their order, which is said.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, quoted, some
from anchorlab.models.call import evaluating, logits
from anchorlab.models.hooks import last_layer
from anchorlab.models.verbalizer import VerbalizedClassifier
from anchorlab.models.wrap import unwrap

#: Classes that a sentence names.
_NAMED = 12

#: Logits may differ by this much after the rows of a layer have changed places: floating-point noise.
_TOLERANCE = 1e-4


def class_names(model: nn.Module) -> tuple[str, ...] | None:
    """The names of a model's outputs, in order, from its configuration; None if it has none that say anything."""
    config = getattr(unwrap(model), "config", None)
    by_number = dict(getattr(config, "id2label", None) or {})
    by_name = {number: name for name, number in dict(getattr(config, "label2id", None) or {}).items()}
    for names in (by_number, by_name):
        ordered = tuple(str(names.get(number, "")) for number in range(len(by_number)))
        if all(ordered) and ordered != tuple(f"LABEL_{number}" for number in range(len(ordered))):
            return ordered
    return None


def match_classes(
    outputs: Sequence[Sequence[str]], classes: Sequence[Sequence[str]], *, model: str, others: str = "the data"
) -> list[int]:
    """Which class each output is: the places among the classes, ``[K]``.

    Args:
        outputs: what the outputs are called, in order; a model may have several lists of names, or none.
        classes: what the classes are called, K names in order; several lists too.
        model: what the outputs belong to, for the message.
        others: what the classes belong to, for the message.

    Raises:
        AnchorlabError: if both have names, but not the same.
    """
    pairs = [(names, wanted) for names in outputs for wanted in classes]
    for names, wanted in pairs:
        for form in (str, _plain):
            theirs, ours = [form(name) for name in names], [form(name) for name in wanted]
            if sorted(theirs) == sorted(ours) and len(set(ours)) == len(ours):
                return [ours.index(name) for name in theirs]
    for names, wanted in pairs:
        if not _only_numbers(names) and not _only_numbers(wanted):
            raise AnchorlabError(
                f"{model} names its classes {some(names, _NAMED)}, but {others} {some(wanted, _NAMED)}, so that nobody "
                "knows which is which: write the same names, in the order of its outputs, into id2label of its "
                "config.json"
            )
    return list(range(len(classes[0])))


def matched_in_words(names: Sequence[str] | None, classes: Sequence[str], *, moved: bool = False) -> str | None:
    """How outputs were matched with classes; None where equal names in one order leave nothing to say.

    Args:
        names: of the outputs, in order; None if they have none.
        classes: of the data, in the order of the outputs.
        moved: whether the data have the classes in another order, so that equal names are worth saying too.
    """
    if names is not None and list(names) == list(classes) and not moved:
        return None
    shown = ", ".join(
        f"output {number} {'' if names is None else f'({quoted(names[number])}) '}is {quoted(name)}"
        for number, name in enumerate(classes[:_NAMED])
    )
    more = f" and so on to output {len(classes) - 1}" if len(classes) > _NAMED else ""
    if names is None:
        why = "the model's configuration has no names, so that its outputs are taken in their order"
    elif list(names) == list(classes):
        why = "matched by name, in the model's order"
    elif [_plain(name) for name in names] == [_plain(name) for name in classes]:
        why = "matched by name, case and spaces aside"
    else:
        why = "one of them only counts its classes, so that the model's outputs are taken in their order"
    return f"{shown}{more}: {why}"


#: Why the outputs of a model stay in their order.
_FIXED = (
    "the two models number their classes in different orders, and the outputs of the second cannot change places, "
    "because no single linear layer makes them: number them alike when the models are saved"
)


def rearranged(model: nn.Module, order: Sequence[int], inputs: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model whose output ``k`` is the model's output ``order[k]``: rows of its last layer change places.

    Its configuration's names follow. Weights of two models can then be compared, and not only their answers.

    Args:
        model: a classifier, on the CPU.
        order: a permutation of its K outputs.
        inputs: of a few examples, to see that the copy answers as it should.

    Raises:
        AnchorlabError: if its logits are not the outputs of one linear layer.
    """
    few = {name: value[:4] for name, value in inputs.items()}
    moved = copy.deepcopy(model)
    if isinstance(moved, VerbalizedClassifier):
        moved.reorder(list(order))
        return moved
    rows = torch.tensor(list(order))
    with torch.no_grad(), evaluating(model), evaluating(moved):
        try:
            layer = last_layer(moved, few)
        except AnchorlabError as error:
            raise AnchorlabError(_FIXED) from error
        layer.weight.copy_(layer.weight[rows])
        if layer.bias is not None:
            layer.bias.copy_(layer.bias[rows])
        before, after = logits(model, few)[:, rows], logits(moved, few)
    if not torch.allclose(before, after, rtol=0, atol=_TOLERANCE * (1 + float(before.abs().max()))):
        raise AnchorlabError(_FIXED)
    config: Any = getattr(unwrap(moved), "config", None)
    if config is not None:
        own = class_names(model) or tuple(str(config.id2label[number]) for number in range(len(order)))
        names = [own[number] for number in order]
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
    return moved


def settle_outputs(config: Any, written: Mapping[str, Any], source: str) -> None:
    """Refuses a configuration whose outputs are no classes, or whose names of classes contradict each other.

    Args:
        config: the configuration as transformers reads it; gets names that it would drop.
        written: the content of config.json.
        source: the folder or hub name of the model, which the message names.

    Raises:
        AnchorlabError: for fewer than two outputs, another problem than classification, or names in disorder.
    """
    if config.num_labels < 2:
        raise AnchorlabError(
            f"the model {source} has one output, as for regression: give a classifier of two classes or more"
        )
    problem = getattr(config, "problem_type", None)
    if problem not in (None, "single_label_classification"):
        raise AnchorlabError(
            f"the model {source} has problem_type {quoted(problem)}, so that its outputs do not share one probability: "
            "give a classifier of which one class is right; if this is one, write null for problem_type in config.json"
        )
    _check_names(written, source)
    numbers = written.get("label2id")
    if not written.get("id2label") and isinstance(numbers, Mapping) and numbers:  # transformers would drop them
        config.id2label = {int(number): str(name) for name, number in numbers.items()}
        config.label2id = {name: number for number, name in config.id2label.items()}


def name_outputs(model: nn.Module, classes: Sequence[str]) -> None:
    """Gives the outputs of a model, in order, the names of classes, where its configuration has other names."""
    if class_names(model) not in (None, tuple(classes)):
        config: Any = unwrap(model).config
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: number for number, name in enumerate(classes)}


def in_own_order(classes: Sequence[str], config: Any) -> list[str]:
    """The classes in the order in which a configuration of transformers names them, or else as they are."""
    names = [_plain(config.id2label[number]) for number in sorted(config.id2label)]
    ours = {_plain(name): name for name in classes}
    same = sorted(names) == sorted(ours) and len(ours) == len(classes) and not _only_numbers(names)
    return [ours[name] for name in names] if same else list(classes)


def _check_names(written: Mapping[str, Any], source: str) -> None:
    names, numbers = written.get("id2label") or {}, written.get("label2id") or {}
    mend = "write each number from 0 and each name once, the same in both"
    if not isinstance(names, Mapping) or not isinstance(numbers, Mapping):
        raise AnchorlabError(f"id2label and label2id in the config.json of {source} are no tables: {mend}")
    for table, given in (("id2label", list(names)), ("label2id", list(numbers.values()))):
        found = [str(number) for number in given]
        if sorted(found) != sorted(str(number) for number in range(len(found))):
            raise AnchorlabError(
                f"{table} in the config.json of {source} numbers its classes {some(found, _NAMED)}, not 0 to "
                f"{len(found) - 1}: {mend}"
            )
    called = [str(name) for name in names.values()]
    twice = next((name for name in called if called.count(name) > 1), None)
    if twice is not None:
        raise AnchorlabError(f"id2label in the config.json of {source} names two classes {quoted(twice)}: {mend}")
    count = written.get("num_labels")
    if names and isinstance(count, int) and count != len(names):
        raise AnchorlabError(
            f"the config.json of {source} has num_labels {count}, but names {len(names)} classes: {mend}"
        )
    if _only_numbers(list(numbers)) or _only_numbers(called):
        return  # what transformers writes where only the other is set
    for name, number in numbers.items() if names else ():
        if str({str(key): value for key, value in names.items()}.get(str(number))) != str(name):
            raise AnchorlabError(
                f"label2id in the config.json of {source} gives {quoted(str(name))} the number {number}, and id2label "
                f"does not: {mend}"
            )


def _only_numbers(names: Sequence[str]) -> bool:
    """Whether names only count the classes: LABEL_0, LABEL_1, ... or 0, 1, ..., in any order."""
    return any(set(names) == {f"{prefix}{number}" for number in range(len(names))} for prefix in ("LABEL_", ""))


def _plain(name: str) -> str:
    return " ".join(str(name).casefold().split())
