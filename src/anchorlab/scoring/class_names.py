"""Whether files of answers name their classes alike: the columns of logits, and labels that are names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from anchorlab.consistency.frames import check_same_names
from anchorlab.errors import AnchorlabError, shortened
from anchorlab.metrics import predictions
from anchorlab.scoring.stored_answers import StoredAnswers


def in_order(answers: Sequence[StoredAnswers]) -> list[StoredAnswers]:
    """Answers with the columns that are named in the order of the first file that names them.

    Raises:
        AnchorlabError: if two files name other classes.
    """
    first = next((one for one in answers if one.names), None)
    return list(answers) if first is None else [_as_in(first, one) if one.names else one for one in answers]


def _as_in(first: StoredAnswers, one: StoredAnswers) -> StoredAnswers:
    """Answers whose columns are put into the order of the first file's."""
    if one.names == first.names:
        return one
    check_same_names((first.name, first.names), (one.name, one.names))
    assert one.logits is not None
    logits = one.logits[:, [one.names.index(name) for name in first.names]]
    return replace(one, logits=logits, labels=predictions(logits), names=first.names)


def check_spelling(columns: Sequence[tuple[str, NDArray[Any]]]) -> None:
    """Refuses names of labels that differ between files only by case or by the spaces around them.

    Names that stand in one file both are classes of their own, as letters may be.

    Args:
        columns: the name of each file, and its labels ``[N]``.

    Raises:
        AnchorlabError: naming both.
    """
    held = [(file, {str(label) for label in labels}) for file, labels in columns if labels.dtype.kind == "U"]
    first_in: dict[str, str] = {}
    alike: dict[str, list[str]] = {}
    for file, names in held:
        for name in sorted(names - first_in.keys()):
            first_in[name] = file
            alike.setdefault(name.strip().casefold(), []).append(name)
    for spellings in alike.values():
        one = spellings[0]
        for other in spellings[1:]:
            if not any({one, other} <= names for _, names in held):
                raise AnchorlabError(
                    f"{first_in[one]} holds the label '{shortened(one)}', and {first_in[other]} '{shortened(other)}', "
                    "which differ only by case or spaces: spell each class alike in all files"
                )
