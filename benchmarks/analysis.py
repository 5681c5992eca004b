"""What the parts of an analysis cost, in gradient passes over the same examples, in one run.

    python benchmarks/analysis.py --rounds 5
    python benchmarks/analysis.py --rounds 5 --task movie-snippets --model minilm

Rows, each on the examples that curvature is measured on: one gradient of the mean clean loss in the same batches, which
is the unit; a Hessian-vector product whose graph is built for it, and one whose graph was kept; the second derivative
along a perturbation; a Jacobian-vector product of the logits; the logits at one point of a path. The rows take turns,
and each ratio is the median over the rounds of ratios within a round. Then, on a task of images, one full default
analysis of one candidate on 2,000 examples, in the same run. Writes analysis-TASK.csv beside this file, or the file of
--out. It needs inner names of anchorlab, because it times parts of an analysis that no public function gives alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from anchorlab import Split, Training, Tuning, analyze, inject, load_task, train
from anchorlab.data.inputs import rows
from anchorlab.detectors import logits, predict
from anchorlab.models.accelerator import find_device
from anchorlab.models.call import in_batches
from anchorlab.models.device import move_to_device
from anchorlab.models.wrap import encoding_of
from anchorlab.perturbation.tables.quadratic import linear_shift
from anchorlab.perturbation.tables.rayleigh import second_derivative
from anchorlab.perturbation.tables.spectrum import BATCH, TOKENS, CleanHessian
from anchorlab.perturbation.weights import perturbation_of
from rounds import alternate, ratios

HERE = Path(__file__).parent


def gradient(model: nn.Module, examples: Split) -> None:
    """One pass over the examples in the batches of the Hessian, with the gradients added up."""
    parameters = list(model.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for indices, width in in_batches(examples.inputs, BATCH, TOKENS):
        outputs = logits(model, rows(examples.inputs, indices, width))
        loss = functional.cross_entropy(outputs, examples.labels[indices], reduction="sum") / len(examples)
        parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for sum_, part in zip(total, parts, strict=True):
            sum_ += part


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-mnist")
    parser.add_argument("--model", default="resnet-mini")
    parser.add_argument("--examples", type=int, default=256, help="examples that the rows are timed on")
    parser.add_argument("--analysed", type=int, default=2000, help="examples of the full analysis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="the table; default: analysis-TASK.csv beside this file")
    arguments = parser.parse_args()
    device = find_device()

    # How well they do does not matter for the time: one short epoch, and a short injection.
    task = load_task(arguments.task, limit=200)
    reference = train(task, model=arguments.model, training=Training(epochs=1))
    candidate = inject(reference, method="plain", anchors=64, tuning=Tuning(steps=10, batch_size=16), task=task)
    task = task.encoded(encoding_of(reference.model))
    model = move_to_device(reference.model.requires_grad_(), device)
    perturbation = perturbation_of(reference.model, candidate.model).to(device)
    examples = load_task(arguments.task).encoded(encoding_of(reference.model)).split("test")
    few = examples.select(torch.arange(arguments.examples)).to(device)
    vector = perturbation.vector()
    kept = CleanHessian(model, few)
    kept.product(vector)

    table: dict[str, Callable[[], object]] = {
        "gradient": lambda: gradient(model, few),
        "Hessian-vector product, the first": lambda: CleanHessian(model, few).product(vector),
        "Hessian-vector product, a further one": lambda: kept.product(vector),
        "second derivative along a change": lambda: second_derivative(model, perturbation, few),
        "Jacobian-vector product": lambda: linear_shift(model, perturbation, few),
        "answers": lambda: predict(model, few.inputs),
    }
    seconds = alternate(table, arguments.rounds, device)
    baselines = {name: "gradient" for name in table if name != "gradient"}
    cost = ratios(1000 * seconds, baselines, "milliseconds")
    print(cost.to_string())
    if task.kind == "image":
        started = time.perf_counter()
        full = load_task(arguments.task)
        analyze(reference, [candidate], examples=arguments.analysed, task=full)
        whole = time.perf_counter() - started
        cost.loc[f"full analysis, {arguments.analysed:,} examples", ["milliseconds", "ratio"]] = [
            1000 * whole,
            whole / seconds["gradient"].median(),
        ]
    cost = cost.assign(model=arguments.model, threads=torch.get_num_threads(), device=device.type)
    cost.to_csv(arguments.out or HERE / f"analysis-{arguments.task}.csv")
    print(cost.to_string())


if __name__ == "__main__":
    main()
