"""FST and the forms that it is compared with: the layer's norm, the product by hand, and what stays as it is."""

from __future__ import annotations

import math

import pytest
import torch

from anchorlab.data import Split
from anchorlab.errors import AnchorlabError
from anchorlab.models.hooks import last_layer
from anchorlab.repairs import tuning
from anchorlab.repairs.feature_extractor import FeatureExtractor
from anchorlab.repairs.fst import FST
from anchorlab.repairs.ft_init import FTInit
from anchorlab.repairs.linear_probing import LinearProbing


def layer_of(model, data):
    return last_layer(model, data.train.inputs).weight.detach()


def test_the_norm_of_the_last_layer_is_the_suspicious_one_and_the_product_falls(suspicious, defender_data, context):
    before = layer_of(suspicious, defender_data)
    norms = {}
    for strength in (0.0, 2.0):
        repaired = FST(strength=strength, epochs=10).repair(suspicious, defender_data, context)
        after = layer_of(repaired, defender_data)
        assert float(after.norm()) == pytest.approx(float(before.norm()), rel=1e-5)
        norms[strength] = float((after * before).sum() / before.square().sum())
    assert norms[2.0] < norms[0.0] - 0.1
    assert norms[2.0] < 0


def test_the_loss_is_the_cross_entropy_plus_the_sum_of_products(suspicious, defender_data, context, monkeypatch):
    """Both computed here, number by number."""
    seen = []

    def fit(model, objective, *_arguments, **_options):
        inputs, labels = objective._batches(0)
        seen.append((float(objective.loss(0)[0].detach()), model(**inputs).logits.detach(), labels, model))
        return 0

    monkeypatch.setattr(tuning, "fit", fit)
    FST(strength=0.3).repair(suspicious, defender_data, context)
    found, answers, labels, model = seen[0]
    entropy = 0.0
    for row, label in zip(answers.double().tolist(), labels.tolist(), strict=True):
        entropy += (math.log(sum(map(math.exp, row))) - row[label]) / len(labels)
    pairs = zip(
        layer_of(model, defender_data).flatten().tolist(),
        layer_of(suspicious, defender_data).flatten().tolist(),
        strict=True,
    )
    assert found == pytest.approx(entropy + 0.3 * sum(one * other for one, other in pairs), rel=1e-4)


def test_what_the_other_forms_train_and_leave(suspicious, defender_data, context):
    last = {name for name, _ in suspicious.named_parameters() if name.startswith("classifier")}
    before = {name: value.clone() for name, value in suspicious.state_dict().items()}

    def changed(repair) -> set[str]:
        repaired = repair.repair(suspicious, defender_data, context)
        assert not any(module.training for module in repaired.modules())
        assert all(value.requires_grad for value in repaired.parameters())
        return {name for name, value in repaired.state_dict().items() if not torch.equal(value, before[name])}

    assert changed(LinearProbing(epochs=1)) == last
    assert last < changed(FeatureExtractor(epochs=1))
    assert len(changed(FTInit(epochs=1))) > len(last)
    kept = layer_of(FeatureExtractor(epochs=1).repair(suspicious, defender_data, context), defender_data)
    drawn = layer_of(FeatureExtractor(epochs=3).repair(suspicious, defender_data, context), defender_data)
    assert torch.equal(kept, drawn)
    assert float(kept.norm()) == pytest.approx(float(layer_of(suspicious, defender_data).norm()), rel=1e-5)


def test_the_new_layer_is_drawn_within_one_over_the_root_of_its_inputs(suspicious, defender_data, context, elsewhere):
    from anchorlab.repairs.fresh_layer import drawn_anew
    from anchorlab.repairs.tuning import copied

    layers = [drawn_anew(copied(suspicious), defender_data.train.inputs, means) for means in (context, elsewhere)]
    weights = [layer.weight.detach() for layer in layers]
    bound = 1 / math.sqrt(layers[0].in_features)
    assert 0.95 * bound < float(weights[0].abs().max()) <= bound
    assert float(layers[0].bias.detach().abs().max()) <= bound
    assert not torch.equal(*weights)


def test_a_model_without_a_last_linear_layer_is_refused(small, known, defender_data, context):
    small.last = torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.Linear(3, 5), torch.nn.Unflatten(1, (5, 1)))
    small.last.append(torch.nn.AvgPool1d(1)).append(torch.nn.Flatten()).append(Cut())
    data = type(defender_data)(known, known, 3, "image")
    for repair in (FST(), FTInit(), LinearProbing(), FeatureExtractor()):
        with pytest.raises(AnchorlabError, match="no linear layer that gives its 4 logits"):
            repair.repair(small, data, context)
    assert isinstance(known, Split)


class Cut(torch.nn.Module):
    """The first four of five."""

    def forward(self, values):
        return values[:, :4]
