"""llama.cpp's own statistics beside ours, from the same logits.

``llama-perplexity`` of llama.cpp (from the source package of llama-cpp-python 0.3.36) wrote, for SmolLM2-135M-Instruct
in Q4_1 and requantised to Q2_K, over 21 chunks of 128 tokens of IMDB's first 14 test reviews, joined by blank lines::

    llama-perplexity -m Q4_1.gguf -f text.txt -c 128 -b 128 --chunks 21 --kl-divergence-base base.kld
    llama-perplexity -m Q2_K.gguf -f text.txt -c 128 -b 128 --chunks 21 --kl-divergence-base candidate.kld
    llama-perplexity -m Q2_K.gguf -c 128 -b 128 --kl-divergence-base base.kld --kl-divergence > candidate.log

The last one had one line more, which writes the float32 logits that it measures to ``logits.bin``. Then::

    python experiments/tokens_beside/llama_cpp.py FOLDER

reads these four files, and writes ``llama_cpp.csv`` beside this script: a row a statistic as it is printed, by
llama.cpp, by anchorlab from the exact logits, and by anchorlab from the two base files.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from anchorlab import compare_as_llama_cpp
from anchorlab.tokens.kld import BaseFile, open_base
from anchorlab.tokens.llama_block import LINES, Line, read_block
from anchorlab.tokens.llama_cpp import Block, Entry, block_of, joined, log_probabilities, score


def from_logits(base: BaseFile, logits: Path) -> Block:
    """The statistics from a base file and the candidate's float32 logits ``[chunks, scored, vocabulary]``."""
    shape = (len(base.tokens), base.scored, base.vocabulary)
    exact = np.memmap(logits, np.float32, mode="r", shape=shape)
    true = base.tokens[:, base.context // 2 + 1 :].astype(np.int64)
    rows = [(chunk, row) for chunk in range(shape[0]) for row in range(shape[1])]
    return block_of(
        joined(
            [
                score(
                    base.rows(chunk, row, row + 1),
                    log_probabilities(exact[chunk, row : row + 1]),
                    true[chunk, row : row + 1],
                )
                for chunk, row in rows
            ]
        ),
        len(base.tokens),
    )


def printed(line: Line, entry: Entry) -> str:
    """The value as the block has it, without its heading."""
    return line.text(entry).removeprefix(line.heading).strip()


def main() -> None:
    """Reads the folder that the command line names."""
    folder = Path(sys.argv[1])
    theirs = read_block(folder / "candidate.log")
    exact = from_logits(open_base(folder / "base.kld"), folder / "logits.bin")
    stored = compare_as_llama_cpp(folder / "base.kld", folder / "candidate.kld").statistics
    with Path(__file__).with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["statistic", "llama_cpp", "from_its_logits", "from_its_two_base_files"])
        for name, line in LINES.items():
            table.writerow([name, *(printed(line, block[name]) for block in (theirs, exact, stored))])


if __name__ == "__main__":
    main()
