"""Memory of ``compare_tokens`` by the number of tokens.

    python benchmarks/tokens_memory.py [--forms "one document"] [--tokens 10000000]

Two random GPT-2s of two layers, of width 16 and a vocabulary of 512, are compared over a text file of random words:
as documents of 1,000 words, as one document, or as one document that the tokenizer reads whole, as it does where no cut
is known to leave all tokens as they are. Each run is a process of its own. ``resident_mb`` is the most that it ever had
resident, by the operating system, libraries and models included; ``cpu_seconds`` is the computing time of the
comparison. Writes tokens_memory.csv beside this file, or the file of --out, and keeps its rows that were not run again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
WORDS = 400

#: What is run, by its form.
RUNS = {
    "documents": (200_000, 1_000_000),
    "one document": (200_000, 1_000_000, 10_000_000),
    "one document read whole": (200_000, 1_000_000),
}


def main() -> None:
    """Runs each number of tokens in each form in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--forms", nargs="+", choices=RUNS, default=[*RUNS])
    parser.add_argument("--tokens", type=int, nargs="+", help="these numbers of tokens alone, in each form")
    parser.add_argument("--out", type=Path, default=HERE / "tokens_memory.csv")
    parser.add_argument("--only", nargs=2, metavar=("TOKENS", "FORM"), help="measure one cell here, and print it")
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(measured(int(options.only[0]), options.only[1])))
        return
    for form in options.forms:
        for tokens in options.tokens or RUNS[form]:
            command = [sys.executable, __file__, "--only", str(tokens), form]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = pd.DataFrame([json.loads(done.stdout.splitlines()[-1])])
            rows = pd.concat([pd.read_csv(options.out), row]) if options.out.is_file() else row
            rows = rows.drop_duplicates(["form", "tokens"], keep="last")
            rows = rows.sort_values(["form", "tokens"])
            rows.to_csv(options.out, index=False, lineterminator="\n")


def measured(tokens: int, form: str) -> dict[str, Any]:
    """One run: how many tokens were scored, how much was resident at most, and how long it computed."""
    from anchorlab import compare_tokens
    from anchorlab.tokens import windows

    if form == "one document read whole":
        windows.PART = sys.maxsize
    with tempfile.TemporaryDirectory() as place:
        file = written(Path(place) / "words.txt", tokens, 1000 if form == "documents" else tokens)
        models, start = [model(seed) for seed in (0, 1)], time.process_time()
        found = compare_tokens(*models, texts=file, context=128, together=8)
        seconds = round(time.process_time() - start)
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    row = {"form": form, "tokens": found.tokens, "documents": found.documents}
    return row | {"resident_mb": peak, "cpu_seconds": seconds}


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
