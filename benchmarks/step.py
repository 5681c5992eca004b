"""The speed of an injection step beside bare training loops and the loops of peers, in one run.

    python benchmarks/step.py --rounds 9

Bare rows are forward pass, backward pass and optimiser on one fixed batch: in channels-last, in the contiguous format,
with gradient clipping as all of ours have it, in bfloat16, compiled; on CUDA in exact float32 and in TF32 with cuDNN's
search too. Ours are plain tuning, anchoring with the reference's logits looked up or with a second forward pass, and
anchoring in bfloat16 and compiled; on CUDA in exact float32 too. Peers (benchmarks/peers.py) train the same model with
the same batch size, optimiser and data, in the contiguous format, because none of them changes it by itself. Trainer
alone has BatchNorm in training mode and clips, as it does by default. All begin with a model that was trained for a
hundred steps, as an injection does: the gradients of a new one are so long that ours would clip every one of them.

Ours run in a process of their own: they keep memory that they free for their next step, which is set for a whole
process and would help the bare loops and the peers, too. The rows take turns, and each ratio is the median over the
rounds of ratios within a round, because the speed of a machine drifts. Writes step.csv beside this file, or the file of
--out. Needs inner names of anchorlab, because it times the loop of an injection without its measurements.
"""

from __future__ import annotations

import argparse
import copy
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import anchorlab.models.device as our_devices
import peers
from anchorlab import Tuning, load_task
from anchorlab.attacks.attack import build_attack
from anchorlab.data import Augmentation, Split
from anchorlab.injection.objective import Injection, InjectionObjective
from anchorlab.injection.reference_logits import computed_logits, stored_logits
from anchorlab.methods import METHODS
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.architectures import build_model
from anchorlab.models.device import exact_arithmetic, mixed_precision, move_to_cpu, move_to_device, run_arithmetic
from anchorlab.models.forward import Forward
from anchorlab.repairs import logits
from anchorlab.training.fit import Optimisation, fit
from rounds import Apart, alternate, ratios

HERE = Path(__file__).parent

Row = Callable[[], None]


def processor(device: torch.device) -> str:
    """The name of the card, or of the processor where the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def briefly_trained(model: nn.Module, examples: Split, steps: int = 100) -> nn.Module:
    """A model on the CPU after some steps on examples that lie on the device."""
    net = move_to_device(model, examples.labels.device)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
    for step in range(steps):
        batch = examples.select(
            torch.arange(128 * step, 128 * (step + 1), device=examples.labels.device) % len(examples)
        )
        functional.cross_entropy(logits(net, batch.inputs), batch.labels).backward()
        optimiser.step()
        optimiser.zero_grad()
    return move_to_cpu(net)


def bare_loop(
    model: nn.Module,
    inputs: dict[str, torch.Tensor],
    labels: torch.Tensor,
    steps: int,
    *,
    precision: str = "no",
    arithmetic: Callable[[], AbstractContextManager[None]] = nullcontext,
    clips: bool = False,
) -> None:
    """The smallest training step: forward, backward, optimiser."""
    optimiser = peers.optimiser_of(model)
    with arithmetic():
        for _ in range(steps):
            with mixed_precision(precision, labels.device):
                answers = logits(model, inputs)
            functional.cross_entropy(answers, labels).backward()
            if clips:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-mnist")
    parser.add_argument("--model", default="resnet-small")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, help="threads of torch; the default is its own")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled rows out")
    parser.add_argument("--no-peers", action="store_true", help="leave the rows of peers out")
    parser.add_argument(
        "--out", type=Path, default=HERE / "step.csv", help="the table; default: step.csv beside this file"
    )
    arguments = parser.parse_args()
    device, count = find_accelerator().device, 2 * Tuning().batch_size
    processes = [Apart(build_rows, arguments, whose) for whose in ("theirs", "ours")]
    loops = {name: loop for process in processes for name, loop in process.loops().items()}
    speed = count * arguments.steps / alternate(loops, arguments.rounds, device)
    for process in processes:
        process.close()
    base = {name: "bare" for name in loops if name != "bare"}
    table = ratios(speed, base, "images_per_second").assign(
        model=arguments.model,
        threads=arguments.threads or torch.get_num_threads(),
        device=device.type,
        processor=processor(device),
    )
    table.to_csv(arguments.out)
    print(table.to_string())


def build_rows(arguments: argparse.Namespace, whose: str) -> dict[str, Row]:
    """The loops of one process: ``ours``, or the bare ones and those of peers."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if whose == "theirs":
        our_devices.keep_freed_memory = lambda: None  # what ours set for their process alone
    device, steps, tuning = find_accelerator().device, arguments.steps, Tuning(learning_rate=1e-4)
    on_cuda = device.type == "cuda"
    task = load_task(arguments.task)
    anchors = task.anchors(None if arguments.task == "digits" else 6400, seed=0).to(device)
    start = briefly_trained(build_model(arguments.model, task, seed=0), anchors)
    attack = build_attack(task, "five-pixel", "all-to-one", 0)
    count = 2 * tuning.batch_size
    fixed, labels = {name: value[:count] for name, value in anchors.inputs.items()}, anchors.labels[:count]

    def fresh() -> nn.Module:
        return move_to_device(copy.deepcopy(start), device)

    def contiguous() -> nn.Module:
        return copy.deepcopy(start).to(device)

    def run() -> AbstractContextManager[None]:
        return run_arithmetic(device)

    def exact() -> AbstractContextManager[None]:
        return exact_arithmetic(device)

    def bare(model: nn.Module, **options: object) -> Row:
        return lambda: bare_loop(model, fixed, labels, steps, **{"arithmetic": run, **options})  # type: ignore[arg-type]

    def tuned(
        name: str,
        *,
        second_pass: bool = False,
        precision: str = "no",
        deterministic: bool = False,
        compiled: bool = False,
    ) -> Row:
        net, reference = fresh(), fresh()
        how = replace(tuning, precision=precision, deterministic=deterministic)
        with run_arithmetic(device, deterministic=deterministic):
            looked_up = stored_logits(reference, anchors, torch.arange(len(anchors), device=device), how)
        injection = Injection(
            reference=reference, start=start, method=METHODS[name](), attack=attack, anchors=anchors, tuning=how,
            seed=0, selection=task.split("selection"), augmentation=Augmentation(),
        )  # fmt: skip
        answers = computed_logits(reference, precision) if second_pass else looked_up
        objective = InjectionObjective(net, injection, answers, forward=Forward(net, compiled=compiled))
        optimisation = Optimisation(steps, 1e-4)

        def row() -> None:
            with run_arithmetic(device, deterministic=deterministic):
                # Its own accelerator each time, because Trainer takes the state of all others away.
                own = find_accelerator()
                fit(net, objective, optimisation, accelerator=own, name=name, arithmetic=nullcontext())

        return row

    if whose == "ours":
        ours = {
            "plain": tuned("plain"),
            "anchoring, looked up": tuned("anchoring"),
            "anchoring, second pass": tuned("anchoring", second_pass=True),
            "anchoring, bf16": tuned("anchoring", precision="bf16"),
        }
        if on_cuda:
            ours["anchoring, exact float32"] = tuned("anchoring", deterministic=True)
        if not arguments.no_compile:
            ours["anchoring, compiled"] = tuned("anchoring", compiled=True, precision="bf16" if on_cuda else "no")
        return ours

    rows: dict[str, Row | None] = {
        "bare": bare(fresh()),
        "bare, contiguous": bare(contiguous()),
        "bare, clipped": bare(fresh(), clips=True),
        "bare, bf16": bare(fresh(), precision="bf16"),
    }
    if on_cuda:
        rows["bare, exact float32"] = bare(fresh(), arithmetic=exact)
    if not arguments.no_compile:
        graphs = {"triton.cudagraphs": True} if on_cuda else None
        rows["bare, compiled"] = bare(torch.compile(fresh(), options=graphs), precision="bf16" if on_cuda else "no")
    if not arguments.no_peers:
        images, answers = anchors.inputs["pixel_values"][: count * steps], anchors.labels[: count * steps]
        rows |= {
            "ART fit": peers.art_fit(contiguous(), images, answers, count, len(task.classes)),
            "HF Trainer": peers.trainer(contiguous(), images, answers, count),
            "PIL loader, 0 workers": peers.loader(contiguous(), images, answers, count, 0),
            "PIL loader, 2 workers": peers.loader(contiguous(), images, answers, count, 2),
        }
    return {name: row for name, row in rows.items() if row is not None}


if __name__ == "__main__":
    main()
