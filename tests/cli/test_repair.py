"""``repair`` from the command line."""

from __future__ import annotations

import json

import pytest

from anchorlab.artifacts.artifact import load_model
from tests.refusals import assert_refused


def test_repair_repairs_scores_and_saves(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "repaired"
    ended = run(
        "repair", injected_folder, "--repair", "fine-tuning", "--defender-data", "all", "--set", "epochs=1",
        "--reference", reference_folder, "--out", out, "--json", tmp_path / "score.json",
    )  # fmt: skip
    assert ended.code == 0
    assert "the clean" in ended.out
    assert f"wrote {out} and {tmp_path / 'score.json'} in " in ended.out
    told = json.loads((tmp_path / "score.json").read_text())
    measured = {"repaired", "suspicious", "harmed", "seconds", "peak_bytes", "grown_bytes", "note"}
    measured |= {"effectiveness", "robust_improvement", "reference_accuracy_lost"}
    assert set(told) == measured | {"sentences", "cautions", "settings", "wrote", "version"}
    assert told["note"] is None
    assert told["repaired"]["asr_count"] == told["harmed"]["asr_count"] > 0
    assert load_model(out).manifest.defence["name"] == "fine-tuning"
    compared = run("compare", injected_folder, out)
    assert compared.code == 0
    assert "asr_reference" in compared.out
    assert "the reference may carry the backdoor itself" in compared.out
    assert "that is usually asked for" not in compared.out


def test_the_ending_says_what_is_left_and_what_it_cost(run, tmp_path, reference_folder, injected_folder):
    ended = run("repair", injected_folder, "--repair", "fine-tuning", "--set", "epochs=1", "--reference",
                reference_folder, "--out", tmp_path / "repaired")  # fmt: skip
    words = ended.out.partition("\nThe ASR")[2].splitlines()
    assert words[0].startswith(" towards '0' went from ")
    assert " of 486 attacked examples, " in words[0]
    assert words[1].startswith("The accuracy ")
    assert words[2].startswith("The same repair ")
    assert "filled in: defender data 126, batch size 32" in ended.out
    assert "epochs" not in ended.out.partition("filled in: ")[2].partition("\n")[0]
    assert ended.out.splitlines()[-1] == f"next: anchorlab compare {reference_folder} {tmp_path / 'repaired'}"


def test_an_injected_model_is_no_clean_reference(run, injected_folder):
    ended = run("repair", injected_folder, "--repair", "fine-tuning", "--set", "epochs=1", "--reference",
                injected_folder)  # fmt: skip
    assert_refused(ended, "the clean reference of a repair is a model of kind 'injected' by its manifest")


def test_the_stability_is_said_and_told(run, tmp_path, injected_folder):
    told = tmp_path / "score.json"
    ended = run("repair", injected_folder, "--repair", "clp", "--stability", "--json", told)
    assert ended.code == 0
    assert "With 3 settings of clp, the ASR left lies from " in ended.out
    assert "by setting: as it is " in ended.out
    points = json.loads(told.read_text())["stability"]["points"]
    assert [point["setting"] for point in points] == ["", "deviations=2.0", "deviations=4.0"]


def test_what_a_repair_does_not_reach_has_a_cure(run, injected_folder):
    ended = run("repair", injected_folder, "--repair", "clp", "--set", "deviations=1000")
    assert "caution: " in ended.out
    assert "try it on a model whose backdoor works" in ended.out or "another of 'anchorlab list repairs'" in ended.out


def test_a_repair_that_needs_an_earlier_version_is_refused_before_anything_runs(run, injected_folder, monkeypatch):
    monkeypatch.setattr("anchorlab.repairs.repair.repair", None)
    assert_refused(run("repair", injected_folder, "--repair", "interpolation"), "give --trusted FOLDER")


def test_a_repair_that_changed_nothing_says_so(run, tmp_path, injected_folder):
    ended = run(
        "repair", injected_folder, "--repair", "clp", "--set", "deviations=1000", "--defender-data", "all",
        "--out", tmp_path / "repaired", "--json", tmp_path / "score.json",
    )  # fmt: skip
    sentence = "the repair clp changed nothing; nothing was pruned, because no channel lies more than 1000 standard"
    assert ended.code == 0
    assert sentence in ended.out
    assert json.loads((tmp_path / "score.json").read_text())["note"].startswith(sentence)
    assert load_model(tmp_path / "repaired").manifest.note.startswith(sentence)


def test_a_repair_that_was_killed_while_it_scored_is_scored_by_the_same_command(run, tmp_path, injected_folder):
    out, score = tmp_path / "repaired", tmp_path / "score.json"
    command = ("repair", injected_folder, "--repair", "clp", "--defender-data", "all", "--out", out, "--json", score)
    assert run(*command).code == 0
    whole, weights = score.read_bytes(), (out / "model.safetensors").stat().st_mtime_ns
    score.unlink()
    again = run(*command)
    assert again.code == 0
    assert "is there already, made by the same command" in again.out
    assert score.read_bytes() == whole
    assert (out / "model.safetensors").stat().st_mtime_ns == weights
    assert_refused(run(*command, "--seed", 1), "already exists")


def test_what_cannot_be_scored_is_refused_before_it_is_repaired(run, tmp_path, injected_folder):
    out = tmp_path / "repaired"
    ended = run(
        "repair",
        injected_folder,
        "--repair",
        "clp",
        "--trigger",
        "square:size=9",
        "--defender-data",
        "all",
        "--out",
        out,
    )
    assert ended.code == 2
    assert "8×8" in ended.err
    assert not out.exists()


def test_an_oracle_is_told_as_one(run, injected_folder):
    ended = run("repair", injected_folder, "--repair", "oracle-anp", "--set", "steps=10", "--defender-data", "all")
    assert ended.code == 0
    assert "An oracle: test data and trigger chose how deep to prune, which no defender can do" in ended.out


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("repair", "--repair", "fine-tunning"), ("unknown repair 'fine-tunning'", "did you mean 'fine-tuning'?")),
        (("repair", "--repair", "nad", "--defender-data", "some"), ("--defender-data 'some' is not possible",)),
        (
            ("repair", "--repair", "nad", "--defender-data", "9999"),
            ("9,999 clean examples", "the split 'defender' of digits"),
        ),
        (("repair", "--repair", "interpolation", "--defender-data", "all"), ("give --trusted FOLDER",)),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_mistakes_end_in_one_sentence(run, tmp_path, injected_folder, arguments, names):
    command, *rest = arguments
    ended = run(command, injected_folder, *rest)
    assert_refused(ended, *names)


def test_relearning_is_told_beside_both_controls(run, tmp_path, reference_folder, injected_folder):
    ended = run(
        "repair", injected_folder, "--repair", "fine-tuning", "--set", "epochs=1", "--reference", reference_folder,
        "--relearn", "--json", tmp_path / "score.json",
    )  # fmt: skip
    assert ended.code == 0
    assert "Tuned a little with 1 triggered example, its ASR goes to " in ended.out
    assert ", that of the clean reference after the same repair to " in ended.out
    told = json.loads((tmp_path / "score.json").read_text())["relearned"]
    assert set(told) == {"repaired", "reference", "harmed"}
    assert all(list(values) == ["1", "5", "10"] for values in told.values())
