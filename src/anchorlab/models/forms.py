"""In which forms models are deployed, and what a deployed model cannot do.

A deployed model answers, and that is all: its gradients and weights are not those that anything could be trained,
repaired or analysed by. Its float twin, the model that it was made from, has them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, unknown
from anchorlab.models.call import called

#: Forms, and what each is in a sentence.
FORMS: dict[str, str] = {
    "float32": "the weights as they are, computed in float32",
    "bf16": "weights rounded to bfloat16, products and convolutions computed in it",
    "int8": "texts: linear layers in int8, weights a row and activations a token at a time (torchao)",
    "int4": "texts: weights of linear layers in int4, in groups of 32, products in float (torchao)",
    "onnx": "float32 in ONNX Runtime",
    "onnx-int8": "int8 in ONNX Runtime: images with ranges from the defender's data, texts with those of each batch",
}

#: The forms that are files; the others are made when a model is opened, and never stored.
STORED = ("onnx", "onnx-int8")


def check_form(form: str, among: Any = FORMS) -> None:
    """Raises AnchorlabError for a name that is no form."""
    if form not in among:
        raise unknown("form of a deployed model", form, among)


class Deployed(nn.Module):
    """A classifier in the form in which it is deployed; called as the classifier itself.

    Args:
        model: the classifier, whose weights have the form already.
        form: a name of ``FORMS``.
    """

    def __init__(self, model: nn.Module, form: str) -> None:
        super().__init__()
        self.model = model
        self.form = form

    @property
    def encoding(self) -> Any:
        """How texts become tensors; None for images."""
        return getattr(self.model, "encoding", None)

    def forward(self, **inputs: Tensor) -> Any:
        """The answer of the classifier."""
        if self.form != "bf16":
            return called(self.model, inputs)
        device = next(iter(inputs.values())).device
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return called(self.model, inputs)


def form_of(model: nn.Module) -> str | None:
    """The form in which a model is deployed; None for one whose weights can be trained."""
    for module in model.modules():
        form: str | None = getattr(module, "form", None)
        if isinstance(form, str) and form in FORMS:
            return form
    return None


def check_storable(model: nn.Module) -> None:
    """Raises AnchorlabError for a form that is made when a model is opened."""
    form = form_of(model)
    if form is not None and form not in STORED:
        raise AnchorlabError(
            f"a model deployed in {form} is never stored, because safetensors does not hold its state: store its float "
            f"twin, and bring that to {form} when it is opened"
        )


def check_trainable(model: nn.Module, what: str) -> None:
    """Raises AnchorlabError for a model that is deployed, where gradients or weights are needed.

    Args:
        model: any classifier.
        what: what needs them, as in ``"the repair nad"``.
    """
    form = form_of(model)
    if form is not None:
        raise AnchorlabError(
            f"{what} needs gradients or weights, which a model deployed in {form} does not have: give its float twin, "
            "the model folder that it was made from"
        )
