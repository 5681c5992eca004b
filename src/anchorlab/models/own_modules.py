"""Modules of the user's own: the code that the user names makes one, and a saved folder gives it its weights."""

from __future__ import annotations

import contextlib
import copy
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.data.encoding import TextEncoding
from anchorlab.errors import AnchorlabError, quoted, reason, shortened
from anchorlab.files import input_file, read_json
from anchorlab.models.folders import CONFIG, PREPROCESSING
from anchorlab.models.loading import OWN_MODULE, explained, quiet
from anchorlab.models.preprocessing import open_preprocessing
from anchorlab.models.weight_files import WEIGHTS
from anchorlab.models.wrap import PixelClassifier, TextClassifier, encoding_of, load_weights, unwrap, wrap
from anchorlab.notices import notice

#: What a file of preprocessing says of images that ``wrap`` prepares, and nothing more.
_OF_WRAP = {"image_mean", "image_std", "size"}

#: Makes a module, new each time.
ModuleMaker = Callable[[], nn.Module]


def module_maker(text: str) -> ModuleMaker:
    """What makes a module, from ``FILE.py:NAME``; the file is run, because the user named it.

    Modules beside the file can be imported while it runs, after all installed ones.

    Args:
        text: a Python file, and the name in it of a class or function without arguments, or of a module.

    Raises:
        AnchorlabError: if there is no such file or name, or running the file fails.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise AnchorlabError(
            f"--module {quoted(text)} names no code: give FILE.py:NAME, where NAME is a class or function that makes "
            "the module"
        )
    file = input_file(place, "give the Python file that makes the module, as in --module net.py:Net")
    namespace = _run(file)
    made = namespace.get(name)
    if made is None or not (callable(made) or isinstance(made, nn.Module)):
        names = [key for key, value in namespace.items() if callable(value) and not key.startswith("_")]
        raise AnchorlabError(
            f"{file} has no class or function '{shortened(name)}': it has {shortened(', '.join(names)) or 'none'}"
        )

    def make() -> nn.Module:
        with _explained(f"{file}:{name}"), _importing_beside(file):
            module = copy.deepcopy(made) if isinstance(made, nn.Module) else made()
        if not isinstance(module, nn.Module):
            raise AnchorlabError(
                f"{file}:{name} made a {type(module).__name__}: let it return a module of PyTorch (torch.nn.Module)"
            )
        return module

    return make


def is_own_module(folder: Path) -> bool:
    """Whether a model folder was saved from a module of somebody's own."""
    path = folder / CONFIG
    return path.is_file() and read_json(path, "give another folder", nan=True).get("model_type") == OWN_MODULE


def has_weights_alone(folder: Path) -> bool:
    """Whether a folder holds weights and nothing that says whose, as ``convert`` leaves those of a training script."""
    return (folder / WEIGHTS).is_file() and not (folder / CONFIG).exists()


def with_weights(module: nn.Module, folder: Path) -> nn.Module:
    """A module with the weights of such a folder, and its preprocessing of images if it holds one.

    A module that prepares its inputs by itself, as what ``wrap`` makes does, goes on so.

    Raises:
        AnchorlabError: if the weights do not fit it, or the preprocessing does what anchorlab does not.
    """
    load_weights(unwrap(module), folder / WEIGHTS)
    if not (folder / PREPROCESSING).is_file():
        return module
    if unwrap(module) is not module:
        notice(f"{PREPROCESSING} in {folder} is ignored, because the module prepares its inputs by itself")
        return module
    notice(f"images are prepared as {PREPROCESSING} in {folder} says; the module gets what comes out")
    return _prepared_as_told(module, folder)


def _prepared_as_told(net: nn.Module, folder: Path) -> PixelClassifier:
    """A network of images, which are prepared as a folder's file says."""
    with quiet(), explained(str(folder), f"has a {PREPROCESSING} that cannot be read"):
        return PixelClassifier(net, steps=open_preprocessing(str(folder), None))


def needed_module(folder: Path, maker: ModuleMaker | None) -> nn.Module | None:
    """A module for a folder that was saved from one of somebody's own; None if it needs none, or nothing makes one."""
    return maker() if maker is not None and is_own_module(folder) else None


def as_saved(folder: Path, module: nn.Module) -> nn.Module:
    """A module as the classifier of raw inputs that was saved in a folder; its weights are still its own.

    Args:
        folder: may hold the preprocessing of images, or a tokenizer.
        module: the network, wrapped or not.
    """
    net = unwrap(module)
    if (folder / PREPROCESSING).exists():
        settings = read_json(folder / PREPROCESSING, "copy it again")
        if not set(settings) <= _OF_WRAP:
            return _prepared_as_told(net, folder)
        with explained(str(folder / PREPROCESSING), "cannot be used"):
            size = settings["size"] and (settings["size"]["height"], settings["size"]["width"])
            return wrap(net, mean=settings["image_mean"], std=settings["image_std"], size=size)
    if encoding_of(module) is not None or not (folder / "tokenizer_config.json").exists():
        return module
    from transformers import AutoTokenizer

    with quiet(), explained(str(folder), "has no tokenizer that can be opened"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    pad = read_json(folder / CONFIG, "copy it again", nan=True).get("pad_token_id")
    return TextClassifier(net, TextEncoding(tokenizer, tokenizer.model_max_length), pad)


def _run(file: Path) -> dict[str, Any]:
    """The names that a Python file defines."""
    module = types.ModuleType(f"anchorlab_own_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses and the like look for it there
    with _explained(str(file)), _importing_beside(file):
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    return module.__dict__


@contextlib.contextmanager
def _importing_beside(file: Path) -> Iterator[None]:
    place = str(file.resolve().parent)
    sys.path.append(place)
    try:
        yield
    finally:
        sys.path.remove(place)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # anything that the user's own code may raise
        raise AnchorlabError(
            f"{what} failed ({shortened(reason(error))}): mend the code that --module names"
        ) from error
