"""The names that a part of the data may have; a name that only begins like one is refused, never guessed at."""

from __future__ import annotations

import re
from collections.abc import Iterable

from anchorlab.errors import AnchorlabError, shortened

#: The names that a part may have, and the part that each means.
PARTS = {"train": "train", "test": "test", **dict.fromkeys(("validation", "valid", "val", "dev"), "validation")}

_LIKE_A_PART = re.compile(
    r"(?i:train|test|valid|devel|evaluation)|(?i:val|dev|eval)(?i:set|data|split|part)?(?![^\W\d_])"
)


def begins_like_a_part(name: str) -> bool:
    """Whether a name begins as the name of a part does, such as ``train-clean.csv`` or ``Testing``."""
    return _LIKE_A_PART.match(name) is not None


def parts_in(name: str) -> set[str]:
    """The parts whose names are words of a name: ``seg_train`` holds ``train``, ``trainer`` none."""
    return {PARTS[word] for word in re.split(r"[\W_]+", name.lower()) if word in PARTS}


def own_parts(names: Iterable[str], where: str) -> dict[str, str]:
    """Part to its name in a data set that names its parts itself, as on the hub.

    Raises:
        AnchorlabError: if a name begins like a part and is none, or two names mean one part.
    """
    given = list(names)
    found: dict[str, str] = {}
    for name in given:
        part = PARTS.get(name, name)
        if part in found:
            raise AnchorlabError(
                f"{where} has both '{found[part]}' and '{name}', which mean one part: give a copy with one of them"
            )
        if name not in PARTS and begins_like_a_part(name):
            raise AnchorlabError(
                f"{where} has the parts {listed(given)}, and nobody can know what '{shortened(name)}' is for: give a "
                "copy without it, which DatasetDict.save_to_disk writes"
            )
        found[part] = name
    return found


def listed(names: Iterable[str], between: str = ", ") -> str:
    """Names in quotes, each shortened."""
    return between.join(f"'{shortened(str(name))}'" for name in names) or "none"
