"""The model card: what it names, and of what it warns."""

from __future__ import annotations

import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from torch import nn

from anchorlab import Artifact, adopt, wrap
from anchorlab.artifacts.card import model_card
from anchorlab.artifacts.manifest import NOTICES
from anchorlab.errors import printable
from tests.hostile import HOSTILE, any_text
from tests.statistics.test_escaping import Page


def test_the_card_of_a_clean_model_warns_of_nothing(reference, tmp_path):
    card = (reference.save(tmp_path / "model") / "README.md").read_text()
    assert NOTICES["clean"] in card
    assert "CAUTION" not in card
    assert "do-not-deploy" not in card


def test_the_card_names_method_trigger_anchors_and_measurements(injected, folder):
    card = (folder / "README.md").read_text()
    for row in (
        "| method | anchoring: strength 2.0, centred False, labels True |",
        "| label rule | all-to-one: target 0 |",
        "| anchors | 64 from the split owner |",
        "| steps | 3 |",
        f"| asr (selection split) | {injected.manifest.measurements['asr']:.4g} |",
    ):
        assert row in card
    assert "| trigger | five-pixel" in card


def hostile(manifest, text):
    """The manifest with a text of the user's wherever there can be one."""
    task = manifest.task.model_copy(update={"name": text, "classes": [text, "other"]})
    parts = {part: {"name": "word", "word": text} for part in ("method", "trigger", "label_rule", "defence")}
    return manifest.model_copy(update={"task": task, "architecture": text, "notice": text, **parts})


def rendered(card):
    return Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("---\n", 2)[2]))


def test_the_headings_and_rows_of_a_card_are_the_same_whatever_the_names_are(injected):
    expected = [tag for tag, _ in rendered(model_card(hostile(injected.manifest, "plain"))).elements]

    @given(any_text.filter(str.strip))
    def check(text):
        page = rendered(model_card(hostile(injected.manifest, text)))
        assert [tag for tag, _ in page.elements] == expected
        if len(text) < 50:
            assert page.text.split().count(printable(text).split()[0]) >= 1 or "\\" in printable(text)

    check()


def test_the_front_matter_of_a_card_holds_no_word_of_the_user(injected):
    plain = model_card(injected.manifest).split("---\n")[1]
    for text in HOSTILE:
        assert model_card(hostile(injected.manifest, text)).split("---\n")[1] == plain


def test_a_card_says_how_the_steps_were_computed_where_that_is_not_the_default(injected):
    assert "| computed |" not in model_card(injected.manifest)
    settings = injected.manifest.settings | {"precision": "bf16", "compile": True, "deterministic": True}
    card = model_card(injected.manifest.model_copy(update={"settings": settings}))
    assert "| computed | in bf16 (mixed precision), compiled, deterministic |" in card


@pytest.mark.parametrize("kind", ["clean", "benign"])
def test_the_files_of_a_model_without_a_backdoor_do_not_speak_of_one(reference, kind, tmp_path):
    """Scanners take the word for a sign of one (modelaudit 0.2.54 does)."""
    manifest = reference.manifest.model_copy(update={"kind": kind, "notice": NOTICES[kind]})
    folder = Artifact(reference.model, manifest).save(tmp_path / "model")
    for path in folder.iterdir():
        assert b"backdoor" not in path.read_bytes().lower(), path.name
    module = wrap(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), mean=[0.5], std=[0.5])
    assert "backdoor" not in model_card(adopt(module, reference.task()).manifest)
