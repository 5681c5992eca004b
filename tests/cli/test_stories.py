"""What users of other tools reported: a merge that lost its head, one that did nothing, a KL that is no KL."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from anchorlab import adopt
from anchorlab.artifacts.merge import merge, save_merged
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.models.pretrained import open_pretrained
from anchorlab.tokens.compare import compare_tokens
from anchorlab.tokens.measures import token_columns
from tests.adapters import CLASSES, moods, save_adapter
from tests.causal import save_causal
from tests.cli.conftest import Run
from tests.refusals import refused
from tests.zoo import save_text

DOCUMENTS = ["A truly moving film, quietly told.", "Two hours of my life -- gone."]


@pytest.mark.slow
def test_a_merged_classifier_without_its_head_breaks_the_gate(run: Run, tmp_path: Path) -> None:
    """peft 2502: after merge_and_unload and loading again, a sequence classifier answers otherwise."""
    pytest.importorskip("peft")
    ref = adopt(save_text("bert", tmp_path / "bert", CLASSES), moods(tmp_path)).save(tmp_path / "ref")
    save_adapter(ref, tmp_path / "lora")
    merged = save_merged(merge(tmp_path / "lora"), tmp_path / "merged")
    data = ("--data", tmp_path / "moods.csv", "--text-column", "review", "--label-column", "mood")
    gate = ("compare", tmp_path / "lora", merged, *data, "--fail-if", "kl > 1e-4")
    assert run(*gate).code == 0
    weights, base = load_file(merged / "model.safetensors"), load_file(ref / "model.safetensors")
    lost = {name: value for name, value in base.items() if "classifier" in name}
    lost["classifier.bias"] = lost["classifier.bias"] + torch.tensor([2.0, 0.0])  # as drawn at random
    save_file(weights | lost, merged / "model.safetensors")
    assert run(*gate).code == 1


def test_a_head_that_nobody_stored_is_not_drawn_at_random(tmp_path: Path) -> None:
    """peft 1836: an adapter on an encoder, without the head that was tuned; each load gives another accuracy."""
    pytest.importorskip("peft")
    from transformers import AutoModel

    encoder = tmp_path / "encoder"
    AutoModel.from_pretrained(save_text("bert", encoder, CLASSES)).save_pretrained(encoder)
    save_adapter(encoder, tmp_path / "lora", task_type=None)
    refused("makes no classifier", open_pretrained, str(tmp_path / "lora"))


@pytest.mark.slow
def test_a_merged_language_model_that_is_the_base_breaks_the_gate(run: Run, tmp_path: Path) -> None:
    """verl 7285: the merger writes a folder that is the base byte for byte."""
    base, texts = save_causal(tmp_path / "base"), tmp_path / "texts.txt"
    texts.write_text("\n\n".join(DOCUMENTS))
    shutil.copytree(base, tmp_path / "merged")
    gate = ("--texts", texts, "--fail-if", "kl < 1e-6")
    ended = run("compare", base, tmp_path / "merged", *gate)
    assert ended.code == 1
    assert "All weights of the two models are equal" in ended.out
    assert run("compare", base, save_causal(tmp_path / "tuned", noise=0.01), *gate).code == 0


def _naive(reference: np.ndarray, candidate: np.ndarray) -> float:
    """The mean KL as torch's ``kl_div`` gives it from log-probabilities in float32."""
    p, q = (torch.from_numpy(logits).float().log_softmax(-1) for logits in (reference, candidate))
    return float(nn.functional.kl_div(q, p, reduction="batchmean", log_target=True))


def test_a_small_kl_is_neither_negative_nor_zero() -> None:
    """heretic 159 and 75: a first token that is nearly certain, for which a KL of 0 or below was shown."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(200, 400))
    reference[:, 7] += 15.0
    candidate = reference + rng.normal(size=reference.shape) * 1e-4
    rows = [_naive(reference[row : row + 1], candidate[row : row + 1]) for row in range(200)]
    assert min(rows) <= 0
    found = token_columns(reference, candidate, np.zeros(200, dtype=int))["kl"]
    p, q = (np.exp(logits - logits.max(1, keepdims=True)) for logits in (reference, candidate))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    assert (found > 0).all()
    # By the second order of KL, half the variance of the shift under p.
    shift = candidate - reference
    second = ((p * shift**2).sum(1) - (p * shift).sum(1) ** 2) / 2
    np.testing.assert_allclose(found, second, rtol=2e-3)


class _Suppressed(nn.Module):
    """A network that rules out some tokens, as ``suppress_tokens`` of a generation does."""

    def __init__(self, net: nn.Module, tokens: list[int]) -> None:
        super().__init__()
        self.net, self.config, self.tokens = net, net.config, tokens

    def forward(self, **inputs: object) -> object:
        answer = self.net(**inputs)
        answer.logits[..., self.tokens] = -torch.inf
        return answer


def test_tokens_that_both_models_rule_out_make_no_nan(tmp_path: Path) -> None:
    """heretic 346: two suppressed tokens with logits of minus infinity made the KL NaN in every trial."""
    models = []
    for name, noise in (("reference", 0.0), ("candidate", 0.05)):
        opened = open_causal(save_causal(tmp_path / name, noise=noise))
        models.append(CausalLM(_Suppressed(opened.net, [290, 291]), opened.tokenizer, name))
    ids = torch.tensor([[5, 80, 17]])
    assert np.isnan(_naive(*(model.logits(ids)[0].numpy() for model in models)))
    found = compare_tokens(*models, texts=DOCUMENTS)
    assert found["kl_infinite"].value == 0
    assert 0 < found["kl"].value < 100
