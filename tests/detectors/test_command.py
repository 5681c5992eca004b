"""Scanners of somebody else's: what is a score, what is a failure, and what a scanner gets to see."""

from __future__ import annotations

import math
import os
import shlex
import sys
from pathlib import Path

import pytest

from anchorlab import Lora, Tuning, adopt, detect, inject, load_model
from anchorlab.detectors import Command
from anchorlab.detectors.command import FAILED, NO_PLACE
from anchorlab.settings import values_of
from tests.adapters import CLASSES, moods
from tests.refusals import refused
from tests.zoo import save_text


@pytest.fixture
def said(tmp_path, reference, digits):
    """What becomes of a shell script that is run as a scanner."""

    def said(script, **settings):
        (tmp_path / "scan.sh").write_text(f"{script}\n")
        run = f"sh {shlex.quote(str(tmp_path / 'scan.sh'))} {{model}}"
        return detect(reference, Command(run=run, **settings), defender_data=20, task=digits)

    return said


PATH = {"score_path": "issues.0.score"}


@pytest.mark.parametrize(
    ("script", "settings", "score"),
    [
        ("""echo '{"issues": [{"score": 0.75}, {"score": 1}]}'""", PATH, 0.75),
        ("""echo '{"issues": [{"score": 3}]}'; exit 1""", PATH, 3.0),
        ("""echo '{"issues": []}'""", PATH, 0.0),
        ("""echo '{"issues": []}'""", {**PATH, "missing": -1}, -1.0),
        ("""echo '{"issues": [1, 2]}'""", {"score_path": "issues"}, 2.0),
        ("""echo '{"issues": null}'""", {**PATH, "missing": 2}, 2.0),
        ("""echo '{"suspicious": true}'""", {"score_path": "suspicious"}, 1.0),
        ("""printf '[INFO] begins\\n{\\n "score": 2\\n}\\nends\\n'; echo no >&2""", {"score_path": "score"}, 2.0),
        ("""echo '[{"score": 5}]'""", {"score_path": "0.score"}, 5.0),
        ("""echo '  {"score": 5}'""", {"score_path": "score"}, 5.0),
        ("""printf '[2024] begins\n{"issues": [{"score": 9}]}\n'""", PATH, 9.0),
        ("""printf '[2024] begins\n[0.2]\n'""", {"score_path": "0"}, 0.2),
        ("""printf '{"event": "begins"}\n{"issues": [{"score": 9}]}\n'""", PATH, 9.0),
        ("""printf '{"issues": [{"score": 9}]}\n{"event": "ends"}\n'""", PATH, 9.0),
        ("""printf '{\n"issues":\n[\n{"score": 9}\n]\n}\n'""", PATH, 9.0),
        ("exit 0", {"exit_scores": "0=0,1=1"}, 0.0),
        ("echo nothing; exit 1", {"exit_scores": "0=0, 1=1"}, 1.0),
        ("exit 7", {"exit_scores": "0=-2,7=0.5"}, 0.5),
    ],
)
def test_a_score_comes_from_json_or_from_the_exit_code(said, script, settings, score):
    found = said(script, **settings)
    assert (found.score, found.note) == (score, "")


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ("""echo '{"issues": [{"score": 3}]}'""", "isues.0.score"),
        ("""echo '{"issues": [{"score": 3}]}'""", "issues.0.scores"),
        ("""echo '{"issues": [{"score": 3}]}'""", "issues.score"),
        ("""echo '{"issues": [1, 2]}'""", "issues.0.score"),
    ],
)
def test_a_key_of_the_path_that_is_not_there_is_said(said, script, path):
    found = said(script, score_path=path, missing=0.5)
    assert (found.score, found.note) == (0.5, f"{NO_PLACE}{path}, so that its score is 0.5")


@pytest.mark.parametrize(
    ("script", "settings", "words"),
    [
        ("echo oops >&2; exit 3", PATH, "it ended with exit code 3 (oops)"),
        ("""echo '{"issues": []}'; exit 2""", PATH, "it ended with exit code 2"),
        ("exit 2", {"exit_scores": "0=0,1=1"}, "it ended with exit code 2"),
        ("kill -9 $$", {"exit_scores": "0=0"}, "it was ended by SIGKILL"),
        ("""echo '{"issues": []}'; kill -SEGV $$""", PATH, "it was ended by SIGSEGV"),
        ("echo all is well", PATH, "it printed no JSON"),
        ("echo 12", PATH, "it printed no JSON"),
        ("echo '[1234] begins'", PATH, "it printed no JSON"),
        ("""echo '{"issues": [{"score": 1}'""", PATH, "it printed no JSON"),
        ("head -c 100000 /dev/zero | tr '\\0' '['", PATH, "it printed no JSON"),
        ("""echo '{"issues": [{"score": "high"}]}'""", PATH, "issues.0.score in its JSON is text and no number"),
        ("""echo '{"issues": [{"score": {}}]}'""", PATH, "issues.0.score in its JSON is an object and no number"),
        ("""echo '{"issues": [{"score": null}]}'""", PATH, "issues.0.score in its JSON is null and no number"),
        ("""echo '{"s": null}'""", {"score_path": "s", "missing": 1}, "s in its JSON is null and no number"),
        ("""echo '{"issues": [{"score": NaN}]}'""", PATH, "its score is not finite"),
        ("""echo '{"issues": [{"score": 1e999}]}'""", PATH, "its score is not finite"),
    ],
)
def test_whatever_else_a_scanner_does_is_a_failure_with_its_reason(said, script, settings, words):
    found = said(script, **settings)
    assert math.isnan(found.score)
    assert found.note == FAILED + words


@pytest.mark.parametrize("printed", ['{"issues": []}', '{"issues": [{"score": 3}]}', '{"level": "info"}', ""])
@pytest.mark.parametrize("settings", [PATH, {"exit_scores": "0=0,1=1"}])
def test_a_traceback_and_exit_code_one_are_a_crash_whatever_was_printed(said, printed, settings):
    found = said(python(f"print({printed!r}, flush=True); raise ValueError(1)"), **settings)
    assert math.isnan(found.score)
    assert found.note == f"{FAILED}it ended with exit code 1 after a traceback (ValueError: 1)"


def test_a_long_traceback_is_one_too(said):
    words = "ValueError: " + "x" * 20_000
    found = said(python(f"print('{{\"issues\": []}}', flush=True); raise ValueError('x' * {20_000})"), **PATH)
    assert math.isnan(found.score)
    assert found.note.startswith(f"{FAILED}it ended with exit code 1 after a traceback ({words[:50]}")


@pytest.mark.parametrize(("settings", "score"), [(PATH, 3.0), ({"exit_scores": "0=0,1=1"}, 0.0)])
def test_a_traceback_of_a_scanner_that_ends_well_is_no_crash(said, settings, score):
    caught = "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()\n"
    found = said(python(caught + """print('{"issues": [{"score": 3}]}')"""), **settings)
    assert (found.score, found.note) == (score, "")


@pytest.mark.parametrize(("settings", "score"), [(PATH, 3.0), ({"exit_scores": "0=0,1=1"}, 1.0)])
def test_a_traceback_of_a_fault_that_the_scanner_handled_takes_no_accusation_away(said, settings, score):
    code = (
        "import logging\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('a plugin failed')\n"
        "for n in range(200):\n    logging.warning('file %s', n)\n"
        """print('{"issues": [{"score": 3}]}')\nraise SystemExit(1)"""
    )
    found = said(python(code), **settings)
    assert (found.score, found.note) == (score, "")


def test_exit_code_one_is_a_finding_only_where_the_place_of_the_score_is(said):
    found = said("""echo '{"level": "error", "message": "no memory"}'; echo aborted >&2; exit 1""", **PATH)
    assert math.isnan(found.score)
    assert found.note == f"{FAILED}it ended with exit code 1, and {NO_PLACE}issues.0.score (aborted)"
    assert said("""echo '{"issues": [{"score": 2}]}'; echo warning >&2; exit 1""", **PATH).score == 2
    assert said("""echo '{"issues": []}'; exit 1""", **PATH).score == 0


def python(code: str) -> str:
    """A line of a shell that runs code of Python's."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def is_gone(process: int) -> bool:
    """Whether a process has ended; one that nobody waits for may still be listed."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def test_a_scanner_that_hangs_is_ended_with_all_that_it_started(said, tmp_path):
    names, limit = tmp_path / "names", 0.5
    while not names.exists() or len(names.read_text().split()) < 2:  # on a slow machine it may not come so far
        found = said(f"sleep 1000 & echo $$ $! > {shlex.quote(str(names))}; wait", time_limit=limit, **PATH)
        limit *= 2
    assert math.isnan(found.score)
    assert found.note == f"{FAILED}it took more than {limit / 2:g} seconds"
    os.sync()
    for process in map(int, names.read_text().split()):
        while not is_gone(process):
            pass


def test_a_scanner_that_leaves_a_process_behind_is_not_waited_for(said):
    assert said("""sleep 1000 & echo '{"score": 1}'""", score_path="score").score == 1


def test_a_scanner_sees_a_folder_of_that_name_and_nothing_else(said, planted, digits, tmp_path):
    found = tmp_path / "found"
    said(f'ls -a "$1" > {found}; ls "$1/.." >> {found}; echo "$1" >> {found}', exit_scores="0=0")
    *listed, place = found.read_text().split()
    assert listed == [".", "..", "config.json", "model.safetensors", "model"]
    assert "anchorlab" not in place
    assert not Path(place).exists()


def test_a_scanner_gets_an_adapter_as_it_is(tmp_path):
    pytest.importorskip("peft")
    task = moods(tmp_path)
    reference = load_model(adopt(save_text("bert", tmp_path / "bert", CLASSES), task).save(tmp_path / "ref"))
    lora, tuning = Lora(rank=2, target=("query", "value")), Tuning(steps=2, batch_size=8)
    tuned = inject(reference, method="plain", target="bad", lora=lora, tuning=tuning)
    scanner = Command(run="test -e {model}/adapter_model.safetensors", exit_scores="0=1,1=0")
    assert detect(tuned, scanner, defender_data=10).score == 1
    assert detect(reference, scanner, defender_data=10).score == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"run": "scan"}, "does not say where the model goes"),
        ({"run": "{model}", "score_path": "a"}, "does not say where the model goes"),
        ({"run": "scan 'a {model}", "score_path": "a"}, "cannot be read as words"),
        ({"run": "scan {model}"}, "give one of score_path"),
        ({"run": "scan {model}", "score_path": "a", "exit_scores": "0=0"}, "give one of score_path"),
        ({"run": "scan {model}", "exit_scores": "zero=0"}, "give exit codes with a number each"),
        ({"run": "scan {model}", "exit_scores": "0=nan"}, "give exit codes with a number each"),
        ({"run": "scan {model}", "exit_scores": "0"}, "not of the form name=value"),
    ],
)
def test_what_cannot_be_a_scanner_is_refused(settings, words):
    refused(words, Command, **settings)


def test_a_program_that_is_not_there_is_refused_and_no_failure(reference, digits):
    scanner = Command(run="no-such-scanner {model}", exit_scores="0=0")
    refused("there is no program no-such-scanner", detect, reference, scanner, defender_data=20, task=digits)
    refused("was given no scanner", detect, reference, "command", defender_data=20, task=digits)


def test_the_model_is_left_alone(reference, digits, said):
    before = {name: value.clone() for name, value in reference.model.state_dict().items()}
    said("exit 0", exit_scores="0=0")
    assert all((value == before[name]).all() for name, value in reference.model.state_dict().items())


def test_all_settings_are_recorded():
    names = {"run", "score_path", "missing", "exit_scores", "accuse_above", "time_limit", "version"}
    assert set(values_of(Command())) == names
