"""A language model as a classifier: the logits of transformers after the prompt, whatever else is in the batch."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, GraniteConfig, GraniteForCausalLM

from anchorlab.models.adapters import open_adapter
from anchorlab.models.classes import class_names, rearranged
from anchorlab.models.hooks import features
from anchorlab.models.onnx_files import ONNX
from anchorlab.models.opening import open_classifier
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.verbalizer import PROMPT, VerbalizedClassifier, Verbalizer, verbalizer_of
from tests.refusals import refused
from tests.verbalizing import WORDS, save_lm, tokenizer
from tests.zoo import save_text

TEXTS = ("dull", "A truly moving film, quietly told.", "Two hours of my life -- gone. " * 3)


def asked(folder, words: str = WORDS, prompt: str | None = None) -> VerbalizedClassifier:
    return open_pretrained(str(folder), kind="text", verbalizer=Verbalizer.parse(words, prompt))


def answers(model, texts=TEXTS):
    with torch.no_grad():
        return model(**model.encoding.encode(texts))


def of_transformers(folder, ids: list[int]) -> torch.Tensor:
    """The logits of the next token after some ids, from plain transformers, ``[V]``."""
    net = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return net(torch.tensor([ids])).logits[0, -1]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("prompt", [None, r"Film: {text}\nAnswer:"])
def test_the_logits_are_those_of_the_words_after_the_prompt(tmp_path, family, begins, prompt):
    model = asked(save_lm(tmp_path, family, begins=begins), prompt=prompt)
    told = tokenizer(begins=begins)
    words = [told(f"a {word}", add_special_tokens=False)["input_ids"][-1] for word in ("good", "bad")]
    for text, found in zip(TEXTS, answers(model), strict=True):
        whole = "Film: " * (prompt is not None) + f"{text}\nAnswer:"
        ids = [0] * begins + told(whole, add_special_tokens=False)["input_ids"]
        torch.testing.assert_close(found, of_transformers(tmp_path, ids)[words], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_no_answer_depends_on_the_padding(tmp_path, family):
    """Property: over batches of any texts, widths and fillings, a text's logits are those that it has alone."""
    model = asked(save_lm(tmp_path, family))
    draw = torch.Generator().manual_seed(0)
    for _ in range(8):
        count = int(torch.randint(1, 6, (1,), generator=draw))
        lengths = torch.randint(1, 40, (count,), generator=draw)
        texts = [
            " ".join(["cf", "good", "dull"][int(n) % 3] for n in range(int(length) // 2 + 1)) for length in lengths
        ]
        inputs = model.encoding.encode(texts)
        width = int(torch.randint(0, 9, (1,), generator=draw))
        ids = torch.nn.functional.pad(inputs["input_ids"], (0, width))
        mask = torch.nn.functional.pad(inputs["attention_mask"], (0, width))
        ids = torch.where(mask, ids, torch.randint(330, ids.shape, generator=draw, dtype=ids.dtype))
        with torch.no_grad():
            together = model(input_ids=ids, attention_mask=mask)
        alone = torch.cat([answers(model, [text]) for text in texts])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_the_configuration_carries_it(tmp_path):
    model = asked(save_lm(tmp_path), "1=good,0=bad", "{text} is")
    config = json.loads((tmp_path / "config.json").read_text()) | model.net.config.to_diff_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = open_pretrained(str(tmp_path))
    assert verbalizer_of(again) == Verbalizer(("1", "0"), ("good", "bad"), "{text} is")
    assert class_names(again) == ("1", "0")
    assert answers(again).equal(answers(model))
    assert verbalizer_of(open_pretrained(str(save_text("bert", tmp_path / "bert", ["a", "b"])))) is None


def test_classes_change_places_with_their_words(tmp_path):
    model = asked(save_lm(tmp_path))
    moved = rearranged(model, [1, 0], model.encoding.encode(TEXTS))
    assert class_names(moved) == ("bad", "good")
    assert verbalizer_of(moved).words == ("bad", "good")
    assert answers(moved).equal(answers(model)[:, [1, 0]])
    assert class_names(model) == ("good", "bad")


def test_a_network_that_scales_its_logits_is_taken_as_a_whole(tmp_path):
    save_lm(tmp_path)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    GraniteForCausalLM(GraniteConfig(vocab_size=330, logits_scaling=3.0, **shape)).save_pretrained(tmp_path)
    model = asked(tmp_path)
    assert model.head is None
    ids = tokenizer()("dull\nAnswer:", add_special_tokens=False)["input_ids"]
    torch.testing.assert_close(answers(model)[0], of_transformers(tmp_path, ids)[model.tokens], rtol=1e-4, atol=1e-4)


def test_each_module_keeps_its_own_mode(tmp_path):
    model = asked(save_lm(tmp_path, "gpt2"))
    net = model.net.train()
    net.transformer.h[0].eval()
    VerbalizedClassifier(net, model.encoding)
    assert net.training
    assert not net.transformer.h[0].training


def test_the_features_are_what_enters_the_head(tmp_path):
    model = asked(save_lm(tmp_path))
    found, given = features(model, model.encoding.encode(TEXTS))
    torch.testing.assert_close(given, answers(model))
    torch.testing.assert_close(found @ model.net.lm_head.weight[model.tokens].T, given)


def test_what_is_no_causal_language_model_is_refused(tmp_path):
    folder = save_text("bert", tmp_path / "bert", ["a", "b"])
    refused("label words are for a causal language model, and .* BertForSequenceClassification", asked, folder)
    refused("with adopt --verbalizer", open_pretrained, str(save_lm(tmp_path / "gpt2")))
    (tmp_path / ONNX).touch()
    refused("is a GGUF file", open_classifier, str(tmp_path / "model.gguf"), verbalizer=Verbalizer.parse(WORDS))
    refused("is an ONNX file", open_classifier, str(tmp_path / ONNX), verbalizer=Verbalizer.parse(WORDS))


@pytest.mark.parametrize(
    ("words", "prompt", "message"),
    [
        ("good", None, "give one for each class, two at least"),
        ("good,", None, "give one for each class, two at least"),
        ("good,good", None, "'good' comes twice"),
        ("1=good,1=bad", None, "'1' comes twice"),
        (WORDS, "Answer:", r"has {text} in it 0 times"),
        (WORDS, "{text}{text}", r"has {text} in it 2 times"),
    ],
)
def test_words_and_prompts_that_cannot_be_meant_are_refused(words, prompt, message):
    refused(message, Verbalizer.parse, words, prompt)


def test_the_default_prompt_begins_with_a_line_break():
    assert PROMPT == Verbalizer.parse(WORDS).prompt == Verbalizer.parse(WORDS, r"{text}\nAnswer:").prompt


@pytest.mark.parametrize("told", [{"words": ["good", "bad"]}, {"prompt": "{text}", "words": ["good"]}, "good,bad"])
def test_a_configuration_that_says_something_else_is_refused(tmp_path, told):
    config = json.loads((save_lm(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"anchorlab_verbalizer": told}))
    refused("anchorlab_verbalizer in config.json", open_pretrained, str(tmp_path))


def test_an_adapter_of_a_language_model_opens_with_label_words(tmp_path):
    peft = pytest.importorskip("peft")
    net = AutoModelForCausalLM.from_pretrained(save_lm(tmp_path / "base", "llama"))
    net.name_or_path = str(tmp_path / "base")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    theirs = peft.get_peft_model(net, config).eval()
    theirs.save_pretrained(tmp_path / "lora")
    model = open_adapter(tmp_path / "lora", verbalizer=Verbalizer.parse(WORDS))
    with torch.no_grad():
        ids = torch.tensor([tokenizer()("dull\nAnswer:", add_special_tokens=False)["input_ids"]])
        expected = theirs(input_ids=ids).logits[0, -1, model.tokens]
    torch.testing.assert_close(answers(model)[0], expected, rtol=1e-4, atol=1e-4)
