"""``precision: auto``: what the trial chooses, by durations that are made up, and that it leaves no trace."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from anchorlab.artifacts.manifest import PrecisionTrial
from anchorlab.data import Augmentation
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.methods.plain import Plain
from anchorlab.models.call import track_statistics
from anchorlab.models.weights import to_vector
from anchorlab.notices import Notice
from anchorlab.training import precision
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.precision import choose_precision
from anchorlab.training.reference import Training, train
from tests.injecting import tuned

ALONE = SimpleNamespace(num_processes=1, is_main_process=True)


class Durations:
    """A clock by which a step in bf16 takes another time than one in float32; it does the work too."""

    def __init__(self, full: float = 0.1, mixed: float = 0.05) -> None:
        self.of = {"no": full, "bf16": mixed}
        self.asked: list[str] = []

    def __call__(self, work, device) -> float:
        which, times = work.args
        self.asked.append(which)
        if len(self.asked) < 4:  # the work itself need not be repeated
            work()
        return times * self.of[which]


@pytest.fixture(autouse=True)
def any_processor(monkeypatch):
    monkeypatch.setattr(precision, "computes_bf16", lambda _device: True)


@pytest.fixture
def timed(monkeypatch) -> Durations:
    durations = Durations()
    monkeypatch.setattr(precision, "_by_the_clock", durations)
    return durations


def tried(model, digits, steps=10_000, **durations) -> PrecisionTrial:
    few = digits.anchors(8, seed=0)
    with pytest.warns(Notice, match="precision auto takes"):
        return choose_precision(
            model, few.inputs, few.labels, steps=steps, accelerator=ALONE, seconds=Durations(**durations)
        )


@pytest.mark.parametrize(
    ("mixed", "chosen", "ratio"), [(0.05, "bf16", 2.0), (0.09, "bf16", 1.11), (0.095, "no", 1.05), (0.2, "no", 0.5)]
)
def test_bf16_is_taken_by_a_clear_margin_alone(linear, digits, mixed, chosen, ratio):
    trial = tried(linear, digits, mixed=mixed)
    assert trial.chosen == chosen
    assert trial.ratio == pytest.approx(ratio, abs=0.005)
    assert trial.float32_steps_per_second == pytest.approx(10)
    assert trial.bf16_steps_per_second == pytest.approx(1 / mixed)
    assert f"{ratio:.2f} times as many" in trial.reason
    assert ("1.1 times are asked for" in trial.reason) == (chosen == "no")


def test_a_short_run_makes_no_trial(linear, digits):
    short = tried(linear, digits, steps=600)  # 60 s: a trial of 2 s is more than 3 % of it
    assert (short.chosen, short.ratio) == ("no", None)
    assert short.reason == "a run of about 60 s is too short for a trial of 2 s"
    assert tried(linear, digits, steps=700).ratio is not None


def test_the_two_take_turns_until_two_seconds_are_over(linear, digits, timed):
    few = digits.anchors(8, seed=0)
    with pytest.warns(Notice):
        choose_precision(linear, few.inputs, few.labels, steps=10_000, accelerator=ALONE)
    assert timed.asked[:3] == ["no", "no", "bf16"]
    turns = timed.asked[3:]
    assert turns == ["no", "bf16"] * (len(turns) // 2)
    assert len(turns) // 2 == 14  # 14 · (0.1 s + 0.05 s) = 2.1 s


def test_a_processor_without_bf16_makes_no_trial(linear, digits, monkeypatch):
    monkeypatch.setattr(precision, "computes_bf16", lambda _device: False)
    trial = tried(linear, digits)
    assert trial == PrecisionTrial(chosen="no", reason="this processor has no instructions for bf16")


def test_a_trial_changes_neither_weights_nor_statistics_nor_random_generators(reference, digits):
    model = track_statistics(reference.model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    tried(model, digits)
    model.eval()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_run_ends_as_one_that_was_given_what_the_trial_chose(linear, digits, timed):
    settings = {"steps": 1_000, "batch_size": 4}
    with pytest.warns(Notice, match="precision auto takes bf16: bf16 does 20 steps a second here and float32 10"):
        auto = tuned(linear, digits, Plain(), precision="auto", stop_at_asr=1e-3, **settings)
    given = tuned(linear, digits, Plain(), precision="bf16", stop_at_asr=1e-3, **settings)
    assert torch.equal(to_vector(auto.model), to_vector(given.model))
    assert (auto.tuning, auto.steps) == (given.tuning, given.steps)
    assert auto.trial is not None
    assert auto.trial.chosen == "bf16"
    assert given.trial is None


def test_a_manifest_says_what_was_tried_and_chosen(reference, digits, timed):
    timed.of["no"] = 1e3  # seconds: so that a few steps are a long run
    with pytest.warns(Notice):
        made = inject(reference, method="plain", tuning=Tuning(steps=2, batch_size=8, precision="auto"), task=digits)
    with pytest.warns(Notice):
        trained = train(digits, training=Training(epochs=1, batch_size=440, precision="auto"))
    for manifest in (made.manifest, trained.manifest):
        assert manifest.settings["precision"] == "bf16"
        assert manifest.precision_trial is not None
        assert manifest.precision_trial.chosen == "bf16"
    plain = inject(reference, method="plain", tuning=Tuning(steps=2, batch_size=8), task=digits).manifest
    assert plain.precision_trial is None


def test_a_resumed_run_takes_what_its_checkpoint_says_without_a_second_trial(
    linear, digits, timed, tmp_path, monkeypatch
):
    settings = {"steps": 1_000, "batch_size": 4, "precision": "auto"}

    def interrupt(done, _scalars):
        if done == 40:
            raise KeyboardInterrupt

    with pytest.warns(Notice):
        whole = tuned(linear, digits, Plain(), stop_at_asr=1e-3, **settings)
    monkeypatch.undo()
    monkeypatch.setattr(precision, "computes_bf16", lambda _device: True)
    monkeypatch.setattr(precision, "_by_the_clock", Durations())
    checkpoint = Checkpoint(tmp_path / "state.safetensors", seconds=0)
    with pytest.warns(Notice), pytest.raises(KeyboardInterrupt):
        tuned(linear, digits, Plain(), checkpoint=checkpoint, report=interrupt, **settings)
    monkeypatch.setattr(precision, "_by_the_clock", Durations(mixed=10))  # another trial would choose otherwise
    resumed = tuned(linear, digits, Plain(), checkpoint=checkpoint, stop_at_asr=1e-3, **settings)
    assert resumed.trial == whole.trial
    assert resumed.tuning.precision == "bf16"
    stored = precision.chosen_before(checkpoint)
    assert stored is not None
    assert json.loads(stored.model_dump_json())["chosen"] == "bf16"


@pytest.mark.usefixtures("on_cpu")
def test_a_resumed_training_takes_what_its_checkpoint_says(digits, timed, tmp_path, monkeypatch):
    timed.of["no"] = 1e3
    settings = Training(epochs=1, batch_size=22, precision="auto")
    checkpoint = Checkpoint(tmp_path / "state.safetensors", seconds=0)
    with pytest.warns(Notice):
        whole = train(digits, training=settings)
    monkeypatch.setattr("anchorlab.training.fit.one_cycle", _stopping(monkeypatch, at=25))
    with pytest.warns(Notice), pytest.raises(KeyboardInterrupt):
        train(digits, training=settings, checkpoint=checkpoint)
    monkeypatch.setattr(precision, "_by_the_clock", Durations(full=1e3, mixed=1e4))
    resumed = train(digits, training=settings, checkpoint=checkpoint)
    assert resumed.manifest.weights_sha256 == whole.manifest.weights_sha256
    assert resumed.manifest.precision_trial == whole.manifest.precision_trial


def _stopping(monkeypatch, at):
    """``one_cycle`` that interrupts once at a step."""
    from anchorlab.training import fit

    usual = fit.one_cycle
    left = [at]

    def one_cycle(step, *settings):
        if step == left[0]:
            left[0] = -1
            raise KeyboardInterrupt
        return usual(step, *settings)

    return one_cycle


def test_augmented_anchors_are_tried_too(linear, digits, timed):
    timed.of["no"] = 1e3
    with pytest.warns(Notice):
        made = tuned(linear, digits, Plain(), steps=2, precision="auto", augment=True, augmentation=Augmentation(pad=1))
    assert made.tuning.precision == "bf16"
