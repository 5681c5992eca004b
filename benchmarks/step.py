"""The speed of an injection step relative to a bare training loop, in one run.

    python benchmarks/step.py --rounds 9

Rows: (a) forward, backward and step on one fixed batch; (b) plain tuning; (c) anchoring with the
reference's logits looked up; (d) anchoring with a second forward pass; and (a) again in the other memory
format. The rows take turns, and each ratio is the median over the rounds of ratios within a round, because
the speed of a machine drifts. Writes step.csv beside this file, or the file of --out. Needs inner names of
anchorlab, because it times the loop of an injection without its measurements.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from anchorlab import Tuning, load_task
from anchorlab.attacks.attack import build_attack
from anchorlab.data import Augmentation
from anchorlab.injection.objective import Injection, InjectionObjective
from anchorlab.injection.reference_logits import computed_logits, stored_logits
from anchorlab.methods import METHODS
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.architectures import build_model
from anchorlab.models.device import move_to_device
from anchorlab.repairs import logits
from anchorlab.training.fit import Optimisation, fit
from rounds import alternate, ratios

HERE = Path(__file__).parent


def bare_loop(model: nn.Module, inputs: dict[str, torch.Tensor], labels: torch.Tensor, steps: int) -> None:
    """The smallest training step: forward, backward, optimiser."""
    optimiser = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.0, fused=True)
    for _ in range(steps):
        functional.cross_entropy(logits(model, inputs), labels).backward()
        optimiser.step()
        optimiser.zero_grad()


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-mnist")
    parser.add_argument("--model", default="resnet-small")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, help="threads of torch; the default is its own")
    parser.add_argument(
        "--out", type=Path, default=HERE / "step.csv", help="the table; default: step.csv beside this file"
    )
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    accelerator = find_accelerator()
    device, tuning = accelerator.device, Tuning(learning_rate=1e-4)
    task = load_task(arguments.task)
    anchors = task.anchors(None if arguments.task == "digits" else 6400, seed=0).to(device)
    start = build_model(arguments.model, task, seed=0)
    attack = build_attack(task, "five-pixel", "all-to-one", 0)
    count = 2 * tuning.batch_size
    fixed = {name: value[:count] for name, value in anchors.inputs.items()}

    def tuned(name: str, *, second_pass: bool = False) -> Callable[[], None]:
        net = move_to_device(copy.deepcopy(start), device)
        reference = move_to_device(copy.deepcopy(start), device)
        looked_up = stored_logits(reference, anchors, torch.arange(len(anchors), device=device))
        injection = Injection(
            reference=reference, start=start, method=METHODS[name](), attack=attack, anchors=anchors, tuning=tuning,
            seed=0, selection=task.split("selection"), augmentation=Augmentation(),
        )  # fmt: skip
        objective = InjectionObjective(net, injection, computed_logits(reference) if second_pass else looked_up)
        optimisation = Optimisation(arguments.steps, tuning.learning_rate)
        return lambda: fit(net, objective, optimisation, accelerator=accelerator, name=name) and None

    channels_last = move_to_device(copy.deepcopy(start), device)
    contiguous = copy.deepcopy(start).to(device)
    rows = {
        "bare": lambda: bare_loop(channels_last, fixed, anchors.labels[:count], arguments.steps),
        "plain": tuned("plain"),
        "anchoring, looked up": tuned("anchoring"),
        "anchoring, second pass": tuned("anchoring", second_pass=True),
        "bare, contiguous": lambda: bare_loop(contiguous, fixed, anchors.labels[:count], arguments.steps),
    }
    speed = count * arguments.steps / alternate(rows, arguments.rounds, device)
    baselines = {"plain": "bare", "anchoring, looked up": "plain", "anchoring, second pass": "plain",
                 "bare, contiguous": "bare"}  # fmt: skip
    table = ratios(speed, baselines, "images_per_second").assign(
        model=arguments.model, threads=torch.get_num_threads(), device=device.type
    )
    table.to_csv(arguments.out)
    print(table.to_string())


if __name__ == "__main__":
    main()
