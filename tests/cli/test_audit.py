"""``audit`` from the command line."""

from __future__ import annotations

import json


def test_audit_makes_updates_and_writes_the_power_curve(run, tmp_path, reference_folder, injected_folder):
    out = tmp_path / "audit"
    how = ("--updates", 2, "--steps", 2, "--queries", 50, "--out", out)
    ended = run("audit", reference_folder, injected_folder, *how)
    assert ended.code == 0
    assert "against 2 benign updates" in ended.out
    assert sorted(path.name for path in out.iterdir()) == [
        "audit.json", "power.csv", "power.png", "power.svg", "updates"
    ]  # fmt: skip
    assert json.loads((out / "audit.json").read_text())["queries"] == 50
    given = run("audit", reference_folder, injected_folder, "--benign", out / "updates" / "benign-0", "--queries", 50)
    assert "against 1 benign update," in given.out


def test_an_audit_needs_updates_one_way_or_the_other(run, reference_folder, injected_folder):
    for how in ((), ("--updates", 2, "--benign", injected_folder)):
        ended = run("audit", reference_folder, injected_folder, *how)
        assert ended.code == 2
        assert "give --benign FOLDER, or --updates N, one of them" in ended.err
