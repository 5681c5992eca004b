"""The files of a run: one JSONL file a task."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from anchorlab.errors import AnchorlabError, some
from anchorlab.files import input_file, kind_at, user_path

_REMEDY = "give a folder that lm-eval --log_samples wrote, or a .jsonl file with a row a document"

#: How lm-eval names the log of a task: the task, and when the run ended.
_LM_EVAL = re.compile(r"samples_(?P<task>.+)_\d{4}-\d\d-\d\dT[^_]*\.jsonl")


class Logs(NamedTuple):
    """The logs of two runs that belong together.

    Attributes:
        files: task to the reference's and the candidate's file; the task of a file that names none is ``""``.
        left_out: a sentence on the tasks of one run alone; empty if there are none.
    """

    files: dict[str, tuple[Path, Path]]
    left_out: str


def logs_of(reference: Path, candidate: Path) -> Logs:
    """Pairs the logs of two runs by their task.

    Args:
        reference: a folder of logs, below which lm-eval makes one for the model, or one file.
        candidate: the same.

    Raises:
        AnchorlabError: if there is no log, a task has two in one run, or the runs have no task in common.
    """
    runs = [_files(reference), _files(candidate)]
    if kind_at(user_path(reference)) == kind_at(user_path(candidate)) == "file":
        return _two_files(*(next(iter(run.items())) for run in runs))
    common = [task for task in runs[0] if task in runs[1]]
    if not common:
        raise AnchorlabError(
            f"{reference} has logs of {some(map(_called, runs[0]))}, and {candidate} of {some(map(_called, runs[1]))}: "
            "give two runs of the same tasks"
        )
    alone = [
        f"{some(map(_called, only), 5)} in the {who} alone"
        for who, only in (
            ("reference", [task for task in runs[0] if task not in runs[1]]),
            ("candidate", [task for task in runs[1] if task not in runs[0]]),
        )
        if only
    ]
    left_out = f"not compared, because a run lacks it: {'; '.join(alone)}." if alone else ""
    return Logs({task: (runs[0][task], runs[1][task]) for task in common}, left_out)


def _two_files(reference: tuple[str, Path], candidate: tuple[str, Path]) -> Logs:
    """Two files belong together, whatever they are called, unless both name a task and not the same."""
    tasks = {task for task, _ in (reference, candidate) if task}
    if len(tasks) > 1:
        raise AnchorlabError(
            f"{reference[1]} is the log of the task {reference[0]}, and {candidate[1]} of {candidate[0]}: give two "
            "logs of the same task"
        )
    return Logs({next(iter(tasks), ""): (reference[1], candidate[1])}, "")


def _files(run: Path) -> dict[str, Path]:
    """Task to the file of its log."""
    path = user_path(run)
    if kind_at(path) != "folder":
        file = input_file(path, _REMEDY)
        return {_task(file) or "": file}
    found = sorted(path.rglob("samples_*.jsonl"))
    logs = [file for file in found if _task(file)] or sorted(path.glob("*.jsonl"))
    by_task: dict[str, list[Path]] = defaultdict(list)
    for file in logs:
        by_task[_task(file) or file.stem].append(input_file(file, _REMEDY))
    if not by_task:
        raise AnchorlabError(f"{path} holds no samples_TASK_DATE.jsonl, and no other .jsonl file: {_REMEDY}")
    for task, files in by_task.items():
        if len(files) > 1:
            raise AnchorlabError(
                f"{path} holds {len(files)} logs of the task {task}: {some(files)}; one run has one log of each: "
                "give the folder of one run, or the file itself"
            )
    return {task: files[0] for task, files in by_task.items()}


def _task(file: Path) -> str | None:
    match = _LM_EVAL.fullmatch(file.name)
    return None if match is None else match["task"]


def _called(task: str) -> str:
    return task or "no named task"
