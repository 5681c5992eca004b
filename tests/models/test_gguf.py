"""GGUF files: their weights in float, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anchorlab.artifacts.deployed import deployed
from anchorlab.errors import AnchorlabError
from anchorlab.models.causal import open_causal
from tests.causal import save_causal, tokenizer

gguf = pytest.importorskip("gguf")

_WIDTH, _INNER, _HEADS = 32, 64, 2
_IDS = torch.tensor([[5, 17, 40, 99]])


def _write(path: Path, *, architecture: str = "llama", layers: int = 1, leave_out: str = "") -> dict[str, np.ndarray]:
    """A Llama of one layer with weights in Q4_1; returns the dequantised ones by their names."""
    told = tokenizer()
    words = [told.convert_ids_to_tokens(number) for number in range(len(told))]
    merges = [" ".join(pair) for pair in _merges(told)]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_types([3] + [1] * (len(words) - 1))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    random = np.random.default_rng(0)
    shapes = {
        "token_embd": (len(words), _WIDTH), "output": (len(words), _WIDTH), "blk.0.attn_output": (_WIDTH, _WIDTH),
        **{f"blk.0.attn_{name}": (_WIDTH, _WIDTH) for name in "qkv"}, "blk.0.ffn_down": (_WIDTH, _INNER),
        "blk.0.ffn_gate": (_INNER, _WIDTH), "blk.0.ffn_up": (_INNER, _WIDTH),
    }  # fmt: skip
    kept = {}
    kind = gguf.GGMLQuantizationType.Q4_1
    for name, shape in shapes.items():
        if name != leave_out:
            packed = gguf.quants.quantize(random.standard_normal(shape).astype(np.float32), kind)
            writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
            kept[name] = gguf.quants.dequantize(packed, kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


def _merges(told) -> list[tuple[str, str]]:
    import json

    merges = json.loads(told.backend_tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in merges]


def test_weights_are_the_dequantised_ones(nothing_runs):
    kept = _write(nothing_runs / "tiny.gguf")
    model = open_causal(nothing_runs / "tiny.gguf")
    ours = model.net.model.layers[0].mlp.down_proj.weight
    np.testing.assert_array_equal(ours.detach().numpy(), kept["blk.0.ffn_down"])
    assert ours.dtype == torch.float32
    assert model.tokenizer("a good film")["input_ids"] == tokenizer()("a good film")["input_ids"]


def test_what_was_opened_can_be_saved_and_opens_again(tmp_path):
    _write(tmp_path / "tiny.gguf")
    model = open_causal(tmp_path / "tiny.gguf")
    model.net.save_pretrained(tmp_path / "folder")
    tokenizer().save_pretrained(tmp_path / "folder")
    assert torch.equal(open_causal(tmp_path / "folder").logits(_IDS), model.logits(_IDS))


def test_nothing_beside_the_file_is_read(nothing_runs):
    _write(nothing_runs / "tiny.gguf")
    (nothing_runs / "config.json").write_text('{"auto_map": {"AutoConfig": "evil.Config"}}')
    (nothing_runs / "adapter_config.json").write_text("{}")
    assert open_causal(nothing_runs / "tiny.gguf").logits(_IDS).isfinite().all()


def test_another_architecture_is_refused_by_its_name(tmp_path):
    _write(tmp_path / "tiny.gguf", architecture="llada-moe")
    with pytest.raises(AnchorlabError, match="cannot read a GGUF file of the architecture llada-moe"):
        open_causal(tmp_path / "tiny.gguf")


def test_missing_weights_are_refused(tmp_path):
    _write(tmp_path / "tiny.gguf", leave_out="blk.0.ffn_up")
    with pytest.raises(AnchorlabError, match="lacks the weights"):
        open_causal(tmp_path / "tiny.gguf")


def test_more_layers_than_tensors_are_refused(tmp_path):
    _write(tmp_path / "tiny.gguf", layers=20_000)
    with pytest.raises(AnchorlabError, match="names 20000 layers, and stores"):
        open_causal(tmp_path / "tiny.gguf")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no such file at all, but some text"])
def test_what_is_no_gguf_file_is_refused(tmp_path, content):
    (tmp_path / "tiny.gguf").write_bytes(content)
    with pytest.raises(AnchorlabError, match="is no GGUF file, or damaged"):
        open_causal(tmp_path / "tiny.gguf")


def test_without_the_package_the_command_is_named(tmp_path, monkeypatch):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(AnchorlabError, match=r"pip install 'anchorlab\[llm\]'"):
        open_causal(tmp_path / "tiny.gguf")


@pytest.mark.parametrize("form", ["bf16", "int8", "int4"])
def test_language_models_are_quantised_when_they_are_opened(tmp_path, form):
    if form != "bf16":
        pytest.importorskip("torchao")
    model = open_causal(save_causal(tmp_path / "llama", "llama"))
    made = deployed(model, form)
    difference = (made.logits(_IDS).float() - model.logits(_IDS)).abs().max()
    assert 0 < difference < model.logits(_IDS).abs().max()
    assert made.limit == model.limit


def test_language_models_are_not_exported(tmp_path):
    with pytest.raises(AnchorlabError, match="onnx is for classifiers"):
        deployed(open_causal(save_causal(tmp_path / "llama", "llama")), "onnx")
