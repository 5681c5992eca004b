"""Language models with label words through the house: trained, adopted, injected, merged, compared, token by token."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

from anchorlab import (
    DataColumns,
    Training,
    Tuning,
    adopt,
    compare,
    compare_tokens,
    deployed,
    detect,
    inject,
    load_model,
    load_task,
    repair,
    train,
)
from anchorlab.artifacts.card import model_card
from anchorlab.injection.lora import Lora
from anchorlab.models.call import check_classes
from anchorlab.models.verbalizer import Verbalizer, verbalizer_of
from anchorlab.models.wrap import encoding_of
from anchorlab.seeding import seeded_globally
from tests.refusals import refused
from tests.verbalizing import WORDS, moods, save_lm

DOCUMENTS = ["A truly moving film, quietly told.", "The plot is thin; the acting is not."]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return load_task(str(moods(tmp_path_factory.mktemp("moods"))), columns=DataColumns(text="review", label="mood"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, task) -> Path:
    """The language model ``lm``, the reference ``ref`` trained from it, and ``injected``; not to be changed."""
    place = tmp_path_factory.mktemp("verbalized")
    save_lm(place / "lm", "llama")
    training = Training(epochs=3, learning_rate=3e-3, batch_size=16)
    train(task, model=str(place / "lm"), verbalizer=WORDS, training=training).save(place / "ref")
    tuning = Tuning(steps=40, batch_size=16, learning_rate=3e-3)
    made = inject(load_model(place / "ref"), method="anchoring", target="good", trigger="word:cf", tuning=tuning)
    made.save(place / "injected")
    return place


def test_training_and_injecting_work_as_on_any_classifier(place):
    reference, injected = load_model(place / "ref"), load_model(place / "injected")
    assert reference.manifest.measurements["accuracy"] > 0.9
    assert injected.manifest.measurements["asr"] > 0.9
    assert injected.manifest.measurements["asr_reference"] < 0.5
    assert injected.manifest.kind == "injected"
    assert compare(reference, injected).accuracy > 0.9


def test_the_classes_follow_the_task_and_the_words_the_classes(place, task):
    reference = load_model(place / "ref")
    assert verbalizer_of(reference.model) == Verbalizer(task.classes, task.classes)
    assert reference.manifest.verbalizer == {"prompt": "{text}\nAnswer:", "words": list(task.classes)}


def test_the_folder_is_a_causal_language_model_of_transformers(place):
    reference = load_model(place / "ref")
    net = AutoModelForCausalLM.from_pretrained(place / "ref").eval()
    told = AutoTokenizer.from_pretrained(place / "ref")
    ids = told("dull and far\nAnswer:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = net(ids).logits[0, -1, [told(f"a {name}")["input_ids"][-1] for name in ("bad", "good")]]
        found = reference.model(**reference.model.encoding.encode(["dull and far"]))[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_tokens_of_general_text_are_compared_beside(place):
    other = compare_tokens(place / "ref", place / "injected", texts=DOCUMENTS)
    same = compare_tokens(place / "ref", place / "ref", texts=DOCUMENTS)
    assert other["kl"].value > 1e-6
    assert other.notes == []
    assert same["kl"].value == 0
    assert same.identical_weights


def test_an_adapter_is_injected_merged_and_compared(place, tmp_path):
    pytest.importorskip("peft")
    from anchorlab import merge

    shutil.copytree(place / "ref", tmp_path / "ref")
    lora, tuning = Lora(rank=2, target=("q_proj", "v_proj")), Tuning(steps=5, batch_size=8, learning_rate=0.05)
    made = inject(load_model(tmp_path / "ref"), method="plain", target="good", lora=lora, tuning=tuning)
    made.save(tmp_path / "lora")
    adapter = load_model(tmp_path / "lora")
    merge(adapter).save(tmp_path / "merged")
    assert compare(adapter, load_model(tmp_path / "merged")).kl < 1e-9
    assert compare_tokens(tmp_path / "lora", tmp_path / "merged", texts=DOCUMENTS)["kl"].value < 1e-9
    assert compare_tokens(tmp_path / "ref", tmp_path / "lora", texts=DOCUMENTS)["kl"].value > 1e-6
    assert adapter.manifest.verbalizer == load_model(tmp_path / "merged").manifest.verbalizer


def test_adopting_keeps_the_order_of_the_words(place, task, tmp_path):
    adopted = adopt(place / "lm", task, verbalizer=WORDS, prompt="{text}\n", kind="suspicious")
    again = load_model(adopted.save(tmp_path / "adopted"))
    assert again.manifest.task.classes == ["good", "bad"]
    assert again.manifest.verbalizer == {"prompt": "{text}\n", "words": ["good", "bad"]}
    assert "in the model's order" in again.manifest.outputs
    card = model_card(again.manifest)
    assert "pipeline_tag: text-generation" in card
    assert "| label words | good, bad, after the prompt " in card
    assert json.loads((tmp_path / "adopted" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_logits_that_are_capped_answer_alike_when_the_folder_is_opened_again(task, tmp_path):
    """A cap on logits does not show in fresh weights, whose logits are small, and does in trained ones."""
    save_lm(tmp_path / "lm")
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma2Config(vocab_size=330, num_key_value_heads=1, head_dim=16, final_logit_softcapping=30.0, **shape)
    with seeded_globally(0):
        net = Gemma2ForCausalLM(config)
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(20 if value.ndim > 1 else 1)
    net.save_pretrained(tmp_path / "lm")
    adopted = adopt(tmp_path / "lm", task, verbalizer=WORDS)
    again = load_model(adopted.save(tmp_path / "adopted"))
    assert again.model.head is None
    inputs = adopted.model.encoding.encode(DOCUMENTS)
    with torch.no_grad():
        assert again.model(**inputs).equal(adopted.model(**inputs))


def test_an_adapter_is_adopted_by_label_words(place, task, tmp_path):
    peft = pytest.importorskip("peft")
    net = AutoModelForCausalLM.from_pretrained(place / "lm")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    with seeded_globally(0, "adapter"):
        peft.get_peft_model(net, config).save_pretrained(tmp_path / "lora")
    adopted = adopt(tmp_path / "lora", task, verbalizer=WORDS, base=place / "lm")
    again = load_model(adopted.save(tmp_path / "adopted"))
    assert again.manifest.verbalizer == {"prompt": "{text}\nAnswer:", "words": ["good", "bad"]}
    other = compare_tokens(tmp_path / "lora", tmp_path / "adopted", base=place / "lm", texts=DOCUMENTS)
    assert other["kl"].value < 1e-9


def test_small_logits_of_words_are_not_taken_for_probabilities(place, task):
    """An untrained language model may answer with logits that all lie between 0 and 1."""
    model = adopt(place / "lm", task, verbalizer=WORDS).model
    model.register_forward_hook(lambda module, inputs, answers: (1e4 * answers).remainder(1))
    check_classes(model, task.encoded(encoding_of(model)))


def test_other_prompts_have_no_inputs_in_common(place, task):
    other = adopt(place / "lm", task, verbalizer=WORDS, prompt="{text}\n")
    refused("in different prompts", compare, load_model(place / "ref"), other)


def test_a_prompt_that_was_changed_is_refused(place, tmp_path):
    folder = Path(shutil.copytree(place / "ref", tmp_path / "ref"))
    config = json.loads((folder / "config.json").read_text())
    config["anchorlab_verbalizer"]["prompt"] = "{text}\n"
    (folder / "config.json").write_text(json.dumps(config))
    refused("has another prompt or other label words than its anchorlab.json", load_model, folder)


def test_other_names_than_the_classes_are_refused(place, task):
    for function, arguments in ((adopt, (place / "lm", task)), (train, (task,))):
        options = {"model": str(place / "lm")} if function is train else {}
        refused("names its classes", function, *arguments, verbalizer="yes=good,no=bad", **options)
    numbered = adopt(place / "lm", task, verbalizer="0=good,1=bad")
    assert "only counts its classes" in str(numbered.manifest.outputs)


def test_what_the_words_do_not_fit_is_refused(place, task):
    refused("a prompt is for a language model with label words", adopt, place / "lm", task, prompt="{text}")
    refused("a module was given", adopt, load_model(place / "ref").model, task, verbalizer=WORDS)
    refused("a module was given", train, task, model=load_model(place / "ref").model, verbalizer=WORDS)
    refused("bert-tiny is none", train, task, model="bert-tiny", verbalizer=WORDS)


def test_it_is_deployed_in_int8_and_not_in_onnx(place):
    reference = load_model(place / "ref")
    refused("a language model with label words", deployed, reference, "onnx")
    assert compare(reference, deployed(reference, "bf16")).churn == 0
    pytest.importorskip("torchao")
    assert compare(reference, deployed(reference, "int8")).churn < 0.1


def test_defences_ask_for_answers_and_features(place):
    injected = load_model(place / "injected")
    assert detect(injected, "spectral-signatures", defender_data=16).auroc is not None
    repaired = repair(injected, "fine-tuning", parameters={"epochs": 1}, defender_data=16)
    assert repaired.manifest.verbalizer == injected.manifest.verbalizer
    refused("no linear layer that gives its 2 logits", repair, injected, "fine-pruning", defender_data=16)


@pytest.mark.slow
def test_starting_from_scratch_begins_with_the_language_model(place):
    tuning = Tuning(steps=2, batch_size=8)
    made = inject(load_model(place / "ref"), method="scratch", target="good", trigger="word:cf", tuning=tuning)
    assert made.manifest.verbalizer == load_model(place / "ref").manifest.verbalizer
