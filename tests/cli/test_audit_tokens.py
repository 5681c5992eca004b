"""``audit --texts`` from the command line."""

from __future__ import annotations

import json

import pytest

from anchorlab.reports.token_audit import read_token_audit
from anchorlab.scoring.token_statistics import TOKEN_STATISTICS
from tests.causal import save_causal
from tests.refusals import assert_refused
from tests.samples.made_up import write_log
from tests.scoring.test_audit_tokens import DOCUMENTS
from tests.zoo import save_text

THREE = ("--updates", 3, "--level", 0.5, "--steps", 2, "--documents", 4, "--queries", 5, "--samples", 50)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("audit")
    save_causal(place / "v1")
    save_causal(place / "v2", noise=0.5)
    for number in range(3):
        save_causal(place / "tuned" / str(number), noise=0.1 * (1 + number))
    write_log(place / "texts.jsonl", [{"text": text} for text in DOCUMENTS])
    return place


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


def test_a_language_model_is_audited_and_the_page_is_written_again(run, place):
    ended = run("audit", "v1", "v2", "--texts", "texts.jsonl", *THREE, "--fail-if", "unusual", "--json", "audit.json")
    assert ended.code == 1
    assert "\nUnusual: the candidate's mean KL is HIGHER than that of all 3 benign updates (p = 0.5 " in ended.out
    assert "the gate 'unusual > 0' is broken: unusual is 1" in ended.out
    assert "next: anchorlab compare v1 v2 --texts texts.jsonl" in ended.out
    out = place / "anchorlab-audit-v2"
    assert {path.name for path in out.iterdir()} == {"index.html", "token-audit.json", "updates"}
    told = json.loads((place / "audit.json").read_text())
    assert [one["name"] for one in told["statistics"]] == [*TOKEN_STATISTICS]
    page = (out / "index.html").read_text()
    assert page.count("<figure") == len(TOKEN_STATISTICS)
    assert "Is v2 an ordinary update of v1?" in page
    assert read_token_audit(out).to_dict() == json.loads((out / "token-audit.json").read_text())
    (out / "index.html").unlink()
    again = run("report", out)
    assert told["verdict"]["sentence"] in again.out
    assert (out / "index.html").read_text() == page


def test_folders_of_updates_and_other_texts_will_do(run, place):
    given = ("--benign", "tuned/0", "--benign", "tuned/1", "--benign", "tuned/2")
    options = (*THREE[2:4], *THREE[6:], "--out", "given", "--no-detectors", "--access", "joint", "--top", 3)
    ended = run("audit", "v1", "v2", "--texts", "texts.jsonl", *given, *options, "--fail-if", "p_joint < 0.01")
    assert ended.code == 0
    assert "Compared with 3 benign updates: 3 given." in ended.out
    ended = run("audit", "v1", "v2", "--texts", "texts.jsonl", "--text-column", "text", *given, *options)
    assert "next: anchorlab compare v1 v2 --texts texts.jsonl --text-column text" in ended.out
    write_log(place / "others.jsonl", [{"text": text} for text in ("A film of its own.", "And another one.")])
    texts = ("--texts", "texts.jsonl", "--update-texts", "others.jsonl")
    ended = run("audit", "v1", "v1", *texts, *THREE, "--learning-rate", 1e-3, "--out", "others")
    assert ended.code == 0
    assert (
        "Updates were made of 2 different documents of others.jsonl that are not among the audited ones." in ended.out
    )


def test_the_column_is_that_of_the_texts_that_have_columns(run, place):
    write_log(place / "doubtful.jsonl", [{"first": text, "second": text[::-1]} for text in DOCUMENTS])
    (place / "others.txt").write_text("A film of its own.\n\nAnd another one.")
    texts = ("--texts", "doubtful.jsonl", "--text-column", "first", "--update-texts", "others.txt")
    ended = run("audit", "v1", "v2", *texts, *THREE, "--out", "columns")
    assert ended.code == 0
    assert "Updates were made of 2 different documents of others.txt" in ended.out
    neither = ("--texts", "others.txt", "--text-column", "first", "--update-texts", "others.txt")
    assert_refused(run("audit", "v1", "v2", *neither, *THREE, "--out", "neither"), "has no columns")


REFUSED = {
    "labels": (("--labels", "labels.npy"), "--labels is for classifiers: leave it out, or leave --texts out"),
    "split": (("--split", "defender"), "--split is for classifiers"),
    "task": (("--task", "digits"), "--task is for classifiers"),
    "measurement": (("--fail-if", "churn > 0"), "unknown measurement 'churn'"),
    "access": (("--access", "labels"), "unknown access 'labels'"),
    "lists": (("--top", 1000), "lists of 1,000 likeliest tokens are longer"),
    "few": (("--updates", 2), "2 benign updates allow no p-value below"),
    "texts": (("--texts", "nothing.jsonl"), "there is no file nothing.jsonl"),
    "both": (("--benign", "v1"), "--updates is for updates that are made"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_audited_is_refused(case, run):
    options, words = REFUSED[case]
    ended = run("audit", "v1", "v2", "--texts", "texts.jsonl", *THREE, "--out", "refused", *options)
    assert_refused(ended, words)


def test_other_models_and_folders_are_refused(run, place):
    save_text("bert", place / "classifier", ["no", "yes"])
    texts = ("--texts", "texts.jsonl", *THREE)
    assert_refused(run("audit", "v1", "classifier", *texts), "describes no causal language model, but")
    assert_refused(
        run("audit", "v1", "v2", "--out", "without"), "compare or audit it as a language model, with --texts FILE"
    )
    assert_refused(run("audit", "v1", "v2", "--update-texts", "texts.jsonl"), "--update-texts is for language models")
    page = place / "foreign"
    page.mkdir()
    (page / "index.html").write_text("mine")
    assert_refused(run("audit", "v1", "v2", *texts, "--out", page), "is none that 'anchorlab audit --texts' wrote")
    assert (page / "index.html").read_text() == "mine"
    page = place / "damaged"
    page.mkdir()
    (page / "token-audit.json").write_text("{}")
    assert_refused(run("report", page), "token-audit.json is damaged")
