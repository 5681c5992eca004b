"""An analysis as a value."""

from __future__ import annotations

import json

from tests.made_up_analysis import made_up


def test_its_repr_is_one_short_line():
    assert repr(made_up(("plain", "anchored"))) == (
        "Analysis(plain, anchored against clean <model>: digits, 1234 examples of test)"
    )


def test_its_record_is_json_values_without_tables():
    record = made_up().to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert "tables" not in record


def test_a_notebook_shows_summary_and_findings_escaped():
    shown = made_up()._repr_html_()
    assert shown.startswith("<table><caption>digits: perturbations of clean &lt;model&gt;.</caption>")
    assert "<th>relative L2</th>" in shown
    assert "<th>&lt;b&gt;&amp;bold|pipe</th>" in shown
    assert "<li>A is &lt;less&gt; than B.</li>" in shown
    assert "<li>Nothing &amp; more.</li>" in shown
