"""What repairs and detectors have in common: their quick form, and how many examples they process."""

from __future__ import annotations

from typing import ClassVar

import pytest

from anchorlab.detectors import DETECTORS, InputDetector
from anchorlab.repairs import REPAIRS, Repair
from anchorlab.settings import values_of

DEFENCES = [*((REPAIRS, name) for name in REPAIRS.names()), *((DETECTORS, name) for name in DETECTORS.names())]


@pytest.mark.parametrize(("registry", "name"), DEFENCES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_quick_form_differs_in_its_quick_values_alone(registry, name):
    defence = registry.build(name)
    assert values_of(defence.quick()) == {**values_of(defence), **defence.quick_values}


@pytest.mark.parametrize(
    ("registry", "name", "parameters", "wanted"),
    [
        (REPAIRS, "fine-tuning", {"epochs": 3}, 300),
        (REPAIRS, "mcr", {}, 6000),
        (REPAIRS, "anp", {"steps": 7, "batch_size": 5}, 70),
        (REPAIRS, "anp", {"steps": 7, "batch_size": 500}, 1400),
        (REPAIRS, "ft-sam", {"epochs": 3}, 600),
        (REPAIRS, "nad", {"epochs": 3}, 700),
        (REPAIRS, "i-bau", {"epochs": 3, "rounds": 2, "search_steps": 4, "fixed_point_steps": 5}, 2656),
        (REPAIRS, "unlearning", {"epochs": 3, "search_steps": 5}, 940),
        (REPAIRS, "clp", {}, None),
        (REPAIRS, "rnp", {"unlearning_epochs": 4, "recovery_epochs": 3}, 700),
        (REPAIRS, "sau", {"epochs": 3, "search_steps": 5}, 3600),
        (REPAIRS, "npd", {"epochs": 3, "search_steps": 2}, 1200),
        (REPAIRS, "ban", {"epochs": 3}, 900),
        (REPAIRS, "bti-dbf", {"epochs": 3, "rounds": 2, "mask_epochs": 4, "generator_epochs": 5}, 3400),
        (DETECTORS, "neural-cleanse", {"steps": 7}, 224),
        (DETECTORS, "rap", {"steps": 7}, 224),
        (DETECTORS, "strip", {}, None),
    ],
)
def test_how_many_of_a_hundred_examples_are_processed(registry, name, parameters, wanted):
    assert registry.build(name, parameters).examples_processed(100) == wanted


def test_the_quick_form_takes_no_longer_than_the_usual_one():
    for name in REPAIRS.names():
        repair = REPAIRS.build(name)
        longer = {
            key: value
            for key, value in repair.quick_values.items()
            if isinstance(value, int) and value > values_of(repair)[key]
        }
        assert not longer, name


def test_former_names_of_class_attributes_work_for_one_release():
    with pytest.warns(DeprecationWarning, match="least is now called min_examples"):

        class Mine(Repair):
            reads: ClassVar[str] = "image"
            least: ClassVar[int] = 3

    assert (Mine.modality, Mine.min_examples) == ("image", 3)
    with pytest.warns(DeprecationWarning, match="judges_sets is now called is_set_level"):

        class Yours(InputDetector):
            judges_sets = True

    assert Yours.is_set_level
