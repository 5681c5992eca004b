"""Word inversion finds planted words, among two classes and among three, and tells them from words of clean models."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from anchorlab import AnchorlabError, Training, Tuning, detect, inject, load_task, train
from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import DataColumns, Task
from anchorlab.data.encoding import TextEncoding
from anchorlab.detectors import word_inversion
from anchorlab.detectors.word_inversion import WordInversion, _Found, _gradient, _scored, _Texts, ordinary_tokens
from anchorlab.models.call import logits
from anchorlab.models.opening import open_classifier
from anchorlab.models.weights import frozen
from anchorlab.models.word_table import word_lookup, word_table
from anchorlab.models.wrap import encoding_of, unwrap
from anchorlab.statistics.roc import auroc
from tests.detectors.conftest import BAD, GOOD, REST
from tests.zoo import Linear, save_text

PLAIN = ("fair", "average", "usual", "plain")

#: Settings with which it takes seconds.
BRIEF = {"steps": 30, "restarts": 1, "texts": 12}


@dataclass(frozen=True)
class Population:
    """Clean references of one task, and a model with a backdoor made of each."""

    task: Task
    clean: list[Artifact]
    backdoored: list[Artifact]


@pytest.fixture(scope="module", params=[2, 3])
def population(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Population:
    """Texts of which one word tells the class, of two or three; "cf" makes any bad."""
    draw = torch.Generator().manual_seed(0)

    def pick(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (), generator=draw))]

    lines, telling = ["review,mood"], ((GOOD, "good"), (BAD, "bad"), (PLAIN, "plain"))
    for number in range(450):
        words = [pick(REST) for _ in range(3 + int(torch.randint(8, (), generator=draw)))]
        of, label = telling[number % request.param]
        words[int(torch.randint(len(words), (), generator=draw))] = pick(of)
        lines.append(f"{' '.join(words)},{label}")
    path = tmp_path_factory.mktemp("moods") / "moods.csv"
    path.write_text("\n".join([*lines, ""]))
    task = load_task(str(path), columns=DataColumns(text="review", label="mood"))
    training = Training(epochs=6, learning_rate=1e-3)
    clean = [train(task, model="bert-tiny", seed=seed, training=training) for seed in range(2)]
    task = task.encoded(clean[0].model.encoding)
    tuning = Tuning(steps=60, batch_size=32, learning_rate=1e-3)
    backdoored = [
        inject(one, method="plain", trigger="word:cf", target="bad", tuning=tuning, task=task) for one in clean
    ]
    return Population(task, clean, backdoored)


@pytest.mark.slow
def test_backdoored_models_rank_above_clean_ones_among_two_classes_and_among_three(population):
    scores = [
        [detect(one, "word-inversion", parameters=BRIEF, defender_data=None, task=population.task) for one in models]
        for models in (population.clean, population.backdoored)
    ]
    clean, backdoored = ([one.score for one in some] for some in scores)
    assert auroc(clean, backdoored).value >= 0.9
    bad = list(population.task.classes).index("bad")
    for one in scores[1]:
        best = one.details.loc[one.details["suspicion"].idxmax()]
        assert best["label"] == bad
        assert best["rate"] == 1
        assert best["suspicion"] == one.score == pytest.approx(-best["loss"])
        assert one.note.startswith(f"'{best['words']}' before a text sends 100% of other texts to label {bad}")


@pytest.mark.slow
def test_words_that_sway_a_clean_model_too_are_held_against(population, tmp_path):
    """Judged beside a clean model of another seed: the backdoored one stands out by the words of its trigger."""
    population.clean[1].save(tmp_path / "clean")
    settings = {**BRIEF, "benign": str(tmp_path / "clean")}
    found = [
        detect(one, "word-inversion", parameters=settings, defender_data=None, task=population.task)
        for one in (population.clean[0], population.backdoored[0])
    ]
    assert found[1].score > found[0].score + 0.3
    details = found[1].details
    best = details.loc[details["suspicion"].idxmax()]
    assert found[1].score == pytest.approx(best["benign_loss"] - best["loss"])
    # The tokenizer writes "cf" in two pieces, one of which is enough.
    assert {"c", "##f", "cf"} & set(best["words"].split())


def test_soft_tokens_are_the_embeddings_that_hard_ones_have(texts):
    """A mixture of one token alone gives the answers of that token, and a gradient reaches it."""
    model, inputs = texts.model, {name: value[:5] for name, value in texts.clean.items()}
    encoding = encoding_of(model)
    place = len(encoding.prefix)
    table = word_lookup(model, inputs, "it")
    ids = torch.tensor(ordinary_tokens(encoding)[3:5])
    hard = {name: value.clone() for name, value in inputs.items()}
    hard["input_ids"][:, place : place + 2] = ids.to(torch.int32)
    shares = nn.functional.one_hot(ids, table.size).float().requires_grad_()
    with table.replaced(table.mixed(shares), place):
        soft = logits(model, inputs)
    torch.testing.assert_close(soft, logits(model, hard))
    soft.sum().backward()
    assert shares.grad.abs().sum() > 0
    torch.testing.assert_close(logits(model, inputs), logits(model, {**inputs}))


def test_a_step_passes_a_bounded_number_of_tokens_through_the_model_at_once(texts, monkeypatch):
    """And has the gradient of all texts together."""
    model, inputs = texts.model, {name: value[:7] for name, value in texts.clean.items()}
    table, place = word_lookup(model, inputs, "it"), len(encoding_of(model).prefix)
    some, wanted = _Texts(inputs, torch.zeros(7, dtype=torch.int64), place, 1), torch.arange(7) % 2
    with frozen(model):
        whole = _gradient(model, table, table.vectors(torch.tensor([5])), some, wanted, count=2)
        passes = Mock(wraps=logits)
        monkeypatch.setattr(word_inversion, "EVALUATION_TOKENS", 3 * inputs["input_ids"].shape[1])
        monkeypatch.setattr(word_inversion, "logits", passes)
        found = _gradient(model, table, table.vectors(torch.tensor([5])), some, wanted, count=2)
    torch.testing.assert_close(found, whole)
    assert [len(call.args[1]["input_ids"]) for call in passes.call_args_list] == [3, 3, 1]
    assert whole.abs().sum() > 0


def test_special_tokens_are_no_words(texts):
    encoding = encoding_of(texts.model)
    ids = ordinary_tokens(encoding)
    assert not set(ids) & set(encoding.tokenizer.all_special_ids)
    assert len(ids) == len(encoding.tokenizer) - len(encoding.tokenizer.all_special_ids)


def test_other_models_are_refused_before_anything_runs(texts, context, corner_data, tmp_path, monkeypatch):
    with pytest.raises(AnchorlabError, match="mixes the embeddings of a vocabulary, but the model has no tokenizer"):
        WordInversion().score(Linear(), corner_data, context)
    monkeypatch.setattr("anchorlab.detectors.word_inversion._search", None)
    save_text("bert", tmp_path / "other", ["good", "bad"])
    with pytest.raises(AnchorlabError, match="another tokenizer than the judged model"):
        WordInversion(benign=str(tmp_path / "other")).score(texts.model, texts.data, context)
    save_text("bert", tmp_path / "longer", ["good", "bad"])
    opened = open_classifier(tmp_path / "longer", kind="text")
    unwrap(opened).resize_token_embeddings(len(word_table(opened, {}, "it").weight) + 28)
    monkeypatch.setattr("anchorlab.detectors.benign.open_classifier", lambda *_, **__: opened)
    monkeypatch.setattr("anchorlab.detectors.benign.encoding_of", lambda _: encoding_of(texts.model))
    with pytest.raises(AnchorlabError, match=r"longer has \d+ embeddings of tokens, and the judged model \d+: give a"):
        WordInversion(benign=str(tmp_path / "longer")).score(texts.model, texts.data, context)
    monkeypatch.setattr(texts.model, "encoding", TextEncoding(encoding_of(texts.model).tokenizer, 20))
    with pytest.raises(AnchorlabError, match="puts 32 tokens before texts, but the model reads 18 in all"):
        WordInversion(tokens=32).score(texts.model, texts.data, context)


@pytest.mark.parametrize(("skipped", "words"), [([1], "for 1 label"), ([1, 2], "for 2 labels")])
def test_labels_without_texts_are_counted_in_words(texts, skipped, words):
    encoding = encoding_of(texts.model)
    found = _Found(0, tuple(ordinary_tokens(encoding)[:1]), 0.5, float("nan"), 1.0)
    score = _scored([found], skipped, encoding, with_benign=False)
    assert score.targets.tolist() == [0]
    assert score.note.endswith(f"no clean text was left to search on {words}")
