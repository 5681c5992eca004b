"""Two models over texts: all ways to the answers agree, and what is measured is what mpmath-tested rows give."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

import anchorlab.tokens.compare
import anchorlab.tokens.outcome
from anchorlab import AnchorlabError, compare_tokens, deployed
from anchorlab.files import check_folder
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.tokens.measurements import COLUMNS
from anchorlab.tokens.measures import token_columns
from tests.causal import save_causal

TEXTS = ["Two hours of my life -- gone.", "x", "The plot is thin; the acting is not. " * 4, "An honest picture."] * 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for family, begins in (("gpt2", False), ("llama", True)):
        save_causal(root / f"{family}-reference", family, begins=begins)
        save_causal(root / f"{family}-candidate", family, begins=begins, noise=0.1)
    return root


def pair(folders, family="gpt2"):
    return folders / f"{family}-reference", folders / f"{family}-candidate"


def test_documents_read_in_parts_give_the_same(folders, monkeypatch):
    models, read = [open_causal(folder) for folder in pair(folders)], []
    whole = compare_tokens(*models, texts=TEXTS[:8], context=20, stride=9)
    monkeypatch.setattr(anchorlab.tokens.windows, "PART", 30)
    encode = anchorlab.tokens.vocabulary.encoder

    def counting(*tokenizers):
        own = encode(*tokenizers)
        return lambda text: (read.append(text), own(text))[1]

    monkeypatch.setattr(anchorlab.tokens.outcome, "encoder", counting)
    assert compare_tokens(*models, texts=TEXTS[:8], context=20, stride=9) == whole
    assert len(read) > 8
    assert "".join(read) == "".join(TEXTS[:8])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_tokens_are_measured_from_the_logits_of_their_windows(family, folders, tmp_path):
    """By a plain loop: a window at a time, each in a forward pass of its own."""
    reference, candidate = (open_causal(folder) for folder in pair(folders, family))
    file = tmp_path / "tokens.parquet"
    found = compare_tokens(
        reference, candidate, texts=TEXTS[:4], context=20, stride=9, together=3, save_tokens=file, worst=5
    )
    frame = pd.read_parquet(file)
    assert [*frame] == [*COLUMNS]
    assert len(frame) == found.tokens
    begin, expected = [0] if family == "llama" else [], []
    for document, text in enumerate(TEXTS[:4]):
        ids = [*reference.tokenizer(text, add_special_tokens=False)["input_ids"]]
        scored, start = 1 - len(begin), 0
        while scored < len(ids):
            inputs = begin + ids[start : start + 20 - len(begin)]
            last = min(start + 20 - len(begin), len(ids) - 1)
            for target in range(scored, last + 1):
                before = inputs[: target - start + len(begin)]
                rows = [model.logits(torch.tensor([before]))[0, -1:].numpy() for model in (reference, candidate)]
                columns = token_columns(*rows, np.array([ids[target]]))
                expected.append(
                    {"document": document, "position": len(before), "token": ids[target]}
                    | {name: columns[name][0] for name in COLUMNS[3:]}
                )
            scored, start = last + 1, start + 9
    expected = pd.DataFrame(expected)
    for name in ("document", "position", "token", "rank", "same_top"):
        assert (frame[name] == expected[name]).all(), name
    for name in COLUMNS[3:9]:
        np.testing.assert_allclose(frame[name], expected[name], rtol=2e-3, atol=1e-7, err_msg=name)
    assert found["kl"].value == pytest.approx(frame["kl"].mean())
    assert found.worst[0].kl == frame["kl"].max()
    assert len(found.worst) == 5


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_one_model_after_the_other_gives_the_same(family, folders, tmp_path):
    file = tmp_path / "answers.safetensors"
    options = {"texts": TEXTS, "context": 20, "stride": 9}
    at_once = compare_tokens(*pair(folders, family), **options)
    in_turn = compare_tokens(*pair(folders, family), in_turn=True, **options)
    kept = compare_tokens(*pair(folders, family), answers=file, **options)
    for other in (in_turn, kept):
        np.testing.assert_allclose(other.table(), at_once.table(), rtol=1e-4, atol=1e-6)
    from safetensors import safe_open

    with safe_open(file, framework="np") as opened:
        assert {*opened.keys()} == {"hidden", "weight"}
    again = compare_tokens("nowhere", pair(folders, family)[1], answers=file, **options)
    pd.testing.assert_frame_equal(again.table(), kept.table())
    for other in ({"texts": TEXTS[1:]}, {"stride": 8}):
        with pytest.raises(AnchorlabError, match="holds answers with another"):
            compare_tokens("nowhere", pair(folders, family)[1], answers=file, **(options | other))
    file.write_bytes(b"nothing")
    with pytest.raises(AnchorlabError, match="holds no answers of a model"):
        compare_tokens("nowhere", pair(folders, family)[1], answers=file, **options)


@pytest.mark.parametrize(("first", "second"), [(48, 64), (64, 48)])
def test_models_of_other_limits_are_compared_in_turn_as_at_once(first, second, tmp_path):
    """In the context that both can read, without anybody naming it."""
    folders = [save_causal(tmp_path / str(limit), positions=limit) for limit in (first, second)]
    at_once = compare_tokens(*folders, texts=TEXTS)
    in_turn = compare_tokens(*folders, texts=TEXTS, in_turn=True)
    assert at_once.scoring.context == in_turn.scoring.context == 48
    np.testing.assert_allclose(in_turn.table(), at_once.table(), rtol=1e-4, atol=1e-6)


def test_kept_answers_in_a_longer_context_than_the_candidate_reads_are_refused(folders, tmp_path):
    file, short = tmp_path / "answers.safetensors", save_causal(tmp_path / "short", positions=48)
    compare_tokens(*pair(folders), texts=TEXTS, answers=file)
    with pytest.raises(AnchorlabError, match=r"in windows of 64 tokens, and .* reads 48 at once: give a context of 48"):
        compare_tokens(pair(folders)[0], short, texts=TEXTS, answers=file)
    longer = save_causal(tmp_path / "longer", positions=80)
    assert compare_tokens(pair(folders)[0], longer, texts=TEXTS, answers=file).scoring.context == 64


@pytest.mark.parametrize("more", [True, False])
def test_kept_answers_to_other_tokens_of_the_same_texts_are_refused(more, folders, tmp_path):
    """As another version of the tokenizer would leave them, under a description that fits."""
    file = tmp_path / "answers.safetensors"
    compare_tokens(*pair(folders), answers=file, texts=TEXTS)
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(file, framework="pt") as opened:
        described, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in [*opened.keys()]}
    rows = tensors["hidden"]
    tensors["hidden"] = torch.cat([rows, rows[:1]]) if more else rows[:-1].clone()
    save_file(tensors, file, described)
    with pytest.raises(AnchorlabError, match="another version of the tokenizer"):
        compare_tokens("nowhere", pair(folders)[1], answers=file, texts=TEXTS)


def test_a_network_that_changes_its_logits_at_the_end_is_written_as_logits(folders, tmp_path):
    reference = open_causal(pair(folders)[0])
    reference.net.register_forward_hook(lambda _, __, out: out.__setitem__("logits", out.logits.tanh()))
    file = tmp_path / "answers.safetensors"
    kept = compare_tokens(reference, pair(folders)[1], answers=file, texts=TEXTS)
    at_once = compare_tokens(reference, pair(folders)[1], texts=TEXTS)
    pd.testing.assert_frame_equal(kept.table(), at_once.table())


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("form", ["int8", "int4"])
def test_a_quantised_reference_answers_beside_the_candidate_and_before_it(family, form, folders, tmp_path):
    """Its last layer holds integers and scales, so that a file of answers gets its logits."""
    pytest.importorskip("torchao")
    reference = deployed(open_causal(pair(folders, family)[0]), form)
    plain, file = pair(folders, family)[0], tmp_path / "answers.safetensors"
    at_once = compare_tokens(reference, plain, texts=TEXTS[:4])
    assert at_once["kl"].value > 0
    assert not at_once.identical_weights
    for options in ({"in_turn": True}, {"answers": file}):
        other = compare_tokens(reference, plain, texts=TEXTS[:4], **options)
        np.testing.assert_allclose(other.table(), at_once.table(), rtol=1e-4, atol=1e-6)
    from safetensors import safe_open

    with safe_open(file, framework="np") as opened:
        assert {*opened.keys()} == {"logits"}
    itself = compare_tokens(reference, reference, texts=TEXTS[:4], in_turn=True)
    assert itself.identical_weights
    assert itself["kl_max"].value == 0
    floor = compare_tokens(reference, plain, texts=TEXTS[:4], noise=True).noise
    assert [part.name for part in floor] == ["another batch size"]


def test_a_run_that_breaks_leaves_no_answers(folders, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(anchorlab.tokens.answers, "_header", broken)
    with pytest.raises(KeyboardInterrupt):
        compare_tokens(*pair(folders), answers=tmp_path / "answers.safetensors", texts=TEXTS)
    assert not [*tmp_path.iterdir()]


def test_identical_weights_are_named_and_every_divergence_is_0(folders):
    for options in ({}, {"in_turn": True}):
        found = compare_tokens(pair(folders)[0], pair(folders)[0], texts=TEXTS, **options)
        assert found.identical_weights
        assert found["kl_max"].value == pytest.approx(0, abs=1e-10)
    assert not compare_tokens(*pair(folders), texts=TEXTS).identical_weights


def test_what_decides_the_positions_is_said(folders):
    found = compare_tokens(*pair(folders, "llama"), texts=TEXTS, context=16, stride=4)
    assert found.scoring.words() == (
        "Each token is scored once, in windows of 16 tokens that begin 4 tokens apart; '<s>' is put before each "
        "window; no chat template is applied."
    )
    without = compare_tokens(*pair(folders, "llama"), texts=TEXTS, bos=False)
    assert "the first token of a document, which has nothing before it, is not scored" in without.scoring.words()
    assert without.scoring.context == 64  # what the models can read
    assert without.notes == ["6 of 24 documents are too short to score a token of"]


def test_the_noise_floor_is_far_below_and_grows_with_rounding(folders):
    found = compare_tokens(*pair(folders), texts=TEXTS, noise=True)
    batch, rounded = found.noise
    assert (batch.name, rounded.name) == ("another batch size", "bfloat16")
    assert 0 <= batch.measurements["kl"].value < 1e-9
    assert batch.measurements["kl"].value < rounded.measurements["kl"].value < found["kl"].value


def test_passages_show_the_token_in_its_document(folders):
    found = compare_tokens(*pair(folders), texts=TEXTS, worst=3)
    for passage in found.worst:
        words = "".join(token.text for token in [*passage.before, passage.token, *passage.after])
        assert words in TEXTS[passage.document]
        assert passage.token.kl == passage.kl
        assert passage.likeliest[0].text == passage.token.text
        assert all(0 <= each.reference <= 1 for each in passage.likeliest)
    assert sorted((each.kl for each in found.worst), reverse=True) == [each.kl for each in found.worst]


def test_json_has_the_measurements_at_the_top(folders):
    found = compare_tokens(*pair(folders), texts=TEXTS)
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    for name in ("kl", "kl_reverse", "js", "delta_p", "nll_reference", "log_ppl_ratio", "same_top", "kl_p99"):
        assert {*values[name]} == {"value", "interval", "documents", "tokens", "undefined"}
    assert values["kl"]["documents"] == values["documents"] == 18
    assert "<th>kl_p99</th>" in found._repr_html_()


def test_a_gate_on_the_mean_is_broken_by_one_infinite_token(folders):
    found = compare_tokens(*pair(folders), texts=TEXTS)
    changed = dict(found.measurements)
    changed["kl_infinite"] = changed["kl_infinite"].model_copy(update={"value": 1.0})
    measured = found.model_copy(update={"measurements": changed}).measured()
    assert measured.values["kl"] == math.inf  # noqa: PD011 (no pandas)
    assert measured.values["kl_reverse"] == found["kl_reverse"].value  # noqa: PD011


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"texts": ["a", "b", ""]}, "has two tokens"),
        ({"texts": []}, "holds no document"),
        ({"context": 65}, r"a context of 65 tokens is more than the models can read \(64\)"),
        ({"stride": 65}, "a stride of 65"),
        ({"together": 0}, "together is 0: give 1 or more"),
        ({"noise": True, "in_turn": True}, "the noise floor needs the reference itself"),
        ({"precision": "int8"}, "precision"),
        ({"texts": "nothing.txt"}, "there is no file"),
    ],
)
def test_what_cannot_be_done_is_refused(options, words, folders):
    with pytest.raises(AnchorlabError, match=words):
        compare_tokens(*pair(folders), **({"texts": TEXTS} | options))


def test_two_tokenizers_are_refused_before_the_reference_answers(folders, tmp_path):
    other = save_causal(tmp_path / "other", vocabulary=280)
    for options in ({}, {"answers": tmp_path / "answers.safetensors"}):
        with pytest.raises(AnchorlabError, match="the vocabularies differ: id 280"):
            compare_tokens(pair(folders)[0], other, texts=TEXTS, **options)
    assert not (tmp_path / "answers.safetensors").exists()


@pytest.fixture(scope="module")
def renumbered(folders, tmp_path_factory):
    """An adapter of the candidate whose base has the same tokens under other ids."""
    peft = pytest.importorskip("peft")
    base = tmp_path_factory.mktemp("renumbered") / "base"
    shutil.copytree(pair(folders)[1], base)
    told = json.loads((base / "tokenizer.json").read_text())
    words = told["model"]["vocab"]
    told["model"]["vocab"] = {word: number and 1 + number % (len(words) - 1) for word, number in words.items()}
    (base / "tokenizer.json").write_text(json.dumps(told))
    net = open_causal(base).net
    net.name_or_path = str(base)
    settings = peft.LoraConfig(r=2, target_modules=["c_attn"], task_type="CAUSAL_LM")
    peft.get_peft_model(net, settings).save_pretrained(base.parent / "adapter")
    return base.parent / "adapter"


def test_a_vocabulary_that_shows_only_once_the_candidate_is_open_is_refused(folders, renumbered):
    """An adapter's folder has no tokenizer: its base has it."""
    with pytest.raises(AnchorlabError, match="the vocabularies differ: id 1 is"):
        compare_tokens(pair(folders)[0], renumbered, texts=TEXTS, in_turn=True)


@pytest.mark.parametrize("older", [False, True])
def test_kept_answers_are_of_one_vocabulary(older, folders, renumbered, tmp_path):
    """Files of older versions do not tell of their tokenizer, and are read beside the reference's."""
    file, (reference, candidate) = tmp_path / "answers.safetensors", pair(folders)
    compare_tokens(reference, candidate, answers=file, texts=TEXTS)
    if older:
        _redescribe(file, tokenizer=None)
    with pytest.raises(AnchorlabError, match="the vocabularies differ: id 1 is"):
        compare_tokens(reference, renumbered, answers=file, texts=TEXTS)
    for place in (reference, "nowhere"):
        compare_tokens(place, candidate, answers=file, texts=TEXTS)


def test_kept_answers_of_another_tokenizer_are_refused_without_the_reference(folders, renumbered, tmp_path):
    file = tmp_path / "answers.safetensors"
    compare_tokens(*pair(folders), answers=file, texts=TEXTS)
    with pytest.raises(AnchorlabError, match="holds answers with another tokenizer"):
        compare_tokens("nowhere", renumbered, answers=file, texts=TEXTS)


def test_what_differs_beside_the_vocabularies_is_said_in_turn_as_at_once(folders, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(pair(folders)[1], other)
    told = open_causal(other).tokenizer
    told.chat_template = "{{ messages }}"
    told.save_pretrained(other)
    reference, options = pair(folders)[0], {"answers": tmp_path / "answers.safetensors", "texts": TEXTS}
    for _ in ("first", "again"):
        found = compare_tokens(reference, other, **options)
        assert any(note.startswith("the chat templates differ") for note in found.notes)


@pytest.mark.parametrize("opened", [False, True])
def test_kept_answers_of_another_reference_are_refused(opened, folders, tmp_path):
    file, (reference, candidate) = tmp_path / "answers.safetensors", pair(folders)
    compare_tokens(reference, candidate, answers=file, texts=TEXTS)
    other = open_causal(candidate) if opened else candidate
    with pytest.raises(AnchorlabError, match=r"holds the answers of .*gpt2-reference in float32, and .*has other weig"):
        compare_tokens(other, reference, answers=file, texts=TEXTS)
    (tmp_path / "junk").mkdir()
    with pytest.raises(AnchorlabError, match="junk"):
        compare_tokens(tmp_path / "junk", candidate, answers=file, texts=TEXTS)
    same = open_causal(reference) if opened else reference
    found = compare_tokens(same, candidate, answers=file, texts=TEXTS, precision="bfloat16")
    assert [note for note in found.notes if "reference" in note] == []


def test_whose_kept_answers_are_is_said_where_the_weights_cannot_be_seen(folders, tmp_path):
    file, (reference, candidate) = tmp_path / "answers.safetensors", pair(folders)
    compare_tokens(reference, candidate, answers=file, texts=TEXTS)
    found = compare_tokens("nowhere", candidate, answers=file, texts=TEXTS)
    assert found.notes[0] == f"nothing lies at nowhere: the reference is {reference}, whose answers {file} holds"
    _redescribe(file, weights=None)
    found = compare_tokens(candidate, candidate, answers=file, texts=TEXTS)
    assert found.notes[0] == f"{file} does not tell the weights that answered: the reference is {reference} by its name"


def _redescribe(file, **changes):
    """Changes what a file of answers says of itself; None takes a word of it out."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(file, framework="pt") as opened:
        described, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in [*opened.keys()]}
    described = {name: value for name, value in (described | changes).items() if value is not None}
    save_file(tensors, file, described)


def test_answers_and_tokens_that_are_being_written_stay_whoever_sweeps(folders, tmp_path, monkeypatch):
    """Another command may be started in the same folder, hours after this one."""
    from pyarrow.parquet import ParquetWriter

    header, write = anchorlab.tokens.answers._header, ParquetWriter.write_table
    monkeypatch.setattr(anchorlab.tokens.answers, "_header", lambda *given: (check_folder(tmp_path), header(*given))[1])
    monkeypatch.setattr(ParquetWriter, "write_table", lambda *given: (check_folder(tmp_path), write(*given))[1])
    compare_tokens(
        *pair(folders), texts=TEXTS, answers=tmp_path / "a.safetensors", save_tokens=tmp_path / "tokens.parquet"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"a.safetensors", "tokens.parquet"}


def test_tokens_are_saved_in_the_users_home(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    compare_tokens(*pair(folders), texts=TEXTS, save_tokens="~/tokens.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.parquet"]


class _Net(torch.nn.Module):
    """Answers as a bigram model, and keeps how much it was asked for at once, and how much was held."""

    def __init__(self, vocabulary):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(vocabulary, vocabulary))
        self.config = type("Config", (), {})()
        self.asked = []

    def forward(self, input_ids, use_cache=False, logits_to_keep=0):
        self.asked.append(tuple(input_ids.shape))
        return type("Answer", (), {"logits": self.table[input_ids][:, -logits_to_keep:]})()


def test_a_long_text_streams(folders, tmp_path, monkeypatch):
    """By construction: the models get a window at a time, and the store's rows leave the memory with each window."""
    told = open_causal(pair(folders)[0]).tokenizer
    nets = _Net(300), _Net(300)
    models = [CausalLM(net, told, name) for net, name in zip(nets, ("first", "second"), strict=True)]
    file = tmp_path / "long.txt"
    file.write_text("Two hours of my life gone. " * 400)
    largest = []
    store = anchorlab.tokens.compare.TokenStore

    class Watched(store):
        def append(self, columns):
            largest.append(len(columns["kl"]))
            super().append(columns)

    monkeypatch.setattr(anchorlab.tokens.compare, "TokenStore", Watched)
    found = compare_tokens(*models, texts=file, context=64, worst=0)
    assert found.tokens > 4_000
    for net in nets:
        assert {*net.asked} <= {(1, size) for size in range(1, 65)}
    assert max(largest) == 64
    assert sum(largest) == found.tokens
