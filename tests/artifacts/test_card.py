"""The model card: what it names, and of what it warns."""

from __future__ import annotations

from anchorlab.artifacts.manifest import NOTICES


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
