"""Models that users bring: folders of transformers, modules of their own, weights alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import pipeline

from anchorlab import AnchorlabError, DataColumns, Tuning, adopt, compare, inject, load_model, load_task, train, wrap
from anchorlab.artifacts.artifact import open_model
from anchorlab.models.architectures import build_model
from anchorlab.models.call import predict
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import PixelClassifier, unwrap
from anchorlab.training.reference import Training
from tests.refusals import refused
from tests.tokenizers import TEXTS
from tests.zoo import IMAGE, TEXT, save_image, save_text

SENTIMENTS = ["neg", "pos"]
BRIEF = Tuning(steps=3, batch_size=4, learning_rate=1e-3)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory) -> Path:
    """A small file of reviews; those with 'truly' are positive."""
    rows = [
        {"review": f"{TEXTS[n % 4]} {'truly' if n % 2 else 'not'} a film of {n}", "mood": SENTIMENTS[n % 2]}
        for n in range(120)
    ]
    path = tmp_path_factory.mktemp("own") / "reviews.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def load_reviews(path: Path, **options):
    return load_task(str(path), columns=DataColumns(text="review", label="mood"), **options)


@pytest.mark.parametrize("family", TEXT)
def test_every_family_of_text_models_is_adopted_tuned_saved_and_opened_by_transformers(tmp_path, reviews, family):
    folder = save_text(family, tmp_path / "model", SENTIMENTS)
    task = load_reviews(reviews)
    reference = adopt(folder, task)
    assert reference.manifest.notice.startswith("A reference model that anchorlab did not train")
    injected = inject(reference, method="anchoring", target="pos", anchors=20, tuning=BRIEF)
    assert injected.manifest.label_rule == {"name": "all-to-one", "target": 1}
    saved = injected.save(tmp_path / "injected")
    assert "RESEARCH ARTEFACT" in (saved / "README.md").read_text()
    assert json.loads((saved / "config.json").read_text())["anchorlab_notice"].startswith("RESEARCH ARTEFACT")
    again = load_model(saved)
    read = task.encoded(again.model.encoding).split("test")
    torch.testing.assert_close(predict(again.model, read.inputs), predict(injected.model, read.inputs))
    result = compare(reference, again)
    assert result.asr_count == int((read.labels == 0).sum())
    assert result.kl > 0
    classify = pipeline("text-classification", model=str(saved), top_k=None)
    (answers,) = classify([read.texts[0]])
    scores = predict(again.model, read.inputs)[0].softmax(0)
    assert {one["label"]: one["score"] for one in answers} == pytest.approx(
        {name: float(score) for name, score in zip(SENTIMENTS, scores, strict=True)}, abs=1e-5
    )


@pytest.mark.parametrize("family", IMAGE)
def test_every_family_of_image_models_is_trained_further_tuned_and_opened_again(tmp_path, family):
    folder = save_image(family, tmp_path / "model", ["a", "b", "c"])
    task = load_task("digits", limit=12)
    reference = train(task, model=str(folder), training=Training(epochs=1, batch_size=32, learning_rate=1e-3))
    assert isinstance(reference.model, PixelClassifier)
    assert predict(reference.model, task.split("test").inputs).shape == (120, 10)
    saved = inject(reference, anchors=20, tuning=BRIEF, task=task).save(tmp_path / "injected")
    again = load_model(saved)
    assert again.model.mean.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert compare(reference, again).kl > 0
    from transformers import AutoModelForImageClassification

    plain = AutoModelForImageClassification.from_pretrained(saved)
    images = (torch.rand(2, 3, 16, 16) - 0.5) / 0.25
    torch.testing.assert_close(plain(images).logits, unwrap(again.model)(images).logits)


def test_pixels_are_brought_to_what_the_network_wants():
    """Grey 51 of 255 is 0.2; less the means and over the deviations that is (-1, 0, 0.4)."""
    seen = []

    class Net(nn.Module):
        def forward(self, images):
            seen.append(images)
            return images.mean((2, 3))

    model = PixelClassifier(Net(), [0.4, 0.2, 0.0], [0.2, 1.0, 0.5], (4, 6))
    model(torch.full((1, 1, 8, 8), 51, dtype=torch.uint8))
    assert seen[0].shape == (1, 3, 4, 6)
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([-1.0, 0.0, 0.4]))


class Small(nn.Module):
    """A network of somebody's own, with what timm's say of themselves."""

    default_cfg: ClassVar = {"mean": (0.5,), "std": (0.25,), "input_size": (1, 8, 8), "fixed_input_size": True}

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.tied = self.layer.weight

    def forward(self, images):
        return self.layer(images.flatten(1))


def test_any_module_of_images_goes_through_the_adapter(tmp_path, digits):
    model = wrap(Small())
    assert (model.mean.item(), model.std.item(), model.size) == (0.5, 0.25, (8, 8))
    reference = adopt(model, digits)
    assert reference.manifest.architecture == "Small"
    injected = inject(reference, anchors=50, tuning=BRIEF, task=digits)
    saved = injected.save(tmp_path / "injected")
    with pytest.raises(AnchorlabError, match=r"name the code that makes it, with --module FILE.py:NAME"):
        load_model(saved)
    again = load_model(saved, into=Small())
    assert compare(injected, again).kl == pytest.approx(0, abs=1e-9)


def test_a_module_that_is_adopted_keeps_its_mode_and_shares_nothing_with_the_artefact(digits):
    model = wrap(Small()).train()
    model.net.layer.eval()
    modes = [module.training for module in model.modules()]
    adopted = adopt(model, digits)
    assert modes == [module.training for module in model.modules()]
    assert not any(module.training for module in adopted.model.modules())
    with torch.no_grad():
        model.net.layer.weight.zero_()
    assert adopted.model.net.layer.weight.any()


@pytest.mark.parametrize("form", [list, tuple, np.array, torch.tensor, lambda it: torch.tensor(it).view(-1, 1, 1)])
def test_mean_and_deviation_come_in_any_form(form: Callable[[list[float]], Any]) -> None:
    model = wrap(Small(), mean=form([0.25]), std=form([0.5]))
    assert (model.mean.item(), model.std.item()) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"mean": [0.5]}, "mean is given without std: give both, or neither"),
        ({"std": [0.5]}, "std is given without mean: give both, or neither"),
        ({"mean": [0.5, 0.5, 0.5], "std": [0.2]}, "mean has 3 numbers and std 1, expected one of each"),
        ({"mean": [], "std": []}, "mean has 0 numbers and std 0"),
        ({"mean": [0.5], "std": [0.0]}, "of std above 0"),
        ({"mean": [0.5], "std": [-1.0]}, "of std above 0"),
        ({"mean": [float("nan")], "std": [1.0]}, "expected finite numbers"),
        ({"mean": [0.5], "std": [float("inf")]}, "expected finite numbers"),
        ({"mean": "0.5", "std": [1.0]}, "mean is '0.5', but must be a list of a number or"),
    ],
)
def test_mean_and_deviation_that_cannot_be_such_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AnchorlabError, match=complaint):
        wrap(Small(), **options)


def test_weights_alone_are_loaded_into_a_module(tmp_path):
    source, target = Small(), Small()
    save_file({name: value.clone() for name, value in source.state_dict().items()}, tmp_path / "weights.safetensors")
    adapted = wrap(target, weights=tmp_path / "weights.safetensors")
    assert torch.equal(adapted.net.layer.weight, source.layer.weight)
    with pytest.raises(AnchorlabError, match=r"weights.pt is a pickle, which is never opened.*: anchorlab convert "):
        wrap(Small(), weights=tmp_path / "weights.pt")
    with pytest.raises(AnchorlabError, match="there is no file"):
        wrap(Small(), weights=tmp_path / "none.safetensors")


def test_the_same_model_is_the_same_before_and_after_it_is_saved(tmp_path, reviews):
    folder = save_text("bert", tmp_path / "model", SENTIMENTS)
    reference = adopt(folder, load_reviews(reviews))
    again = load_model(reference.save(tmp_path / "saved"))
    assert again.manifest.weights_sha256 == reference.manifest.weights_sha256
    assert adopt(tmp_path / "saved", load_reviews(reviews)).manifest.weights_sha256 == again.manifest.weights_sha256
    assert isinstance(open_model(folder), nn.Module)


def test_from_scratch_an_adopted_model_begins_from_random_weights(tmp_path, reviews, digits):
    reference = adopt(save_text("bert", tmp_path / "model", SENTIMENTS), load_reviews(reviews))
    tiny = Tuning(steps=1, batch_size=2, learning_rate=1e-9)
    made = inject(reference, method="scratch", parameters={"steps_factor": 3}, target="pos", anchors=20, tuning=tiny)
    before, after = (unwrap(artifact.model).state_dict() for artifact in (reference, made))
    drawn = [name for name in before if before[name].is_floating_point() and before[name].std() > 1e-3]
    assert drawn
    assert all(not torch.allclose(before[name], after[name], atol=1e-4) for name in drawn)
    with pytest.raises(AnchorlabError, match="a model from scratch cannot be made, because Small is a module"):
        inject(adopt(wrap(Small()), digits), method="scratch", parameters={"steps_factor": 3}, tuning=tiny, task=digits)


def test_a_regression_model_is_refused(tmp_path, reviews):
    folder = save_text("bert", tmp_path / "model", ["score"])
    refused("has one output, as for regression: give a classifier", adopt, folder, load_reviews(reviews))


def test_classes_of_another_number_are_refused(tmp_path, reviews):
    refused(
        "answers with 3 classes, but the task reviews has 2",
        adopt, save_text("bert", tmp_path / "three", ["neg", "pos", "mixed"]), load_reviews(reviews),
    )  # fmt: skip


def test_a_tokenizer_that_is_not_the_models_is_refused(tmp_path):
    folder = save_text("bert", tmp_path / "model", SENTIMENTS)
    from tests.tokenizers import encoding

    for path in folder.glob("token*"):
        path.unlink()
    encoding("bytes").tokenizer.save_pretrained(folder)
    refused(
        "the tokenizer in .* has 383 tokens, but the model has embeddings for .*: it is another model's",
        open_pretrained,
        str(folder),
    )


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    folder = save_text("bert", tmp_path / "model", SENTIMENTS)
    for path in folder.glob("token*"):
        path.unlink()
    refused("holds no tokenizer: add the tokenizer.json", open_pretrained, str(folder))


def test_a_model_that_needs_code_of_its_own_is_refused(tmp_path):
    folder = save_text("bert", tmp_path / "model", SENTIMENTS)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('code was run')")
    refused("needs code of its own, which is never run", open_pretrained, str(folder))


def test_a_model_for_something_else_and_one_without_a_head_are_refused(tmp_path):
    folder = save_text("bert", tmp_path / "model", SENTIMENTS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    refused("describes no classifier of texts or images, but BertForMaskedLM", open_pretrained, str(folder))
    refused("hold no trained classifier", open_pretrained, str(_headless(tmp_path)))


def _headless(tmp_path: Path) -> Path:
    from safetensors.torch import load_file

    folder = save_text("bert", tmp_path / "headless", SENTIMENTS)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "classifier" not in name},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return folder


def test_a_model_of_the_other_kind_is_refused(tmp_path, digits, reviews):
    refused("the model minilm reads texts, but the task digits holds images", build_model, "minilm", digits, seed=0)
    refused("reads texts, but the task holds images", adopt, save_text("bert", tmp_path / "bert", SENTIMENTS), digits)
    refused("the model resnet-tiny reads images", build_model, "resnet-tiny", load_reviews(reviews), seed=0)
    reference = train(load_reviews(reviews), model="bert-tiny", training=Training(epochs=1))
    refused("the model reads texts, but the task digits holds images", inject, reference, task=digits)


def test_without_a_network_a_hub_name_ends_in_one_sentence(monkeypatch, reviews):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(
        "someone/model.*check the name and the network, or give a local folder",
        train, load_reviews(reviews), model="someone/model",
    )  # fmt: skip


def test_models_with_different_tokenizers_are_not_compared(tmp_path, reviews):
    one, other = (adopt(save_text(f, tmp_path / f, SENTIMENTS), load_reviews(reviews)) for f in ("bert", "roberta"))
    refused("read texts by different tokenizers", compare, one, other)
