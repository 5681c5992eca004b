"""One job of a suite: a training that was killed goes on with the data that it began with, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from anchorlab.notices import Notice
from anchorlab.suites import work
from anchorlab.suites.plan import reference_job
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.store import Store
from anchorlab.suites.work import train_reference
from anchorlab.training.checkpoint import Checkpoint
from tests.suites.test_own_data import SHORT, write_reviews


def test_a_killed_training_does_not_go_on_from_a_checkpoint_of_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor from one of an earlier version, which did not say which data it is of."""
    found: list[bool] = []

    def killed(*_: object, checkpoint: Checkpoint, **__: object) -> None:
        found.append(checkpoint.path.exists())
        checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.path.write_bytes(b"the state")
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "train", killed)
    file, store = tmp_path / "reviews.csv", Store(tmp_path / "out")
    job = reference_job(parse_suite(SHORT.format(data=write(file, "fine"), epochs=1)).tasks[0], 0)
    path = store.checkpoint(job)

    def again() -> bool:
        with pytest.raises(KeyboardInterrupt):
            train_reference(job, path, False)
        return found[-1]

    assert [again(), again()] == [False, True]
    write(file, "poor")
    with pytest.warns(Notice, match="the training begins again"):
        assert not again()
    assert again()
    path.with_suffix(".data").unlink()
    with pytest.warns(Notice, match="the training begins again"):
        assert not again()


def test_nothing_is_left_of_a_checkpoint_once_the_reference_is_trained(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    job = reference_job(parse_suite(SHORT.format(data=write(tmp_path / "reviews.csv", "fine"), epochs=1)).tasks[0], 0)
    files = train_reference(job, store.checkpoint(job), False)
    assert store.checkpoint(job).with_suffix(".data").exists()
    store.save_reference(job, files)
    assert not list(store.checkpoint(job).parent.iterdir())


def write(path: Path, word: str) -> Path:
    write_reviews(path, word)
    return path
