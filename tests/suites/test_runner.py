"""A suite that is killed, shared, broken and retried ends as one that was left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from anchorlab import AnchorlabError, compare, load_model, load_task
from anchorlab.consistency.instances import read_instances
from anchorlab.data import Split
from anchorlab.suites import runner
from anchorlab.suites.cells import ReferenceJob
from anchorlab.suites.opened import OWNER_LOGITS
from anchorlab.suites.plan import make_plan
from anchorlab.suites.planned import Plan
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import Progress, failures, run_suite
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store
from tests.devices import accelerated_by
from tests.suites.inline import Inline, tiny

#: Columns that a clock or the operating system decides.
MEASURED_TIME = ["seconds", "peak_bytes"]

#: Processes that are forked, without torch's threads, from one that has imported everything.
CLEAN = multiprocessing.get_context("forkserver")
CLEAN.set_forkserver_preload(["anchorlab.suites.preloaded", "anchorlab.suites.results", "tests.suites.inline"])


def rows(folder: Path) -> pd.DataFrame:
    return load_results(folder).results.drop(columns=MEASURED_TIME)


def test_everything_is_run_and_nothing_twice(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(finished, folder)  # because a run writes its command, and other tests read the folder
    again = Inline()
    plan = run_suite(tiny(), folder, executor=again)
    assert again.jobs == []
    store = Store(folder)
    assert all(store.done(job) for _, job in plan.jobs())
    assert plan.undecided == 0
    names = [path.stem for path in (folder / "cells").glob("*.json")]
    expected = {job.identity for stage, job in plan.jobs() if stage != "reference"}
    assert sorted(names) == sorted(expected)
    assert not any(folder.rglob("*.tmp"))
    assert not any((folder / "partial").glob("*")) if (folder / "partial").exists() else True
    assert not any((folder / "locks").iterdir())


def test_results_agree_with_compare_and_with_their_instances(tmp_path: Path) -> None:
    anchoring = {"anchoring": {"method": "anchoring"}}
    suite = tiny(keep_models=True, references=[0], seeds=[0], anchors=["all"], methods=anchoring)
    run_suite(suite, tmp_path, executor=Inline())
    results = load_results(tmp_path).results
    row = results[results["role"] == "method"].iloc[0]
    reference = load_model(next((tmp_path / "references").iterdir()))
    candidate = load_model(tmp_path / "models" / f"anchoring-{row['identity']}")
    assert candidate.manifest.kind == "injected"
    again = compare(reference, candidate)
    for name in ("accuracy", "asr", "asr_count", "asr_reference", "kl", "logit_distance", "churn", "js", "ece"):
        assert row[name] == pytest.approx(getattr(again, name), rel=1e-5, abs=1e-9), name
    frame = read_instances(tmp_path / "cells" / f"{row['identity']}.parquet")
    assert frame["kl"].mean() == pytest.approx(row["kl"], rel=1e-5)


def test_one_row_may_have_anchors_of_another_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others keep the suite's split."""
    task = load_task("digits", limit=20)
    pixels = 255 - task.raw.train.inputs["pixel_values"].repeat(1, 3, 2, 1)
    part = Split({"pixel_values": pixels}, task.raw.train.labels)
    other = {"cifar10": replace(task, raw=replace(task.raw, train=part))}
    monkeypatch.setattr("anchorlab.injection.other_anchors.load_task", other.__getitem__)
    methods = {"own": {"method": "anchoring"}, "other": {"method": "anchoring", "anchors_data": "cifar10"}}
    suite = tiny(references=[0], anchors=[10], seeds=[0], methods=methods, anchors_from="held-out", keep_models=True)
    run_suite(suite, tmp_path, executor=Inline())
    for label, source, data in (("own", "held-out", None), ("other", "other", "cifar10")):
        (folder,) = (tmp_path / "models").glob(f"{label}-*")
        record = load_model(folder).manifest.anchors
        assert record is not None
        assert (record.source, record.data, record.count) == (source, data, 10)


def test_the_noise_floor_is_below_every_method_and_the_benign_update_has_no_backdoor(finished: Path) -> None:
    results = load_results(finished).results
    by_role = results.groupby("role")["kl"]
    assert by_role.max()["noise"] < by_role.min()["method"]
    exact = results[results["method"] == "same model, other batch size"]
    assert (exact["kl"] < 1e-9).all()
    assert (exact["churn"] == 0).all()
    assert len(results[results["role"] == "noise"]) == 4


def _die_at(event: int, folder: Path) -> None:
    """Runs the tiny suite and dies by SIGKILL at that many-th moment before or after a file is written or renamed."""
    count = 0

    def counted(original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == event:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return wrapper

    tempfile.tempdir = str(folder.parent)  # what the killed process leaves goes with the test's folder
    torch.set_num_threads(1)  # as here: another number sums in another order
    os.fsync = counted(os.fsync)
    os.replace = counted(os.replace)  # what Path.replace calls
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
    with accelerated_by(torch.device("cpu")):
        run_suite(smaller(), folder, executor=Inline())


def smaller() -> Suite:
    return tiny(references=[0], anchors=["all"], seeds=[0])


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.slow
def test_killed_at_many_moments_it_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    folder, undisturbed = tmp_path / "suite", tmp_path / "undisturbed"
    run_suite(smaller(), undisturbed, executor=Inline())
    killed, done = 0, set()
    for event in [*range(1, 9), *range(10, 30, 4), 10**9]:
        process = CLEAN.Process(target=_die_at, args=(event, folder))
        process.start()
        process.join(600)
        assert not process.is_alive(), f"it hangs at event {event}"
        killed += process.exitcode == -signal.SIGKILL
        now = {path.stem for path in folder.glob("cells/*.json")}
        for path in folder.glob("cells/*.json"):
            json.loads(path.read_text())  # whole
        assert done <= now
        done = now
    assert process.exitcode == 0
    assert killed >= 10
    pd.testing.assert_frame_equal(rows(folder), rows(undisturbed))
    again = Inline()
    run_suite(smaller(), folder, executor=again)
    assert again.jobs == []


class _Noting(Inline):
    """Leaves a file for every job that it runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def submit(self, function: Any, /, *args: Any) -> Any:
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{args[0].identity}-{os.getpid()}").touch()
        return super().submit(function, *args)


def _run_beside(folder: Path, notes: Path) -> None:
    torch.set_num_threads(1)
    with accelerated_by(torch.device("cpu")):
        run_suite(tiny(), folder, executor=_Noting(notes))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.slow
def test_two_runners_on_one_folder_share_the_work(finished: Path, tmp_path: Path) -> None:
    folder, notes = tmp_path / "suite", tmp_path / "notes"
    both = [CLEAN.Process(target=_run_beside, args=(folder, notes)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(600)
    assert [process.exitcode for process in both] == [0, 0]
    ran = Counter(path.name.partition("-")[0] for path in notes.iterdir())
    assert set(ran.values()) == {1}
    assert len({path.name.partition("-")[2] for path in notes.iterdir()}) == 2, "one of them did nothing"
    pd.testing.assert_frame_equal(rows(folder), rows(finished))


def with_a_broken_method() -> Suite:
    broken = {"method": "anchoring", "grid": [1, 4], "tuning": {"learning_rate": 1e30}}
    return tiny(methods={"broken": broken, "plain": {"method": "plain"}}, controls=False, anchors=["all"])


def test_a_failing_cell_is_reported_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    suite = with_a_broken_method()
    run_suite(suite, tmp_path, executor=Inline())
    results = load_results(tmp_path)
    assert list(results.results["method"]) == ["plain"] * 4
    assert list(results.failed["stage"]) == ["selection"] * 2
    assert all("diverged: the loss was not finite at step" in error for error in results.failed["error"])
    choice = results.choices.set_index("method").loc["broken"]
    assert not choice["reached"]

    quiet = Inline()
    run_suite(suite, tmp_path, executor=quiet)
    assert quiet.jobs == []
    retried = Inline()
    run_suite(suite, tmp_path, executor=retried, retry_failed=True)
    assert [job.label for job in retried.jobs] == ["broken"] * 2
    assert len(failures(suite, Store(tmp_path))) == 2


def test_what_failed_once_and_then_works_is_no_failure_any_more(tmp_path: Path) -> None:
    class Flaky(Inline):
        def submit(self, function: Any, /, *args: Any) -> Any:
            future = super().submit(function, *args)
            if getattr(args[0], "label", "") == "anchoring" and not self.broken:
                self.broken = True
                future = type(future)()
                future.set_exception(MemoryError("no memory"))
            return future

        broken = False

    suite = tiny(controls=False, anchors=["all"])
    executor = Flaky()
    run_suite(suite, tmp_path, executor=executor)
    assert [failure["error"] for failure in failures(suite, Store(tmp_path))] == ["MemoryError: no memory"]
    run_suite(suite, tmp_path, executor=executor, retry_failed=True)
    assert failures(suite, Store(tmp_path)) == []


def test_a_suite_that_grows_runs_only_what_is_new(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    shutil.copytree(finished, folder)
    more = Inline()
    run_suite(tiny(seeds=[0, 1, 2]), folder, executor=more)
    assert {job.seed for job in more.jobs} == {2}


@pytest.mark.usefixtures("on_cpu")
def test_a_finished_suite_that_is_to_keep_its_models_makes_them_again(tmp_path: Path) -> None:
    """With the same results, and once."""
    run_suite(smaller(), tmp_path, executor=Inline())
    before, keeping = rows(tmp_path), smaller().model_copy(update={"keep_models": True})
    first, second = Inline(), Inline()
    run_suite(keeping, tmp_path, executor=first)
    assert {job.identity for job in first.jobs} == set(before.query("role != 'noise'")["identity"])
    assert set(Store(tmp_path).models()) == {job.identity for job in first.jobs}
    pd.testing.assert_frame_equal(rows(tmp_path), before)
    run_suite(keeping, tmp_path, executor=second)
    assert second.jobs == []


def test_an_interruption_leaves_what_was_done_and_frees_what_was_claimed(tmp_path: Path) -> None:
    class Interrupted(Inline):
        def submit(self, function: Any, /, *args: Any) -> Any:
            if len(self.jobs) == 5:
                raise KeyboardInterrupt
            return super().submit(function, *args)

    with pytest.raises(KeyboardInterrupt):
        run_suite(tiny(), tmp_path, executor=Interrupted())
    store = Store(tmp_path)
    assert sum(store.done(job) for _, job in make_plan(tiny(), store).jobs()) == 5
    for _, job in make_plan(tiny(), store).jobs():
        lock = store.claim(job)
        assert lock is not None
        store.release(job, lock)


@pytest.mark.slow
class InterruptedAtSecond(Inline):
    """Two jobs at a time; Ctrl-C comes while the second is handed out and the first has ended."""

    slots = 2

    def submit(self, function: Any, /, *args: Any) -> Any:
        if self.jobs:
            raise KeyboardInterrupt
        return super().submit(function, *args)


def test_what_has_ended_when_the_interruption_comes_is_written(tmp_path: Path) -> None:
    suite = tiny(references=[0, 1], methods={"plain": {"method": "plain"}})
    first, second = InterruptedAtSecond(), Inline()
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, tmp_path, executor=first)
    assert [job.kind for job in first.jobs] == ["reference"]
    run_suite(suite, tmp_path, executor=second)
    assert first.jobs[0].identity not in {job.identity for job in second.jobs}


def test_progress_ends_with_everything_done(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    def report(progress: Progress) -> None:
        seen.append((progress.done, progress.failed, progress.total))

    plan = run_suite(tiny(controls=False), tmp_path, executor=Inline(), report=report)
    total = len(list(plan.jobs()))
    assert seen[-1] == (total, 0, total)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[0][2] == total  # all is expected from the beginning


def test_what_waited_for_another_job_and_was_done_already_is_not_run(finished: Path, tmp_path: Path) -> None:
    """Without a run that chooses, what comes after it is not planned at first, though it is there."""
    folder = shutil.copytree(finished, tmp_path / "suite")
    splits = {path: json.loads(path.read_text())["cell"]["split"] for path in (folder / "cells").glob("*.json")}
    next(path for path, split in splits.items() if split == "selection").unlink()
    reports: list[Progress] = []
    run_suite(tiny(), folder, executor=Inline(), report=lambda progress: reports.append(replace(progress)))
    assert reports[0].done < reports[-1].done - 1
    assert (reports[-1].ran, reports[-1].failed_here) == (1, 0)
    assert reports[-1].done == reports[-1].total


def test_a_reference_answers_to_all_of_the_owner_only_where_a_run_has_all_anchors(tmp_path: Path) -> None:
    """A suite with all anchors has the same results on references of one without."""
    folders = {"few": tmp_path / "few", "all": tmp_path / "all"}
    for anchors, folder in folders.items():
        run_suite(tiny(controls=False, anchors=[8 if anchors == "few" else "all"]), folder, executor=Inline())
    kept = {anchors: list(folder.glob(f"references/*/{OWNER_LOGITS}")) for anchors, folder in folders.items()}
    assert not kept["few"]
    assert len(kept["all"]) == len(list(folders["all"].glob("references/*"))) > 0
    run_suite(tiny(controls=False, anchors=["all"]), folders["few"], executor=Inline())
    pd.testing.assert_frame_equal(rows(folders["few"]), rows(folders["all"]))


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(AnchorlabError, match="does not hold a suite: choose another --out"):
        run_suite(tiny(), tmp_path, executor=Inline())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(AnchorlabError, match=r"holds no suite\.yaml"):
        load_results(tmp_path)


def test_a_suite_is_not_planned_again_after_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is about the whole suite: one after each of many runs would cost their number squared."""
    plans: list[Plan] = []

    def planned(*arguments: Any) -> Plan:
        plans.append(make_plan(*arguments))
        return plans[-1]

    monkeypatch.setattr(runner, "make_plan", planned)
    executor = Inline()
    monkeypatch.setattr(executor, "submit", failing(executor))
    plan = run_suite(tiny(selection={"references": 2, "seeds": [7, 8, 9, 10]}), tmp_path, executor=executor)
    assert len(executor.jobs) > 30
    assert len(plans) < 8
    assert plan is plans[-1]


def test_what_another_runner_finishes_at_the_last_moment_makes_other_runs_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another runner trains the reference between this one's plan and its claim."""
    others, claim = Inline(), Store.claim

    def claimed(store: Store, job: Any) -> Any:
        if isinstance(job, ReferenceJob) and store.manifest(job) is None:
            store.save_reference(job, others.submit(runner.train_reference, job, None, True).result())
        return claim(store, job)

    monkeypatch.setattr(Store, "claim", claimed)
    suite, executor = tiny(controls=False, anchors=["all"]), Inline()
    run_suite(suite, tmp_path, executor=executor)
    assert executor.jobs
    assert not load_results(tmp_path).results.empty


def failing(executor: Inline) -> Any:
    """Trains references, and fails all other jobs at once, as a diverging loss does."""
    submit = executor.submit

    def attempt(function: Any, /, *args: Any) -> Any:
        return submit(function if isinstance(args[0], ReferenceJob) else diverge, *args)

    return attempt


def diverge(*_: Any) -> None:
    raise AnchorlabError("the loss diverges")
