"""A test part whose labels nobody published, as in GLUE: it is named, with the part that would serve in its place."""

from __future__ import annotations

from collections.abc import Mapping

from anchorlab.data.columns import label_column
from anchorlab.data.part_names import listed
from anchorlab.data.sources import OpenedPart
from anchorlab.errors import AnchorlabError, shortened


def check_labelled(parts: Mapping[str, OpenedPart], test: str, column: str, data: str) -> None:
    """Refuses a test part without any label: no such column, nothing in it, or one value that training lacks.

    Args:
        parts: part to its rows and files; ``train`` is one.
        test: the part that would be the test part.
        column: of the labels.
        data: where they are, as the user gave it.

    Raises:
        AnchorlabError: saying how another part serves in its place.
    """
    train, rows = parts["train"], parts[test].rows
    if column not in train.rows.column_names:
        return  # what is named is that
    found = "there is no such column"
    if column in rows.column_names:
        labels = label_column(parts[test], column, f"{data}, part '{test}'")
        names = set(labels.names)
        named = labels.declared is not None and names != {None}
        if len(names) > 1 or named or names <= set(label_column(train, column, data).names) - {None}:
            return
        found = f"all are {shortened(str(rows[0][column]), 40) or 'empty'}, which no training example is"
    raise AnchorlabError(
        f"{data}: the part '{test}' has no labels in the column '{shortened(column)}' ({found}), expected one for each "
        f"row: {_remedy(parts, test)}"
    )


def _remedy(parts: Mapping[str, OpenedPart], test: str) -> str:
    """How another part serves: the validation part, or else a fifth of the training part."""
    serves = "the part 'validation' serves" if test == "test" and "validation" in parts else "a fifth of 'train' serves"
    files = parts[test].files
    if not files:
        kept = [part for part in parts if part != test]
        return (
            f"save a copy with {listed(kept, ' and ')} alone (DatasetDict.save_to_disk) and give that, then {serves} "
            "as the test part"
        )
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"move '{shortened(files[0])}'{more} out of the folder, then {serves} as the test part"
