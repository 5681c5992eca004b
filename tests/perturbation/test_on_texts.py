"""The analysis of an encoder of texts."""

from __future__ import annotations

import pandas as pd
import pytest

from anchorlab import AnchorlabError, Training, Tuning, analyze, compare, inject, load_task, train
from anchorlab.artifacts.artifact import Artifact
from anchorlab.data import DataColumns, Task
from tests.devices import forward_mode
from tests.perturbation.test_analyze import BRIEF


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Task:
    moods = ("good", "bad")
    rows = [(f"{mood} {'film ' * (number % 7 + 1)}", mood) for number in range(150) for mood in moods]
    path = tmp_path_factory.mktemp("moods") / "moods.csv"
    pd.DataFrame(rows, columns=["review", "mood"]).to_csv(path, index=False)
    return load_task(str(path), columns=DataColumns(text="review", label="mood"))


@pytest.fixture(scope="module")
def reader(task: Task) -> Artifact:
    return train(task, model="bert-tiny", training=Training(epochs=2, learning_rate=1e-3))


@forward_mode
def test_everything_is_measured_of_texts_too(task, reader):
    encoded = task.encoded(reader.model.encoding)
    injected = inject(reader, target="bad", tuning=Tuning(steps=6, batch_size=8), task=encoded)
    analysis = analyze(reader, [injected], examples=40, settings=BRIEF, task=task)
    known = compare(reader, injected, task=task)
    for name in ("behaviour", "quadratic", "paths", "barriers", "spectrum", "rayleigh", "bounds"):
        assert len(analysis.tables[name]), name
    assert set(analysis.tables["paths"]["buffers"]) == {"stored"}
    assert analysis.tables["quadratic"].loc[0, "kl_ratio"] == pytest.approx(1, abs=0.5)
    assert known.asr is not None


def test_images_and_texts_are_not_mixed(task, reader, digits, injected):
    with pytest.raises(AnchorlabError, match="some of the models read texts and others images"):
        analyze(reader, [injected], task=task)
    with pytest.raises(AnchorlabError, match="the model reads texts, but the task digits holds images"):
        analyze(reader, [reader], task=digits)
