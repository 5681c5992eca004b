"""The per-instance table is the same however many threads measure it, and ends well when something goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from anchorlab.consistency.instances import Batch, build_table, instances

ROWS, CLASSES, BATCHES = 20, 7, 12


def batches() -> Iterator[Batch]:
    rng = np.random.default_rng(0)
    for _ in range(BATCHES):
        reference = rng.normal(size=(ROWS, CLASSES)).astype(np.float32)
        yield Batch(reference, reference + np.float32(0.1), rng.integers(CLASSES, size=ROWS), attack(ROWS))


def attack(rows: int) -> dict[str, np.ndarray]:
    return {name: np.full(rows, -1) for name in ("wanted", "triggered_reference", "triggered")}


def test_the_table_is_the_same_with_several_threads() -> None:
    done: list[int] = []
    alone = build_table(batches(), ROWS * BATCHES)
    together = build_table(batches(), ROWS * BATCHES, threads=3, report=done.append)
    assert together.equals(alone)
    assert done == [ROWS * (number + 1) for number in range(BATCHES)]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_batch_that_is_wrong_is_named(threads: int) -> None:
    def broken() -> Iterator[Batch]:
        for number, batch in enumerate(batches()):
            if number in (4, 5):
                batch.candidate[3, 2] = np.nan
            yield batch

    with pytest.raises(ValueError, match=r"not finite in 1 of 20 rows.*\(rows 80 to 99\)"):
        build_table(broken(), ROWS * BATCHES, threads=threads)


def test_an_interruption_leaves_no_thread_behind() -> None:
    def interrupted() -> Iterator[Batch]:
        for number, batch in enumerate(batches()):
            if number == 8:
                raise KeyboardInterrupt
            yield batch

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        build_table(interrupted(), ROWS * BATCHES, threads=3)
    assert threading.active_count() == before


def test_single_precision_is_measured_as_the_same_numbers_in_double() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(50, 4)).astype(np.float32)
    candidate = reference + rng.normal(size=(50, 4)).astype(np.float32)
    labels = rng.integers(4, size=50)
    wide = instances(reference.astype(np.float64), candidate.astype(np.float64), labels)
    assert instances(reference, candidate, labels).equals(wide)


def test_without_an_attack_its_columns_hold_minus_one_and_so_they_do_where_an_instance_is_not_attacked() -> None:
    logits, names = np.eye(3), ("wanted", "triggered_reference", "triggered")
    none = instances(logits, logits, np.arange(3))
    assert none[list(names)].to_numpy().tolist() == [[-1] * 3] * 3
    attacked = {"attacked": np.array([False, True, False]), "wanted": np.full(3, 2)}
    one = instances(logits, logits, np.arange(3), **attacked, triggered_reference=[0], triggered=[2])
    assert one[list(names)].to_numpy().tolist() == [[-1] * 3, [2, 0, 2], [-1] * 3]
