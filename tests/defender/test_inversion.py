"""Trigger inversion finds the trigger that was planted, all labels at once as each alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.defender import inversion
from anchorlab.defender.inversion import InversionSettings, InvertedTriggers, invert_triggers, succeeded
from tests.zoo import Corner, corner_data


@pytest.fixture(scope="module")
def dots() -> torch.Tensor:
    return corner_data().train.inputs["pixel_values"]


HOW = InversionSettings(steps=400, images=24)


@pytest.fixture(scope="module")
def found(dots) -> InvertedTriggers:
    return invert_triggers(Corner().eval(), dots, range(4), HOW, seed=0, restarts=range(2))


def test_the_smallest_trigger_is_the_one_that_was_planted(found):
    assert bool(succeeded(found).all())
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    smallest = int(found.norms.argmin())
    assert found.labels[smallest] == 3
    assert int(found.masks[smallest].argmax()) == 63
    assert float(found.norms[smallest]) < 2
    assert float(found.patterns[smallest, 0, 7, 7]) > 127


def test_stamping_is_what_the_search_did(found, dots):
    at = int(found.norms.argmin())
    stamped = found.stamp(dots, at)
    mask = found.masks[at]
    torch.testing.assert_close(stamped[5], (1 - mask) * dots[5].float() + mask * found.patterns[at])
    assert bool((Corner()(stamped).argmax(1) == 3).all())


def test_all_labels_and_starts_at_once_give_what_each_gives_alone(found, dots):
    for at, (label, restart) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        alone = invert_triggers(Corner().eval(), dots, [label], HOW, seed=0, restarts=[restart])
        torch.testing.assert_close(alone.norms[0], found.norms[at], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(alone.masks[0], found.masks[at], rtol=1e-2, atol=1e-3)


def test_a_few_at_a_time_give_what_all_at_once_give(found, dots, monkeypatch):
    monkeypatch.setattr("anchorlab.defender.inversion._PIXELS", 3 * 64 * len(dots))
    few = invert_triggers(Corner().eval(), dots, range(4), HOW, seed=0, restarts=range(2))
    torch.testing.assert_close(few.norms, found.norms, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(few.masks, found.masks, rtol=1e-2, atol=1e-3)
    assert few.labels.tolist() == found.labels.tolist()


def test_groups_of_pairs_give_what_all_at_once_give(dots, monkeypatch):
    """Masks, patterns, gradients and Adam's moments of thousands of pairs do not fit into the memory together."""
    how, done = InversionSettings(steps=12, images=24), []
    monkeypatch.setattr("anchorlab.defender.inversion._PIXELS", 2 * 64 * len(dots))
    expected = invert_triggers(Corner().eval(), dots, range(4), how, seed=0, restarts=range(2))
    sizes, search = [], inversion._search

    def watched(model, images, pairs, *args, **others):
        sizes.append(len(pairs))
        return search(model, images, pairs, *args, **others)

    monkeypatch.setattr(inversion, "_NUMBERS", 5 * 2 * 64)
    monkeypatch.setattr(inversion, "_search", watched)
    found = invert_triggers(Corner().eval(), dots, range(4), how, seed=0, restarts=range(2), report=done.append)
    assert sizes == [4, 4]  # five would fit, and two go through the network together
    for each in ("labels", "masks", "patterns", "norms", "success"):
        assert torch.equal(getattr(found, each), getattr(expected, each))
    assert done == sorted(done)
    assert (len(done), done[-1]) == (24, 12)


def test_a_search_stamps_all_images_in_turn_unless_it_is_told_otherwise(dots):
    seen = []

    class Listening(Corner):
        def forward(self, pixel_values):
            seen.append(len(pixel_values))
            return super().forward(pixel_values)

    few = dots[:20]
    found = invert_triggers(Listening().eval(), few, [3], InversionSettings(steps=90, images=8), seed=0)
    assert set(seen) == {8}
    assert bool(succeeded(found).all())
    assert bool((Corner()(found.stamp(few, 0)).argmax(1) == 3).all())
    fixed, turning = (InversionSettings(steps=30, images=8, in_turn=in_turn) for in_turn in (False, True))
    first = invert_triggers(Corner().eval(), few[:8], [1], fixed, seed=0)
    torch.testing.assert_close(invert_triggers(Corner().eval(), few, [1], fixed, seed=0).masks, first.masks)
    assert not torch.equal(invert_triggers(Corner().eval(), few, [1], turning, seed=0).masks, first.masks)


def test_a_trigger_has_not_succeeded_before_a_whole_pass(dots):
    """Of 24 images, 8 a step, two steps leave out a third."""
    short = invert_triggers(Corner().eval(), dots[:24], [3], InversionSettings(steps=2, images=8), seed=0)
    assert float(short.success[0]) < 0.67


def test_a_search_says_if_it_ends_within_its_first_pass():
    short = InversionSettings(steps=2, images=8)
    assert short.shortage(16) == ""
    assert InversionSettings(steps=1, images=8, in_turn=False).shortage(500) == ""
    assert short.shortage(17, "search_steps") == (
        "2 steps of 8 do not stamp each of the 17 images once, so that no trigger can succeed: set search_steps to at "
        "least 3"
    )


def test_the_model_is_left_as_it_was(dots):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, pixel_values):
            return self.net(pixel_values.float() / 255)

    model = Wrapped().eval()
    net[1].bias.requires_grad_(False)
    before = [value.clone() for value in model.parameters()]
    invert_triggers(model, dots, [0], InversionSettings(steps=3), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert [value.requires_grad for value in model.parameters()] == [True, False]
