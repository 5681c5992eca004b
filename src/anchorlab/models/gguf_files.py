"""GGUF files of causal language models: their weights in float, as transformers dequantises them.

What llama.cpp computes with the same file has further rounding of its own, because its products are of integers.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from anchorlab.errors import AnchorlabError, lacking, reason, shortened
from anchorlab.files import input_file
from anchorlab.models.fitting import Differences
from anchorlab.models.loading import quiet
from anchorlab.models.weight_files import check_finite

#: Numbers beyond those that are stored that a network may have: tied heads, tables of positions.
_FURTHER = 100_000_000


def open_gguf(path: Path, dtype: torch.dtype) -> tuple[Any, Any, int]:
    """The network, the tokenizer and the number of tokens in a GGUF file. Nothing but this file is opened.

    transformers may give the tokenizer one more token, ``<|endoftext|>``, which the number leaves out.

    Args:
        path: of the file.
        dtype: of the network.

    Raises:
        AnchorlabError: without the extra ``llm``; if the file is damaged, of an architecture that transformers cannot
            read, or lacks weights or a tokenizer.
    """
    file = input_file(path, "give a GGUF file that exists")
    architecture, stored, tokens = _read(file)
    # A folder with a link to the file alone, because transformers would also read what lies beside it.
    with tempfile.TemporaryDirectory(prefix="anchorlab-") as folder, quiet():
        (Path(folder) / "model.gguf").symlink_to(file.resolve())
        net = _network(folder, file, architecture, stored, dtype)
        tokenizer = _tokenizer(folder, file)
    check_finite(net, str(file))
    return net, tokenizer, tokens


def _read(file: Path) -> tuple[str, int, int]:
    """The architecture that a file names, how many numbers it stores, and how many tokens it lists.

    Raises:
        AnchorlabError: if it is no GGUF file, or the package that reads it is not installed.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise lacking(f"the GGUF file {shortened(str(file))}", "llm") from error
    try:
        reader = GGUFReader(file)
        named = reader.fields["general.architecture"].contents()
        layers = reader.fields.get(f"{named}.block_count")
        if layers is not None and int(layers.contents()) > len(reader.tensors):
            raise ValueError(f"it names {layers.contents()} layers, and stores {len(reader.tensors)} tensors")
        listed = reader.fields.get("tokenizer.ggml.tokens")
        numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
        return str(named), numbers, 0 if listed is None else len(listed.data)
    except Exception as error:  # each kind of damage raises another type
        raise AnchorlabError(
            f"{file} is no GGUF file, or damaged ({shortened(reason(error))}): copy it again, or give another"
        ) from error


def _network(folder: str, file: Path, architecture: str, stored: int, dtype: torch.dtype) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    options: dict[str, Any] = {
        "gguf_file": "model.gguf", "trust_remote_code": False, "local_files_only": True
    }  # fmt: skip
    try:
        config = AutoConfig.from_pretrained(folder, **options)
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        numbers = sum(value.numel() for value in empty.parameters())
        if numbers > 2 * stored + _FURTHER:
            raise AnchorlabError(
                f"{file} describes a network of {numbers:,} weights, but stores {stored:,}: copy it again, or give "
                "another"
            )
        net, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True, **options)
    except AnchorlabError:
        raise
    except Exception as error:
        raise AnchorlabError(
            f"transformers cannot read a GGUF file of the architecture {shortened(architecture)}, such as {file} "
            f"({shortened(reason(error))}): give the model's folder with config.json and safetensors"
        ) from error
    missing = Differences.of(loading).missing
    if missing:
        raise AnchorlabError(f"{file} lacks the weights {shortened(missing[0])}: copy it again, or give another")
    # The weights are ordinary ones now, and can be saved.
    net.hf_quantizer = None
    for place in (net, net.config):
        for name in ("quantization_config", "is_quantized", "quantization_method"):
            place.__dict__.pop(name, None)
    return net.eval()


def _tokenizer(folder: str, file: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            folder, gguf_file="model.gguf", trust_remote_code=False, local_files_only=True
        )
    except Exception as error:
        raise AnchorlabError(
            f"{file} has no tokenizer that transformers can read ({shortened(reason(error))}): give the model's folder "
            "with tokenizer.json and safetensors"
        ) from error
