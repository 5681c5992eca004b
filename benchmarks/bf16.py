"""How long a step takes in bf16, in steps of float32: forward and backward pass of MiniLM and of ResNet-20, in one run.

    python benchmarks/bf16.py --rounds 5

On one thread, with random weights: 8 texts of 128 tokens, and 64 images of 32 x 32. Both precisions take turns, and
each ratio is the median over the rounds of ratios within a round. Writes bf16.csv beside this file, or the file of
--out, with whether the processor has instructions for bf16. Rows of the other kind of processor stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from anchorlab.models.bf16 import computes_bf16
from anchorlab.models.device import mixed_precision, run_arithmetic
from anchorlab.models.resnet import SmallImageResNet, SmallImageResNetConfig
from rounds import alternate

HERE = Path(__file__).parent
CPU = torch.device("cpu")
#: MiniLM-L6's sizes.
MINILM = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
RESNET_20 = SmallImageResNetConfig(
    embedding_size=16,
    hidden_sizes=[16, 32, 64],
    depths=[3, 3, 3],
    layer_type="basic",
    shortcut="padding",
    num_labels=10,
    downsample_in_first_stage=False,
)


def step(model: nn.Module, inputs: Tensor, precision: str) -> None:
    """A forward and a backward pass."""
    with run_arithmetic(CPU):
        with mixed_precision(precision, CPU):
            loss = model(inputs).logits.float().logsumexp(1).mean()
        loss.backward()


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "bf16.csv", help="the table; default: beside this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    texts = torch.randint(MINILM.vocab_size, (8, 128), generator=generator)
    images = torch.randint(256, (64, 3, 32, 32), generator=generator, dtype=torch.uint8)
    models: dict[str, tuple[nn.Module, Tensor]] = {
        "minilm": (BertForSequenceClassification(MINILM), texts),
        "resnet-20": (SmallImageResNet(RESNET_20).to(memory_format=torch.channels_last), images),
    }
    loops: dict[str, Callable[[], None]] = {
        f"{name}, {precision}": partial(step, model, inputs, precision)
        for name, (model, inputs) in models.items()
        for precision in ("no", "bf16")
    }
    seconds = alternate(loops, arguments.rounds, CPU)
    table = pd.DataFrame(
        [
            {
                "model": name,
                "bf16_instructions": computes_bf16(CPU),
                "float32_ms_per_example": round(1000 * seconds[f"{name}, no"].median() / len(inputs), 3),
                "times_as_long_in_bf16": round((seconds[f"{name}, bf16"] / seconds[f"{name}, no"]).median(), 2),
            }
            for name, (_, inputs) in models.items()
        ]
    )
    kept = pd.read_csv(arguments.out) if arguments.out.exists() else table[:0]
    kept = kept[kept["bf16_instructions"] != computes_bf16(CPU)]
    table = table if kept.empty else pd.concat([kept, table])
    table.to_csv(arguments.out, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
