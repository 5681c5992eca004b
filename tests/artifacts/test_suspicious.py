"""A model that is not held to be clean is labelled so, can be examined, and is trusted nowhere."""

from __future__ import annotations

import json

import pytest

from anchorlab import Tuning, adopt, audit, compare, inject, load_model, repair
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import DANGEROUS, NOTICES
from tests.refusals import refused

BRIEF = Tuning(steps=2, batch_size=4)


@pytest.fixture(scope="module")
def suspect(planted, digits) -> Artifact:
    return adopt(planted.model, digits, kind="suspicious")


def test_its_folder_says_so_everywhere(suspect, tmp_path):
    folder = suspect.save(tmp_path / "suspect")
    notice = NOTICES["suspicious"]
    assert "may carry a backdoor" in notice
    manifest = load_model(folder).manifest
    assert (manifest.kind, manifest.notice) == ("suspicious", notice)
    assert json.loads((folder / "config.json").read_text())["anchorlab_notice"] == notice
    card = (folder / "README.md").read_text()
    assert "tags: [anchorlab, suspicious, do-not-deploy]" in card
    assert "> [!CAUTION]" in card


def test_it_is_examined_like_any_candidate(suspect, reference, digits):
    assert compare(reference, suspect, task=digits).kl > 0
    assert compare(suspect, reference, task=digits).kl > 0
    assert repair(suspect, "fine-pruning", defender_data=60, task=digits).manifest.kind == "repaired"


def test_it_is_neither_a_reference_nor_trusted_nor_a_benign_update(suspect, reference, digits):
    refused("the reference is a model of kind 'suspicious'", inject, suspect, tuning=BRIEF, task=digits)
    refused(
        "benign update 1 is a model of kind 'suspicious'",
        audit, reference, suspect, benign=[suspect] * 3, level=0.5, task=digits,
    )  # fmt: skip
    refused(
        "the trusted version is a model of kind 'suspicious'",
        repair, suspect, "interpolation", defender_data=60, trusted=suspect, task=digits,
    )  # fmt: skip


@pytest.mark.parametrize("kind", DANGEROUS)
def test_no_audit_trusts_what_may_carry_a_backdoor(suspect, reference, digits, kind):
    other = Artifact(suspect.model, suspect.manifest.model_copy(update={"kind": kind}))
    refused(f"the reference of an audit is a model of kind '{kind}'", audit, other, reference, task=digits)


def test_another_kind_is_refused(planted, digits):
    refused("kind", adopt, planted.model, digits, kind="injected")
