"""What a shell offers after the Tab key: names of methods, triggers, tasks and the like, without torch.

Completion belongs to the name of a parameter, so that every command that has the parameter has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from anchorlab.cli.catalogue import SECTIONS, entries_of, oracles, suites, summaries_in

#: What is offered: a word with what it means.
Offer = list[tuple[str, str]]

#: Longest explanation beside a word.
_WORDS = 70


def _offer(words: dict[str, str], incomplete: str) -> Offer:
    return [
        (word, meaning if len(meaning) <= _WORDS else f"{meaning[: _WORDS - 1]}…")
        for word, meaning in words.items()
        if word.startswith(incomplete)
    ]


def _names(section: str) -> Callable[[str], Offer]:
    """Completes the names of a section of ``anchorlab list``."""

    def complete(incomplete: str) -> Offer:
        return _offer(summaries_in(section), incomplete)

    return complete


def _repairs(incomplete: str) -> Offer:
    """The names of repairs, oracles too."""
    oracle_words = dict.fromkeys(oracles(), "an oracle: test data and trigger choose its depth")
    return _offer(summaries_in("repairs") | oracle_words, incomplete)


def _suites(incomplete: str) -> Offer:
    """The names of built-in suites, and suite files of this folder."""
    found = {str(path): "a suite file" for ending in ("yaml", "yml") for path in Path().glob(f"*.{ending}")}
    return _offer(suites() | found, incomplete)


def _devices(incomplete: str) -> Offer:
    words = {"cpu": "the processor", "cuda": "a GPU of NVIDIA or AMD; cuda:1 is the second", "mps": "Apple's GPU"}
    return _offer(words, incomplete)


def _sections(incomplete: str) -> Offer:
    return _offer(dict.fromkeys(SECTIONS, ""), incomplete)


def _parameters(context: typer.Context, incomplete: str) -> Offer:
    """Completes the names of parameters for ``--set``, of what the rest of the line has chosen."""
    found: dict[str, str] = {}
    for parameters in _chosen(context.info_name or "", context.params):
        found |= {f"{one['name']}=": one["description"] for one in parameters}
    return _offer(found, incomplete)


def _chosen(command: str, values: dict[str, Any]) -> Iterable[list[dict[str, Any]]]:
    """The parameters of what a command line has chosen so far."""
    if command == "train":
        yield entries_of("training")
        return
    section = {"inject": "methods", "repair": "repairs", "detect": "detectors"}.get(command)
    if section is None:
        return
    chosen = values.get(section.removesuffix("s")) or ("anchoring" if section == "methods" else ())
    names = [chosen] if isinstance(chosen, str) else chosen
    for entry in entries_of(section):
        if entry["name"] in [name.removeprefix("oracle-") for name in names]:
            yield entry.get("parameters", [])


#: Name of a parameter to what completes it.
COMPLETERS: dict[str, Callable[..., Offer]] = {
    "task": _names("tasks"),
    "model": _names("models"),
    "trigger": _names("triggers"),
    "label_rule": _names("label-rules"),
    "method": _names("methods"),
    "repair": _repairs,
    "detector": _names("detectors"),
    "suite": _suites,
    "device": _devices,
    "what": _sections,
    "set_": _parameters,
    "parameters": _parameters,
}


def completer(name: str, metavar: str | None) -> Callable[..., Offer] | None:
    """What completes a parameter: by its name, or the words that its metavar lists; None for neither."""
    if name in COMPLETERS:
        return COMPLETERS[name]
    if metavar is not None and re.fullmatch(r"[a-z0-9-]+(\|[a-z0-9-]+)+", metavar):
        words = dict.fromkeys(metavar.split("|"), "")
        return lambda incomplete: _offer(words, incomplete)
    return None
