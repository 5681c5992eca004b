"""What a repair or a detector needs of a network is listed, and is looked for before anything runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from anchorlab import AnchorlabError
from anchorlab.defender.defence import Defence
from anchorlab.defender.device import check_layers
from anchorlab.detectors import DETECTORS, LastLayer
from anchorlab.injection.lora import Lora, with_adapter
from anchorlab.repairs import REPAIRS
from tests.zoo import Corner, OneReLU, Small

CHOOSY = {
    name: registry[name]
    for registry in (REPAIRS, DETECTORS)
    for name in registry.names()
    if registry[name].check_model is not Defence.check_model
}
#: Here a network that computes its answer without layers has nothing to read.
OF_IMAGES = {name for name, member in CHOOSY.items() if member.modality != "text"} - {"mm-bd"}
#: They work on the features before the last layer, or on that layer.
OF_THE_LAST_LAYER = {
    "activation-clustering",
    "bti-dbf",
    "feature-extractor",
    "feature-mask",
    "fine-pruning",
    "fst",
    "ft-init",
    "last-layer",
    "linear-probing",
    "spectral-signatures",
}


class Convolutions(nn.Module):
    """Grey images of 8 by 8 to four classes, by convolutions alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)

    def forward(self, pixel_values: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.norm(self.first(pixel_values.float())))).mean(dim=(2, 3))
        return logits


class Counts(nn.Module):
    """How often words occur, to two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        del attention_mask
        logits: Tensor = self.last(nn.functional.one_hot(input_ids.long(), 5).float().mean(1))
        return logits


class Pixels(nn.Module):
    """Pixels as numbers."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        return pixel_values.float()


def images() -> dict[str, Tensor]:
    pixels = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return {"pixel_values": pixels}


def check(name: str, net: nn.Module, inputs: dict[str, Tensor]) -> None:
    CHOOSY[name]().check_model(net.eval(), inputs)


@pytest.mark.parametrize("name", sorted(CHOOSY))
def test_what_is_looked_for_is_listed(name: str) -> None:
    assert CHOOSY[name].needs


def test_what_is_listed_is_looked_for() -> None:
    for registry in (REPAIRS, DETECTORS):
        assert [name for name in registry.names() if registry[name].needs and name not in CHOOSY] == []


@pytest.mark.parametrize("name", sorted(OF_IMAGES))
def test_a_network_without_layers_is_refused(name: str) -> None:
    with pytest.raises(AnchorlabError, match=r": (take|give) "):
        check(name, Corner(), images())


@pytest.mark.parametrize("name", sorted(OF_THE_LAST_LAYER))
def test_a_network_whose_head_is_a_convolution_is_refused(name: str) -> None:
    with pytest.raises(AnchorlabError, match="the model has no linear layer that gives its 4 logits"):
        check(name, Convolutions(), images())


@pytest.mark.parametrize("name", sorted(OF_IMAGES - OF_THE_LAST_LAYER - {"npd", "free-eagle"}))
def test_convolutions_with_batchnorm_are_enough_for_the_others(name: str) -> None:
    check(name, Convolutions(), images())


def test_a_filter_needs_a_convolution_behind_the_first() -> None:
    check("npd", Small(), images())
    first = nn.Sequential(Pixels(), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    with pytest.raises(AnchorlabError, match="NPD filters what enters a convolution behind the first"):
        check("npd", first, images())


@pytest.mark.parametrize("name", ["anp", "ban", "rnp", "ibd-psc", "feature-mask"])
def test_convolutions_without_batchnorm_are_refused(name: str) -> None:
    with pytest.raises(AnchorlabError, match=r"BatchNorm.*, but the model has none"):
        check(name, OneReLU(), images())


@pytest.mark.parametrize("name", ["fine-mixing", "mm-bd", "word-inversion"])
def test_a_model_of_texts_without_embeddings_is_refused(name: str) -> None:
    inputs = {"input_ids": torch.tensor([[1, 2], [3, 4]]), "attention_mask": torch.ones(2, 2, dtype=torch.bool)}
    with pytest.raises(AnchorlabError, match=r"no nn\.Embedding: (take|give) "):
        check(name, Counts(), inputs)


def test_an_adapter_on_the_last_layer_is_merged_for_the_check(digits, reference) -> None:
    pytest.importorskip("peft")
    adapted = with_adapter(reference.model, Lora(rank=2, target=("classifier.1",)), seed=0).eval()
    with torch.no_grad():
        for name, values in adapted.named_parameters():
            if "lora_B" in name:
                values.copy_(torch.arange(values.numel()).view_as(values).float())
    few = digits.split("defender").inputs["pixel_values"][:4]
    with pytest.raises(AnchorlabError, match="no linear layer that gives its 10 logits"):
        LastLayer().check_model(adapted, {"pixel_values": few})
    check_layers(LastLayer(), adapted, task=digits)


def test_examples_reach_the_check_as_the_model_reads_them(digits, suspicious) -> None:
    seen = []

    class Spy(Defence):
        def check_model(self, model: nn.Module, inputs: dict[str, Tensor]) -> None:
            seen.append((model.training, inputs["pixel_values"]))

    check_layers(Spy(), suspicious, task=digits)
    ((training, pixels),) = seen
    assert not training
    assert torch.equal(pixels, digits.split("defender").inputs["pixel_values"][:4])
