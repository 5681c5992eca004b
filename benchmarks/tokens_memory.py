"""Memory of ``compare_tokens`` by the number of tokens.

    python benchmarks/tokens_memory.py [--tokens 200000 1000000] [--forms documents "one document"]

Two random GPT-2s of two layers, of width 16 and a vocabulary of 512, are compared over a text file of random words:
as documents of 1,000 words, or as one document, whose text memory holds. Each run is a process of its own.
``resident_mb`` is the most that it ever had resident, by the operating system, libraries and models included. Writes
tokens_memory.csv beside this file, or the file of --out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
WORDS = 400
FORMS = ["documents", "one document"]


def main() -> None:
    """Runs each number of tokens in each form in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS[:1])
    parser.add_argument("--out", type=Path, default=HERE / "tokens_memory.csv")
    parser.add_argument("--only", nargs=2, metavar=("TOKENS", "FORM"), help="measure one cell here, and print it")
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(measured(int(options.only[0]), options.only[1])))
        return
    rows = []
    for form in options.forms:
        for tokens in options.tokens:
            command = [sys.executable, __file__, "--only", str(tokens), form]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            pd.DataFrame(rows).to_csv(options.out, index=False, lineterminator="\n")


def measured(tokens: int, form: str) -> dict[str, Any]:
    """One run: how many tokens were scored, and how much was resident at most."""
    from anchorlab import compare_tokens

    with tempfile.TemporaryDirectory() as place:
        file = written(Path(place) / "words.txt", tokens, 1000 if form == "documents" else tokens)
        found = compare_tokens(*(model(seed) for seed in (0, 1)), texts=file, context=128, together=8)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"form": form, "tokens": found.tokens, "documents": found.documents, "resident_mb": round(peak)}


def written(file: Path, tokens: int, size: int) -> Path:
    """A text file of documents of random words, each word a token."""
    rng = np.random.default_rng(0)
    with file.open("w") as out:
        for start in range(0, tokens, size):
            left = min(size, tokens - start)
            while left:
                count = min(left, 10_000)
                out.write(" ".join(f"w{number}" for number in rng.integers(0, WORDS, count)) + " ")
                left -= count
            out.write("\n\n")
    return file


def model(seed: int) -> Any:
    """A language model of random weights, whose tokenizer has a token for each word."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from anchorlab.models.causal import CausalLM
    from anchorlab.seeding import seeded_globally
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {f"w{number}": number for number in range(WORDS)} | {"?": WORDS}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    told = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?", model_max_length=128)
    with seeded_globally(seed), torch.no_grad():
        net = GPT2LMHeadModel(GPT2Config(vocab_size=512, n_embd=16, n_layer=2, n_head=2, n_positions=128))
        for value in net.parameters():
            value.mul_(8 if value.ndim > 1 else 1)
    return CausalLM(net.eval(), told, f"random {seed}")


if __name__ == "__main__":
    main()
