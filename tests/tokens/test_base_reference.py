"""A base file of llama.cpp as the reference of our own measures: what all logits give, as far as the file holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anchorlab import AnchorlabError, compare_tokens
from anchorlab.models.causal import open_causal
from anchorlab.tokens.base_reference import BaseAnswers, base_windows, cut_off, lumped
from anchorlab.tokens.kld import open_base
from anchorlab.tokens.llama_answers import tokens_of
from anchorlab.tokens.measures import token_columns
from anchorlab.tokens.windows import Batch
from tests.causal import save_causal
from tests.refusals import refused
from tests.tokens.base_files import write_base

CONTEXT = 16
TEXT = "Two hours of my life -- gone. The plot is thin; the acting is not. A truly moving film, quietly told. " * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, and the first one's base file over a text whose chunks begin with BOS."""
    folder = tmp_path_factory.mktemp("models")
    save_causal(folder / "reference", "llama", begins=True)
    save_causal(folder / "candidate", "llama", begins=True, noise=0.02)
    logits = _scored(folder / "reference")
    write_base(folder / "base.kld", _chunks(folder / "reference"), logits.numpy())
    return folder


def _chunks(model: Path) -> np.ndarray:
    tokens = tokens_of(TEXT, open_causal(model).tokenizer)
    return tokens[: len(tokens) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)


def _scored(model: Path) -> torch.Tensor:
    read = _chunks(model).copy()
    read[:, 0] = 0
    return open_causal(model).logits(torch.from_numpy(read))[:, CONTEXT // 2 : CONTEXT - 1]


def test_our_measures_are_those_of_all_logits_to_16_bits(folder: Path) -> None:
    found = compare_tokens(folder / "base.kld", folder / "candidate", together=3)
    first, second = (_scored(folder / name).double().log_softmax(-1) for name in ("reference", "candidate"))
    true = torch.from_numpy(_chunks(folder / "reference"))[:, CONTEXT // 2 + 1 :, None]
    middle = torch.logaddexp(first, second) - np.log(2)
    expected = {
        "kl": (first.exp() * (first - second)).sum(-1),
        "kl_reverse": (second.exp() * (second - first)).sum(-1),
        "js": (first.exp() * (first - middle) + second.exp() * (second - middle)).sum(-1) / 2,
        "nll_reference": -first.gather(2, true),
        "nll_candidate": -second.gather(2, true),
        "delta_p": second.gather(2, true).exp() - first.gather(2, true).exp(),
        "same_top": (first.argmax(-1) == second.argmax(-1)).double(),
    }
    for name, values in expected.items():
        assert found[name].value == pytest.approx(values.mean().item(), rel=2e-3, abs=1e-5), name
    assert found["kl_max"].value == pytest.approx(expected["kl"].max().item(), rel=2e-3)
    assert found.tokens == first.shape[0] * first.shape[1]
    assert found.documents == len(first)
    assert found.scoring.words() == (
        "Scored are positions 8 to 14 of each chunk of 16 tokens, as the base file holds them; a chunk begins with "
        "'<s>', and counts as a document."
    )
    assert any("divergences are the least that it allows" in caution for caution in found.cautions)
    assert any("chunks are pieces of one text" in caution for caution in found.cautions)


def test_a_model_beside_its_own_base_file_differs_by_rounding_alone(folder: Path) -> None:
    found = compare_tokens(folder / "base.kld", folder / "reference", worst=2)
    assert 0 <= found["kl"].value < 1e-7
    assert found["same_top"].value == 1
    assert found["kl_reverse_infinite"].value == 0


@pytest.fixture
def deep(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, Path]:
    """Logits far apart, of which the file cuts many off, those of another model, and the tokens."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, 40, (2, CONTEXT))
    reference = rng.normal(size=(2, 7, 40)) * 12
    candidate = reference + rng.normal(size=reference.shape)
    candidate[0, 0, reference[0, 0].argmin()] = reference[0, 0].max() + 1  # much mass on what the reference cuts off
    return reference, candidate, tokens, write_base(tmp_path / "deep.kld", tokens, reference)


def test_what_is_cut_off_is_one_event_and_divergences_are_the_least_that_the_file_allows(
    deep: tuple[np.ndarray, np.ndarray, np.ndarray, Path],
) -> None:
    reference, candidate, tokens, path = deep
    file = open_base(path)
    windows = tuple(base_windows(file, tokens))
    found = torch.cat(BaseAnswers(file).rows(Batch(windows))).numpy()
    logits, true = candidate.reshape(-1, 40), np.concatenate([window.targets for window in windows])
    assert np.isneginf(found).any(axis=1).all()
    columns = token_columns(found, logits, true, lumped)
    exact = token_columns(reference.reshape(-1, 40), logits, true)
    cut = np.isneginf(found[np.arange(len(true)), true])
    assert cut_off(found, true) == cut.sum() > 0
    for name in ("kl", "js"):
        assert (columns[name] >= 0).all()
        assert (columns[name] <= exact[name] * 1.001 + 2e-5).all(), name
        assert columns[name] == pytest.approx(exact[name], rel=0.05, abs=2e-3), name
    assert np.isfinite(columns["kl_reverse"]).all()
    assert columns["kl"][0] > 1  # mass that moved to what is cut off is seen
    assert columns["nll_candidate"] == pytest.approx(exact["nll_candidate"], rel=1e-6, abs=1e-9)
    assert columns["nll_reference"][~cut] == pytest.approx(exact["nll_reference"][~cut], rel=1e-3, abs=3e-4)
    assert (columns["nll_reference"][cut] <= exact["nll_reference"][cut] + 1e-3).all()
    for name in ("same_top", "rank"):
        assert (columns[name] == exact[name]).all(), name


def test_what_a_base_file_decides_is_no_option(folder: Path, tmp_path: Path) -> None:
    base, model = folder / "base.kld", folder / "candidate"
    for name, value in {"texts": ["a"], "context": 8, "stride": 4, "bos": True, "noise": True, "in_turn": True}.items():
        with pytest.raises(AnchorlabError, match=f"holds its tokens, and says how they are read: leave out {name}"):
            compare_tokens(base, model, **{name: value})
    with pytest.raises(AnchorlabError, match="can only be the reference: give a model"):
        compare_tokens(model, base)
    other = save_causal(tmp_path / "other", vocabulary=280)
    with pytest.raises(AnchorlabError, match=r"has a vocabulary of 300, but .* of 280"):
        compare_tokens(base, other)


def test_a_base_file_that_is_not_there_is_said_before_a_model_is_opened(tmp_path: Path) -> None:
    refused(r"there is no file .*gone\.kld", compare_tokens, tmp_path / "gone.kld", tmp_path / "no-model-either")
