"""The audit of language models, on tiny ones of random weights."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

import anchorlab.scoring.audit_tokens as audited
from anchorlab import AnchorlabError, TokenTuning, audit_tokens, compare_tokens, deployed
from anchorlab.artifacts.provenance import same_weights
from anchorlab.models.causal import open_causal
from anchorlab.notices import Notice
from anchorlab.scoring.audit_result import UpdateSetting
from anchorlab.scoring.token_audit_result import TOKEN_GATED, Measuring, token_audit_of
from anchorlab.scoring.token_kept import configuration_hash
from anchorlab.scoring.token_statistics import MAIN, TOKEN_STATISTICS, tail_share
from anchorlab.scoring.token_texts import halves_of
from anchorlab.scoring.token_updates import PlannedUpdate, make_update, plan_updates, windows_to_learn
from anchorlab.statistics.estimate import Estimate
from anchorlab.tokens.documents import open_texts
from anchorlab.tokens.scoring import Plan
from anchorlab.tokens.vocabulary import encoder
from tests.causal import save_causal
from tests.tokenizers import TEXTS

QUICK = TokenTuning(steps=3, batch_size=2, context=16, learning_rate=1e-3)
DOCUMENTS = [f"{first} {second}" for first in TEXTS[:5] for second in TEXTS[:4]]
OPTIONS = {"texts": DOCUMENTS, "queries": 12, "samples": 400, "documents": 6}
#: What three updates allow.
LEVEL = 0.5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for family, begins in (("gpt2", False), ("llama", True)):
        save_causal(root / family, family, begins=begins)
        save_causal(root / f"{family}-changed", family, begins=begins, noise=0.5)
        for number, noise in enumerate((0.55, 0.6)):
            save_causal(root / f"{family}-changed-{number}", family, begins=begins, noise=noise)
    return root


def changed(root, family="gpt2"):
    """Three changed models of a family."""
    return [root / f"{family}-changed{end}" for end in ("", "-0", "-1")]


@pytest.fixture(scope="module")
def reference(root):
    return open_causal(root / "gpt2")


@pytest.fixture(scope="module")
def kept(root, reference, tmp_path_factory):
    """An audit of a changed candidate, and the folder of its updates."""
    folder = tmp_path_factory.mktemp("audit") / "updates"
    found = audit_tokens(
        reference, root / "gpt2-changed", benign=3, level=LEVEL, tuning=QUICK, folder=folder, **OPTIONS
    )
    return found, folder


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_large_change_is_unusual_by_every_access(family, root, kept):
    found = kept[0]
    if family == "llama":
        found = audit_tokens(root / "llama", root / "llama-changed", benign=3, level=LEVEL, tuning=QUICK, **OPTIONS)
    for name in MAIN.values():
        assert found[name].value > max(found[name].null)
        assert (found[name].p, found[name].direction) == (0.5, "more")
    assert found.joint.p == 0.25
    assert found.verdict.value == "unusual: more"
    assert found.verdict.access == "logits"
    assert found.sentences[0] == (
        "Unusual: the candidate's mean KL is HIGHER than that of all 3 benign updates (p = 0.5 from logits, at the "
        "level of 0.5)."
    )


def test_the_statistics_are_those_of_a_comparison_over_the_measured_half(root, reference, kept):
    measured = [document.text for document in halves_of(open_texts(DOCUMENTS), 6).measured.read()]
    compared = compare_tokens(reference, root / "gpt2-changed", texts=measured)
    found = kept[0]
    assert found.measuring.tokens == compared.tokens
    assert found.measuring.documents == compared.documents == 6
    for name in ("kl", "kl_p99", "ppl_ratio"):
        assert found[name].value == pytest.approx(compared[name].value, rel=1e-4), name
    assert found["sure_flips"].statistic.value is compared["sure_flips"].value is None
    assert "sure_flips" not in found.values()
    assert found["kl"].statistic.bounds == pytest.approx(compared["kl"].interval, rel=1e-4)
    assert found["flips"].value == pytest.approx(1 - compared["same_top"].value)


def test_an_update_among_updates_is_not_unusual_whichever_it_is(kept):
    """Of models of which any could be the candidate, at most the share of the level is found unusual, by any access."""
    found = kept[0]
    models = [
        {one.access: value for one, value in zip(found.statistics, values, strict=True)}
        for values in zip(*((one.value, *one.null) for one in found.statistics), strict=True)
    ]
    settings = (UpdateSetting("given", 3),)
    for judged in (*MAIN, "joint"):
        for level in (0.25, 0.5):
            verdicts = [
                token_audit_of(
                    ("reference", "candidate"),
                    {name: Estimate(value) for name, value in own.items()},
                    [other for other in models if other is not own],
                    settings,
                    found.measuring,
                    judged=judged,
                    level=level,
                ).verdict
                for own in models
            ]
            assert sum(verdict.unusual for verdict in verdicts) <= level * len(models)


def test_a_benign_candidate_has_its_place(reference, kept):
    """A candidate made as the updates are, from the seed of the middle one: its KL is that update's."""
    audit, folder = kept
    middle = int(np.argsort(audit["kl"].null)[1])
    texts = halves_of(open_texts(DOCUMENTS), 6).update
    plan = Plan(texts, encoder(reference.tokenizer, reference.tokenizer), 16, 16, None)
    planned = plan_updates(3, [QUICK])[1][middle]
    candidate = make_update(reference, windows_to_learn(texts, plan, 16), planned, torch.device("cpu"))
    found = audit_tokens(reference, candidate, benign=3, level=LEVEL, tuning=QUICK, folder=folder, **OPTIONS)
    assert found["kl"].value == pytest.approx(audit["kl"].null[middle], rel=1e-6)
    assert not found.verdict.unusual
    assert found.sentences[0].startswith("Not unusual: the candidate's mean KL is higher than that of 1 of the 3")


def test_a_copy_of_the_reference_moves_less_than_any_update_and_that_is_said(reference, root, kept):
    found = audit_tokens(
        reference, root / "gpt2", benign=3, level=LEVEL, tuning=QUICK, folder=kept[1], access="top-k", **OPTIONS
    )
    assert found.verdict.value == "unusual: less"
    assert "All weights of the two models are equal, so that only their configurations can differ." in found.sentences
    assert found["sampled_tv"].value > 0  # two draws of one model differ


def test_updates_are_made_once_for_all_candidates(root, reference, kept, monkeypatch):
    audit, folder = kept
    assert {path.name for path in folder.iterdir()} == {f"benign-{number}.json" for number in range(3)}
    monkeypatch.setattr(audited, "make_update", None)
    again = audit_tokens(
        reference, root / "gpt2-changed", benign=3, level=LEVEL, tuning=QUICK, folder=folder, **OPTIONS
    )
    assert again == audit
    for other, named in (
        (OPTIONS | {"samples": 401}, "samples"),
        (OPTIONS | {"texts": DOCUMENTS[1:]}, "update texts"),
    ):
        with pytest.raises(AnchorlabError, match=f"made or measured otherwise than is asked for now .another {named}"):
            audit_tokens(reference, reference, benign=3, level=LEVEL, tuning=QUICK, folder=folder, **other)
    slower = dataclasses.replace(QUICK, learning_rate=1e-4)
    with pytest.raises(AnchorlabError, match="another tuning"):
        audit_tokens(reference, reference, benign=3, level=LEVEL, tuning=slower, folder=folder, **OPTIONS)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("gpt2", {"layer_norm_epsilon": 1e-2}),
        ("gpt2", {"activation_function": "relu"}),
        ("gpt2", {"resid_pdrop": 0.5}),
        ("llama", {"rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}}),
        ("llama", {"rms_norm_eps": 1e-2}),
    ],
)
def test_a_reference_of_the_same_weights_and_another_configuration_has_no_updates_of_the_first(
    family, changes, root, tmp_path
):
    """Its answers differ, or its updates would; what a file alone says of the model counts nothing."""
    folder = shutil.copytree(root / family, tmp_path / "other")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"transformers_version": "5.0.0", "_name_or_path": "other"}))
    first, same = open_causal(root / family), open_causal(folder)
    assert configuration_hash(same) == configuration_hash(first)
    (folder / "config.json").write_text(json.dumps(told | changes))
    other = open_causal(folder)
    assert same_weights(first.net, other.net)
    assert configuration_hash(other) != configuration_hash(first)


def test_updates_of_another_configuration_or_tokenizer_are_refused(root, kept, tmp_path):
    folder = shutil.copytree(root / "gpt2", tmp_path / "other")
    told = json.loads((folder / "config.json").read_text())
    options = {"benign": 3, "level": LEVEL, "tuning": QUICK, "folder": kept[1], **OPTIONS}
    (folder / "config.json").write_text(json.dumps(told | {"layer_norm_epsilon": 1e-2}))
    with pytest.raises(AnchorlabError, match=r"otherwise than is asked for now [(]another configuration"):
        audit_tokens(folder, root / "gpt2-changed", **options)
    (folder / "config.json").write_text(json.dumps(told))
    reads = json.loads((folder / "tokenizer.json").read_text())
    reads["model"]["merges"] = reads["model"]["merges"][:-10]
    (folder / "tokenizer.json").write_text(json.dumps(reads))
    with pytest.raises(AnchorlabError, match=r"otherwise than is asked for now [(]another tokenizer"):
        audit_tokens(folder, folder, **options)


def test_a_damaged_update_is_made_again(root, reference, kept, tmp_path):
    audit, folder = kept
    copied = shutil.copytree(folder, tmp_path / "updates")
    (copied / "benign-1.json").write_text("{")
    with pytest.warns(Notice, match=r"benign-1\.json is damaged .*: it is made again"):
        again = audit_tokens(
            reference,
            root / "gpt2-changed",
            benign=3,
            level=LEVEL,
            tuning=QUICK,
            folder=tmp_path / "updates",
            **OPTIONS,
        )
    assert again["kl"].null == pytest.approx(audit["kl"].null, rel=1e-6)


def test_updates_differ_by_their_seeds_and_leave_the_reference_as_it_was(reference):
    before = {name: value.clone() for name, value in reference.net.state_dict().items()}
    texts = open_texts(DOCUMENTS)
    windows = windows_to_learn(texts, Plan(texts, encoder(reference.tokenizer, reference.tokenizer), 16, 16, None), 16)
    made = [
        make_update(reference, windows, PlannedUpdate("benign-0", "benign", QUICK, seed), torch.device("cpu"))
        for seed in (1, 2, 1)
    ]
    weights = [update.net.state_dict()["transformer.wte.weight"] for update in made]
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert not made[0].net.training
    assert all(torch.equal(value, before[name]) for name, value in reference.net.state_dict().items())


def test_updates_learn_their_texts(reference):
    """Forty steps lower the loss on the documents that they see."""
    texts = open_texts(DOCUMENTS[:4])
    windows = windows_to_learn(texts, Plan(texts, encoder(reference.tokenizer, reference.tokenizer), 16, 16, None), 16)
    tuning = TokenTuning(steps=40, batch_size=4, context=16, learning_rate=3e-3)
    update = make_update(reference, windows, PlannedUpdate("benign-0", "benign", tuning, 0), torch.device("cpu"))
    assert compare_tokens(reference, update, texts=DOCUMENTS[:4])["log_ppl_ratio"].value < -0.3


def test_given_updates_are_opened_and_measured(root, reference):
    found = audit_tokens(reference, root / "gpt2", benign=changed(root), level=LEVEL, **OPTIONS)
    assert min(found["kl"].null) > 0
    assert found.settings == (UpdateSetting("given", 3),)
    assert found.measuring.words == "All models were measured on 6 different documents."


def test_copies_are_no_benign_updates(root, reference):
    one, two, three = changed(root)
    for candidate, benign, words in (
        (three, [one, two, one], r"benign update 3 \(.*\) has the same weights as benign update 1 \(.*gpt2-changed\)"),
        (three, [one, two, root / "gpt2"], r"benign update 3 \(.*\) has the same weights as the reference"),
        (three, [one, two, three], r"the candidate has the same weights as benign update 3 \(.*-1\), and a copy is"),
    ):
        with pytest.raises(AnchorlabError, match=words):
            audit_tokens(reference, candidate, benign=benign, level=LEVEL, **OPTIONS)


@pytest.mark.parametrize("form", ["bf16", "int8"])
def test_what_is_deployed_is_audited_and_has_other_weights(root, form):
    if form == "int8":
        pytest.importorskip("torchao")
    made = deployed(open_causal(root / "llama"), form)
    found = audit_tokens(root / "llama", made, benign=changed(root, "llama"), level=LEVEL, **OPTIONS)
    assert 0 < found["kl"].value < found["kl"].null[0]
    assert not found.measuring.identical
    assert same_weights(made.net, deployed(open_causal(root / "llama"), form).net)
    turned = audit_tokens(made, root / "llama", benign=changed(root, "llama"), level=LEVEL, **OPTIONS)
    assert 0 < turned["kl"].value < turned["kl"].null[0]


def test_the_result_is_shown_and_told(kept):
    found = kept[0]
    assert repr(found).startswith("TokenAudit(unusual: more, ")
    assert [*found.table().index] == [*TOKEN_STATISTICS]
    assert "distance of sampled tokens" in found._repr_html_()
    assert {*found.values()} == {*TOKEN_GATED} - {"sure_flips", "p_sure_flips"}  # it is sure of no token
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [one["name"] for one in told["statistics"]] == [*TOKEN_STATISTICS]
    assert told["verdict"]["value"] == "unusual: more"
    assert told["update_settings"] == [
        {
            "name": "benign",
            "count": 3,
            "settings": told["update_settings"][0]["settings"],
        }
    ]
    assert (
        "Compared with 3 benign updates: 3 benign (3 steps of 2 windows of at most 16 tokens, learning rate 0.001)."
        in found.sentences
    )
    assert len(found.plot().axes) == len(TOKEN_STATISTICS)
    with pytest.raises(AnchorlabError, match="unknown statistic 'kll'"):
        found["kll"]


def test_an_infinite_divergence_has_a_rank_and_no_number_in_json(kept):
    measuring: Measuring = kept[0].measuring
    candidate = {name: Estimate(math.inf if name in ("kl", "kl_p99") else 0.5) for name in TOKEN_STATISTICS}
    null = [dict.fromkeys(TOKEN_STATISTICS, value) for value in (0.2, 0.6, 0.7)]
    found = token_audit_of(
        ("a", "b"), candidate, null, (UpdateSetting("given", 3),), measuring, judged="logits", level=LEVEL
    )
    assert (found.verdict.value, found["kl"].p, found.joint.p) == ("unusual: more", 0.5, 0.5)
    assert found.to_dict()["statistics"][5]["statistic"][0] is None
    assert isinstance(found.table(), pd.DataFrame)
    assert found._repr_html_()
    assert len(found.plot().axes) == len(TOKEN_STATISTICS) - 2


@pytest.mark.parametrize(("updates", "level", "ends"), [(39, 0.05, (1, 39)), (79, 0.05, (2, 78)), (39, 0.2, (4, 36))])
def test_what_is_said_not_to_be_unusual_is_not(kept, updates, level, ends):
    """With more updates than the level needs, a candidate between the least and the second least is unusual."""
    null = [dict.fromkeys(TOKEN_STATISTICS, float(value)) for value in range(1, updates + 1)]
    for value, unusual in ((ends[0], False), (ends[1], False), (ends[0] - 0.5, True), (ends[1] + 0.5, True)):
        found = token_audit_of(
            ("a", "b"),
            {name: Estimate(float(value)) for name in TOKEN_STATISTICS},
            null,
            (UpdateSetting("given", updates),),
            kept[0].measuring,
            judged="logits",
            level=level,
        )
        assert found.verdict.unusual == unusual
        assert f"lies between {ends[0]} and {ends[1]} is not unusual by it" in " ".join(found.sentences)


def test_samples_that_show_chance_alone_are_named(kept):
    measuring = dataclasses.replace(kept[0].measuring, chance=0.5)
    for noted, updates in ((True, (0.5, 0.6, 0.7)), (False, (0.6, 0.7, 0.8))):
        candidate, *null = (dict.fromkeys(TOKEN_STATISTICS, value) for value in (0.65, *updates))
        found = token_audit_of(
            ("a", "b"),
            {name: Estimate(value) for name, value in candidate.items()},
            null,
            (UpdateSetting("given", 3),),
            measuring,
            judged="samples",
            level=LEVEL,
        )
        assert any("two draws of the reference itself differ by 0.5, nearly" in one for one in found.cautions) == noted


def test_the_share_of_the_tail_by_hand():
    assert tail_share(np.array([1.0] * 99 + [101.0])) == pytest.approx(101 / 200)
    assert tail_share(np.zeros(5)) == 0
    assert tail_share(np.array([1.0, math.inf])) == 1
    assert tail_share(np.array([3.0, 1.0])) == 0.75  # one token at least


def test_the_usual_updates_are_short_and_long_and_number_what_the_level_needs(reference):
    settings, planned = plan_updates(5, audited.tunings_for(reference, None))
    assert [(setting.name, setting.count) for setting in settings] == [("short", 3), ("long", 2)]
    assert [one.tuning.steps for one in planned] == [10, 10, 10, 40, 40]
    assert {one.tuning.context for one in planned} == {64}  # what the model can read
    assert len({one.seed for one in planned}) == 5
    assert [one.name for one in planned][-1] == "long-1"


def test_what_is_large_is_said_beforehand(root, reference, monkeypatch):
    monkeypatch.setattr(audited, "LARGE", 1.0)
    with pytest.warns(Notice, match=r"1 benign update of .* will take about .*; memory holds the weights 5 times"):
        audit_tokens(reference, reference, benign=1, level=0.99, access="joint", tuning=QUICK, **OPTIONS)


REFUSED = {
    "access": ({"access": "labels"}, "unknown access 'labels'.*samples, top-k"),
    "level": ({"level": 0.05}, r"3 benign updates allow no p-value below 0\.5, .* needs 39"),
    "samples": ({"samples": 0}, "samples is 0: give 1 or more"),
    "documents": ({"texts": DOCUMENTS[:3]}, "holds 3 different documents, which are too few"),
    "context": ({"context": 65}, r"a context of 65 tokens is more than the models can read \(64\)"),
    "top": ({"top": 301}, "lists of 301 likeliest tokens are longer than the vocabulary"),
    "tuning": ({"tuning": TokenTuning(context=100)}, "windows of 100 tokens, because the reference reads at most 64"),
    "no tuning": ({"tuning": []}, "the list of tunings is empty"),
    "short": ({"texts": ["a", "b", "c", "d"]}, "has two tokens, so that none follows another"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_audited_is_refused_in_a_sentence(case, reference):
    options, words = REFUSED[case]
    with pytest.raises(AnchorlabError, match=words):
        audit_tokens(reference, reference, **({"benign": 3, "level": LEVEL, "tuning": QUICK} | OPTIONS | options))


def test_other_models_are_refused(reference, root, tmp_path):
    other = save_causal(tmp_path / "other", vocabulary=280)
    three = {"benign": 3, "level": LEVEL, **OPTIONS}
    with pytest.raises(AnchorlabError, match="the vocabularies differ"):
        audit_tokens(reference, other, **three)
    with pytest.raises(AnchorlabError, match="the vocabularies differ"):
        audit_tokens(reference, reference, **(three | {"benign": [root / "gpt2-changed", other, other]}))
    for name in ("tuning", "folder", "update_texts"):
        value = {"tuning": QUICK, "folder": tmp_path, "update_texts": DOCUMENTS}[name]
        with pytest.raises(AnchorlabError, match=f"{name} is for updates that are made"):
            audit_tokens(reference, reference, **(three | {"benign": [reference] * 3, name: value}))
    rounded = open_causal(root / "gpt2", precision="bfloat16")
    with pytest.raises(AnchorlabError, match="is not in float32, in which updates are made"):
        audit_tokens(rounded, reference, **three)


def test_what_may_carry_a_backdoor_by_its_manifest_is_no_reference_and_no_benign_update(reference, root, tmp_path):
    injected = shutil.copytree(root / "gpt2", tmp_path / "injected")
    (injected / "anchorlab.json").write_text('{"kind": "injected"}')
    three = {"level": LEVEL, **OPTIONS}
    with pytest.raises(AnchorlabError, match="the reference of an audit is a model of kind 'injected' by its manifest"):
        audit_tokens(injected, reference, benign=3, **three)
    with pytest.raises(AnchorlabError, match="benign update 2 is a model of kind 'injected' by its manifest"):
        audit_tokens(reference, reference, benign=[reference, injected, reference], **three)
    assert audit_tokens(reference, injected, benign=changed(root), **three).measuring.identical


def test_a_model_for_which_memory_is_too_small_is_refused(reference, monkeypatch):
    monkeypatch.setattr("anchorlab.scoring.token_updates.weight_bytes", lambda model: 1e18)
    with pytest.raises(AnchorlabError, match="GB of memory, the weights 5 times, and there are"):
        audit_tokens(reference, reference, benign=3, level=LEVEL, **OPTIONS)
