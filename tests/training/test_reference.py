"""Training the reference."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
import torch

from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.manifest import NOTICES
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.data import DataColumns, load_task
from anchorlab.errors import AnchorlabError
from anchorlab.injection.tuning import Tuning
from anchorlab.models.call import predict
from anchorlab.models.wrap import encoding_of
from anchorlab.settings import values_of
from anchorlab.training import fit as fitting
from anchorlab.training import reference as training
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.reference import Training, train
from tests.refusals import refused

BRIEF = Training(epochs=1, batch_size=110)  # eight steps


def accuracy(model, split):
    return (predict(model, split.inputs).argmax(1) == split.labels).double().mean().item()


def test_a_reference_learns_its_task(digits, reference):
    assert accuracy(reference.model, digits.split("test")) > 0.8
    assert not reference.model.training


def test_its_manifest_tells_how_it_was_made(digits, reference):
    manifest = reference.manifest
    assert manifest.kind == "clean"
    assert manifest.notice == NOTICES["clean"]
    assert manifest.steps == len(digits.split("owner")) * 4 // 64
    assert manifest.settings["epochs"] == 4
    assert manifest.settings["batch_size"] == 64
    assert manifest.weights_sha256 == weights_hash(reference.model)
    assert manifest.measurements == {"accuracy": accuracy(reference.model, digits.split("selection"))}
    assert manifest.task.splits == digits.hashes()
    assert manifest.trigger is manifest.method is manifest.reference_sha256 is None


@pytest.mark.usefixtures("on_cpu")
def test_the_seed_decides_the_weights_and_all_settings_count(digits):
    def trained(seed=0, **changes):
        return train(digits, seed=seed, training=Training(epochs=1, batch_size=220, **changes)).manifest.weights_sha256

    results = [trained(), trained(seed=1), trained(augment=False), trained(weight_decay=0.5), trained(clip=0.01)]
    assert trained() == results[0]
    assert len(set(results)) == len(results)


def test_only_the_owners_examples_are_seen(digits, monkeypatch):
    seen = []
    augment = training.augment
    monkeypatch.setattr(training, "augment", lambda inputs, *a, **k: seen.append(inputs) or augment(inputs, *a, **k))
    train(digits, seed=0, training=BRIEF)
    shown = sorted(bytes(image) for inputs in seen for image in inputs["pixel_values"].cpu().numpy())
    assert shown == sorted(bytes(image) for image in digits.split("owner").inputs["pixel_values"].numpy())


def test_a_share_of_the_owners_examples_is_drawn_with_the_seed(digits, monkeypatch):
    seen = []
    augment = training.augment
    monkeypatch.setattr(training, "augment", lambda inputs, *a, **k: seen.append(inputs) or augment(inputs, *a, **k))

    def shown(seed):
        seen.clear()
        made = train(digits, seed=seed, training=Training(epochs=2, batch_size=110, data_share=0.5))
        assert made.manifest.steps == 2 * round(len(digits.split("owner")) / 2) // 110
        return {bytes(image) for inputs in seen for image in inputs["pixel_values"].cpu().numpy()}

    owner = {bytes(image) for image in digits.split("owner").inputs["pixel_values"].numpy()}
    first, again, other = shown(0), shown(0), shown(1)
    assert first < owner
    assert first == again != other
    assert len(first) <= round(len(digits.split("owner")) / 2)


@pytest.mark.parametrize("brief", [BRIEF, replace(BRIEF, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4)])
@pytest.mark.usefixtures("on_cpu")
def test_interrupted_training_ends_bit_for_bit_where_uninterrupted_training_does(digits, monkeypatch, tmp_path, brief):
    """BatchNorm's statistics and the optimiser's state included; the user presses Ctrl-C before step 5 of 8."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 3)
    whole = train(digits, seed=0, training=brief)
    steps, augment = [], training.augment

    def interrupting(inputs, how, *, seed, step, share):
        if step == 5 and not resumed:
            raise KeyboardInterrupt
        steps.append(step)
        return augment(inputs, how, seed=seed, step=step, share=share)

    monkeypatch.setattr(training, "augment", interrupting)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", seconds=0)
    resumed = False
    with pytest.raises(KeyboardInterrupt):
        train(digits, seed=0, training=brief, checkpoint=checkpoint)
    resumed = True
    again = train(digits, seed=0, training=brief, checkpoint=checkpoint)
    assert steps == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7]
    assert again.manifest.weights_sha256 == whole.manifest.weights_sha256


def test_divergence_is_told_and_not_returned(digits):
    with pytest.raises(AnchorlabError, match=r"training resnet-tiny diverged: .* at step \d of 8, at learning rate"):
        train(digits, seed=0, training=Training(epochs=1, batch_size=110, learning_rate=1e25))


def test_bf16_computes_in_lower_precision_and_keeps_float32_weights(digits):
    full = train(digits, seed=0, training=Training(epochs=1, batch_size=220))
    mixed = train(digits, seed=0, training=Training(epochs=1, batch_size=220, precision="bf16"))
    assert all(value.dtype in (torch.float32, torch.int64) for value in mixed.model.state_dict().values())
    weight, other = full.model.classifier[1].weight, mixed.model.classifier[1].weight
    assert not torch.equal(weight, other)
    torch.testing.assert_close(other, weight, rtol=0, atol=0.02)


def test_a_model_from_random_weights_brings_its_own_defaults(texts):
    usual, own = Training().for_task(texts, "minilm"), Training().for_task(texts, "bert-tiny")
    assert (usual.epochs, usual.learning_rate, usual.batch_size) == (3, 1e-4, 32)
    assert (own.epochs, own.learning_rate, own.batch_size) == (15, 1e-3, 32)
    given = Training(epochs=2, learning_rate=0.1).for_task(texts, "bert-tiny")
    assert (given.epochs, given.learning_rate) == (2, 0.1)
    rates = [Tuning().for_task(texts, name).learning_rate for name in ("minilm", "bert-tiny", "a/folder")]
    assert rates == [1e-4, 1e-3, 1e-4]
    assert Tuning(learning_rate=0.1).for_task(texts, "bert-tiny").learning_rate == 0.1


def test_a_model_reads_as_much_of_a_text_as_it_was_trained_on(texts, tmp_path):
    """Wherever it is opened, because its tokenizer says so."""
    short = replace(texts, definition=texts.definition.with_max_length(5))
    made = train(short, model="bert-tiny", training=Training(epochs=1))
    opened = load_model(made.save(tmp_path / "model"))
    assert encoding_of(opened.model).max_length == 5
    assert texts.encoded(encoding_of(opened.model)).split("test").inputs["input_ids"].shape[1] == 5


def test_three_classes_of_texts_are_learnt_with_the_defaults(texts):
    """600 of them; with the defaults of pre-trained models a bert-tiny stays at chance, 0.33."""
    assert train(texts, model="bert-tiny").manifest.measurements["accuracy"] > 0.7


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Texts of three moods, each with one or two words that tell it, among words that do not."""
    draw = random.Random(0)
    syllables = [first + second for first in "bdfgklmnprst" for second in "aeiou"]
    words = ["".join(pair) for pair in itertools.product(syllables[:30], syllables[30:40])]
    telling, rest = {mood: words[20 * number :][:20] for number, mood in enumerate("abc")}, words[60:200]
    lines = ["text,label"]
    for number in range(600):
        mood = "abc"[number % 3]
        text = draw.choices(rest, k=draw.randint(5, 10)) + draw.choices(telling[mood], k=draw.randint(1, 2))
        lines.append(f"{' '.join(draw.sample(text, len(text)))},{mood}")
    path = tmp_path_factory.mktemp("moods") / "moods.csv"
    path.write_text("\n".join([*lines, ""]))
    return load_task(str(path), columns=DataColumns(text="text"))


def test_the_weight_decay_of_adamw_is_refused_with_sgd():
    refused("would stop SGD from learning", Training, optimiser="sgd")
    refused("would stop SGD from learning", Tuning, optimiser="sgd", weight_decay=0.05)
    assert Tuning(optimiser="sgd").weight_decay == 0
    assert Training(optimiser="sgd", weight_decay=5e-4).weight_decay == 5e-4
    assert "optimiser" not in values_of(Training())
