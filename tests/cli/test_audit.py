"""``audit`` from the command line."""

from __future__ import annotations

import json

THREE = ("--updates", 3, "--level", 0.5, "--queries", 50)


def test_audit_makes_updates_and_writes_the_power_curve(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "audit"
    ended = run("audit", reference_folder, injected_folder, *THREE, "--steps", 2, "--out", out)
    assert ended.code == 0
    assert "Compared with 3 benign updates: 3 benign (2 steps of 128 examples, learning rate 0.001)." in ended.out
    assert "No test of this kind proves the absence of a backdoor" in ended.out
    assert {"audit.json", "power.csv", "updates"} <= {path.name for path in out.iterdir()}
    written = json.loads((out / "audit.json").read_text())
    assert written["queries"] == 50
    assert written["verdict"]["value"] in ("unusual: more", "unusual: less", "not unusual")
    given = [value for number in range(3) for value in ("--benign", out / "updates" / f"benign-{number}")]
    again = run("audit", reference_folder, injected_folder, *given, "--level", 0.5, "--queries", 50)
    assert "Compared with 3 benign updates: 3 given." in again.out


def test_settings_are_for_updates_that_are_made(run, reference_folder, injected_folder):
    for how in (("--updates", 3), ("--steps", 3), ("--learning-rate", 0.1)):
        ended = run("audit", reference_folder, injected_folder, "--benign", injected_folder, *how)
        assert ended.code == 2
        assert f"{how[0]} is for updates that are made: leave it out beside --benign" in ended.err


def test_two_lengths_and_a_rate_may_be_named(run, reference_folder, injected_folder):
    how = ("--steps", 1, "--steps", 3, "--learning-rate", 0.01)
    ended = run("audit", reference_folder, injected_folder, *THREE, *how)
    assert "2 short (1 step of 128 examples, learning rate 0.01), 1 long (3 steps of 128 exam" in ended.out
