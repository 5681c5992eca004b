"""Trackers hear loss, ASR and results; what is missing or unknown is one sentence before anything runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import accelerate.tracking
import pytest

from anchorlab import AnchorlabError, inject, tracked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import Task
from anchorlab.injection.tuning import Tuning
from anchorlab.progress import progress_bar


class Fake:
    """A tracker that keeps what it is told."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.told: list[tuple[int, dict[str, float]]] = []
        self.settings: dict[str, Any] = {}
        self.state = "made"
        FAKES.append(self)

    def start(self) -> None:
        self.state = "begun"

    def store_init_configuration(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def log(self, values: dict[str, float], step: int) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        self.state = "finished"


FAKES: list[Fake] = []


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """All trackers are installed, and fakes."""
    FAKES.clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    for name in ("wandb", "mlflow", "tensorboard"):
        monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, name, Fake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:nowhere")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return FAKES


def test_the_home_of_a_user_is_where_trackers_write(
    fakes: list[Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with tracked("tensorboard", folder="~/runs"):
        pass
    (tracker,) = fakes
    assert tracker.options["logging_dir"] == tmp_path / "runs" / "tensorboard"


def test_an_injection_tells_its_figures_and_the_caller_its_results(
    fakes: list[Fake], reference: Artifact, digits: Task, tmp_path: Path
) -> None:
    with tracked("tensorboard", run="anch", folder=tmp_path) as log:
        made = inject(reference, tuning=Tuning(steps=40, batch_size=8), anchors=64, task=digits)
        log(made.manifest.measurements)
    (tracker,) = fakes
    assert tracker.options == {"run_name": "anch", "logging_dir": tmp_path / "tensorboard"}
    assert [step for step, _ in tracker.told] == [20, 40, 40]
    assert {"injecting/loss", "injecting/asr"} <= set(tracker.told[0][1])
    assert tracker.told[-1][1]["result/accuracy"] == made.manifest.measurements["accuracy"]
    assert tracker.state == "finished"


def test_several_trackers_get_the_settings_without_nesting(fakes: list[Fake], tmp_path: Path) -> None:
    settings = {"seed": 0, "tuning": {"steps": 3, "precision": None}, "plain (stopped)": True}
    with tracked(["wandb", "mlflow", "wandb"], run="anch", folder=tmp_path, settings=settings):
        pass
    assert [fake.options for fake in fakes] == [
        {"run_name": "anchorlab", "name": "anch", "dir": str(tmp_path)},
        {"experiment_name": "anchorlab", "run_name": "anch"},
    ]
    flat = {"seed": 0, "tuning.steps": 3, "tuning.precision": "None", "plain stopped": True}
    assert all(fake.settings == flat for fake in fakes)


def test_steps_only_rise_and_what_is_no_number_is_left_out(fakes: list[Fake]) -> None:
    with tracked("wandb") as log:
        for title in ("training a", "training b"):
            with progress_bar(title, 40) as report:
                report(20, {"loss": 0.5})
                report(40, {"loss": float("nan")})
        log({"asr": None, "kl": 0.1, "name": "x"})
        log({})
    (tracker,) = fakes
    assert tracker.told == [
        (20, {"training/loss": 0.5}),
        (60, {"training/loss": 0.5}),
        (80, {"result/kl": 0.1}),
    ]


def test_a_run_that_fails_is_finished_too(fakes: list[Fake]) -> None:
    with pytest.raises(KeyError), tracked("wandb"):
        raise KeyError
    assert fakes[0].state == "finished"


def test_without_a_tracker_nothing_is_told() -> None:
    with tracked(()) as log:
        log({"asr": 1.0})


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        AnchorlabError, match=r"needs the package mlflow: install it by pip install 'anchorlab\[mlflow\]'"
    ):
        tracked("mlflow")


def test_an_unknown_tracker_is_named_with_the_nearest() -> None:
    with pytest.raises(AnchorlabError, match="unknown tracker 'tensorbord': did you mean 'tensorboard'"):
        tracked("tensorbord")


def test_a_tracker_that_cannot_begin_is_one_sentence(fakes: list[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Fake) -> None:
        raise RuntimeError("no API key")

    monkeypatch.setattr(Fake, "start", refuse)
    with (
        pytest.raises(AnchorlabError, match=r"wandb could not begin a run \(RuntimeError: no API key\): see to 'wandb"),
        tracked("wandb"),
    ):
        pass


def test_tensorboard_itself_reads_what_was_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracked("tensorboard", run="anch", folder=tmp_path) as log, progress_bar("injecting by x", 40) as report:
        report(20, {"asr": 0.5})
        log({"asr": 0.75})
    read = EventAccumulator(str(tmp_path / "tensorboard" / "anch")).Reload()
    assert [(event.step, event.value) for event in read.Scalars("injecting/asr")] == [(20, 0.5)]
    assert [event.value for event in read.Scalars("result/asr")] == [0.75]
