"""Whether the data of a suite can serve it, before anything runs."""

from __future__ import annotations

from anchorlab.errors import AnchorlabError
from anchorlab.suites.plan import make_plan
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store


def check_data(suite: Suite, store: Store, *, here: bool = True) -> None:
    """Refuses a suite that its data cannot serve, before hours are spent on it.

    It opens the user's own data, and what a defender takes examples from. Data of a known task may be missing, because
    the runs that need them say so, and all others go on.

    Args:
        suite: the suite to run.
        store: the store of its folder; nothing is written. A suite of which everything is done needs no data.
        here: whether the runs read the data on this machine; nodes of a cluster may have what is missing here.

    Raises:
        AnchorlabError: if own data cannot be read, or the split ``defender`` of a task is smaller than a number that
            the suite asks for.
    """
    largest = max((count for count in suite.defender if count != "all"), default=0)
    largest = largest if suite.has_evaluations else 0
    for spec in suite.tasks:
        if spec.columns is None and not largest:
            continue
        try:
            task = spec.load(seed=suite.references[0])
        except AnchorlabError:
            if spec.columns is not None and here and _has_work(suite, store):
                raise
            continue
        if largest:
            task.check_count("defender", largest, "clean examples for the defender", hint=", or 'all'")


def _has_work(suite: Suite, store: Store) -> bool:
    plan = make_plan(suite, store)
    return plan.undecided > 0 or not all(plan.finished(job, store) for _, job in plan.jobs())
