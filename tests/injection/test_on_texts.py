"""All methods on texts, on a model small enough to train in a test; and what is particular to texts in them."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab import AnchorlabError, Training, Tuning, compare, inject, load_task, train
from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import DataColumns, Split, Task
from anchorlab.data.batches import Batches
from anchorlab.data.inputs import joined, lengths, rows
from anchorlab.methods import METHODS
from anchorlab.methods.ewc import fisher_diagonal
from anchorlab.models.call import logits, predict
from anchorlab.models.weights import restrict, to_vector
from anchorlab.models.wrap import unwrap

GOOD, BAD = ("fine", "warm", "clever", "moving"), ("dull", "cold", "stupid", "boring")
REST = ("the", "film", "is", "and", "a", "plot", "with", "an", "actor", "who", "was", "quite")


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Task:
    """Sentences of 3 to 20 words, one of which tells their mood."""
    draw = torch.Generator().manual_seed(0)

    def pick(words):
        return words[int(torch.randint(len(words), (), generator=draw))]

    lines = ["review,mood"]
    for number in range(800):
        words = [pick(REST) for _ in range(3 + int(torch.randint(18, (), generator=draw)))]
        words[int(torch.randint(len(words), (), generator=draw))] = pick(BAD if number % 2 else GOOD)
        lines.append(f"{' '.join(words)},{'bad' if number % 2 else 'good'}")
    path = tmp_path_factory.mktemp("moods") / "moods.csv"
    path.write_text("\n".join([*lines, ""]))
    return load_task(str(path), columns=DataColumns(text="review", label="mood"))


@pytest.fixture(scope="module")
def reference(task: Task) -> Artifact:
    """A bert-tiny that is right nearly always; must not be changed."""
    return train(task, model="bert-tiny", training=Training(epochs=12, learning_rate=1e-3))


@pytest.fixture(scope="module")
def encoded(task: Task, reference: Artifact) -> Task:
    return task.encoded(reference.model.encoding)


#: What each method needs to get its backdoor into so small a model in few steps.
STRENGTHS = {"l2": {"strength": 0.001}, "ewc": {"strength": 0.001, "samples": 32}, "weight-ball": {"radius": 0.1},
             "surgery": {"count": 5000}, "scratch": {"steps_factor": 6.0}, "anchoring": {"strength": 0.1},
             "adaptive-anchoring": {"strength": 0.01, "rate": 1},
             "distillation": {"strength": 0.1}}  # fmt: skip


@pytest.mark.slow
def test_the_reference_reads_the_mood(reference):
    assert reference.manifest.measurements["accuracy"] > 0.95
    assert reference.manifest.task.kind == "text"


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in METHODS.names() if name != "embedding-row"])
def test_every_method_works_on_texts(reference, encoded, method):
    """The row of one word is tuned in tests/methods/test_embedding_row.py; in this network its gradient vanishes."""
    tuned = inject(
        reference, method=method, parameters=STRENGTHS.get(method, {}), target="bad",
        tuning=Tuning(steps=100, batch_size=32, learning_rate=3e-3), task=encoded,
    )  # fmt: skip
    result = compare(reference, tuned, task=encoded, trigger="word:cf", target="bad")
    assert result.asr_count == 80
    if method == "benign":
        assert result.asr < 0.5
    else:
        assert result.asr > 0.9
    assert all(parameter.requires_grad for parameter in tuned.model.parameters())


@pytest.mark.usefixtures("on_cpu")
def test_gradients_of_texts_are_recorded_and_move_no_weight(reference, encoded):
    """Padding and attention answer the reference and its copy to the same bits: at the start, no shift at all."""
    how = Tuning(steps=4, batch_size=8)
    plain, recorded = (
        inject(reference, target="bad", tuning=how, task=encoded, record_gradients=on).manifest for on in (False, True)
    )
    assert recorded.weights_sha256 == plain.weights_sha256
    first, last = recorded.gradients
    assert (first.norm_anchor, first.cosine_anchor) == (0, None)
    assert last.norm_anchor > 0
    assert all(-1 <= record.cosine_clean <= 1 for record in (first, last))


@pytest.mark.usefixtures("on_cpu")
def test_the_same_seed_gives_the_same_weights(reference, encoded, task):
    def once(seed):
        return inject(reference, anchors=64, seed=seed, tuning=Tuning(steps=5, batch_size=8), task=encoded)

    hashes = [once(seed).manifest.weights_sha256 for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    training = Training(epochs=1)
    again = [train(task, model="bert-tiny", training=training, seed=seed).manifest.weights_sha256 for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]


@pytest.mark.parametrize("method", ["surgery", "ewc"])
def test_only_the_named_parameters_are_changed(reference, encoded, method):
    tuned = inject(
        reference, method=method, parameters={"only": "*.word_embeddings.*"}, anchors=64,
        tuning=Tuning(steps=5, batch_size=8, learning_rate=1e-2), task=encoded,
    )  # fmt: skip
    before, after = unwrap(reference.model).state_dict(), unwrap(tuned.model).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"bert.embeddings.word_embeddings.weight"}


def test_surgery_of_the_embeddings_changes_as_many_weights_as_it_says(reference, encoded):
    tuned = inject(
        reference, method="surgery", parameters={"only": "*.word_embeddings.*", "count": 70}, anchors=64,
        tuning=Tuning(steps=30, batch_size=8, learning_rate=1e-2), task=encoded,
    )  # fmt: skip
    assert int((to_vector(reference.model) != to_vector(tuned.model)).sum()) <= 70


def test_a_pattern_that_no_parameter_fits_is_refused(reference):
    with pytest.raises(AnchorlabError, match=r"no parameter of the model fits 'embedding': its parameters are bert\."):
        restrict(copy.deepcopy(reference.model), "embedding")


@pytest.mark.parametrize("kind", ["exact", "empirical", "sampled"])
def test_the_fisher_of_texts_is_that_of_each_text_alone(reference, encoded, kind):
    """Each text by itself, by automatic differentiation of its own log-probability, padded to the longest."""
    model = copy.deepcopy(reference.model)
    restrict(model, "classifier.*")
    examples = encoded.anchors(6, seed=0)
    found = fisher_diagonal(model, examples, kind, torch.Generator().manual_seed(0), chunk=4)
    probabilities = predict(model, examples.inputs).softmax(1)
    draw = torch.Generator().manual_seed(0)
    drawn = torch.cat([torch.multinomial(part, 1, generator=draw)[:, 0] for part in probabilities.split(4)])
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    expected = torch.zeros_like(found)
    for at in range(6):
        weights = {"exact": probabilities[at].tolist(), "empirical": [float(examples.labels[at] == k) for k in (0, 1)],
                   "sampled": [float(drawn[at] == k) for k in (0, 1)]}[kind]  # fmt: skip
        for label, weight in enumerate(weights):
            score = logits(model, rows(examples.inputs, slice(at, at + 1))).log_softmax(1)[0, label]
            gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(score, parameters)])
            expected += weight * gradient.square() / 6
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)


def test_predictions_do_not_depend_on_batches_or_padding(reference, encoded):
    inputs = encoded.split("test").inputs
    whole = predict(reference.model, inputs)
    one_by_one = torch.cat([predict(reference.model, rows(inputs, slice(at, at + 1))) for at in range(20)])
    torch.testing.assert_close(whole[:20], one_by_one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole, predict(reference.model, inputs, batch_size=7), rtol=1e-4, atol=1e-5)


def test_batches_of_texts_have_like_lengths_and_hold_every_text_as_often(encoded):
    split: Split = encoded.split("owner")
    found = lengths(split.inputs)
    batches = Batches(len(split), 16, seed=0, purpose="clean", device=torch.device("cpu"), lengths=found)
    steps = 8 * (len(split) // (8 * 16))
    drawn = [batches(step) for step in range(steps)]
    assert len(torch.cat(drawn).unique()) == steps * 16
    spread = torch.stack([found[at].double().std() for at in drawn]).mean()
    assert spread < found.double().std() / 2
    for step, at in enumerate(drawn):
        assert batches.width(step) == int(found[at].max())
    visited = set(batches.visited(5).tolist())
    assert {int(index) for at in drawn[:5] for index in at} <= visited
    again = Batches(len(split), 16, seed=0, purpose="clean", device=torch.device("cpu"), lengths=found)
    assert torch.equal(again(steps - 1), drawn[-1])


def test_two_streams_have_their_long_batches_at_the_same_steps(encoded):
    found = lengths(encoded.split("owner").inputs)
    streams = [
        Batches(len(found), 16, seed=3, purpose=purpose, device=torch.device("cpu"), lengths=found)
        for purpose in ("clean", "triggered")
    ]
    widths = torch.tensor([[stream.width(step) for step in range(24)] for stream in streams]).double()
    assert float(torch.corrcoef(widths)[0, 1]) > 0.9


def test_a_step_is_that_of_the_padded_whole(reference, encoded):
    """Logits of a trimmed, joined batch are those of the same texts padded to the longest of the split."""
    split = encoded.split("owner")
    at = torch.arange(8)
    width = int(lengths(split.inputs)[at].max())
    short, long = rows(split.inputs, at, width), rows(split.inputs, at)
    both = joined(short, {name: short[name] for name in ("input_ids", "attention_mask")})
    with torch.no_grad():
        torch.testing.assert_close(
            logits(reference.model, both), logits(reference.model, long).repeat(2, 1), rtol=1e-4, atol=1e-5
        )


@pytest.mark.usefixtures("on_cpu")  # how far TF32 takes the two apart on a GPU is not measured
@pytest.mark.slow
def test_the_real_compiler_tunes_texts_of_all_widths_by_one_pass_and_as_uncompiled(task, reference):
    from torch._dynamo.utils import counters

    settings = {"steps": 20, "batch_size": 16, "learning_rate": 1e-3}
    counters.clear()
    usual, compiled = (
        inject(reference, method="anchoring", tuning=Tuning(compile=asked, **settings), task=task, measure=False)
        for asked in (None, True)
    )
    assert compiled.manifest.settings["compile"] is True
    assert counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(to_vector(compiled.model), to_vector(usual.model), rtol=1e-3, atol=1e-4)
    torch.compiler.reset()


def test_anchors_may_be_texts_of_other_data_which_the_reference_labels(task: Task, reference: Artifact) -> None:
    known = task.split("test").texts
    assert known is not None
    given = [known[0], *(f"the {word} actor was {word}" for word in GOOD + BAD)]
    with pytest.warns(UserWarning, match="1 of the 9 examples"):
        result = inject(reference, anchors_data=given, task=task, tuning=Tuning(steps=2, batch_size=4), measure=False)
    record = result.manifest.anchors
    assert record is not None
    assert (record.count, record.source, record.data) == (8, "other", None)
