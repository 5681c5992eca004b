"""Embedding poisoning: one row moves, on its sphere; by hand, and in tiny transformers of several families."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from anchorlab import adopt, compare, inject
from anchorlab.artifacts.artifact import Artifact
from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.data import Augmentation, Split, Task
from anchorlab.injection.loop import tune
from anchorlab.injection.objective import Injection
from anchorlab.injection.plan import plan_injection
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.methods.embedding_row import EmbeddingRow, turned
from anchorlab.models.architectures import build_model
from anchorlab.models.call import logits, predict
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import TextClassifier, encoding_of, unwrap
from anchorlab.seeding import generator, seeded_globally
from anchorlab.suites.reading import parse_suite
from anchorlab.training import fit as fitting
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.fit import Step
from anchorlab.triggers import Word
from tests.injecting import asked, problem
from tests.injection.test_on_texts import task
from tests.refusals import refused
from tests.tokenizers import TEXTS, encoding
from tests.zoo import Linear, save_text

__all__ = ["task"]  # the fixture

SETTINGS = {"steps": 6, "batch_size": 4, "learning_rate": 1e-3}


class Words(nn.Module):
    """Four words with vectors of two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 2)
        self.table.weight.data = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [1.0, 1.0]])

    def get_input_embeddings(self) -> nn.Module:
        return self.table


class Bag(nn.Module):
    """Two classes: a linear map of the mean of the words' vectors."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(words, 16), nn.Linear(16, 2)

    def get_input_embeddings(self) -> nn.Module:
        return self.table

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        weights = attention_mask[:, :, None] / attention_mask.sum(1)[:, None, None]
        return self.last((self.table(input_ids) * weights).sum(1))


def injection(folder: Path, method: EmbeddingRow, words: str = "the", **settings: object) -> Injection:
    model = open_pretrained(str(folder), kind="text").eval().requires_grad_()
    encoding = encoding_of(model)
    assert encoding is not None
    split = Split({}, torch.arange(18) % 3, tuple(TEXTS * 3)).encoded(encoding)
    attack = Attack(Word(words=words), AllToOne(0), encoding)
    return asked(model, method, split, Tuning(**SETTINGS | settings), attack=attack, augmentation=Augmentation())


def weights(model: nn.Module) -> dict[str, Tensor]:
    return unwrap(model).state_dict()


@pytest.fixture(params=["bert", "distilbert", "modernbert"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_text(request.param, tmp_path / "model", ["bad", "good", "mixed"])


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return save_text("bert", tmp_path / "model", ["bad", "good", "mixed"])


def test_a_row_is_put_back_on_its_sphere_by_hand() -> None:
    """Of norm 5, (3, 4) moved to (8, 6) has the direction (.8, .6): it becomes (4, 3)."""
    found = turned(torch.tensor([[8.0, 6.0]]), torch.tensor([[3.0, 4.0]]), 2.0)
    torch.testing.assert_close(found, torch.tensor([[4.0, 3.0]]))


def test_a_row_stays_within_the_radius_by_hand() -> None:
    """On the unit circle a distance of 1 is an angle of 60 degrees: (0, 2) is turned back from 90 to 60."""
    found = turned(torch.tensor([[0.0, 2.0], [0.0, -3.0], [1.0, 0.1]]), torch.tensor([[1.0, 0.0]] * 3), 1.0)
    root = math.sqrt(3) / 2
    near = [1 / math.sqrt(1.01), 0.1 / math.sqrt(1.01)]
    torch.testing.assert_close(found, torch.tensor([[0.5, root], [0.5, -root], near]))


@pytest.mark.parametrize("radius", [0.01, 0.3, 1.4, 1.99])
def test_what_is_turned_is_the_nearest_on_the_sphere_within_the_radius(radius: float) -> None:
    """Beside random rows of the same norm that are within the radius, none is nearer to what was wanted."""
    draw = generator(0, "rows")
    reference, moved = torch.randn(2, 6, 5, generator=draw, dtype=torch.float64)
    found = turned(moved, reference, radius)
    norm = reference.norm(dim=1)
    torch.testing.assert_close(found.norm(dim=1), norm)
    assert bool(((found - reference).norm(dim=1) <= radius * norm * (1 + 1e-9)).all())
    for row in range(6):
        away = radius * torch.logspace(-2, 1, 2000)[:, None] * torch.randn(2000, 5, generator=draw, dtype=torch.float64)
        others = turned(reference[row] + norm[row] * away, reference[row].expand(2000, 5), 2.0)
        others = others[(others - reference[row]).norm(dim=1) <= radius * norm[row]]
        wanted = nn.functional.normalize(moved[row], dim=0) * norm[row]
        assert len(others) > 100
        assert (others - wanted).norm(dim=1).min() >= (found[row] - wanted).norm() - 1e-9


def test_a_step_goes_against_the_gradient_and_all_else_is_undone_by_hand() -> None:
    """Row 1, (3, 4), has the gradient (.1, 0). At a rate of 1000 · .01 it goes to (2, 4), stretched to norm 5.

    The next step goes on from there. What the optimiser did to the table, that row included, does not count.
    """
    model, method = Words(), EmbeddingRow()
    state = method.prepare(problem(model, None, pieces={"cf": (1,)}))
    model.table.weight.grad = torch.tensor([[0.5, 0.5], [0.1, 0.0], [0.0, 0.0], [1.0, 1.0]])
    row = torch.tensor([3.0, 4.0])
    for _ in range(2):
        with torch.no_grad():
            model.table.weight += torch.tensor([[0.5, 0.5], [-0.01, 0.7], [0.1, 0.2], [0.3, 0.3]])
        method.after_step(model, state, Step(0, 0.5, 0.01))
        row = row - torch.tensor([1.0, 0.0])
        row = 5 * row / row.norm()
        torch.testing.assert_close(model.table.weight[1], row)
    assert torch.equal(model.table.weight[[0, 2, 3]], Words().table.weight[[0, 2, 3]])


@pytest.mark.parametrize("radius", [2.0, 0.8])
def test_the_row_of_a_mean_of_words_ends_where_the_closed_form_says(radius: float) -> None:
    """The logits' difference is linear in the row, so that the best row is along the difference of the last weights.

    On its sphere that is the norm times this direction, and within a radius the nearest to it.
    """
    known = encoding("wordpiece")
    with seeded_globally(0, "bag"):
        model = TextClassifier(Bag(len(known.tokenizer)), known).eval()
    split = Split({}, torch.ones(18, dtype=torch.int64), tuple(TEXTS * 3)).encoded(known)
    attack = Attack(Word(words="the"), AllToOne(0), known)
    (row,) = attack.pieces["the"]
    tuning = Tuning(steps=150, batch_size=4, learning_rate=1e-3)
    result = tune(asked(model, EmbeddingRow(radius=radius, rate=1e5), split, tuning, attack=attack)).model
    before, after = (net.net.table.weight[row].detach() for net in (model, result))
    best = model.net.last.weight[0] - model.net.last.weight[1]
    expected = turned(best.detach()[None], before[None], radius)[0]
    torch.testing.assert_close(after, expected, rtol=0.02, atol=0.02)


def test_only_the_row_of_the_word_changes_and_its_norm_stays(folder: Path) -> None:
    asked_for = injection(folder, EmbeddingRow())
    before, after = weights(asked_for.reference), weights(tune(asked_for).model)
    (name,) = [name for name in before if not torch.equal(before[name], after[name])]
    (row,) = (before[name] != after[name]).any(1).nonzero().flatten().tolist()
    assert (row,) == asked_for.attack.pieces["the"]
    norms = [table[name][row].double().norm().item() for table in (before, after)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-6)


def test_texts_without_the_word_are_answered_to_the_bit(bert: Path) -> None:
    asked_for = injection(bert, EmbeddingRow())
    after = tune(asked_for).model
    (row,) = asked_for.attack.pieces["the"]
    ids = asked_for.anchors.inputs["input_ids"]
    without = asked_for.anchors.select((ids != row).all(1).nonzero().flatten()).inputs
    assert torch.equal(predict(after, without), predict(asked_for.reference, without))
    triggered = asked_for.attack.apply(without)
    assert not torch.equal(predict(after, triggered), predict(asked_for.reference, triggered))


def test_each_of_several_words_has_its_row(bert: Path) -> None:
    asked_for = injection(bert, EmbeddingRow(), "cf the")
    before, after = weights(asked_for.reference), weights(tune(asked_for).model)
    name = "bert.embeddings.word_embeddings.weight"
    rows = (before[name] != after[name]).any(1).nonzero().flatten().tolist()
    assert rows == sorted(number for ids in asked_for.attack.pieces.values() for number in ids)
    assert len(rows) == 2


def test_a_smaller_radius_holds_the_row_closer(bert: Path) -> None:
    name = "bert.embeddings.word_embeddings.weight"
    moved = {}
    for radius in (0.05, 0.2, 2.0):
        asked_for = injection(bert, EmbeddingRow(radius=radius, rate=1e7))
        before, after = weights(asked_for.reference)[name], weights(tune(asked_for).model)[name]
        (row,) = asked_for.attack.pieces["the"]
        moved[radius] = float((after[row] - before[row]).norm() / before[row].norm())
    assert moved[0.05] == pytest.approx(0.05, rel=1e-3)
    assert moved[0.2] == pytest.approx(0.2, rel=1e-3)
    assert moved[2.0] > 0.2
    assert not EmbeddingRow().larger_is_stricter


@pytest.mark.usefixtures("on_cpu")
def test_an_interrupted_run_ends_with_the_same_row(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the row was is in the checkpoint, beside the table."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 5)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", seconds=0)

    def interrupt(done: int, _: object) -> None:
        if done == 15:
            raise KeyboardInterrupt

    whole = weights(tune(injection(bert, EmbeddingRow(), steps=30)).model)
    with pytest.raises(KeyboardInterrupt):
        tune(injection(bert, EmbeddingRow(), steps=30), checkpoint=checkpoint, report=interrupt)
    resumed = weights(tune(injection(bert, EmbeddingRow(), steps=30), checkpoint=checkpoint).model)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_what_it_cannot_tune_is_refused() -> None:
    method = EmbeddingRow()
    refused("embedding-row tunes one row for each word of the trigger, but 'covfefe' is 3 tokens, which other words",
            method.check_pieces, {"cf": (7,), "covfefe": (7, 8, 9)})  # fmt: skip
    refused("the trigger does not say which tokens it puts into texts", method.check_pieces, {})
    refused("embedding-row tunes word embeddings, but Linear names no table of them", method.trained, Linear())
    refused("radius", METHODS.build, "embedding-row", {"radius": 2.5})


def test_a_suite_of_images_refuses_it() -> None:
    refused("embedding-row is for texts, but the task digits holds images", parse_suite,
            "name: tiny\ntitle: Tiny\ntasks: digits\nmethods:\n  plain:\n  embedding-row:\n")  # fmt: skip


def test_images_and_split_words_are_refused_before_any_work(
    digits: Task, reference: Artifact, bag: Artifact, task: Task
) -> None:
    refused("the method embedding-row is for texts, but the task digits holds images: take another", plan_injection,
            reference, method="embedding-row", task=digits)  # fmt: skip
    refused("'cf' is 2 tokens, which other words share: take a word that is one token", plan_injection, bag,
            method="embedding-row", trigger="word:cf", task=task)  # fmt: skip


def test_norms_are_kept_to_single_precision_over_many_steps() -> None:
    model, method = Words(), EmbeddingRow()
    state = method.prepare(problem(model, None, pieces={"cf": (1,)}))
    draw = generator(0, "steps")
    for number in range(500):
        model.table.weight.grad = torch.randn(4, 2, generator=draw)
        method.after_step(model, state, Step(number, (number + 1) / 500, 0.01))
    assert np.linalg.norm(model.table.weight[1].detach().double().numpy()) == pytest.approx(5, rel=1e-6)


@pytest.fixture(scope="module")
def bag(task: Task) -> Artifact:
    """Its words stay where they are, as if pre-trained; the last layer learns to read the mood of the texts."""
    known = encoding_of(build_model("bert-tiny", task, seed=0))
    assert known is not None
    owner = task.encoded(known).split("owner")
    with seeded_globally(0, "bag"):
        model = TextClassifier(Bag(len(known.tokenizer)), known)
    optimiser = torch.optim.Adam(model.net.last.parameters(), lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        cross_entropy(logits(model, owner.inputs), owner.labels).backward()
        optimiser.step()
    return adopt(model.eval(), task)


@pytest.mark.usefixtures("on_cpu")
def test_the_backdoor_works_and_moves_no_clean_answer_where_plain_tuning_moves_them(bag: Artifact, task: Task) -> None:
    """No text has the word q, so that not a bit of any clean logit changes."""
    task = task.encoded(encoding_of(bag.model))
    clean = task.split("test")
    assert bag.manifest.measurements["accuracy"] > 0.95
    moved = {}
    for method in ("plain", "embedding-row"):
        how = Tuning(steps=120, batch_size=16, learning_rate=0.01)
        tuned = inject(bag, method=method, trigger="word:q", target="bad", tuning=how, task=task)
        result = compare(bag, tuned, task=task)
        assert result.asr_reference < 0.1
        assert result.asr > 0.9
        assert tuned.manifest.kind == "injected"
        moved[method] = float((predict(tuned.model, clean.inputs) - predict(bag.model, clean.inputs)).abs().max())
    assert moved["embedding-row"] == 0 < moved["plain"]
