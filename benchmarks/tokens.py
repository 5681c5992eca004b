"""Speed of ``compare_tokens`` beside the two bare forward passes that it cannot do without.

    python benchmarks/tokens.py MODEL [--threads 2]

MODEL is a folder with a causal language model, such as SmolLM2-135M-Instruct, which computes in float32. The candidate
is a copy whose weights have 1% of noise. Both read four windows of 512 tokens, made of the texts that come with
anchorlab. The bare loop computes both models' logits and forgets them; ``in turn`` writes the reference's answers
to a file and reads them again. Loops take turns, and ratios are within a round. Seconds are of the processors, all
threads together, because what else runs on a machine moves the clock more than what is compared here. Writes
tokens.csv beside this file, or the file of --out.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import torch

from anchorlab import compare_tokens
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.tokens.documents import open_texts
from rounds import alternate, ratios

HERE = Path(__file__).parent
CONTEXT, WINDOWS, ROUNDS = 512, 4, 3


def main() -> None:
    """Times the loops."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "tokens.csv")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    reference = open_causal(options.model)
    candidate = noisy(reference)
    joined = "\n\n".join(document.text for document in open_texts("sample").read())
    ids = reference.tokenizer(joined * 2, add_special_tokens=False)["input_ids"]
    windows = [ids[start : start + CONTEXT] for start in range(0, WINDOWS * CONTEXT, CONTEXT)]
    texts = [reference.tokenizer.decode(window) for window in windows]
    tokens = WINDOWS * CONTEXT

    def bare() -> None:
        for window in windows:
            for model in (reference, candidate):
                model.logits(torch.tensor([window]))

    loops = {
        "two bare passes": bare,
        "compare_tokens": lambda: compare_tokens(reference, candidate, texts=texts, context=CONTEXT) and None,
        "in turn": lambda: compare_tokens(reference, candidate, texts=texts, context=CONTEXT, in_turn=True) and None,
    }
    speed = tokens / alternate(loops, ROUNDS, torch.device("cpu"), time.process_time)
    table = ratios(speed, dict.fromkeys(loops, "two bare passes"), "tokens_per_cpu_second")
    table["threads"], table["vocabulary"] = options.threads, reference.net.config.vocab_size
    print(table.to_string())
    table.to_csv(options.out, lineterminator="\n")


def noisy(model: CausalLM) -> CausalLM:
    """A copy whose weights have 1% of noise."""
    net, draw = copy.deepcopy(model.net), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in net.parameters():
            value += 0.01 * value.std() * torch.randn(value.shape, generator=draw)
    return CausalLM(net, model.tokenizer, "noisy", model.precision)


if __name__ == "__main__":
    main()
