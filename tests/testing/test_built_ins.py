"""What comes with anchorlab keeps the contracts that third parties are held to."""

from __future__ import annotations

import pytest
from PIL import Image

from anchorlab.detectors import DETECTORS, Command
from anchorlab.methods import METHODS
from anchorlab.metrics import METRICS
from anchorlab.repairs import REPAIRS
from anchorlab.testing import check_detector, check_method, check_metric, check_repair, check_trigger
from anchorlab.triggers import TRIGGERS, Picture

#: Those that take some seconds each.
SLOW = ("ewc", "fine-mixing", "fine-pruning", "i-bau", "mcr", "unlearning", "activation-clustering", "universal-scan")


def names(registered: list[str]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in registered]


@pytest.mark.parametrize("name", names(METHODS.names()))
def test_methods(name: str) -> None:
    contract = check_method(METHODS[name], name)
    contract.assert_kept()
    assert any(finding.outcome == "kept" and "injects" in finding.rule for finding in contract.findings)


@pytest.mark.parametrize("name", [name for name in TRIGGERS.names() if name != "picture"])
def test_triggers(name: str) -> None:
    check_trigger(TRIGGERS[name], name).assert_kept()


def test_a_picture(tmp_path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 255)).save(tmp_path / "a.png")
    check_trigger(Picture(path=str(tmp_path / "a.png"))).assert_kept()


@pytest.mark.parametrize("name", names(REPAIRS.names()))
def test_repairs(name: str) -> None:
    check_repair(REPAIRS[name], name).assert_kept()


@pytest.mark.parametrize("name", names([name for name in DETECTORS.names() if name != "command"]))
def test_detectors(name: str) -> None:
    check_detector(DETECTORS[name], name).assert_kept()


def test_a_command() -> None:
    check_detector(Command(run="stat {model}", exit_scores="0=0")).assert_kept()


@pytest.mark.parametrize("name", METRICS.names())
def test_metrics(name: str) -> None:
    check_metric(METRICS[name], name).assert_kept()
