"""Opens a folder of transformers: its configuration, and a network with all of its weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from anchorlab.errors import AnchorlabError, reason, shortened
from anchorlab.files import read_json
from anchorlab.models.fitting import Differences, check_fit
from anchorlab.models.folders import CONFIG, check_settings
from anchorlab.models.weight_files import INDEX, WEIGHTS, check_finite, read_weights, weight_files

#: ``model_type`` in the configuration of a module of the user's own.
OWN_MODULE = "anchorlab-module"

#: Numbers that fit into any memory, for a new head or a table of positions.
_SMALL = 100_000_000


def load_network(
    folder: Path,
    config: Any,
    auto: Any,
    source: str,
    *,
    new_head: bool,
    dtype: torch.dtype = torch.float32,
    brought: Collection[str] = (),
) -> Any:
    """The network of a configuration with a folder's weights, which transformers gets as tensors: it opens no file.

    Args:
        folder: has been checked by ``check_folder``.
        config: the configuration.
        auto: the class of transformers that finds the network's.
        source: the folder or hub name, for messages.
        new_head: whether the layers behind the encoder may be new, from torch's global generator.
        dtype: of the network, whatever the weights are stored in.
        brought: names of weights that an adapter brings, so that the folder may lack them.

    Raises:
        AnchorlabError: if any other weight is missing, left over, of another size or not finite.
    """
    weights = read_weights(folder)
    with quiet(), explained(source, "has weights that cannot be loaded"):
        network = _class_of(auto, config, sum(path.stat().st_size for path in weight_files(folder)))
        net, loading = network.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=dtype,
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
        )
    file = folder / (WEIGHTS if (folder / WEIGHTS).is_file() else INDEX)
    differences = Differences.of(loading).without(brought)
    check_fit(net, differences, weights.keys(), file, source, new_head=new_head)
    check_finite(net, source)
    return net


def build_network(folder: Path, config: Any, auto: Any) -> Any:
    """The network of a configuration with fresh weights; arguments and errors as in ``load_network``."""
    _class_of(auto, config, (folder / WEIGHTS).stat().st_size)
    with torch.random.fork_rng(devices=[]):  # of weights that the folder's replace
        return auto.from_config(config, trust_remote_code=False)


def _class_of(auto: Any, config: Any, stored: int) -> Any:
    """The class of the network that a configuration describes, found without memory for its weights.

    Raises:
        AnchorlabError: if it has far more weights than ``stored`` bytes can hold, so that it would fill the memory.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        net = auto.from_config(config, trust_remote_code=False)
    numbers = sum(value.numel() for value in (*net.parameters(), *net.buffers()))
    if numbers > 2 * stored + _SMALL:
        raise AnchorlabError(
            f"{CONFIG} describes a network of {numbers:,} weights, but only {stored:,} bytes are stored: give the "
            f"{CONFIG} that was saved with the weights"
        )
    return type(net)


def read_configuration(folder: Path) -> Any:
    """The configuration in a folder, as transformers reads it.

    Raises:
        AnchorlabError: if there is none that transformers knows, or it wants code of its own.
    """
    from transformers import AutoConfig

    import anchorlab.models.resnet  # noqa: F401 (registers the architecture with transformers)

    path = folder / CONFIG
    if not path.is_file():
        raise AnchorlabError(
            f"{folder} holds no {CONFIG}: give a folder made by anchorlab or by save_pretrained of transformers"
        )
    check_settings(path)
    written = read_json(path, "give another folder", nan=True)
    for table in ("id2label", "label2id"):
        if not isinstance(written.get(table) or {}, Mapping):
            raise AnchorlabError(f"{table} in {path} is no table of names and numbers: write one, or leave it out")
    if written.get("model_type") == OWN_MODULE:
        raise AnchorlabError(
            f"the model in {shortened(str(folder))} is a module of somebody's own Python: name the code that makes it, "
            "with --module FILE.py:NAME, or in Python give load_model one, with into=MODULE"
        )
    with quiet(), explained(str(path), "describes no classifier"):
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder, of transformers.

    Raises:
        AnchorlabError: if there is none, or none that can be opened without code of its own.
    """
    from transformers import AutoTokenizer

    source = str(folder)
    with quiet(), explained(source, "has no tokenizer that can be opened"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=True)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what transformers makes up where there are no files
        raise AnchorlabError(
            f"{source} holds no tokenizer: add the tokenizer.json that the model was trained with, or write the folder "
            "again with the tokenizer's save_pretrained"
        )
    return tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, transformers reports nothing, above all not that a last layer is new, as intended."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def explained(source: str, what: str) -> Iterator[None]:
    """Turns whatever transformers raises, each kind of damage another type, into one sentence."""
    try:
        yield
    except AnchorlabError:
        raise
    except Exception as error:
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            raise AnchorlabError(
                f"the model {source} needs code of its own, which is never run: give one that transformers knows"
            ) from error
        raise AnchorlabError(
            f"{source} {what} ({reason(error)}): give a folder that save_pretrained of transformers or anchorlab wrote"
        ) from error
