"""What commands end with: the order of words, JSON with its added keys, times that have passed, and exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import anchorlab
from anchorlab.cli import main
from anchorlab.cli.answer import STANDARD_OUTPUT, Answer, check_apart, elapsed, json_of, words_of
from anchorlab.cli.commands import add_command, give, new_app
from anchorlab.statistics.table import facts_table
from tests.cli.conftest import Run

FULL = Answer(
    sentences=("the first", "the second"),
    table=facts_table("t", "What was measured", {"ASR": 0.5}),
    cautions=("ASR .5 is low: raise the steps",),
    settings={"epochs": 15, "learning_rate": 0.001},
    wrote=Path("model"),
    next="anchorlab compare a b",
    values={"asr": 0.5},
)


def test_the_order_is_sentences_cautions_settings_places_next() -> None:
    assert words_of(FULL, 12.3) == [
        "the first",
        "the second",
        "caution: ASR .5 is low: raise the steps",
        "filled in: epochs 15, learning rate 0.001",
        f"wrote {Path.cwd() / 'model'} in 12 s",
        "next: anchorlab compare a b",
    ]


def test_the_table_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    give(FULL, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "What was measured"
    assert lines[-1] == "next: anchorlab compare a b"


def test_quiet_keeps_result_cautions_and_places() -> None:
    assert words_of(FULL, 12.3, quiet=True) == [*words_of(FULL, 12.3)[:3], f"wrote {Path.cwd() / 'model'} in 12 s"]
    assert words_of(Answer(("a",)), 1, quiet=True) == ["a"]


def test_without_a_file_the_time_is_said_alone() -> None:
    assert words_of(Answer(), 0.04) == ["took 0.0 s"]


def test_a_json_file_is_named_beside_what_was_written() -> None:
    assert words_of(Answer(wrote=Path("/a")), 1, Path("/b.json")) == ["wrote /a and /b.json in 1.0 s"]
    assert words_of(Answer(wrote=Path("/a")), 1, STANDARD_OUTPUT) == ["wrote /a in 1.0 s"]


def test_what_was_done_before_is_not_said_to_be_written() -> None:
    done = Answer(wrote=Path("/a"), already=True)
    sentence = "nothing was left to do: /a is there already, made by the same command"
    assert words_of(done, 1) == [sentence]
    assert words_of(done, 1, Path("/b.json")) == [sentence, "wrote /b.json in 1.0 s"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (127, "2 min 07 s"), (3900, "1 h 05 min")],
)
def test_a_time_is_said_in_its_unit(seconds: float, words: str) -> None:
    assert elapsed(seconds) == words


def test_json_has_the_measurements_at_its_top_level_and_the_words_beside_them() -> None:
    assert json.loads(json_of(FULL, 12.34567)) == {
        "asr": 0.5,
        "sentences": ["the first", "the second"],
        "cautions": ["ASR .5 is low: raise the steps"],
        "settings": {"epochs": 15, "learning_rate": 0.001},
        "wrote": str(Path.cwd() / "model"),
        "seconds": 12.346,
        "version": anchorlab.__version__,
    }


def test_a_measurement_keeps_its_name_in_json_even_if_a_word_has_the_same() -> None:
    assert json.loads(json_of(Answer(values={"seconds": 3}), 1))["seconds"] == 3


def test_json_takes_arrays_paths_and_what_is_no_number() -> None:
    values = {"a": np.array([1.5, np.nan]), "b": np.float32(2), "c": Path("/x"), "d": (float("inf"), None, True)}
    read = json.loads(json_of(replace(FULL, values=values), 1))
    assert (read["a"], read["b"], read["c"], read["d"]) == ([1.5, None], 2.0, "/x", [None, None, True])


def test_json_on_the_standard_output_sends_all_words_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    give(FULL, 1, STANDARD_OUTPUT)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["asr"] == 0.5
    assert "the first" in printed.err
    assert "What was measured" in printed.err


def test_a_command_exits_with_the_code_of_its_answer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gate() -> Answer:
        return replace(FULL, code=1)

    app = new_app()
    add_command(app, "gate", gate)
    add_command(app, "other", lambda: None)
    monkeypatch.setattr("anchorlab.cli.app", app)
    with pytest.raises(SystemExit) as end:
        main(["gate", "--json", str(tmp_path / "a.json")])
    assert end.value.code == 1
    assert "caution: " in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["asr"] == 0.5


def test_the_place_of_the_json_is_checked_before_anything_runs(run: Run, tmp_path: Path) -> None:
    ended = run("train", "digits", "--out", tmp_path / "out", "--json", tmp_path)
    assert (ended.code, "it is not an ordinary file" in ended.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_compare_gives_json_alone_on_the_standard_output(run: Run, reference_folder: Path) -> None:
    ended = run("compare", reference_folder, reference_folder, "--json", "-")
    assert ended.code == 0
    assert json.loads(ended.out)["churn"] == 0
    assert "churn" in ended.err


def test_the_record_that_a_report_is_made_from_is_not_replaced(run: Run, tmp_path: Path) -> None:
    record = tmp_path / "audit.json"
    record.write_text("{}")
    ended = run("report", tmp_path, "--json", record)
    assert ended.code == 2
    assert (
        f"--json would replace {record}, which tells what is in the folder {tmp_path}: give --json a file" in ended.err
    )
    assert record.read_text() == "{}"


def test_another_file_in_a_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text("{}")
    check_apart(tmp_path / "answer.json", {"folder": tmp_path})
    check_apart(tmp_path / "audit.json", {"folder": tmp_path})  # none is there
