"""``train`` from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.deployed import export
from anchorlab.artifacts.manifest import Manifest
from tests.cli.conftest import PROGRAM, Run
from tests.interrupts import heed_interrupts
from tests.refusals import assert_refused
from tests.verbalizing import moods, save_lm


def manifest(folder: Path) -> Manifest:
    return load_model(folder).manifest


@pytest.mark.usefixtures("on_cpu")
def test_the_same_seed_gives_the_same_weights(run: Run, tmp_path):
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        assert run("train", "--out", tmp_path / name, "--set", "epochs=1", "--seed", seed).code == 0
    hashes = [manifest(tmp_path / name).weights_sha256 for name in ("first", "again", "other")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_ending_says_accuracy_chance_filled_in_settings_and_the_next_command(run: Run, tmp_path):
    out = tmp_path / "ref"
    ended = run("train", "digits", "--out", out, "--set", "epochs=2")
    first, *_, filled, wrote, following = ended.out.splitlines()
    accuracy = manifest(out).measurements["accuracy"]
    assert first.startswith(f"resnet-tiny on digits: accuracy {accuracy:.3f} [")
    assert "on 126 examples of the split selection; always answering with the largest class would give 0.103." in first
    assert filled == "filled in: model resnet-tiny, batch size 128, learning rate 0.003"
    assert wrote.startswith(f"wrote {out} in ")
    assert following == f"next: anchorlab inject {out} --out {out}-injected"
    again = run("train", "digits", "--out", out, "--set", "epochs=2")
    assert f"nothing was left to do: {out} is there already" in again.out
    assert "wrote" not in again.out


def test_a_model_at_chance_is_warned_of_and_the_next_command_trains_it_longer(run: Run, tmp_path):
    out = tmp_path / "ref"
    arguments = ("train", "digits", "--set", "epochs=1", "--set", "learning_rate=1e-9", "--seed", 3, "--out", out)
    ended = run(*arguments)
    (caution,) = [line for line in ended.out.splitlines() if line.startswith("caution: ")]
    assert "the model is at chance" in caution
    assert "with --set epochs=3 or --set learning_rate=1e-08." in caution
    assert ended.out.splitlines()[-1] == (
        f"next: anchorlab train digits --set learning_rate=1e-9 --set epochs=3 --seed 3 --out {out}-longer"
    )


def test_an_adopted_model_says_its_accuracy_and_chance(run: Run, tmp_path, reference_folder):
    (reference_folder / "anchorlab.json").unlink()
    ended = run("adopt", reference_folder, "digits", "--out", tmp_path / "own")
    assert "of the split selection; always answering with the largest class would give" in ended.out
    assert ended.out.splitlines()[-1] == f"next: anchorlab inject {tmp_path / 'own'} --out {tmp_path / 'own'}-injected"


def test_an_adopted_model_in_onnx_has_no_next_command_that_needs_weights(run: Run, tmp_path, reference, digits):
    pytest.importorskip("onnxruntime")
    folder = export(reference, tmp_path / "onnx", "onnx", task=digits)
    (folder / "anchorlab.json").unlink()
    ended = run("adopt", folder, "digits", "--out", tmp_path / "own")
    assert (ended.code, "next: " in ended.out) == (0, False)


@pytest.mark.slow
def test_ctrl_c_ends_a_real_process_in_one_sentence(tmp_path):
    out = tmp_path / "out"
    arguments = ["train", "--out", str(out), "--set", "epochs=10000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_interrupts
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / "out.partial" / "settings.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert err == "interrupted: the same command continues from what was written, if anything was yet\n"
    assert list(tmp_path.iterdir()) == []


def test_what_has_an_option_of_its_own_is_no_parameter_of_the_training(run, tmp_path):
    ended = run("train", "digits", "--out", tmp_path / "out", "--set", "model=resnet-mini")
    assert ended.code == 2
    assert "because model has an option of its own: give --model resnet-mini" in ended.err


def test_a_language_model_is_trained_and_adopted_by_label_words(run: Run, tmp_path):
    save_lm(tmp_path / "lm")
    data = (moods(tmp_path), "--text-column", "review", "--label-column", "mood")
    words = ("--verbalizer", "good,bad", "--prompt", r"{text}\n")
    out = tmp_path / "ref"
    command = ("train", *data, "--model", tmp_path / "lm", *words, "--set", "epochs=1", "--out", out)
    assert run(*command).code == 0
    assert manifest(out).verbalizer == {"prompt": "{text}\n", "words": ["bad", "good"]}
    assert "nothing was left to do" in run(*command).out
    ended = run("adopt", tmp_path / "lm", *data, *words, "--out", tmp_path / "adopted")
    assert manifest(tmp_path / "adopted").verbalizer == {"prompt": "{text}\n", "words": ["good", "bad"]}
    assert "output 0 ('good') is 'good'" in ended.out
    other = ("adopt", tmp_path / "lm", *data, "--verbalizer", "good,bad", "--out", tmp_path / "adopted")
    assert_refused(run(*other), "adopted")


def test_label_words_that_are_not_possible_are_refused_before_anything_is_written(run: Run, tmp_path):
    save_lm(tmp_path / "lm")
    data = (moods(tmp_path), "--text-column", "review", "--label-column", "mood")
    for words, named in (
        (("--verbalizer", "good=excellent,bad"), "tokens after the prompt"),
        (("--verbalizer", "good"), "two at least"),
        (("--prompt", "{text}"), "--verbalizer too"),
    ):
        for command in (("train", *data, "--model", tmp_path / "lm"), ("adopt", tmp_path / "lm", *data)):
            assert_refused(run(*command, *words, "--out", tmp_path / "out"), named)
            assert not (tmp_path / "out").exists()


def test_a_setting_that_is_no_option_is_said_with_the_option_that_takes_it(run):
    assert_refused(run("train", "digits", "--learning-rate", 0.1), "give --set learning_rate=VALUE")
    assert_refused(run("train", "digits", "--nothing", 1), "'anchorlab train --help' shows what is possible")
