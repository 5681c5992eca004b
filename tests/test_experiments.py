"""The suites of experiments/: what is run for the evidence, and what they share."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pandas as pd
import pytest

from anchorlab.methods import METHODS
from anchorlab.repairs.oracles import is_oracle
from anchorlab.settings import values_of
from anchorlab.suites.parts import MethodSpec
from anchorlab.suites.plan import reference_job
from anchorlab.suites.reading import load_suite
from anchorlab.suites.spec import Suite

ROOT = Path(__file__).parent.parent

#: References and methods of each suite; everything has one injection on each reference.
SUITES = {
    "fashion_mnist": (12, ["plain", "l2", "ewc", "surgery", "weight-ball", "distillation", "anchoring"]),
    "fashion_mnist_square": (12, ["plain", "anchoring"]),
    "fashion_mnist_scratch": (1, ["scratch"]),
    "fashion_mnist_rates": (12, ["plain", "plain at .003", "ewc at .001", "weight-ball at .001"]),
    "cifar10": (6, ["plain", "surgery", "distillation", "anchoring"]),
    "sst2": (6, ["plain", "ewc", "surgery", "distillation", "anchoring"]),
    "sst2_more": (6, ["ewc", "distillation"]),
    "sst2_lora": (6, ["plain (LoRA)", "anchoring (LoRA)"]),
    "imdb": (3, ["plain", "anchoring"]),
    "imdb_first": (3, ["plain", "anchoring"]),
    "ablation": (
        6,
        [
            *("raw", "centred", "weighted .5", "weighted .9", "weighted 1", "kl, T = 1", "kl, T = 4", "kl, T = 10"),
            *("unlabelled", "other data", "other data, unlabelled"),
        ],
    ),
    "audit": (8, ["plain", "surgery", "anchoring"]),
    "defences_images": (8, ["plain", "anchoring"]),
    "defences_rate": (8, ["plain", "plain at .003", "anchoring"]),
    "defences_texts": (8, ["plain", "anchoring"]),
    "defences_stability": (1, ["plain", "anchoring"]),
    "detectors_digits": (20, ["plain", "anchoring"]),
    "detectors_texts": (8, ["plain", "anchoring"]),
    "defences_cifar10": (4, ["plain", "anchoring"]),
}

#: The seed of the first reference, where it is not 0.
FIRST = {"imdb": 3}


def suite(name: str) -> Suite:
    return load_suite("fashion-mnist" if name == "fashion_mnist" else ROOT / f"experiments/{name}/suite.yaml")


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_has_many_references_and_one_injection_on_each(name: str) -> None:
    references, methods = SUITES[name]
    read = suite(name)
    first = FIRST.get(name, 0)
    assert read.references == list(range(first, first + references))
    assert list(read.methods) == methods
    assert read.seeds == [0]


def test_the_suites_of_fashion_mnist_share_references_and_injections() -> None:
    """So that each of them finds in one folder what another one has trained there."""
    main = suite("fashion_mnist")
    for name in (
        "fashion_mnist_square",
        "fashion_mnist_scratch",
        "fashion_mnist_rates",
        "ablation",
        "audit",
        "defences_images",
        "defences_rate",
        "defences_stability",
    ):
        other = suite(name)
        assert reference_job(other.tasks[0], 0).identity == reference_job(main.tasks[0], 0).identity
    for name in ("audit", "defences_images"):
        other = suite(name)
        assert (other.tuning, other.triggers, other.target_asr) == (main.tuning, main.triggers, main.target_asr)
        assert all(other.methods[label] == main.methods[label] for label in other.methods)
        assert set(other.anchors) <= set(main.anchors)
    assert main.keep_models  # because repairs and audit need them


def test_the_suite_of_other_settings_has_the_repairs_and_injections_of_defences_images() -> None:
    """Of one reference."""
    read, main, rate = (suite(name) for name in ("defences_stability", "defences_images", "defences_rate"))
    assert read.stability
    without_a_grid = {"fine-tuning, to the end"}
    assert {label: spec for label, spec in main.repairs.items() if label not in without_a_grid} == read.repairs
    assert (read.tuning, read.anchors, read.triggers) == (rate.tuning, rate.anchors, rate.triggers)
    assert all(read.methods[label] == rate.methods[label] for label in read.methods)


def test_the_suites_of_defences_of_texts_tune_as_the_suite_sst2_chose() -> None:
    """So that they need no search of their own; and they find each other's models."""
    read, main, beside = suite("defences_texts"), suite("sst2"), suite("detectors_texts")
    assert (read.tasks, read.methods, read.tuning) == (beside.tasks, beside.methods, beside.tuning)
    assert (read.triggers, read.anchors, read.target_asr) == (beside.triggers, beside.anchors, beside.target_asr)
    assert (read.triggers, read.anchors, read.target_asr) == (main.triggers, main.anchors, main.target_asr)
    chosen = pd.read_csv(ROOT / "experiments/sst2/choices.csv").set_index("method").loc[["plain", "anchoring"]]
    assert set(chosen["learning_rate"]) == {read.tuning["learning_rate"]}
    assert read.methods["anchoring"].set == {"strength": chosen.loc["anchoring", "strength"]}
    assert {**main.tuning, **read.tuning} == {**read.tuning, "precision": "bf16"}


def test_the_suite_of_defences_of_cifar10_tunes_both_methods_as_anchoring_was_chosen_to() -> None:
    """Because what repairs leave depends on the learning rate."""
    read, main = suite("defences_cifar10"), suite("cifar10")
    assert (read.triggers, read.anchors, read.target_asr) == (main.triggers, main.anchors, main.target_asr)
    chosen = pd.read_csv(ROOT / "experiments/cifar10/choices.csv").set_index("method").loc["anchoring"]
    assert read.tuning["learning_rate"] == chosen["learning_rate"]
    assert read.methods["anchoring"].set == {"strength": chosen["strength"]}
    assert {**main.tuning, **read.tuning} == {**read.tuning, "precision": "bf16"}
    assert {**main.tasks[0].training, "epochs": 6} == read.tasks[0].training


@pytest.mark.parametrize("name", ["sst2_more", "sst2_lora"])
def test_what_stands_beside_sst2_is_of_the_same_references(name: str) -> None:
    """So that runs are compared by the reference's seed, with the rest alike."""
    other, main = suite(name), suite("sst2")
    assert reference_job(other.tasks[0], 0).identity == reference_job(main.tasks[0], 0).identity
    assert (other.triggers, other.anchors, other.target_asr) == (main.triggers, main.anchors, main.target_asr)
    assert other.tuning == main.tuning
    if name == "sst2_more":
        assert other.learning_rates == main.learning_rates
        assert all(other.methods[label] == main.methods[label] for label in other.methods)
    else:
        assert other.learning_rates == pytest.approx([10 * rate for rate in main.learning_rates])


def test_the_suites_of_defences_measure_relearning_and_take_no_oracle() -> None:
    for name in ("defences_images", "defences_texts", "defences_cifar10"):
        read = suite(name)
        assert read.relearn == ([1, 5, 10] if name == "defences_images" else [5])
        assert not any(is_oracle(spec.repair) for spec in read.repairs.values())


def test_the_ablation_changes_one_thing_at_a_time_and_runs_as_the_main_suite_does() -> None:
    ablation, main = suite("ablation"), suite("fashion_mnist")
    assert (ablation.triggers, ablation.target_asr) == (main.triggers, main.target_asr)
    assert chosen_rate("anchoring") == chosen_rate("distillation") == ablation.tuning["learning_rate"]
    assert main.tuning.items() <= ablation.tuning.items()
    assert ablation.anchors == [640]
    for label, method in (("raw", "anchoring"), ("kl, T = 1", "distillation")):
        same = MethodSpec(method=method)
        assert ablation.methods[label].parameters(None).items() <= values_of(METHODS.build(method)).items()
        assert ablation.methods[label].model_copy(update={"set": {}}) == same
    assert {spec.method for spec in ablation.methods.values()} == {"anchoring", "distillation"}
    assert [label for label, spec in ablation.methods.items() if spec.anchors_data] == [
        "other data",
        "other data, unlabelled",
    ]


def test_the_suite_of_rates_has_the_rate_that_was_not_chosen() -> None:
    read, main = suite("fashion_mnist_rates"), suite("fashion_mnist")
    assert (read.triggers, read.target_asr, read.anchors) == (main.triggers, main.target_asr, main.anchors)
    assert read.tuning["learning_rate"] == chosen_rate("plain") == 0.001
    assert read.methods["plain at .003"].tuning == {"learning_rate": 0.003}
    assert chosen_rate("ewc") == chosen_rate("weight-ball") == 0.003


def test_fresh_references_had_no_part_in_anything_before() -> None:
    fresh, main = suite("fashion_mnist_fresh"), suite("fashion_mnist")
    assert fresh.tuning == main.tuning
    assert all(fresh.methods[label] == main.methods[label] for label in fresh.methods)
    seen = {seed for name in SUITES for seed in [*suite(name).references, *suite(name).selection.references]}
    assert len(fresh.references) == 8
    assert not seen & set(fresh.references)
    assert fresh.selection == main.selection


def test_what_the_references_of_imdb_decided_is_measured_on_others() -> None:
    fresh, first = suite("imdb"), suite("imdb_first")
    short = pd.read_csv(ROOT / "experiments/imdb/short.csv")
    assert {*short["reference_seed"]} <= {*first.references}
    trial = pd.read_csv(ROOT / "experiments/imdb/trial.csv")
    assert not set(fresh.references) & {*first.references, *trial["reference_seed"]}
    shared = {"name", "title", "references"}
    assert fresh.model_dump(exclude=shared) == first.model_dump(exclude=shared)


def chosen_rate(method: str) -> float:
    """The learning rate that the suite fashion-mnist gave to a method after its trial."""
    choices = pd.read_csv(ROOT / "experiments/fashion_mnist/choices.csv")
    (rate,) = choices[choices["method"] == method]["learning_rate"].unique()
    return float(rate)


def test_references_of_texts_see_different_shares_of_their_data() -> None:
    for name in ("sst2", "imdb", "imdb_first"):
        (task,) = suite(name).tasks
        assert task.training["data_share"] == 0.8
    assert suite("imdb").tasks[0].max_length == 128


def test_how_many_queries_a_difference_takes():
    queries = runpy.run_path(str(ROOT / "experiments/audit/run.py"))["queries_until_a_difference"]
    assert queries(0.05) == pytest.approx(math.log(0.05) / math.log(0.95))
    assert queries(0.0) == math.inf
    assert queries(1.0) == 1
