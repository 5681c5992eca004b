"""An attack: which examples are attacked, what they become, and how often it succeeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from anchorlab.attacks import AllToAll, AllToOne, Attack, attack_success, build_attack
from anchorlab.data import Split, Task
from anchorlab.errors import AnchorlabError
from anchorlab.triggers import FivePixel, Picture, Square
from tests.triggers.table import png, random_rgba

ATTACK = Attack(FivePixel(), AllToOne(target=0))


def test_attacked_examples_keep_their_order():
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    split = Split({"pixel_values": images}, torch.tensor([1, 0, 2, 0, 1]))
    attacked = ATTACK.attacked(split)
    assert attacked.labels.tolist() == [1, 2, 1]
    assert attacked.inputs["pixel_values"][:, 0, 0, 0].tolist() == [0, 2, 4]
    assert ATTACK.attacked(split, limit=2).labels.tolist() == [1, 2]
    assert len(ATTACK.attacked(split.select(torch.tensor([1, 3])))) == 0


def test_the_trigger_on_black_shows_the_trigger_alone():
    inputs = {"pixel_values": torch.full((2, 1, 8, 8), 90, dtype=torch.uint8)}
    alone = Attack(Square(size=2, margin=0), AllToOne(target=0)).on_black(inputs)
    assert alone.shape == (1, 8, 8)
    assert alone[:, 6:, 6:].unique().tolist() == [255]
    assert alone.sum() == 4 * 255


def test_an_attack_is_built_from_text_and_has_a_default_trigger(digits: Task):
    built = build_attack(digits, "square:size=2", "all-to-one", "3")
    assert (built.trigger, built.label_rule) == (Square(size=2), AllToOne(target=3))
    assert build_attack(digits, None, "all-to-all", None) == Attack(FivePixel(), AllToAll(classes=10))
    assert build_attack(digits, Square(), AllToOne(target=1), None).label_rule == AllToOne(target=1)


def test_equal_attacks_have_one_key_and_pictures_of_one_path_two() -> None:
    assert ATTACK.key == Attack(FivePixel(), AllToOne(target=0)).key
    others = [Attack(FivePixel(), AllToOne(target=1)), Attack(Square(), AllToOne(target=0))]
    pictures = [Picture(path="logo.png", data=png(random_rgba(4, 4, seed))) for seed in (0, 1)]
    others += [Attack(picture, AllToOne(target=0)) for picture in pictures]
    assert len({ATTACK.key, *(other.key for other in others)}) == 5
    trigger = {"name": "five-pixel", "margin": 1, "value": 255}
    assert ATTACK.record == {"trigger": trigger, "label_rule": {"name": "all-to-one", "target": 0}}


def test_an_attack_that_does_not_fit_is_refused(digits: Task):
    with pytest.raises(AnchorlabError, match="choose a smaller trigger or margin"):
        build_attack(digits, "square:size=20", "all-to-one", 0)
    assert build_attack(digits, "square:size=20", "all-to-one", 0, used=False).trigger == Square(size=20)
    with pytest.raises(AnchorlabError, match="target 10 is not one of the task's 10 classes"):
        build_attack(digits, None, AllToOne(target=10), None)


def test_attack_success_leaves_out_examples_of_the_target_class():
    """The answers are 3 0 3 0 0: of the labels 1, 2, 9, two become 0; of all five, 9 alone becomes the next, 0."""

    class Constant(torch.nn.Module):
        """Says 3 to dark images and 0 to bright ones."""

        def forward(self, pixel_values):
            return torch.eye(10)[torch.where(pixel_values.flatten(1).float().mean(1) > 100, 0, 3)]

    brightness = torch.tensor([0, 200, 0, 200, 200]).to(torch.uint8)
    images = brightness.view(5, 1, 1, 1).expand(5, 1, 8, 8).contiguous()
    clean = Split({"pixel_values": images}, torch.tensor([0, 0, 1, 2, 9]))
    assert attack_success(Constant(), ATTACK, clean) == (pytest.approx(2 / 3), 3)
    assert attack_success(Constant(), replace(ATTACK, label_rule=AllToAll(classes=10)), clean) == (
        pytest.approx(1 / 5),
        5,
    )
