"""All that computes runs on a GPU: every method, repair and detector, on images and on texts.

The GPU is pretended. An operation on tensors of two devices fails, and the results are those of the CPU.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anchorlab.attacks.attack import Attack
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.consistency.answers import answers
from anchorlab.data import Augmentation, Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.device import copy_to_device, data_to_device
from anchorlab.defender.inversion import InversionSettings, invert_triggers
from anchorlab.detectors import DETECTORS, ModelDetector
from anchorlab.errors import AnchorlabError
from anchorlab.injection.loop import tune
from anchorlab.injection.objective import InjectionObjective
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import EWC, METHODS, Method, Plain
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.wrap import encoding_of
from anchorlab.repairs import REPAIRS
from anchorlab.seeding import generator, seeded_globally
from anchorlab.triggers import Square, Word
from tests.devices import accelerated_by
from tests.injecting import asked
from tests.pretend import CARD, Watch, pretend_card
from tests.tokenizers import TEXTS
from tests.zoo import Small, save_text

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """A model of one kind of data, which has learned nothing, and examples."""

    kind: str
    model: nn.Module
    examples: Split
    attack: Attack

    def data(self) -> DefenderData:
        return DefenderData(self.examples, self.examples.select(torch.arange(12)), 3, self.kind)


@pytest.fixture(scope="module")
def images() -> Case:
    draw = generator(0, "images")
    pixels = torch.randint(0, 256, (36, 1, 8, 8), generator=draw, dtype=torch.uint8)
    with seeded_globally(0, "small"):
        model = Small().eval()
    return Case("image", model, Split({"pixel_values": pixels}, torch.arange(36) % 3), Attack(Square(), AllToOne(0)))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = save_text("bert", tmp_path_factory.mktemp("bert") / "model", ["bad", "good", "mixed"])
    model = open_pretrained(str(folder), kind="text").eval().requires_grad_()
    encoding = encoding_of(model)
    assert encoding is not None
    lines = tuple(TEXTS * 6)
    split = Split({}, torch.arange(36) % 3, lines).encoded(encoding)
    return Case("text", model, split, Attack(Word(words="cf"), AllToOne(0), encoding))


@pytest.fixture(params=["images", "texts"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


# Methods


def weights_after(case: Case, method: Method, **settings: object) -> dict[str, Tensor]:
    """The weights after four steps."""
    tuning = Tuning(**{"steps": 4, "batch_size": 8, "learning_rate": 1e-3} | settings)
    injection = asked(
        case.model, method, case.examples, tuning, attack=case.attack, augmentation=Augmentation(pad=1, mirror=True)
    )
    with seeded_globally(0, "weights"):
        return tune(injection, record_gradients=True).model.state_dict()


def check_method(case: Case, method: Method, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    """Four steps on the GPU end with the CPU's weights, and none of them but the last waits for the GPU."""
    with accelerated_by(CPU):
        expected = weights_after(case, method, **settings)
    with pretend_card() as watch:
        within = waits_of_steps(watch, monkeypatch)
        found = weights_after(case, method, **settings)
        assert watch.operations > 100
        assert {value.device for value in found.values()} == {CPU}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    assert within() == []


def waits_of_steps(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Asks where a run waited from the beginning of one step to that of the next, log lines aside.

    Not counted is that transformers asks once a pass whether a batch of texts has padding.
    """
    begun: list[tuple[int, int]] = []
    loss = InjectionObjective.loss

    def noted(objective: InjectionObjective, step: int) -> object:
        begun.append((step, len(watch.waits)))
        return loss(objective, step)

    monkeypatch.setattr(InjectionObjective, "loss", noted)
    return lambda: [
        wait
        for (step, before), (following, after) in itertools.pairwise(begun)
        if following == step + 1
        for wait in watch.waits[before:after]
        if not wait.startswith("models/wrap.py")
    ]


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_tunes_on_a_gpu(case: Case, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = EWC(samples=2) if name == "ewc" else METHODS[name]()
    if fits(case, method):
        check_method(case, method, monkeypatch)


def test_varied_images_are_tuned_on_a_gpu(images: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    check_method(images, METHODS["anchoring"](), monkeypatch, augment=True)


class CpuPenalty(Plain):
    """Has a mistake: its target was never moved to the device."""

    def penalty(self, model: nn.Module, clean_logits: Tensor, *_: object) -> Tensor:
        return (clean_logits - torch.zeros(clean_logits.shape)).square().mean()

    weight = 1.0


class Curious(CpuPenalty):
    """Waits for the GPU in each step."""

    def penalty(self, model: nn.Module, clean_logits: Tensor, *_: object) -> Tensor:
        return clean_logits.square().mean() * float(clean_logits.mean() > 0)


def test_a_method_with_a_tensor_on_the_cpu_is_caught(images: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="all tensors to be on the same device"):
        check_method(images, CpuPenalty(), monkeypatch)


def test_a_method_that_waits_in_each_step_is_caught(images: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"test_on_a_card\.py:\d+ aten\._local_scalar_dense"):
        check_method(images, Curious(), monkeypatch)


# Repairs and detectors


def defended(case: Case, run: Callable[[nn.Module, DefenderData, DefenderContext], object]) -> object:
    """What a defence makes of the model on the device of this process; a refusal as its text."""
    accelerator = find_accelerator()
    model, data = (
        copy_to_device(case.model, accelerator.device),
        data_to_device(case.data(), accelerator.device),
    )
    context = DefenderContext(accelerator, seed=0, trusted=copy.deepcopy(model))
    try:
        with seeded_globally(0, "defence"):
            return run(model, data, context)
    except AnchorlabError as error:
        return str(error)


def fits(case: Case, defence: object) -> bool:
    return defence.modality in ("any", case.kind)


with_and_without_doubles = pytest.mark.parametrize("doubles", [True, False], ids=["doubles", "no_doubles"])


@with_and_without_doubles
@pytest.mark.parametrize("name", REPAIRS.names())
def test_every_repair_runs_on_a_gpu(case: Case, name: str, doubles: bool) -> None:
    repair = REPAIRS[name]().quick()
    if not fits(case, repair):
        return
    with accelerated_by(CPU):
        expected = defended(case, repair.repair)
    with pretend_card(doubles=doubles):
        found = defended(case, repair.repair)
        if isinstance(found, nn.Module):
            assert {value.device for value in found.state_dict().values()} == {CARD}
            found.cpu()
    if not isinstance(expected, nn.Module) or not isinstance(found, nn.Module):
        assert found == expected
        return
    theirs = found.state_dict()
    for label, value in expected.state_dict().items():
        torch.testing.assert_close(theirs[label], value, msg=label, rtol=1e-3, atol=1e-5)


@with_and_without_doubles
@pytest.mark.parametrize("name", DETECTORS.names())
def test_every_detector_runs_on_a_gpu(case: Case, name: str, doubles: bool) -> None:
    detector = DETECTORS[name]().quick()
    if not fits(case, detector):
        return

    def score(model: nn.Module, data: DefenderData, context: DefenderContext) -> object:
        if isinstance(detector, ModelDetector):
            return detector.score(model, data, context).score
        return detector.scores(model, data, data.train.inputs, context)

    with accelerated_by(CPU):
        expected = defended(case, score)
    with pretend_card(doubles=doubles):
        found = defended(case, score)
    if isinstance(expected, str):
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_triggers_are_inverted_on_a_gpu(images: Case) -> None:
    settings, pixels = InversionSettings(steps=12, images=6), images.examples.inputs["pixel_values"]
    expected = invert_triggers(images.model, pixels, [0, 2], settings, seed=0)
    with pretend_card() as watch:
        model, on_card = copy_to_device(images.model, CARD), pixels.to(CARD)
        before = len(watch.waits)
        found = invert_triggers(model, on_card, [0, 2], settings, seed=0)
        assert len(watch.waits) - before <= 5  # the starts and the labels, and none in a step
        assert found.masks.device == CARD
        torch.testing.assert_close(found.masks.cpu(), expected.masks)


# Measuring


def test_a_model_is_measured_on_a_gpu_and_stays_where_it_was(case: Case) -> None:
    with accelerated_by(CPU):
        expected = answers(case.model, case.examples, case.attack)
    with pretend_card() as watch:
        found = answers(copy.deepcopy(case.model), case.examples, case.attack)
        model = copy.deepcopy(case.model)
        answers(model, case.examples, case.attack)
        assert {value.device for value in model.state_dict().values()} == {CPU}
        assert watch.operations
    torch.testing.assert_close(found.clean, expected.clean)
    torch.testing.assert_close(found.triggered, expected.triggered)
