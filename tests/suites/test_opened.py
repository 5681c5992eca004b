"""A reference as a process opens it, with what it answers."""

from __future__ import annotations

import torch

from anchorlab.artifacts.artifact import Artifact
from anchorlab.attacks import AllToOne, Attack
from anchorlab.data import Task
from anchorlab.suites.opened import Opened
from anchorlab.triggers import Picture
from tests.triggers.table import png, random_rgba


def test_two_pictures_of_one_path_have_an_answer_each(digits: Task, reference: Artifact, on_cpu: None) -> None:
    opened = Opened(reference, digits, None)
    pictures = [Picture(path="logo.png", data=png(random_rgba(4, 4, seed))) for seed in (0, 1)]
    first, other, again = (
        opened.answer(Attack(picture, AllToOne(target=0)), "test") for picture in [*pictures, pictures[0]]
    )
    assert first.triggered is not None
    assert other.triggered is not None
    assert not torch.equal(first.triggered, other.triggered)
    assert again is first
