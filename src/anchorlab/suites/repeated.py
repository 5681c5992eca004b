"""A task or an attack that a suite file has twice."""

from __future__ import annotations

from collections import Counter

from anchorlab.errors import AnchorlabError, printable
from anchorlab.suites.spec import Suite


def refuse_repeated(suite: Suite) -> None:
    """Refuses to run a task or an attack that stands there twice, because tables do not tell the two apart.

    A folder of an earlier version, which ran such a suite, is still read.

    Raises:
        AnchorlabError: naming it.
    """
    attacks = [f"{each.trigger} ({each.label_rule}{_to(each.label)})" for each in suite.triggers]
    for key, names in (("tasks", [task.name for task in suite.tasks]), ("triggers", attacks)):
        for name, count in Counter(names).items():
            if count > 1:
                raise AnchorlabError(
                    f"{printable(name)} stands twice under {key}: keep one, and put the other into a suite of its own"
                )


def _to(label: int | str | None) -> str:
    return "" if label is None else f" to {label}"
