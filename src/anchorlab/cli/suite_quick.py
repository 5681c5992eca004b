"""A quick look at a suite file, without torch: it accepts what is possible for certain, and refuses nothing.

``anchorlab suite check`` takes the outline that is found here, where nothing was run yet. What is not certain from the
catalogue alone, such as data of your own, repairs, detectors, members of other packages and each mistake, is left to
``load_suite`` and the plan, which say all that there is to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from anchorlab.cli.catalogue import Entry, own_entries
from anchorlab.errors import AnchorlabError
from anchorlab.suites.grids import is_geometric
from anchorlab.suites.search import FURTHER
from anchorlab.suites.short_forms import MOST_SEEDS, as_list, long_entries, long_methods
from anchorlab.suites.source import suite_text
from anchorlab.suites.yaml_text import parse_yaml

#: Most runs of a suite that is accepted here: a tenth of what a plan holds, because they are counted roughly.
_MOST_RUNS = 10_000

#: Anchors that each built-in task has for certain, by the split that they are drawn from.
_CERTAIN_ANCHORS = {"owner": 640, "held-out": 100}

#: Numbers beyond it are left to the full check.
_LARGEST = 2**53

#: A number as YAML leaves it a text, because it has no decimal point.
_EXPONENT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?[eE][-+]?[0-9]{1,2}")

#: Methods that begin with fresh weights, so that the learning rates of tuning are not for them.
_FROM_SCRATCH = {"scratch"}

#: Settings with rules beyond types and bounds, which are left to the full check.
_WITH_RULES = {"lora", "optimiser"}

#: Triggers of texts, which take words without a name before them.
_WORDS = {"word", "sentence"}


@dataclass(frozen=True)
class Task:
    """A task of an outline."""

    name: str
    architecture: str


@dataclass(frozen=True)
class Outline:
    """What the answer of a check says of a suite that has neither repairs nor detectors; see ``suites.spec.Suite``.

    ``models`` is the number of references to train; ``controls_wait`` says whether the controls wait for a learning
    rate, and ``has_anchors`` whether the tasks have as many examples as are asked for, without a look at their data.
    """

    name: str
    title: str
    tasks: list[Task]
    references: list[int]
    triggers: list[dict[str, Any]]
    methods: dict[str, Any]
    anchors: list[int | str]
    seeds: list[int]
    target_asr: list[float]
    models: int = 0
    most_runs_that_choose: int = 0
    controls_wait: bool = False
    has_anchors: bool = True
    repairs: dict[str, Any] = field(default_factory=dict)
    detectors: dict[str, Any] = field(default_factory=dict)
    deploy: list[str] = field(default_factory=list)
    defender: list[int | str] = field(default_factory=list)
    has_evaluations: bool = False

    @property
    def undecided(self) -> int:
        """Reported runs that wait, where no reference is trained."""
        parts = (self.tasks, self.references, self.triggers, self.anchors, self.seeds)
        targets = len(self.target_asr)
        waiting = len(self.methods) * targets + (targets + 1 if self.controls_wait else 0)
        return math.prod(len(part) for part in parts) * waiting


class _Unsure(Exception):  # noqa: N818  (it says what it is)
    """The file may be right or wrong."""


def outline_of(given: str) -> Outline | None:
    """The outline of a suite that the full check accepts for certain; None where that check has to say so.

    Args:
        given: the path of a suite file, or the name of a built-in suite.
    """
    if any(group.startswith("anchorlab.") for group in entry_points().groups):
        return None  # another package may have names and rules of its own
    try:
        return _outline(parse_yaml(*suite_text(given))[1])
    except (_Unsure, AnchorlabError):
        return None


def _outline(data: Any) -> Outline:
    _sure(isinstance(data, dict))
    keys = ("name", "title", "tasks", "references", "triggers", "methods", "anchors", "anchors_from", "seeds")
    further = ("target_asr", "tuning", "learning_rates", "scales", "selection", "controls", "keep_models", "resources")
    _only(data, *keys, *further)
    _sure(isinstance(data.get("name"), str) and re.fullmatch(r"[a-z0-9][a-z0-9._-]*", data["name"]) is not None)
    _sure(_is_plain(data.get("title")))
    _sure(data.get("anchors_from", "owner") in ("owner", "held-out"))
    for key in ("controls", "keep_models"):
        _sure(isinstance(data.get(key, False), bool))
    _resources(data.get("resources", {}))
    scales = _list(data.get("scales", 1.0), lambda scale: _is_number(scale) and 0 < scale <= 10)
    _settings("tuning", data.get("tuning", {}))
    rates = _rates(data.get("learning_rates", []), data.get("tuning", {}))
    found = Outline(
        name=data["name"],
        title=data["title"],
        tasks=_tasks(data.get("tasks")),
        references=_seeds(data.get("references", 1)),
        triggers=_triggers(data.get("triggers", "five-pixel")),
        methods=_methods(data.get("methods")),
        anchors=_list(data.get("anchors", "all"), lambda count: count == "all" or _is_count(count, 1)),
        seeds=_seeds(data.get("seeds", 6)),
        target_asr=_list(data.get("target_asr", 0.95), lambda rate: _is_number(rate) and 0 < rate <= 1),
    )
    _fit_the_tasks(found)
    selection = _selection(data.get("selection", {}))
    _sure(not set(selection.seeds) & set(found.seeds) and not set(selection.references) & set(found.references))
    tries = (selection.tries + FURTHER) * len(found.target_asr)
    parts, to_choose = len(found.triggers) * len(found.anchors), 0
    for entry in found.methods.values():
        own_rates = rates if _takes_rates(entry) else 0
        strengths = _strengths(entry, tries, scales) or (1 if own_rates > 1 else 0)
        to_choose += parts * strengths + (own_rates if strengths else 0)
    choosing = len(found.tasks) * to_choose * len(selection.seeds) * len(selection.references)
    per_seed = len(found.target_asr) * (len(found.methods) + 2)
    reported = len(found.tasks) * parts * len(found.references) * len(found.seeds) * per_seed
    _sure(reported + choosing <= _MOST_RUNS)
    references = len(found.references) + (len(selection.references) if choosing else 0)
    return replace(
        found,
        models=len(found.tasks) * references,
        most_runs_that_choose=choosing,
        has_anchors=_are_certain(found.anchors, data),
        controls_wait=data.get("controls", True) and rates > 1 and _controls_take_rates([*found.methods.values()]),
    )


def _are_certain(anchors: list[int | str], data: Mapping[str, Any]) -> bool:
    """Whether each task of a suite has so many anchors for certain; one that is limited has few examples."""
    numbers = [count for count in anchors if isinstance(count, int)]
    limited = any(entry.get("limit") is not None for entry in _entries(data["tasks"], "name"))
    return not numbers or (not limited and max(numbers) <= _CERTAIN_ANCHORS[data.get("anchors_from", "owner")])


def _rates(rates: Any, tuning: Mapping[str, Any]) -> int:
    """How many learning rates a suite lets each method choose from."""
    if as_list(rates) == []:
        return 0
    _sure(tuning.get("learning_rate") is None)
    numbers = [_number(rate) for rate in as_list(rates)]
    _sure(min(numbers) > 0 and len(set(numbers)) == len(numbers))
    return len(numbers)


def _controls_take_rates(methods: list[dict[str, Any]]) -> bool:
    """Whether the method whose rate the controls have chooses it; see ``Condition.controls``."""
    plain = [entry for entry in methods if entry["method"] == "plain"]
    as_it_is = [entry for entry in plain if not any(value for key, value in entry.items() if key != "method")]
    return _takes_rates((as_it_is or plain)[0]) if plain else any(map(_takes_rates, methods))


def _takes_rates(entry: dict[str, Any]) -> bool:
    """Whether a method chooses among the suite's learning rates: it has none of its own, and tunes the reference."""
    return entry.get("tuning", {}).get("learning_rate") is None and entry["method"] not in _FROM_SCRATCH


def _strengths(entry: dict[str, Any], tries: int, scales: list[float]) -> int:
    """The most strengths that are tried of a method; 0 where there is nothing to choose."""
    if entry.get("grid"):
        return len(entry["grid"])
    method, values = _named("methods")[entry["method"]], entry.get("set", {})
    strength = method.get("strength")
    # A choice may decide which parameter is the strength.
    chosen = {parameter["name"] for parameter in method["parameters"] if "choices" in parameter}
    _sure(strength is None or strength in values or not chosen & set(values))
    return tries if strength is not None and strength not in values else int(len(scales) > 1)


def _tasks(tasks: Any) -> list[Task]:
    known, models = _named("tasks"), _named("models")
    found = []
    for entry in _entries(tasks, "name"):
        _only(entry, "name", "model", "training", "limit")
        task = _member(known, entry.get("name"))
        model = entry.get("model")
        _sure(model is None or _member(models, model) is not None)
        _sure(entry.get("limit") is None or _is_count(entry["limit"], 10))
        _settings("training", entry.get("training", {}))
        found.append(Task(task["name"], model or task["architecture"]))
    _sure(len({task.name for task in found}) == len(found))
    return found


def _triggers(triggers: Any) -> list[dict[str, Any]]:
    found = _entries(triggers, "trigger")
    for entry in found:
        _trigger(entry)
    attacks = {
        (entry.get("trigger", "five-pixel"), entry.get("label_rule", "all-to-one"), entry.get("target") or 0)
        for entry in found
    }
    _sure(len(attacks) == len(found))
    return found


def _trigger(entry: dict[str, Any]) -> None:
    _only(entry, "trigger", "label_rule", "target")
    target = entry.get("target")
    _sure(target is None or _is_count(target, 0) or _is_plain(target))
    _member(_named("label-rules"), entry.get("label_rule", "all-to-one"))
    text = entry.get("trigger", "five-pixel")
    _sure(_is_plain(text))
    name, _, rest = str(text).partition(":")
    trigger = _member(_named("triggers"), name)
    # What else a trigger does with a text, such as reading a picture, is its own affair.
    _sure(name in _WORDS or all(parameter["type"] != "str" for parameter in trigger["parameters"]))
    if name in _WORDS and rest:
        _sure(re.fullmatch(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*\.?", rest) is not None)
    elif rest:
        pairs = [pair.split("=") for pair in rest.split(",")]
        _sure(all(len(pair) == 2 and re.fullmatch(r"[0-9]{1,9}", pair[1]) for pair in pairs))
        _sure(len({pair[0] for pair in pairs}) == len(pairs))
        _values(trigger["parameters"], {key: int(value) for key, value in pairs})
    _sure(rest != "" or ":" not in text)


def _methods(methods: Any) -> dict[str, Any]:
    _sure(isinstance(methods, dict) and len(methods) > 0)
    found: dict[str, Any] = long_methods(methods)
    for label, entry in found.items():
        # Labels of controls and of the reference may be taken.
        _sure(_is_plain(label) and label not in ("plain (stopped)", "benign", "reference"))
        _only(entry, "method", "grid", "set", "tuning", "anchors_data")
        _method(_member(_named("methods"), entry.get("method")), entry.get("grid", []), entry.get("set", {}))
        _settings("tuning", entry.get("tuning", {}))
    return found


def _fit_the_tasks(found: Outline) -> None:
    """Methods for the kind of the suite's tasks, and anchors of other tasks of the same kind."""
    known, methods = _named("tasks"), _named("methods")
    for entry in found.methods.values():
        modality = methods[entry["method"]]["modality"]
        _sure(all(modality in ("any", known[task.name]["kind"]) for task in found.tasks))
        if entry.get("anchors_data") is not None:
            other = _member(known, entry["anchors_data"])
            _sure(all(task.name != other["name"] and known[task.name]["kind"] == other["kind"] for task in found.tasks))


def _method(method: Entry, grid: Any, values: Any) -> None:
    _values(method["parameters"], values)
    _sure(isinstance(grid, list))
    if not grid:
        return
    strength = method.get("strength")
    chosen = {parameter["name"] for parameter in method["parameters"] if "choices" in parameter}
    # A choice may decide which parameter is the strength.
    _sure(strength is not None and strength not in values and not chosen & set(values))
    numbers = [_number(value) for value in grid]
    _sure(len(numbers) >= 2 and min(numbers) > 0 and is_geometric(numbers))
    for number in numbers:
        _values(method["parameters"], {strength: round(number) if strength == "count" else number})


class _Selection(NamedTuple):
    """How strengths are chosen."""

    seeds: list[int]
    references: list[int]
    tries: int


def _selection(values: Any) -> _Selection:
    _only(values, "seeds", "references", "tries", "extensions")
    _sure(_is_count(values.get("extensions", 0), 0) and values.get("extensions", 0) <= 100)
    _sure(_is_count(values.get("tries", 12), 1) and values.get("tries", 12) <= 61)
    seeds = values.get("seeds", [1000, 1001])
    _sure(isinstance(seeds, list))
    references = values.get("references", 2)
    if _is_count(references, 1):
        references = [1000 + number for number in _seeds(references)]
    _sure(isinstance(references, list))
    seeds, references = (_list(of, lambda seed: _is_count(seed, 0)) for of in (seeds, references))
    return _Selection(seeds, references, values.get("tries", 12))


def _resources(values: Any) -> None:
    _only(values, "cpus", "gpus")
    _sure(all(_is_number(value) and value >= 0 for value in values.values()))


def _settings(section: str, values: Any) -> None:
    """Settings of the optimisation or of a training; an early stop is for a control alone."""
    _values([entry for entry in own_entries(section) if entry["name"] not in {"stop_at_asr", *_WITH_RULES}], values)


def _values(parameters: list[Entry], values: Any) -> None:
    """Values by name that their parameters take."""
    _sure(isinstance(values, dict))
    known = {parameter["name"]: parameter for parameter in parameters}
    for name, value in values.items():
        _sure(name in known and _takes(known[name], value))


def _takes(parameter: Entry, value: Any) -> bool:
    """Whether a parameter takes a value for certain: one of its choices, true or false, or a number in its bounds."""
    kind, _, rest = parameter["type"].partition(" | None")
    if "choices" in parameter:
        return isinstance(value, str) and value in parameter["choices"]
    if value is None:
        return " | None" in parameter["type"] and not rest
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int" and type(value) is not int:
        return False
    return kind in ("int", "float") and "pattern" not in parameter and _is_within(parameter, _number(value))


def _is_within(parameter: Entry, number: float) -> bool:
    least, most = parameter.get("minimum", -math.inf), parameter.get("maximum", math.inf)
    above, below = parameter.get("exclusiveMinimum", -math.inf), parameter.get("exclusiveMaximum", math.inf)
    return bool(least <= number <= most and above < number < below)


def _entries(values: Any, key: str) -> list[dict[str, Any]]:
    """A list of mappings from a list, or one, of mappings or texts."""
    entries: list[dict[str, Any]] = long_entries(values, key)
    _sure(len(entries) > 0)
    return entries


def _seeds(seeds: Any) -> list[int]:
    """Seeds from a number of them, or a list."""
    if _is_count(seeds, 1) and seeds <= MOST_SEEDS:
        return list(range(seeds))
    _sure(isinstance(seeds, list))
    return _list(seeds, lambda seed: _is_count(seed, 0))


def _list(values: Any, is_possible: Callable[[Any], bool]) -> list[Any]:
    """A list from a list or one value, without a value twice."""
    found = as_list(values)
    _sure(len(found) > 0 and all(is_possible(value) for value in found) and len(set(found)) == len(found))
    return list(found)


def _named(section: str) -> dict[str, Entry]:
    return {entry["name"]: entry for entry in own_entries(section)}


def _member(entries: Mapping[str, Entry], name: Any) -> Entry:
    _sure(isinstance(name, str) and name in entries)
    return entries[name]


def _only(values: Any, *keys: str) -> None:
    _sure(isinstance(values, dict) and set(values) <= set(keys))


def _number(value: Any) -> float:
    """A number, also one that YAML takes for a text, as in 1e-3."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    _sure(_is_number(value))
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < _LARGEST


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and text != "" and text.isprintable()


def _sure(is_so: bool) -> None:
    if not is_so:
        raise _Unsure
