"""Which files of two runs belong together."""

from __future__ import annotations

from pathlib import Path

from anchorlab.samples.logs import logs_of
from tests.refusals import refused
from tests.samples.made_up import choices, two_runs, write_log, write_task

ROWS = choices([True, False])


def test_the_logs_of_two_runs_are_paired_by_the_task_in_their_names(tmp_path: Path) -> None:
    found = logs_of(*two_runs(tmp_path))
    assert list(found.files) == ["arc_easy", "arc_hard"]
    assert found.left_out == ""


def test_dates_and_names_of_models_may_differ(tmp_path: Path) -> None:
    write_task(tmp_path / "a", "gsm8k", ROWS)
    write_log(tmp_path / "b" / "samples_gsm8k_2024-01-02T03-04-05.6.jsonl", ROWS)
    assert list(logs_of(tmp_path / "a", tmp_path / "b").files) == ["gsm8k"]


def test_tasks_of_one_run_alone_are_left_out_and_named(tmp_path: Path) -> None:
    for run, tasks in (("a", ("one", "both")), ("b", ("both", "two"))):
        for task in tasks:
            write_task(tmp_path / run, task, ROWS)
    found = logs_of(tmp_path / "a", tmp_path / "b")
    assert list(found.files) == ["both"]
    assert (
        found.left_out
        == "not compared, because a run lacks it: one in the reference alone; two in the candidate alone."
    )


def test_two_other_files_belong_together_whatever_they_are_called(tmp_path: Path) -> None:
    first, second = (write_log(tmp_path / f"{name}.jsonl", ROWS) for name in ("before", "after"))
    assert logs_of(first, second).files == {"": (first, second)}


def test_other_files_of_a_folder_are_tasks_by_their_names(tmp_path: Path) -> None:
    for run in "ab":
        write_log(tmp_path / run / "maths.jsonl", ROWS)
    assert list(logs_of(tmp_path / "a", tmp_path / "b").files) == ["maths"]


def test_two_logs_of_different_tasks_are_refused(tmp_path: Path) -> None:
    first, second = write_task(tmp_path / "a", "one", ROWS), write_task(tmp_path / "b", "two", ROWS)
    refused("is the log of the task one, and .* of two: give two logs of the same task", logs_of, first, second)
    refused("give two runs of the same tasks", logs_of, tmp_path / "a", tmp_path / "b")


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_task(tmp_path / "a", "one", ROWS)
    write_task(tmp_path / "a", "one", ROWS, date="2026-06-12T09-30-00.5")
    write_task(tmp_path / "b", "one", ROWS)
    refused("holds 2 logs of the task one: .*: give the folder of one run", logs_of, tmp_path / "a", tmp_path / "b")


def test_what_holds_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused("holds no samples_TASK_DATE.jsonl", logs_of, tmp_path / "empty", tmp_path / "empty")
    refused("there is no file .*lm-eval --log_samples", logs_of, tmp_path / "nothing", tmp_path / "empty")
