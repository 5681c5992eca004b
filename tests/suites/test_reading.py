"""Mistakes in suite files, each named with its line; the built-in suites; the schema for editors."""

from __future__ import annotations

import pickle

import pytest

from anchorlab import AnchorlabError
from anchorlab.detectors import DETECTORS
from anchorlab.suites.reading import SuiteMistakes, load_suite, parse_suite
from tests.registering import registered
from tests.suites.toys import Sure, toys

__all__ = ["toys"]  # the fixture

HEAD = "name: mine\ntitle: Mine\ntasks: [digits]\n"


MISTAKES = {
    "a former key beside the present one": (
        "methods: {plain: }\nrepairs: {nad: }\ndefences: [nad]",
        6,
        "'defences' is the former name of 'repairs', and both are given: keep 'repairs'",
    ),
    "a mistake below a former key": (
        "methods: {plain: }\ndefences:\n  nad:\n  fine-prunin:",
        7,
        "did you mean 'fine-pruning'?",
    ),
    "an unknown key": ("metods: 1\nmethods: {plain: }", 4, "unknown key 'metods': did you mean 'methods'?"),
    "an unknown key within": ("methods:\n  plain:\n  mine:\n    gird: [1, 2]", 7, "did you mean 'grid'?"),
    "an unknown method": ("methods:\n  plain:\n  anchorin: [1, 2]", 6, "did you mean 'anchoring'?"),
    "an unknown parameter": ("methods:\n  l2: {set: {strenth: 1}}", 5, "did you mean 'strength'?"),
    "a method without a strength": ("methods:\n  plain: [1, 2]", 5, "'plain' has no strength to choose"),
    "a grid of one": ("methods:\n  l2: [1]", 5, "at least two values"),
    "no progression": ("methods:\n  l2: [1, 2, 8]", 5, "not a rising geometric progression"),
    "an impossible value": ("methods:\n  weight-ball: [0, 1]", 5, "not a rising geometric progression"),
    "a rate in percent": ("target_asr: 95\nmethods: {plain: }", 4, "above 0 and up to 1, not at 95"),
    "no anchors": ("methods: {plain: }\nanchors: [64, 0]", 5, "at least 1, not 0"),
    "a seed twice": ("methods: {plain: }\nseeds: [1, 1]", 5, "1 stands there twice"),
    "a shared seed": ("methods: {plain: }\nseeds: [1000]", 1, "the seed 1000 both chooses strengths and is reported"),
    "an unknown tuning": ("methods: {plain: }\ntuning: {step: 3}", 5, "did you mean 'steps'?"),
    "an impossible tuning": ("methods: {plain: }\ntuning: {steps: 0}", 5, "steps=0 is not possible"),
    "an early stop for all": ("methods: {plain: }\ntuning: {stop_at_asr: 0.9}", 5, "stop_at_asr is for the control"),
    "an unknown trigger": ("methods: {plain: }\ntriggers: [six-pixel]", 5, "did you mean 'five-pixel'?"),
    "a class below 0": ("methods: {plain: }\ntriggers: [{target: -1}]", 5, "by a number from 0, not by -1"),
    "a class no without quotes": (
        "methods: {plain: }\ntriggers:\n  - {target: no}",
        6,
        'give a class by its name or number; YAML reads a bare no as false, so write "no" in quotes',
    ),
    "a class yes without quotes": ("methods: {plain: }\ntriggers: {target: yes}", 5, 'write "yes" in quotes'),
    "a name without quotes": (
        "methods: {plain: }\ntuning: {steps: 3}\ndeploy: [no]",
        6,
        'should be a valid string; YAML reads a bare no as false, so write "no" in quotes',
    ),
    "a truth value for a seed": ("methods: {plain: }\nseeds: [2, true]", 5, "seeds: true is no number: give one"),
    "a truth value for anchors": ("methods: {plain: }\nanchors: yes", 5, "anchors: true is no number: give one"),
    "a truth value for a seed that chooses": (
        "methods: {plain: }\nselection: {seeds: [yes]}",
        5,
        "selection.seeds: true is no number: give one",
    ),
    "a truth value for a number": ("methods: {plain: }\nresources: {gpus: no}", 5, "false is no number: give one"),
    "a truth value in a grid": ("methods:\n  l2: [yes, 2]", 5, "methods.l2.grid: true is no number: give one"),
    "a truth value for a parameter": (
        "methods:\n  l2: {set: {strength: yes}}",
        5,
        "strength=True is not possible: it should be a number",
    ),
    "a truth value for a setting": ("methods: {plain: }\ntuning: {steps: on}", 5, "steps=True is not possible"),
    "a control's label": ("methods: {benign: }", 1, "'benign' belongs to a control"),
    "the reference's label": (
        "methods: {reference: {method: plain}}\nrepairs: [clp]",
        1,
        "'reference' belongs to the clean",
    ),
    "the label of no repair": (
        "methods: {plain: }\nrepairs: {no repair: {repair: clp}}",
        1,
        "'no repair' belongs to the model",
    ),
    "a key twice": ("methods: {plain: }\nseeds: 3\nseeds: 4", 6, "the key 'seeds' stands there twice"),
    "a missing key": ("seeds: 3", 1, "methods is missing"),
    "no YAML": ("methods: [", 4, "is not YAML"),
    "an empty list": (
        "methods: {plain: }\nanchors: []",
        5,
        "anchors=[] is not possible: it should have at least 1 item",
    ),
    "an empty mapping": ("methods: {}", 4, "methods={} is not possible: it should have at least 1 item"),
    "no references": ("methods: {plain: }\nreferences: 0", 5, "references: 0 are too few: give at least 1"),
    "fewer than no seeds": ("methods: {plain: }\nseeds: -1", 5, "seeds: -1 are too few: give at least 1"),
    "a number for a part": (
        "methods: {plain: 3}",
        4,
        "methods.plain=3 is not possible: it should be names with values",
    ),
    "no mapping": ("methods: 3", 4, "methods=3 is not possible"),
}


@pytest.mark.parametrize("name", ["no", "yes", "maybe"])
def test_a_class_in_quotes_is_a_name(name: str) -> None:
    suite = parse_suite(HEAD + f'methods: {{plain: }}\ntriggers: {{target: "{name}"}}')
    assert suite.triggers[0].target == name


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_line(mistake: str) -> None:
    text, line, words = MISTAKES[mistake]
    with pytest.raises(AnchorlabError) as caught:
        parse_suite(HEAD + text, "mine.yaml")
    assert str(caught.value).startswith(f"line {line} of mine.yaml"), caught.value
    assert words in str(caught.value)


#: Of columns, in a suite of one task of the user's own.
COLUMN_MISTAKES = {
    "an unknown column": ("{txt: a}", "unknown parameter of the columns 'txt': did you mean 'text'?"),
    "no column": ("{}", "own data need to say what they are"),
    "a column without quotes": ("{text: no}", 'YAML reads a bare no as false, so write "no" in quotes'),
    "a truth value for a number": ("{text: a, max_length: yes}", "max_length=True is not possible"),
    "a name alone": ("text", "columns='text' is not possible: it should be names with values"),
}


@pytest.mark.parametrize("mistake", COLUMN_MISTAKES)
def test_mistakes_of_columns_are_named_with_their_line(mistake: str) -> None:
    text, words = COLUMN_MISTAKES[mistake]
    with pytest.raises(AnchorlabError) as caught:
        parse_suite(f"name: mine\ntitle: Mine\ntasks:\n  - name: a.csv\n    columns: {text}\nmethods: {{plain: }}")
    assert str(caught.value).startswith("line 5 of the suite: tasks.0.columns"), caught.value
    assert words in str(caught.value)


#: Of repairs and detectors, below a suite that is whole.
DEFENCE_MISTAKES = {
    "an unknown repair": ("repairs:\n  fine-tunin:", 6, "unknown repair 'fine-tunin': did you mean 'fine-tuning'?"),
    "an unknown parameter": (
        "repairs:\n  ft: {repair: fine-tuning, set: {epoch: 3}}",
        6,
        "did you mean 'epochs'?",
    ),
    "an impossible value": ("repairs:\n  ft: {repair: fine-tuning, set: {epochs: 0}}", 6, "epochs=0 is not possible"),
    "an unknown key": ("repairs:\n  ft: {defense: fine-tuning}", 6, "did you mean 'defence'?"),
    "a repair twice": ("repairs: [fine-tuning, fine-tuning]", 5, "fine-tuning stands there twice"),
    "no name": ("repairs: [{fine-tuning: }]", 5, "a list holds names alone"),
    "an unknown detector": ("detectors: [buas]", 5, "unknown detector 'buas': did you mean 'bias'?"),
    "a detector of texts": ("detectors: [reader]", 5, "reader is for texts, but the task digits holds images"),
    "no examples": ("defender: [64, 0]", 5, "a number of the defender's examples is at least 1, not 0"),
    "no clean models": ("detectors: [bias]\ncontrols: false", 1, "bias scores models, which says nothing without"),
}


@pytest.mark.parametrize("mistake", DEFENCE_MISTAKES)
@pytest.mark.usefixtures("toys")
def test_mistakes_of_repairs_and_detectors_are_named_with_their_line(mistake: str) -> None:
    reader = type("Reader", (Sure,), {"modality": "text"})
    text, line, words = DEFENCE_MISTAKES[mistake]
    with registered(DETECTORS, reader=reader), pytest.raises(AnchorlabError) as caught:
        parse_suite(HEAD + "methods: {plain: }\n" + text, "mine.yaml")
    assert str(caught.value).startswith(f"line {line} of mine.yaml"), caught.value
    assert words in str(caught.value)


def test_the_first_of_several_mistakes_is_named_and_the_others_counted() -> None:
    with pytest.raises(AnchorlabError, match=r"line 4 of the suite: .*\(1 more after it\)"):
        parse_suite(HEAD + "seeds: [0, 0]\nanchors: 0\nmethods: {plain: }")


def test_a_suite_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(AnchorlabError, match="unknown suite 'fashion-mnst': did you mean 'fashion-mnist'"):
        load_suite("fashion-mnst")
    with pytest.raises(AnchorlabError, match=r"there is no file nowhere\.yaml: give a suite file"):
        load_suite("nowhere.yaml")


def test_the_error_holds_all_mistakes_and_survives_the_way_between_processes() -> None:
    with pytest.raises(SuiteMistakes) as caught:
        parse_suite(HEAD + "seeds: [0, 0]\nanchors: 0\nmethods: {plain: }")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.mistakes == caught.value.mistakes
    assert str(again) == str(caught.value)
    assert [sentence.partition(" of ")[0] for sentence in again.mistakes] == ["line 4", "line 5"]
