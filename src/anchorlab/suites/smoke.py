"""The smoke form of a suite: the same cells, each tiny, to see that all of it runs before hours are spent on it."""

from __future__ import annotations

from typing import TypeVar

from anchorlab.data import find_task
from anchorlab.suites.parts import DetectorSpec, RepairSpec, TaskSpec
from anchorlab.suites.spec import Suite

DefenceSpec = TypeVar("DefenceSpec", RepairSpec, DetectorSpec)

#: Examples of each class that a task keeps, and the most anchors.
_EXAMPLES = 20
#: Examples of each class where models are repaired or judged. The defender gets a twentieth of them and needs some of
#: each class; tasks of images have more classes than tasks of texts.
_EXAMPLES_WITH_DEFENDER = {"image": 100, "text": 200}
_TUNING = {"steps": 3, "batch_size": 8}


#: Ends the title of a smoke form.
_MARK = "(smoke form: every cell tiny, the figures mean nothing)"


def is_smoke_form(title: str) -> bool:
    """Whether a suite is a smoke form, by its title."""
    return title.endswith(_MARK)


def smoke_form(suite: Suite) -> Suite:
    """The same cells, each tiny: few examples, one epoch, a handful of steps; a search tries one strength."""
    tasks = [
        task.model_copy(update={"limit": _limit(suite, task), "training": {**task.training, "epochs": 1}})
        for task in suite.tasks
    ]
    methods = {
        label: method.model_copy(update={"tuning": {**method.tuning, **_TUNING}})
        for label, method in suite.methods.items()
    }
    anchors = [count if count == "all" else min(count, _EXAMPLES) for count in suite.anchors]
    return suite.model_copy(
        update={
            "name": f"{suite.name}-smoke",
            "title": f"{suite.title} {_MARK}",
            "tasks": tasks,
            "methods": methods,
            "anchors": list(dict.fromkeys(anchors)),
            "defender": ["all"] if suite.has_evaluations else suite.defender,
            "repairs": {label: _quick(repair) for label, repair in suite.repairs.items()},
            "detectors": {label: _quick(detector) for label, detector in suite.detectors.items()},
            "tuning": {**suite.tuning, **_TUNING},
            "selection": suite.selection.model_copy(update={"tries": 1}),
        }
    )


def _limit(suite: Suite, task: TaskSpec) -> int:
    """Examples of each class that a task keeps."""
    if not suite.has_evaluations:
        return _EXAMPLES
    return _EXAMPLES_WITH_DEFENDER[find_task(task.name, task.data, task.columns)[0].kind]


def _quick(part: DefenceSpec) -> DefenceSpec:
    """The part with the parameters of ``Defence.quick``."""
    return part.model_copy(update={"set": {**part.set, **part.build().quick_values}})
