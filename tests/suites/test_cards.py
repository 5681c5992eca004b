"""Which GPUs each process of a suite sees; the machine only seems to have some."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import computing_on
from anchorlab.notices import Notice
from anchorlab.suites import executors
from anchorlab.suites.cards import cards, shares
from anchorlab.suites.executors import LocalProcesses
from anchorlab.suites.parts import Resources
from tests.devices import pretended_cards

Pretend = Callable[[int], None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    return lambda count: pretended_cards(monkeypatch, count)


def seen(processes: LocalProcesses) -> list[str | None]:
    return [worker._settings[1] for worker in processes._workers]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1"]),
        ("4,6", ["4", "6"]),
        (" 4 , 6 ", ["4", "6"]),
        ("GPU-5ebe9f43,MIG-a1", ["GPU-5ebe9f43", "MIG-a1"]),
    ],
)
def test_gpus_are_named_as_the_user_restricted_them(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]
) -> None:
    pretend(2)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cards() == expected
    with computing_on("cuda:1"):
        assert cards()[:1] == expected[1:]


def test_no_gpu_is_seen_where_the_user_hid_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cards() == shares(0) == []


def test_processes_take_one_gpu_each_or_share_one(pretend: Pretend) -> None:
    pretend(2)
    assert shares(0) == shares(1) == shares(0.6) == ["0", "1"]
    assert shares(0.5) == ["0", "1", "0", "1"]
    assert shares(1 / 3) == ["0", "1"] * 3
    assert shares(2) == ["0,1"]
    pretend(5)
    assert shares(2) == ["0,1", "2,3"]


def test_as_many_processes_start_as_the_gpus_suffice_for(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_cores", lambda: 3)
    pretend(2)
    assert seen(LocalProcesses(gpus=0.25)) == ["0", "1"] * 4
    assert seen(LocalProcesses(pending=3, gpus=0.25)) == ["0", "1", "0"]
    assert seen(LocalProcesses(3, gpus=1)) == ["0", "1", "0"]  # whoever asks for more processes has them
    with computing_on("cuda:1"):
        pretend(1)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert seen(LocalProcesses(gpus=0.5)) == ["1", "1"]
    with computing_on("cpu"):
        assert seen(LocalProcesses(gpus=0.5)) == [None] * 3


def test_more_gpus_than_there_are_and_broken_ones_are_refused(pretend: Pretend) -> None:
    pretend(2)
    with pytest.raises(AnchorlabError, match=r"each run wants 3 GPUs, but 2 can be seen here: lower 'gpus'"):
        LocalProcesses(gpus=3)
    with pytest.raises(AnchorlabError, match=r"cannot have 1\.5 GPUs: give 'gpus' of the suite's resources a whole"):
        LocalProcesses(gpus=1.5)


def test_a_suite_that_asks_for_gpus_runs_without_one_and_says_so(pretend: Pretend) -> None:
    pretend(0)
    with pytest.warns(Notice, match=r"no GPU is there, so that runs compute on the CPU, .* 0\.25 GPUs"):
        assert shares(Resources(gpus=0.25).gpus) == []
    with computing_on("cpu"):
        assert shares(4) == []  # as the user asked
