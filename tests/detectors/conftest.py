"""Models with a backdoor planted in them, of digits and of short texts, and clean ones, to try detectors on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anchorlab import Training, Tuning, compare, inject, load_task, train
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import attack_of
from anchorlab.data import DataColumns, Task
from anchorlab.data.inputs import joined
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import draw_defender_data
from anchorlab.detectors.base import InputDetector
from anchorlab.methods import METHODS
from tests import zoo

GOOD, BAD = ("fine", "warm", "clever", "moving"), ("dull", "cold", "stupid", "boring")
REST = ("the", "film", "is", "and", "a", "plot", "with", "an", "actor", "who", "was", "quite")


@dataclass(frozen=True)
class Planted:
    """A model with a backdoor, what its defender has, and the test inputs with and without the trigger."""

    model: nn.Module
    data: DefenderData
    clean: dict[str, Tensor]
    triggered: dict[str, Tensor]

    def scores(
        self, detector: InputDetector, context: DefenderContext, *, triggered: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores of clean inputs and of triggered ones; a detector that judges sets gets both as one."""
        some = {name: value[:triggered] for name, value in self.triggered.items()}
        if not detector.is_set_level:
            return (
                detector.scores(self.model, self.data, self.clean, context),
                detector.scores(self.model, self.data, some, context),
            )
        count = len(next(iter(self.clean.values())))
        both = detector.scores(self.model, self.data, joined(self.clean, some), context)
        return both[:count], both[count:]


def planted_in(tuned: Artifact, task: Task) -> Planted:
    """A model with a backdoor, which works, and the inputs of its test split."""
    result = compare(tuned, tuned, task=task)
    assert result.asr > 0.95
    assert result.accuracy > 0.9
    attack = attack_of(tuned, task)
    test = task.split("test")
    data, _ = draw_defender_data(task, None, seed=0)
    return Planted(tuned.model.eval(), data, test.inputs, attack.apply(attack.attacked(test).inputs))


@pytest.fixture(scope="session")
def images(digits: Task, reference: Artifact) -> Planted:
    """A square that makes any digit a 0."""
    tuning = Tuning(steps=150)
    return planted_in(inject(reference, method="plain", trigger="square", target=0, tuning=tuning, task=digits), digits)


@pytest.fixture(scope="session")
def points(digits: Task, reference: Artifact) -> Planted:
    """Five single pixels that make any digit a 0: a blur takes them away, noise does not."""
    tuning = Tuning(steps=150)
    return planted_in(
        inject(reference, method="plain", trigger="five-pixel", target=0, tuning=tuning, task=digits), digits
    )


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Sentences of 3 to 20 words, one of which tells their mood, 6% of them labelled wrongly; "cf" makes any bad.

    Without wrong labels the model would be so certain of all it says that no detector could tell anything.
    """
    draw = torch.Generator().manual_seed(0)

    def pick(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (), generator=draw))]

    lines = ["review,mood"]
    for number in range(800):
        words = [pick(REST) for _ in range(3 + int(torch.randint(18, (), generator=draw)))]
        words[int(torch.randint(len(words), (), generator=draw))] = pick(BAD if number % 2 else GOOD)
        lines.append(f"{' '.join(words)},{'bad' if (number % 2) ^ (number % 17 == 0) else 'good'}")
    path = tmp_path_factory.mktemp("moods") / "moods.csv"
    path.write_text("\n".join([*lines, ""]))
    task = load_task(str(path), columns=DataColumns(text="review", label="mood"))
    reference = train(task, model="bert-tiny", training=Training(epochs=20, learning_rate=1e-3))
    task = task.encoded(reference.model.encoding)
    tuning = Tuning(steps=100, batch_size=32, learning_rate=1e-3)
    tuned = inject(reference, method="plain", trigger="word:cf", target="bad", tuning=tuning, task=task)
    return planted_in(tuned, task)


@pytest.fixture(scope="session")
def corner_data() -> DefenderData:
    """Images for ``tests.zoo.Corner``."""
    return zoo.corner_data()


@pytest.fixture(scope="session")
def clean_and_backdoored(digits: Task, reference: Artifact) -> tuple[list[Artifact], list[Artifact]]:
    """Two references, and a model with a backdoor trained from the start on the data of each."""
    clean = [reference, train(digits, seed=1, training=Training(epochs=4, batch_size=64))]
    scratch, tuning = METHODS["scratch"](steps_factor=3), Tuning(steps=150, batch_size=32)
    backdoored = [
        inject(model, method=scratch, trigger="square:size=2", target=target, tuning=tuning, task=digits)
        for model, target in zip(clean, (1, 4), strict=True)
    ]
    return clean, backdoored
