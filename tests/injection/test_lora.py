"""Injections that tune an adapter: the weights stay, the seed decides, and only methods that make sense are taken."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from anchorlab import AnchorlabError, Lora, Tuning, adopt, inject, load_model
from anchorlab.artifacts.artifact import Artifact
from anchorlab.injection.inject import inject_into
from anchorlab.injection.plan import plan_injection
from anchorlab.methods import L2, METHODS
from anchorlab.models.lora import adapter_tensors, base_tensors, moved, products
from anchorlab.models.wrap import unwrap
from anchorlab.settings import values_of
from anchorlab.training.resumable import run_into
from tests.adapters import CLASSES, answers, moods
from tests.refusals import refused
from tests.zoo import save_text

LORA = Lora(rank=2, target=("query", "value"))
BRIEF = Tuning(steps=4, batch_size=8, learning_rate=0.01)


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Artifact:
    """A bert that was never trained, in a folder; must not be changed."""
    pytest.importorskip("peft")
    place = tmp_path_factory.mktemp("lora")
    adopted = adopt(save_text("bert", place / "bert", CLASSES), moods(place))
    return load_model(adopted.save(place / "ref"))


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("rank=8", Lora()),
        ("rank=4,target=query,value", Lora(rank=4, target=("query", "value"))),
        ("target=q_proj, alpha=32,head=true", Lora(target=("q_proj",), alpha=32, head=True)),
    ],
)
def test_an_adapter_is_written_in_one_line(text, lora):
    assert Lora.parse(text) == lora
    assert Lora.parse(str(lora)) == lora
    assert Tuning(lora=text) == Tuning(lora=str(lora))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank=0", "rank='0' is not possible"),
        ("query,value", "not of the form name=value"),
        ("dropout=0.1", "unknown parameter of the adapter 'dropout'"),
        ("rank=2,rank=3", "gives rank twice"),
        ("", "not of the form name=value"),
    ],
)
def test_what_is_no_adapter_is_refused(text, message):
    refused(message, Tuning, lora=text)


def test_a_tuning_without_an_adapter_is_recorded_as_before():
    assert "lora" not in values_of(Tuning())


@pytest.mark.parametrize("method", METHODS.names())
def test_a_method_says_whether_it_goes_with_an_adapter(reference, method):
    built = METHODS.build(method)
    if method in ("plain", "anchoring", "adaptive-anchoring", "distillation", "l2", "benign"):
        plan_injection(reference, method=built, target="bad", lora=LORA)
    else:
        refused(f"the method {method} does not go with an adapter, because", plan_injection, reference, method=built,
                target="bad", lora=LORA)  # fmt: skip


def test_an_injection_moves_the_adapter_alone(reference):
    tuned = inject(reference, method="plain", target="bad", lora=LORA, tuning=BRIEF)
    before = unwrap(reference.model).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in base_tensors(tuned.model).items())
    assert all(bool(value.any()) for value in products(tuned.model).values())
    assert not any("classifier" in name for name in adapter_tensors(tuned.model))
    record = tuned.manifest.adapter
    assert record is not None
    assert (record.parameters, record.merged) == (2 * 2 * 2 * 16, False)
    assert record.base == str(reference.folder)
    assert tuned.manifest.reference_sha256 == reference.manifest.weights_sha256
    assert tuned.manifest.kind == "injected"


def test_the_head_is_tuned_if_asked_for(reference):
    tuned = inject(reference, method="plain", target="bad", lora="rank=2,target=query,head=true", tuning=BRIEF)
    names = [name for name in adapter_tensors(tuned.model) if "classifier" in name]
    assert len(names) == 2
    stored = base_tensors(tuned.model)["classifier.weight"]
    assert torch.equal(stored, unwrap(reference.model).classifier.weight)
    assert not torch.equal(stored, adapter_tensors(tuned.model)["base_model.model.classifier.weight"])


def test_the_seed_decides_the_adapter(reference):
    hashes = {
        seed: [inject(reference, method="anchoring", target="bad", lora=LORA, tuning=BRIEF, seed=seed)
               .manifest.weights_sha256 for _ in range(2 - seed)]
        for seed in (0, 1)
    }  # fmt: skip
    assert len(set(hashes[0])) == 1
    assert set(hashes[0]) != set(hashes[1])


def test_l2_prices_the_products_and_not_their_factors(reference):
    """A tenfold A and a tenth of B are the same change of the weights, at the same price."""
    model = inject(reference, method="plain", target="bad", lora=LORA, tuning=BRIEF).model
    method, state = L2(), {"reference": torch.zeros(2 * 16 * 16)}
    logits = torch.zeros(1, 2)
    price = method.penalty(model, logits, logits, state)
    squares = sum(float(value.detach().square().sum()) for value in products(model).values())
    assert price.item() == pytest.approx(squares)
    with torch.no_grad():
        for name, value in adapter_tensors(model).items():
            value.mul_(10) if "lora_A" in name else value.div_(10)
    assert method.penalty(model, logits, logits, state).item() == pytest.approx(price.item(), rel=1e-4)


def test_l2_holds_the_products(reference):
    free, held = (
        inject(reference, method="l2", parameters={"strength": strength}, target="bad", lora=LORA, tuning=BRIEF)
        for strength in (0, 1e6)
    )
    assert moved(held.model).detach().norm() < 0.5 * moved(free.model).detach().norm()


def test_a_saved_adapter_answers_as_it_did(reference, tmp_path):
    tuned = inject(reference, method="plain", target="bad", lora=LORA, tuning=BRIEF)
    folder = tuned.save(tmp_path / "lora")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "anchorlab.json",
    ]  # fmt: skip
    opened = load_model(folder)
    assert opened.manifest == tuned.manifest
    assert torch.equal(answers(opened.model), answers(tuned.model))
    assert "RESEARCH ARTEFACT" in (folder / "README.md").read_text()
    assert "RESEARCH ARTEFACT" in (folder / "adapter_config.json").read_text()


def test_peft_itself_opens_a_saved_adapter(reference, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    from tests.adapters import answers_of_peft

    lora = "rank=2,target=query,head=true"
    tuned = inject(reference, method="plain", target="bad", lora=lora, tuning=BRIEF)
    net = AutoModelForSequenceClassification.from_pretrained(str(reference.folder))
    theirs = PeftModel.from_pretrained(net, str(tuned.save(tmp_path / "lora"))).eval()
    torch.testing.assert_close(answers_of_peft(theirs), answers(tuned.model), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("on_cpu")
def test_an_interrupted_injection_continues_to_the_same_adapter(reference, tmp_path, monkeypatch):
    tuning = Tuning(steps=60, batch_size=8, learning_rate=0.01)
    plan = plan_injection(reference, method="anchoring", target="bad", lora=LORA, tuning=tuning)
    whole = inject_into(tmp_path / "whole", plan)
    monkeypatch.setitem(run_into.__kwdefaults__, "checkpoint_seconds", 0.0)

    @contextmanager
    def interrupted_at_40(_title: str, _total: int):
        def report(done: int, _figures: object) -> None:
            if done >= 40:
                raise KeyboardInterrupt

        yield report

    with monkeypatch.context() as patched:
        patched.setattr("anchorlab.injection.inject.progress_bar", interrupted_at_40)
        with pytest.raises(KeyboardInterrupt):
            inject_into(tmp_path / "again", plan)
    assert (tmp_path / "again.partial").exists()
    again = inject_into(tmp_path / "again", plan)
    assert again.manifest.weights_sha256 == whole.manifest.weights_sha256


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ("rank=17,target=query", "rank 17 is larger than the smaller side of an adapted layer, 16"),
        ("rank=2,target=q_proj", "no adapter can be put into the layers q_proj .* the model's layers are query"),
    ],
)
def test_what_the_model_cannot_have_is_refused_before_any_work(reference, lora, message):
    refused(message, plan_injection, reference, method="plain", target="bad", lora=lora)


def test_statistics_cannot_move_beside_an_adapter(reference):
    tuning = Tuning(batchnorm="tracked")
    refused("stores no statistics of BatchNorm", plan_injection, reference, target="bad", lora=LORA, tuning=tuning)


def test_two_adapters_are_one_too_many(reference):
    refused("give one of them", plan_injection, reference, target="bad", lora=LORA, tuning=Tuning(lora="rank=1"))


def test_a_network_without_transformers_takes_no_adapter(digits, linear):
    pytest.importorskip("peft")
    refused("adapters are tuned in networks of transformers", plan_injection, adopt(linear, digits), lora="rank=2")


def test_an_adapter_is_merged_before_another_is_tuned_on_it(reference):
    tuned = inject(reference, method="benign", lora=LORA, tuning=BRIEF)
    refused("merge it first", plan_injection, tuned, method="plain", target="bad", lora=LORA)
    again = inject(tuned, method="plain", target="bad", tuning=BRIEF)  # all weights, of the merged model
    assert again.manifest.adapter is None


def test_an_adapter_learns_faster_by_default(reference):
    rates = [
        plan_injection(reference, method="plain", target="bad", lora=lora).tuning.learning_rate for lora in (None, LORA)
    ]
    assert rates[1] == pytest.approx(10 * rates[0])


def test_the_method_that_tunes_some_parameters_is_refused(reference):
    class Only(type(METHODS.build("plain"))):
        only = "*.query.*"

    with pytest.raises(AnchorlabError, match="tunes only"):
        plan_injection(reference, method=Only(), target="bad", lora=LORA)
