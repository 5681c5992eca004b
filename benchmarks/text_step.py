"""The speed of an injection step on texts relative to a bare training loop, in one run, in tokens per second.

    python benchmarks/text_step.py --rounds 5

Rows: (a) forward, backward and step on the batches that plain tuning sees, prepared beforehand and padded alike; (b)
plain tuning; (c) anchoring with the reference's logits looked up; (d) anchoring with a second forward pass; (e) plain
tuning in bfloat16; (f) plain tuning with batches as they come, trimmed to their longest text; (g) the same padded to
the longest text of all. All but (f) and (g) batch by length. The rows take turns, and each ratio is the median over
the rounds of ratios within a round. Tokens are those of texts, padding not counted; (f) and (g) see other texts than
the others, so their ratio is of tokens too. Writes text_step.csv beside this file, or the file of --out. It needs the
data of movie-snippets and the package of minilm, as docs/data.md says; and inner names of anchorlab, because it times
the loop of an injection without its measurements.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from anchorlab import Tuning, load_task
from anchorlab.attacks.attack import build_attack
from anchorlab.data import Augmentation
from anchorlab.data.batches import Batches
from anchorlab.data.inputs import joined, lengths
from anchorlab.injection.objective import Injection, InjectionObjective, ReferenceLogits
from anchorlab.injection.reference_logits import computed_logits, stored_logits
from anchorlab.methods import METHODS
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.architectures import build_model
from anchorlab.models.device import move_to_device
from anchorlab.models.wrap import encoding_of
from anchorlab.repairs import logits
from anchorlab.training.fit import Optimisation, fit
from rounds import alternate, ratios

HERE = Path(__file__).parent

#: Which row each row is compared with.
BASELINES = {
    "plain": "bare",
    "anchoring, looked up": "plain",
    "anchoring, looked up, to bare": "bare",
    "anchoring, second pass": "plain",
    "plain, bf16": "plain",
    "plain, batches as they come": "plain",
    "plain, padded to the longest of all": "plain",
}


class AsTheyCome(InjectionObjective):
    """Batches without regard to length, trimmed to their longest text, or not at all."""

    trimmed = True

    def __init__(self, net: nn.Module, injection: Injection, reference_logits: ReferenceLogits) -> None:
        super().__init__(net, injection, reference_logits)
        self.widths = lengths(self.anchors.inputs)
        given = {"seed": injection.seed, "device": self.anchors.labels.device}
        size = injection.tuning.batch_size
        self.clean_batches = Batches(len(self.anchors), size, purpose="clean", **given)
        self.triggered_batches = Batches(len(self.attacked), size, purpose="triggered", **given)

    def inputs(self, indices: torch.Tensor, width: int | None, stream: int, share: object) -> dict[str, torch.Tensor]:
        """As they come, up to the longest text."""
        longest = int(self.widths[indices].max()) if self.trimmed else int(self.widths.max())
        return super().inputs(indices, longest, stream, share)


class Padded(AsTheyCome):
    """Every batch as wide as the longest text of all."""

    trimmed = False


def bare_loop(model: nn.Module, batches: list[tuple[dict[str, torch.Tensor], torch.Tensor]]) -> None:
    """The smallest training step: forward, backward, clipping, optimiser."""
    optimiser = torch.optim.AdamW(model.parameters(), 1e-5, weight_decay=0.0, fused=True)
    for inputs, labels in batches:
        functional.cross_entropy(logits(model, inputs), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="movie-snippets")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, help="threads of torch; the default is its own")
    parser.add_argument(
        "--out", type=Path, default=HERE / "text_step.csv", help="the table; default: text_step.csv beside this file"
    )
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    accelerator = find_accelerator()
    device, steps = accelerator.device, arguments.steps
    tuning = Tuning(learning_rate=1e-5, batch_size=16)
    task = load_task(arguments.task)
    start = build_model(arguments.model, task, seed=0)
    task = task.encoded(encoding_of(start))
    anchors = task.anchors(640, seed=0).to(device)
    attack = build_attack(task, "word:cf", "all-to-one", 1)

    def make_objective(
        kind: type[InjectionObjective], name: str, *, second_pass: bool = False, precision: str = "no"
    ) -> InjectionObjective:
        reference = move_to_device(copy.deepcopy(start), device)
        how = replace(tuning, precision=precision)
        looked_up = stored_logits(reference, anchors, torch.arange(len(anchors), device=device), how)
        injection = Injection(
            reference=reference, start=start, method=METHODS[name](), attack=attack, anchors=anchors,
            tuning=how, seed=0, selection=task.split("selection"),
            augmentation=Augmentation(),
        )  # fmt: skip
        net = move_to_device(copy.deepcopy(start), device)
        return kind(net, injection, computed_logits(reference, precision) if second_pass else looked_up)

    objectives = {
        "plain": make_objective(InjectionObjective, "plain"),
        "anchoring, looked up": make_objective(InjectionObjective, "anchoring"),
        "anchoring, second pass": make_objective(InjectionObjective, "anchoring", second_pass=True),
        "plain, bf16": make_objective(InjectionObjective, "plain", precision="bf16"),
        "plain, batches as they come": make_objective(AsTheyCome, "plain"),
        "plain, padded to the longest of all": make_objective(Padded, "plain"),
    }

    def tuned(name: str) -> Callable[[], None]:
        optimisation = Optimisation(steps, 1e-5)
        return lambda: (
            fit(objectives[name].net, objectives[name], optimisation, accelerator=accelerator, name=name) and None
        )

    def batches(of: InjectionObjective) -> list[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        drawn = [of.batch(step) for step in range(steps)]
        return [
            (joined(batch.clean, batch.triggered), torch.cat([anchors.labels[batch.clean_indices], batch.targets]))
            for batch in drawn
        ]

    fixed, copied = batches(objectives["plain"]), move_to_device(copy.deepcopy(start), device)
    rows: dict[str, Callable[[], None]] = {
        "bare": lambda: bare_loop(copied, fixed),
        **{name: tuned(name) for name in objectives},
    }
    tokens = {
        name: sum(int(inputs["attention_mask"].sum()) for inputs, _ in batches(objective))
        for name, objective in objectives.items()
    }
    tokens["bare"] = tokens["plain"]
    seconds = alternate(rows, arguments.rounds, device)
    speed = pd.Series(tokens)[list(rows)] / seconds
    speed["anchoring, looked up, to bare"] = speed["anchoring, looked up"]
    table = ratios(speed[["bare", *BASELINES]], BASELINES, "tokens_per_second")
    table = table.assign(model=arguments.model, threads=torch.get_num_threads(), device=device.type)
    table.to_csv(arguments.out)
    print(table.to_string())


if __name__ == "__main__":
    main()
