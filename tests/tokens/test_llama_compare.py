"""llama.cpp's statistics from its base files and from models: the same numbers on each way, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from anchorlab.errors import AnchorlabError
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.tokens.llama_answers import tokens_of
from anchorlab.tokens.llama_compare import LlamaComparison, compare_as_llama_cpp
from tests.causal import save_causal
from tests.tokens.base_files import write_base

CONTEXT = 16
TEXT = "Two hours of my life -- gone. The plot is thin; the acting is not. <s> A truly moving film, quietly told. " * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "text.txt").write_text(TEXT + "\n", encoding="utf-8")
    save_causal(folder / "reference", "llama")
    save_causal(folder / "candidate", "llama", noise=0.02)
    save_causal(folder / "begins", "llama", begins=True)
    save_causal(folder / "larger", "llama", vocabulary=310)
    return folder


def stored(folder: Path, name: str, *, context: int = CONTEXT, bos: int | None = None) -> Path:
    """The base file of one of the models over the text, as llama.cpp would write it."""
    model = open_causal(folder / name)
    tokens = tokens_of(TEXT, model.tokenizer)
    chunks = tokens[: len(tokens) // context * context].reshape(-1, context)
    read = chunks.copy()
    if bos is not None:
        read[:, 0] = bos
    logits = model.logits(torch.from_numpy(read))[:, context // 2 : context - 1]
    return write_base(folder / f"{name}.kld", chunks, logits.numpy())


def by_transformers(reference: CausalLM, candidate: CausalLM) -> dict[str, float]:
    """KL and negative log-likelihoods of the scored tokens, straight from all logits."""
    tokens = tokens_of(TEXT, reference.tokenizer)
    chunks = torch.from_numpy(tokens[: len(tokens) // CONTEXT * CONTEXT].reshape(-1, CONTEXT))
    half = slice(CONTEXT // 2, CONTEXT - 1)
    first, second = (model.logits(chunks).double().log_softmax(-1)[:, half] for model in (reference, candidate))
    true = chunks[:, CONTEXT // 2 + 1 :, None]
    kl = torch.where(first > -16, first.exp() * (first - second), 0.0).sum(-1)
    return {
        "kl": kl.mean().item(),
        "kl_max": kl.max().item(),
        "log_ppl_ratio": (first.gather(2, true) - second.gather(2, true)).mean().item(),
        "same_top": (first.argmax(-1) == second.argmax(-1)).double().mean().item(),
    }


def values(comparison: LlamaComparison, names: dict[str, float]) -> dict[str, float]:
    return {name: comparison.statistics[name].value for name in names}


def test_two_models_over_a_text_give_what_all_their_logits_give(folder: Path) -> None:
    comparison = compare_as_llama_cpp(
        folder / "reference", folder / "candidate", texts=folder / "text.txt", context=CONTEXT
    )
    wanted = by_transformers(open_causal(folder / "reference"), open_causal(folder / "candidate"))
    assert values(comparison, wanted) == pytest.approx(wanted, rel=1e-6)
    assert (comparison.context, comparison.tokens) == (CONTEXT, comparison.chunks * 7)
    assert comparison.chunks >= 3
    assert not comparison.begins


def test_documents_of_other_files_are_joined_by_blank_lines(folder: Path) -> None:
    halves = [TEXT[:200], TEXT[200:]]
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": half}) + "\n" for half in halves), encoding="utf-8")
    (folder / "joined.txt").write_text("\n\n".join(halves), encoding="utf-8")
    models = folder / "reference", folder / "candidate"
    first, second = (compare_as_llama_cpp(*models, texts=each, context=32) for each in (rows, folder / "joined.txt"))
    assert first.statistics == second.statistics


def test_a_base_file_needs_no_text_and_gives_the_same_to_16_bits(folder: Path) -> None:
    """A step of at most 16 / 65,535 nats in each log-probability."""
    comparison = compare_as_llama_cpp(stored(folder, "reference"), folder / "candidate")
    wanted = by_transformers(open_causal(folder / "reference"), open_causal(folder / "candidate"))
    assert values(comparison, wanted) == pytest.approx(wanted, abs=16 / 65535)


def test_two_base_files_need_no_model(folder: Path) -> None:
    comparison = compare_as_llama_cpp(stored(folder, "reference"), stored(folder, "candidate"))
    wanted = by_transformers(open_causal(folder / "reference"), open_causal(folder / "candidate"))
    assert values(comparison, wanted) == pytest.approx(wanted, abs=2 * 16 / 65535)
    assert any("16-bit" in caution for caution in comparison.cautions)


def test_a_model_beside_its_own_base_file_differs_by_rounding_alone(folder: Path) -> None:
    comparison = compare_as_llama_cpp(stored(folder, "reference"), folder / "reference")
    assert abs(comparison.statistics["kl_max"].value) < 1e-4
    assert comparison.statistics["same_top"].value == 1


def test_every_chunk_begins_with_bos_where_the_vocabulary_adds_it(folder: Path) -> None:
    """Then the model that read BOS gives its own base file again; the tokens in the file are the text's own."""
    base = stored(folder, "begins", bos=0)
    comparison = compare_as_llama_cpp(base, folder / "begins")
    assert comparison.begins
    assert abs(comparison.statistics["kl_max"].value) < 1e-4
    assert "which begins with BOS" in comparison.lines()[-1]


def test_what_looks_like_a_special_token_is_text(folder: Path) -> None:
    tokens = tokens_of("a <s> b", open_causal(folder / "begins").tokenizer)
    assert tokens[0] == 0
    assert 0 not in tokens[1:]


def test_true_tokens_that_the_base_file_cuts_off_are_counted(tmp_path: Path) -> None:
    """Of 4 scored tokens 2 are 30 nats rarer than the likeliest, which the file holds as 16."""
    chunks = np.array([[0, 0, 0, 1, 0], [0, 0, 0, 1, 0]])
    logits = np.tile(np.array([0.0, -30.0, -3.0], dtype=np.float32), (2, 2, 1))
    base = write_base(tmp_path / "deep.kld", chunks, logits)
    comparison = compare_as_llama_cpp(base, base)
    assert comparison.cut == 2
    assert any("cuts off 2 of 4 true tokens" in caution for caution in comparison.cautions)


def test_a_handful_of_chunks_is_said(folder: Path) -> None:
    cautions = " ".join(compare_as_llama_cpp(stored(folder, "reference"), folder / "candidate").cautions)
    assert "17 chunks say little about others" in cautions


def test_the_lines_are_the_block_and_what_its_numbers_mean(folder: Path) -> None:
    lines = compare_as_llama_cpp(stored(folder, "reference"), folder / "candidate").lines()
    assert lines[0] == "====== Perplexity statistics ======"
    assert any(line.startswith("Mean    KLD:") and line.endswith("]") for line in lines)
    assert "95% interval over the" in lines[-2]


def test_json_and_gate_have_the_statistics_by_name(folder: Path) -> None:
    comparison = compare_as_llama_cpp(stored(folder, "reference"), folder / "candidate")
    kl = comparison.statistics["kl"]
    told = comparison.to_dict()
    assert told["kl"] == {
        "value": kl.value,
        "interval": kl.interval,
        "standard_error": kl.error,
        "chunks": comparison.chunks,
        "tokens": comparison.tokens,
    }
    assert told["definitions"] == "llama.cpp"
    assert comparison.measured().values["kl"] == kl.value
    assert comparison.measured().intervals["kl"] == kl.interval


def test_few_tokens_and_one_chunk_are_said(folder: Path) -> None:
    base = write_base(folder / "few.kld", np.array([[0, 1, 2]]), np.zeros((1, 1, 4), dtype=np.float32))
    cautions = " ".join(compare_as_llama_cpp(base, base).cautions)
    assert "prints no statistics of fewer than 100 tokens" in cautions
    assert "1 chunks say little" not in cautions
    assert "one chunk has no interval" in cautions


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    base, text = stored(folder, "reference"), folder / "text.txt"
    for reference, candidate, options, words in [
        (base, folder / "larger", {}, "vocabulary of 300, but .* of 310"),
        (base, folder / "candidate", {"texts": text}, "says the texts itself"),
        (base, folder / "candidate", {"context": 8}, "says the context itself"),
        (folder / "reference", folder / "candidate", {}, "need a text"),
        (folder / "reference", folder / "larger", {"texts": text}, "cut the text differently"),
        (folder / "reference", folder / "candidate", {"texts": text, "context": 3}, "leaves nothing to score"),
        (folder / "reference", folder / "candidate", {"texts": text, "context": 65}, "reads 64 tokens at once"),
        (folder / "reference", folder / "candidate", {"texts": text, "context": 512}, "two chunks of 512"),
    ]:
        with pytest.raises(AnchorlabError, match=words):
            compare_as_llama_cpp(reference, candidate, **options)


def test_base_files_over_other_tokens_are_refused(folder: Path, tmp_path: Path) -> None:
    logits = np.zeros((1, 1, 4), dtype=np.float32)
    first = write_base(tmp_path / "first.kld", np.array([[0, 1, 2]]), logits)
    second = write_base(tmp_path / "second.kld", np.array([[0, 1, 3]]), logits)
    with pytest.raises(AnchorlabError, match="over different tokens"):
        compare_as_llama_cpp(first, second)


def test_logits_that_are_no_numbers_are_refused(folder: Path) -> None:
    model = open_causal(folder / "candidate")
    with torch.no_grad():
        model.net.lm_head.weight[3] = math.nan
    with pytest.raises(AnchorlabError, match="chunk 1 with logits that are not numbers"):
        compare_as_llama_cpp(stored(folder, "reference"), model)


def test_a_text_that_is_no_utf8_is_refused(folder: Path) -> None:
    (folder / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(AnchorlabError, match="is no UTF-8 text"):
        compare_as_llama_cpp(folder / "reference", folder / "candidate", texts=folder / "bytes.txt")
