"""Data: tasks, their splits, and how examples become the inputs of a model."""

from __future__ import annotations

from anchorlab.data.columns import DataColumns
from anchorlab.data.inputs import Kind, Modality
from anchorlab.data.load import find_task, load_task
from anchorlab.data.named import TASKS
from anchorlab.data.split import RawData, Split
from anchorlab.data.task import AnchorSource, Augmentation, Task, TaskDefinition

__all__ = [
    "TASKS",
    "AnchorSource",
    "Augmentation",
    "DataColumns",
    "Kind",
    "Modality",
    "RawData",
    "Split",
    "Task",
    "TaskDefinition",
    "find_task",
    "load_task",
]
