"""Building, calling and saving classifiers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)
from anchorlab import AnchorlabError, Tuning, adopt, compare, inject, repair, wrap
from anchorlab.data import Task
from anchorlab.models.call import check_classes, logits, passes, predict
from anchorlab.models.forms import Deployed
from anchorlab.models.forward import Forward
from tests.refusals import refused


def test_logits_are_float32_from_tensors_and_from_transformers_outputs(digits, linear, reference):
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    assert torch.equal(logits(linear, inputs), linear(**inputs))
    assert torch.equal(logits(reference.model, inputs), reference.model(**inputs).logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(**inputs).dtype == torch.bfloat16
        assert logits(linear, inputs).dtype == torch.float32


def test_predictions_do_not_depend_on_the_batch_size(digits, reference):
    inputs = {name: value[:120] for name, value in digits.split("test").inputs.items()}
    whole = predict(reference.model, inputs)
    assert whole.shape == (120, 10)
    for batch_size in (120, 50, 7):
        torch.testing.assert_close(predict(reference.model, inputs, batch_size=batch_size), whole, rtol=0, atol=1e-4)


def test_predict_evaluates_and_restores_the_mode(digits, reference):
    inputs = {name: value[:60] for name, value in digits.split("test").inputs.items()}
    model = copy.deepcopy(reference.model).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answers = predict(model, inputs)
    assert torch.equal(answers, predict(reference.model, inputs))
    assert not answers.requires_grad
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    predict(model.eval(), inputs)
    assert not model.training


def test_predict_transforms_each_batch_before_the_model_sees_it(digits, linear):
    inputs = {name: value[:9] for name, value in digits.split("test").inputs.items()}
    negative = predict(
        linear, inputs, transform=lambda batch: {"pixel_values": 255 - batch["pixel_values"]}, batch_size=4
    )
    assert torch.equal(negative, predict(linear, {"pixel_values": 255 - inputs["pixel_values"]}, batch_size=4))


class Three(nn.Module):
    """Answers with three numbers, whatever the image."""

    answers = (0.0, 0.0, 0.0)

    def forward(self, pixel_values):
        return torch.tensor([self.answers] * len(pixel_values))


def test_classes_are_counted_by_asking_the_model(digits):
    refused("the model answers with 3 classes, but the task digits has 10", check_classes, Three(), digits)


def test_a_module_that_ends_in_a_softmax_is_refused(digits, linear):
    check_classes(linear, digits)
    refused(
        "the answers of the model are probabilities, because none is negative and every row sums to 1, but logits are "
        "wanted: .* by leaving out the softmax at the model's end",
        check_classes,
        WithSoftmax(linear),
        digits,
    )


class Bytes(nn.Module):
    """Bytes to floats from 0 to 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float() / 255


class Returning(nn.Module):
    """Returns something of the right logits, and calls its input otherwise than anchorlab."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make, self.layer = make, nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Any:
        return self.make(self.layer(x.flatten(1).float() / 255))


class Passing(Returning):
    """Has another name for its input, and takes further ones."""

    def forward(self, x: Tensor, **further: Any) -> Any:
        assert not further
        return super().forward(x)


class Taking(Returning):
    """Takes its input by any name."""

    def forward(self, *given: Any, **named: Any) -> Any:
        return super().forward(*given, *named.values())


def sequential() -> nn.Module:
    return nn.Sequential(Bytes(), nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize("make", [sequential, *(partial(kind, nn.Identity()) for kind in (Returning, Passing, Taking))])
def test_an_image_is_given_by_place_where_forward_has_another_name_for_it(
    digits: Task, make: Callable[[], nn.Module]
) -> None:
    model = make()
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    answers = model(inputs["pixel_values"])
    assert torch.equal(logits(model, inputs), answers)
    assert torch.equal(logits(model, inputs, dict(model.named_parameters())), answers)
    assert torch.equal(logits(Deployed(model, "float32"), inputs), answers)
    assert torch.equal(logits(nn.DataParallel(model), inputs), answers)
    assert torch.equal(Forward(model)(inputs), answers)


def test_a_compiled_module_gets_its_image_as_the_module_itself(digits: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda net, **_options: lambda *args, **named: net(*args, **named))
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    for model in (sequential(), Returning(lambda logits: logits), NamesIt()):
        assert torch.equal(Forward(model, compiled=True)(inputs), model(inputs["pixel_values"]))


class NamesIt(Returning):
    """Takes its image by name alone, and by place."""

    def __init__(self) -> None:
        super().__init__(lambda logits: logits)

    def forward(self, pixel_values: Tensor) -> Any:
        return super().forward(pixel_values)


def test_a_forward_of_an_instance_counts(digits: Task) -> None:
    """As accelerate sets it."""
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    model = NamesIt()
    original = model.forward
    model.forward = lambda images: 2 * original(images)  # type: ignore[method-assign,assignment,misc]
    assert torch.equal(logits(model, inputs), 2 * original(inputs["pixel_values"]))


def test_verbs_take_a_module_as_it_is(digits: Task) -> None:
    reference = adopt(sequential(), digits)
    injected = inject(reference, anchors=20, tuning=Tuning(steps=2, batch_size=4), task=digits)
    assert compare(reference, injected, task=digits).kl is not None
    assert repair(injected, "fine-tuning", parameters={"epochs": 1}, defender_data=40, task=digits).manifest.defence


def test_a_mapping_may_hold_the_logits(digits: Task) -> None:
    inputs = {"pixel_values": digits.split("test").inputs["pixel_values"][:4]}
    assert logits(Returning(lambda answers: {"logits": answers, "loss": None}), inputs).shape == (4, 10)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda answers: (answers, None), "a tuple"),
        (lambda answers: [answers], "a list"),
        (lambda answers: None, "None"),
        (lambda answers: answers.detach().numpy(), "a ndarray"),
        (lambda answers: {"scores": answers}, "a dict"),
    ],
)
def test_a_module_that_returns_no_logits_is_refused(digits: Task, make: Callable[[Tensor], Any], kind: str) -> None:
    with pytest.raises(AnchorlabError, match=rf"the model returns {kind}; it must return the logits, a tensor of"):
        adopt(Returning(make), digits)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda answers: answers[..., None], r"tensor of shape \[24, 10, 1\], expected \[batch, classes\], \[24, 10\]"),
        (lambda answers: answers[:, 0], r"with a tensor of shape \[24\], expected \[batch, classes\]"),
        (lambda answers: answers / 0 * 0, "the model's logits are not finite in 126 of 126 ex"),
    ],
)
def test_answers_of_another_form_are_no_reference(
    digits: Task, make: Callable[[Tensor], Tensor], complaint: str
) -> None:
    with pytest.raises(AnchorlabError, match=complaint):
        adopt(Returning(make), digits)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_weights_of_another_type_are_named(digits: Task, dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(AnchorlabError, match=rf"its weights are {name}, and inputs reach it as float32, so give mod"):
        adopt(wrap(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).to(dtype), mean=[0.3], std=[0.4]), digits)


class WithSoftmax(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixel_values):
        return self.net(pixel_values=pixel_values).softmax(1)


def test_batches_of_texts_give_freed_memory_back_and_images_keep_it(monkeypatch):
    """A batch of texts has another shape than the one before, so that kept memory would grow."""
    given_back = []
    monkeypatch.setattr("anchorlab.models.call.give_back_freed_memory", lambda: given_back.append(1))
    mask = torch.ones(18, 8, dtype=torch.int64).tril(4)
    assert len([*passes({"input_ids": mask, "attention_mask": mask}, 2)]) == 9
    assert len(given_back) == 2
    assert len([*passes({"pixel_values": torch.zeros(18, 1, 2, 2)}, 2)]) == 9
    assert len(given_back) == 2
