"""A model as it is deployed: in another precision, or in another library."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.artifacts.resolve import module_of
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError
from anchorlab.files import refuse_existing, user_path
from anchorlab.models.call import evaluating
from anchorlab.models.causal import CausalLM
from anchorlab.models.forms import STORED, Deployed, check_form, form_of
from anchorlab.models.lora import folded, is_adapted
from anchorlab.models.quantised import quantised
from anchorlab.models.verbalizer import VerbalizedClassifier
from anchorlab.models.wrap import PixelClassifier, TextClassifier, encoding_of, unwrap

#: The defender's clean images by which the ranges of static int8 are measured.
CALIBRATION = 256

#: Texts on which a network of texts is exported.
_TEXTS = ("a good film", "not as good as I had hoped")


@checked
def deployed(
    model: Artifact | nn.Module | CausalLM, form: str = "int8", *, task: Task | None = None, seed: int = 0
) -> Artifact | nn.Module | CausalLM:
    """A model in the form in which it is deployed. It can be compared, judged and audited, but not trained.

    Args:
        model: the float model, with its manifest or as a bare classifier of raw inputs, or a causal language model; it
            is not changed.
        form: ``float32`` (the model itself), ``bf16``, ``int8``, ``int4``, ``onnx`` or ``onnx-int8``; see ``FORMS``.
        task: the task with its data, of which a form in ONNX needs images; the manifest's if None.
        seed: draws the images, from the split ``defender``, whose activations give the ranges of static int8.

    Returns:
        A model of the same type. An artifact's manifest says the form. Only forms in ONNX can be saved.

    Raises:
        AnchorlabError: for an unknown form, a form that does not fit the model, a model that is deployed already, or a
            package that is not installed.
    """
    check_form(form)
    if isinstance(model, CausalLM):
        return _causal(model, form)
    model = whole(model)
    module = module_of(model)
    before = form_of(module)
    if form == "float32" and before is None:
        return model
    if before is not None:
        raise AnchorlabError(
            f"the model is deployed in {before} already, and cannot be brought to {form}: give its float twin, the "
            "model folder that it was made from"
        )
    if form in STORED:
        if task is None and isinstance(model, Artifact):
            task = model.task()
        notice = model.manifest.notice if isinstance(model, Artifact) else "A model that was deployed by anchorlab."
        made = _in_onnx(module, form, task, notice, seed)
    elif form == "bf16":
        made = Deployed(_rounded(module), form)
    else:
        _check_texts(module, form)
        made = Deployed(quantised(module, form), form)
    if not isinstance(model, Artifact):
        return made.eval()
    further: dict[str, Any] = {"form": form}
    if form in STORED:
        further |= {"weights_sha256": weights_hash(made), "twin_sha256": model.manifest.weights_sha256}
    return replace(model, model=made.eval(), manifest=model.manifest.model_copy(update=further))


@checked
def export(
    model: str | Path | Artifact, out: str | Path, to: str = "onnx", *, task: Task | None = None, seed: int = 0
) -> Path:
    """Writes a model folder with the network as an ONNX file, for the evaluation of what is deployed.

    Args:
        model: a model with its manifest, or its folder.
        out: the folder to write: ``model.onnx``, the manifest, the model card, and what the inputs need. Where the
            model is a research artefact, manifest, card and the file's own metadata say so.
        to: ``onnx`` or ``onnx-int8``.
        task: as in ``deployed``.
        seed: as in ``deployed``.

    Raises:
        AnchorlabError: as ``deployed``, and if ``out`` holds anything.
    """
    check_form(to, STORED)
    refuse_existing(user_path(out))
    source = model if isinstance(model, Artifact) else load_model(model)
    made = deployed(source, to, task=task, seed=seed)
    assert isinstance(made, Artifact)
    return made.save(out)


def _causal(model: CausalLM, form: str) -> CausalLM:
    """A language model in a form; its precision says bfloat16 where its weights are."""
    if form in STORED:
        raise AnchorlabError(f"{form} is for classifiers: take int8, int4 or bf16 for a language model")
    if form == "float32":
        return model
    if is_adapted(model.net):
        model = replace(model, net=folded(model.net).eval())
    if form == "bf16":
        return replace(model, net=copy.deepcopy(model.net).to(torch.bfloat16), precision="bfloat16")
    return replace(model, net=quantised(model.net, form))


def _rounded(module: nn.Module) -> nn.Module:
    """A copy whose weights and buffers of numbers are those of bfloat16, kept in float32."""
    made = copy.deepcopy(module)
    with torch.no_grad():
        for value in (*made.parameters(), *made.buffers()):
            if value.is_floating_point():
                value.copy_(value.to(torch.bfloat16))
    return made


def _check_texts(module: nn.Module, form: str) -> None:
    if encoding_of(module) is None:
        raise AnchorlabError(
            f"{form} is for texts, because of a network of images it would touch only the last layer: take onnx-int8 "
            "or bf16 for images"
        )


def _in_onnx(module: nn.Module, form: str, task: Task | None, notice: str, seed: int) -> nn.Module:
    """The classifier around an ONNX network in place of torch's."""
    from anchorlab.models.onnx_export import dynamic_int8, network_inputs, onnx_of, static_int8
    from anchorlab.models.onnx_network import OnnxNetwork

    net, encoding = unwrap(module), encoding_of(module)
    if isinstance(module, VerbalizedClassifier):
        raise AnchorlabError(
            f"{form} is for networks whose outputs are classes, and this one is a language model with label words: "
            "take int8, int4 or bf16"
        )
    images: Mapping[str, Tensor] = {} if encoding is not None else _images(task, seed)
    few = images if encoding is None else encoding.encode(_TEXTS)
    with evaluating(module):  # asked in training mode, BatchNorm would move its statistics
        content = onnx_of(module, {name: value[:2] for name, value in few.items()}, notice)
        measured = network_inputs(module, images) if form == "onnx-int8" and encoding is None else None
    if form == "onnx-int8":
        content = dynamic_int8(content, notice) if measured is None else static_int8(content, measured, notice)
    config: Any = copy.deepcopy(getattr(net, "config", None))
    if config is not None:
        config.architectures = [type(net).__name__]
    network = OnnxNetwork(content, f"the model in {form}", config, form)
    if isinstance(module, PixelClassifier):
        return PixelClassifier(network, steps=module.steps)
    return TextClassifier(network, module.encoding, module.pad) if isinstance(module, TextClassifier) else network


def _images(task: Task | None, seed: int) -> dict[str, Tensor]:
    """Images of the split ``defender``, as many as ranges are measured by."""
    if task is None:
        raise AnchorlabError(
            "a network of images is brought to ONNX on images of its task, and the model has no manifest that names "
            "one: give task, as in deployed(model, form, task=load_task(NAME))"
        )
    examples = task.split("defender")
    count = min(CALIBRATION, len(examples))
    drawn = task.draw("defender", count, "calibration", seed=seed, what="images to measure ranges by")
    return dict(examples.select(drawn).inputs)
