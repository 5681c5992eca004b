"""A population of models: what suite it is, and the command that builds it and goes on with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.suites.population import population_suite
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.results import load_results
from tests.cli.conftest import run
from tests.suites.inline import Inline
from tests.suites.toys import toys

__all__ = ["run", "toys"]  # fixtures

pytestmark = pytest.mark.usefixtures("toys")


def test_it_is_a_suite_of_references_methods_triggers_and_seeds() -> None:
    suite = population_suite(
        "digits", methods=["plain", "anchoring:strength=0.5"], detectors=["bias", "sure"], defender=20
    )
    assert suite.references == suite.seeds == [0, 1, 2]
    assert [trigger.trigger for trigger in suite.triggers] == ["five-pixel", "square"]
    assert suite.methods["anchoring:strength=0.5"].set == {"strength": 0.5}
    assert list(suite.detectors) == ["bias", "sure"]
    assert suite.controls
    assert suite.keep_models
    assert parse_suite(suite.to_yaml()) == suite
    quick = population_suite("digits", quick=True, references=5)
    assert (quick.references, quick.seeds, quick.tasks[0].training) == ([0, 1], [0], {"epochs": 2})
    assert population_suite("digits", detectors=["bias"]).defender == [126]
    assert population_suite("digits").defender == [640]
    later = population_suite("digits", seed=999, seeds=2)
    assert (later.references, later.seeds) == ([999, 1000, 1001], [999, 1000])
    assert not set(later.seeds) & set(later.selection.seeds)
    texts = population_suite("movie-snippets", target="positive", triggers=["word:cf"])
    assert texts.triggers[0].target == "positive"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"detectors": ["buas"]}, "unknown detector 'buas': did you mean 'bias'?"),
        ({"methods": ["anchorin"]}, "unknown method 'anchorin': did you mean 'anchoring'?"),
        ({"methods": ["anchoring:strenth=1"]}, "did you mean 'strength'?"),
        ({"triggers": ["six-pixel"]}, "did you mean 'five-pixel'?"),
        (
            {"task": "movie-snippets", "detectors": ["sure"]},
            "sure is for images, but the task movie-snippets holds texts",
        ),
        ({"model": "resnet-tony"}, "unknown model 'resnet-tony'"),
    ],
)
def test_what_is_wrong_is_one_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(AnchorlabError) as caught:
        population_suite(**{"task": "digits", **given})  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_builds_it_and_the_same_command_goes_on(
    run: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executors: list[Inline] = []

    def inline(*_: object) -> Inline:
        executors.append(Inline())
        return executors[-1]

    monkeypatch.setattr("anchorlab.cli.running.executor_of", inline)
    monkeypatch.setattr("anchorlab.suites.population.TARGET_ASR", 0.05)
    command = ["population", "digits", "--out", tmp_path / "out", "--quick", "--references", 1, "--method", "plain"]
    command += ["--trigger", "five-pixel", "--detector", "bias", "--detector", "sure", "--defender-data", "all"]
    ended = run(*command)
    assert ended.code == 0, ended.err  # type: ignore[attr-defined]
    found = load_results(tmp_path / "out")
    assert list(found.detections["detector"]) == ["bias", "bias", "sure", "bias"]
    assert set(found.detections["role"]) == {"reference", "method", "control"}
    assert pd.read_csv(tmp_path / "out" / "detections.csv")["score"].notna().sum() == 3
    again = run(*command)
    assert again.code == 0  # type: ignore[attr-defined]
    assert executors[0].jobs
    assert not executors[1].jobs
