"""Networks of texts with linear layers in int8 or int4, by torchao: made when a model is opened, and never stored."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from anchorlab.errors import AnchorlabError, lacking, reason, shortened
from anchorlab.notices import quiet_imports

#: Weights that share a range in int4.
_GROUP = 32

#: The form, and how many numbers of a row a layer must have a multiple of.
MULTIPLES = {"int8": 1, "int4": _GROUP}


def quantised(model: nn.Module, form: str) -> nn.Module:
    """A copy of a model whose linear layers are quantised; embeddings and all else stay as they are.

    ``int8`` rounds weights a row at a time, and activations a token at a time while it runs. ``int4`` rounds weights
    alone, 32 at a time.

    Args:
        model: on the CPU, in evaluation mode.
        form: ``int8`` or ``int4``.

    Raises:
        AnchorlabError: without the extra ``llm``, or if no layer can be quantised.
    """
    quiet_imports()
    try:
        from torchao.quantization import quantize_
    except ImportError as error:
        raise lacking(f"the form {form}", "llm") from error
    made = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    fitting = [name for name, module in made.named_modules() if _fits(module, form)]
    if not fitting:
        raise AnchorlabError(
            f"no linear layer of the model can be in {form}, because it has none of a width that is a multiple of "
            f"{MULTIPLES[form]}: take another form, such as bf16"
        )
    try:
        quantize_(made, _config(form), filter_fn=lambda module, _name: _fits(module, form))
    except Exception as error:
        raise AnchorlabError(
            f"torchao cannot bring the model to {form} ({shortened(reason(error))}): take another form, such as bf16"
        ) from error
    return made


def _fits(module: nn.Module, form: str) -> bool:
    return type(module) is nn.Linear and module.in_features % MULTIPLES[form] == 0


def _config(form: str) -> Any:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, IntxWeightOnlyConfig, PerGroup

    if form == "int8":
        return Int8DynamicActivationInt8WeightConfig()
    return IntxWeightOnlyConfig(torch.int4, PerGroup(_GROUP))  # type: ignore[attr-defined]
