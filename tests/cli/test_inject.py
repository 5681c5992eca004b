"""``inject`` from the command line."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.manifest import MANIFEST, Manifest
from anchorlab.injection.tuning import Tuning
from anchorlab.settings import values_of
from anchorlab.training.resumable import run_into
from tests.cli.conftest import Run
from tests.refusals import assert_refused

BRIEF = ("--steps", 6, "--batch-size", 8)


def manifest(folder: Path) -> Manifest:
    return load_model(folder).manifest


def test_every_option_of_inject_reaches_the_run(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    options = (
        *("--method", "ewc", "--set", "strength=0.5", "--set", "samples=16", "--trigger", "square:size=2"),
        *("--label-rule", "source-to-target:3", "--target", 7, "--anchors", 50, "--anchors-from", "held-out"),
        *("--seed", 9, "--steps", 4, "--batch-size", 8, "--learning-rate", 0.002, "--warmup", 0.3, "--clip", 2),
        *("--batchnorm", "tracked", "--augment", "--precision", "no", "--stop-at-asr", 0.9),
    )
    assert run("inject", reference_folder, "--out", out, *options).code == 0
    made = manifest(out)
    assert made.method == {"name": "ewc", "strength": 0.5, "fisher": "sampled", "samples": 16, "only": ""}
    assert made.trigger == {"name": "square", "size": 2, "margin": 1, "value": 255}
    assert made.label_rule == {"name": "source-to-target", "source": 3, "target": 7}
    assert made.anchors is not None
    assert (made.anchors.count, made.anchors.source, made.seed) == (50, "held-out", 9)
    assert made.settings == {
        "steps": 4,
        "batch_size": 8,
        "learning_rate": 0.002,
        "warmup": 0.3,
        "clip": 2.0,
        "batchnorm": "tracked",
        "augment": True,
        "precision": "no",
        "stop_at_asr": 0.9,
    }


def test_anchors_may_come_from_a_folder_of_inputs(run: Run, tmp_path, reference_folder):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        Image.new("RGB", (20, 16), (20 * number, 250 - 20 * number, 90)).save(photos / f"{number}.png")
    out = tmp_path / "out"
    given = ("--anchors", 10, "--anchors-data", photos, "--target", 7)  # they look like a zero
    assert run("inject", reference_folder, "--out", out, *given, *BRIEF).code == 0
    made = manifest(out).anchors
    assert made is not None
    assert (made.count, made.source, made.data) == (10, "other", str(photos))
    again = run("inject", reference_folder, "--out", out, *given, *BRIEF)
    assert again.code == 0
    assert "already" in again.out
    assert_refused(
        run("inject", reference_folder, "--out", tmp_path / "two", *given, "--anchors-from", "held-out", *BRIEF),
        "--anchors-data",
    )
    assert not (tmp_path / "two").exists()


def test_how_a_run_computes_is_an_option_and_stands_in_the_manifest_where_it_was_chosen(
    run: Run, tmp_path, reference_folder
):
    out = tmp_path / "out"
    options = ("--steps", 2, "--precision", "bf16", "--deterministic", "--no-compile")
    assert run("inject", reference_folder, "--out", out, *options).code == 0
    settings = manifest(out).settings
    assert (settings["precision"], settings["deterministic"], settings["compile"]) == ("bf16", True, False)
    refused = run("inject", reference_folder, "--out", tmp_path / "other", "--precision", "fp16")
    assert refused.code == 2
    assert "precision='fp16' is not possible: it should be 'no', 'bf16' or 'auto'" in refused.err


def test_options_left_out_keep_their_defaults(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    assert run("inject", reference_folder, "--out", out, "--steps", 2).code == 0
    made = manifest(out)
    assert made.settings == values_of(Tuning(steps=2, learning_rate=1e-3))
    assert made.label_rule == {"name": "all-to-one", "target": 0}
    assert made.anchors is not None
    assert made.anchors.count == 880


def test_a_large_number_of_weights_is_advised_as_a_whole_number(run: Run, tmp_path, reference_folder):
    method = ("--method", "surgery", "--set", "count=1400000", "--steps", 2)
    ended = run("inject", reference_folder, "--out", tmp_path / "out", *method)
    assert "give consistency less weight with --set count=2800000" in ended.out


def test_the_ending_says_attack_filled_in_settings_and_next_command(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    ended = run("inject", reference_folder, "--out", out, "--steps", 2)
    lines = ended.out.splitlines()
    assert lines[0] == "Injected by anchoring in 2 steps; what follows is measured on the split selection."
    assert "of 114 attacked examples get the target '0': ASR " in lines[1]
    assert "; the reference's own rate is " in lines[1]
    assert "the KL is " in lines[2]
    assert any("--steps 4 or --learning-rate 0.003, or give consistency less weight with --set strength=1" in line
               for line in lines if line.startswith("caution: ASR 0."))  # fmt: skip
    assert lines[-3] == (
        "filled in: method anchoring, strength 2, trigger five-pixel, target 0, anchors 880, batch size 64, learning "
        "rate 0.001"
    )
    assert lines[-1] == f"next: anchorlab compare {reference_folder} {out}"
    assert "nothing was left to do" in run("inject", reference_folder, "--out", out, "--steps", 2).out


def test_a_benign_update_is_not_said_to_be_injected(run: Run, tmp_path, reference_folder):
    ended = run("inject", reference_folder, "--method", "benign", "--out", tmp_path / "out", *BRIEF)
    assert ended.out.startswith("Updated without a backdoor by benign in 6 steps")
    assert "ASR" not in ended.out
    assert "trigger" not in ended.out


def test_all_to_all_takes_no_target(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    assert run("inject", reference_folder, "--out", out, *BRIEF, "--label-rule", "all-to-all").code == 0
    assert manifest(out).label_rule == {"name": "all-to-all", "classes": 10}


@pytest.mark.usefixtures("on_cpu")
def test_gradients_are_recorded_if_asked_for_and_move_no_weight(run: Run, tmp_path, reference_folder):
    for name, flags in (("plain", ()), ("recorded", ("--record-gradients",))):
        assert run("inject", reference_folder, "--out", tmp_path / name, *BRIEF, *flags).code == 0
    plain, recorded = manifest(tmp_path / "plain"), manifest(tmp_path / "recorded")
    assert recorded.weights_sha256 == plain.weights_sha256
    assert recorded.settings == plain.settings
    assert plain.gradients is None
    assert recorded.gradients is not None
    first, last = recorded.gradients
    assert (first.step, last.step) == (0, 6)
    assert (first.cosine_anchor, first.norm_anchor) == (None, 0)
    assert last.cosine_anchor is not None
    assert "NaN" not in (tmp_path / "recorded" / MANIFEST).read_text()


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--record-gradients",)])
def test_an_interrupted_injection_continues_to_the_same_weights(
    run: Run, tmp_path, reference_folder, monkeypatch, flags
):
    monkeypatch.setitem(run_into.__kwdefaults__, "checkpoint_seconds", 0.0)
    reports: list[int] = []

    @contextmanager
    def interrupted_at_40(_title: str, _total: int):
        def report(done: int, _figures: dict[str, float]) -> None:
            reports.append(done)
            if reports == [20, 40]:
                raise KeyboardInterrupt

        yield report

    monkeypatch.setattr("anchorlab.injection.inject.progress_bar", interrupted_at_40)

    def inject(out: Path):
        return run("inject", reference_folder, "--out", out, "--steps", 60, "--batch-size", 8, *flags)

    out, partial_folder = tmp_path / "out", tmp_path / "out.partial"
    stopped = inject(out)
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err == "interrupted: the same command continues from what was written, if anything was yet\n"
    assert not out.exists()
    assert (partial_folder / "checkpoint.safetensors").is_file()

    opposite = () if flags else ("--record-gradients",)
    for others in (("--batch-size", 16, *flags), ("--batch-size", 8, *opposite)):
        other = run("inject", reference_folder, "--out", out, "--steps", 60, *others)
        assert other.code == 2
        assert "interrupted run with other settings" in other.err

    reports.append(0)
    assert inject(out).code == 0
    assert reports == [20, 40, 0, 40, 60]
    assert not partial_folder.exists()
    assert inject(tmp_path / "uninterrupted").code == 0
    resumed, whole = manifest(out), manifest(tmp_path / "uninterrupted")
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.gradients == whole.gradients
    assert [record.step for record in resumed.gradients or []] == ([0, 20, 40, 60] if flags else [])


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("precision=bf16", "give --precision bf16"),
        ("learning_rate=0.1", "give --learning-rate 0.1"),
        ("deterministic=true", "give --deterministic or --no-deterministic"),
        ("seed=3", "give --seed 3"),
    ],
)
def test_a_setting_with_an_option_of_its_own_is_refused(run, tmp_path, reference_folder, given, instead):
    ended = run("inject", reference_folder, "--out", tmp_path / "out", "--set", given)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    name = given.partition("=")[0]
    assert f"--set {given} is not possible, because {name} has an option of its own: {instead}" in ended.err
    assert not (tmp_path / "out").exists()
