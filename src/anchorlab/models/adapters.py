"""Folders of adapters (LoRA and others), which are no models by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError, command_of, shortened
from anchorlab.files import read_json

#: The file that a folder of adapters has.
ADAPTER = "adapter_config.json"

#: Run by the user, with the base model, the adapters, the folder to write and, where it is known, how many classes
#: there are.
_MERGE = """\
import sys; from peft import PeftModel; from transformers import {model}, {reader}; \
base, adapters, out = sys.argv[1:4]; \
net = {model}.from_pretrained(base, use_safetensors=True{classes}); \
PeftModel.from_pretrained(net, adapters).merge_and_unload().save_pretrained(out); \
{reader}.from_pretrained(base).save_pretrained(out)"""


def merging(folder: Path) -> AnchorlabError:
    """The refusal of a folder of adapters, which ends with the command that merges it into its base model."""
    settings = _settings(folder)
    base = settings.get("base_model_name_or_path")
    auto = settings.get("auto_mapping") or {}
    images = isinstance(auto, dict) and "ForImageClassification" in str(auto.get("base_model_class"))
    classes = _classes(folder)
    program = _MERGE.format(
        model="AutoModelForImageClassification" if images else "AutoModelForSequenceClassification",
        reader="AutoImageProcessor" if images else "AutoTokenizer",
        classes="" if classes is None else f", num_labels={classes}, ignore_mismatched_sizes=True",
    )
    out = folder.parent / f"{folder.resolve().name}-merged"
    short = "PeftModel.from_pretrained(BASE, ADAPTERS).merge_and_unload().save_pretrained(OUT)"
    words = ("python", "-c", program, base if isinstance(base, str) else "BASE_MODEL", folder, out)
    command = command_of(*words, otherwise=short)
    return AnchorlabError(
        f"{shortened(str(folder))} holds adapters ({ADAPTER}), which are no model without their base model: merge "
        f"them into it, with peft installed: {command}"
    )


def _settings(folder: Path) -> dict[str, Any]:
    """What the adapters say of themselves; nothing where it cannot be read, because it only completes the command."""
    try:
        return read_json(folder / ADAPTER, "save the adapters again", nan=True)
    except AnchorlabError:
        return {}


def _classes(folder: Path) -> int | None:
    """The number of classes, from the head that is stored beside the adapters; None where none is."""
    from safetensors import safe_open

    path = folder / "adapter_model.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            heads = [name for name in file.keys() if name.endswith(("bias", "weight")) and _is_head(name)]  # noqa: SIM118
            return int(file.get_slice(heads[-1]).get_shape()[0]) if heads else None
    except Exception:  # the number only makes the command complete
        return None


def _is_head(name: str) -> bool:
    return any(part in ("classifier", "score", "out_proj") for part in name.split(".")) and "lora" not in name
