"""What the suite of the paper costs: its runs, times its steps, times the measured seconds of a step.

    python experiments/scaling.py                    # the tables, from scaling/pace.csv
    python experiments/scaling.py --measure          # measures this machine's steps first, and adds them to pace.csv

The suites are ``scaling/images.yaml`` and ``scaling/texts.yaml``. ``--measure`` takes the device that torch offers: on
a machine with a card this one command fills the row of the card. It needs neither data nor the hub: networks have
random weights and inputs, of the sizes that the tasks have, because that changes no arithmetic. A step is a bare
one: forward, backward, AdamW; every method is counted as one, with its reference's logits looked up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from anchorlab.data import find_task
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_device
from anchorlab.models.architectures import usual_settings
from anchorlab.models.device import exact_arithmetic, move_to_device, run_arithmetic
from anchorlab.repairs import logits
from anchorlab.settings import build
from anchorlab.suites.reading import load_suite
from anchorlab.suites.spec import Suite
from anchorlab.training.reference import Training

HERE = Path(__file__).parent / "scaling"
PACE = HERE / "pace.csv"

#: Examples of each task's training and test part, as the hub publishes them.
SIZES = {"tiny-imagenet": (100_000, 10_000), "imdb": (25_000, 25_000)}

#: Examples in a measured step, on a CPU and on a card: seconds are a step's over these.
BATCH = {"cpu": {"resnet-34": 32, "bert-base": 4}, "cuda": {"resnet-34": 256, "bert-base": 64}}


@dataclass(frozen=True)
class Work:
    """What a suite has to compute: its runs, and the examples that they push through a network.

    Attributes:
        references: number of references, those that choose included.
        choosing: number of runs that choose strengths, the most where a strength is searched.
        reported: number of reported runs, controls included.
        trained: examples of all training steps of all references.
        tuned: examples of all tuning steps of all runs, triggered ones included.
        measured: examples that are only predicted.
    """

    references: int
    choosing: int
    reported: int
    trained: int
    tuned: int
    measured: int


def work_of(suite: Suite) -> Work:
    """Counts a suite of one task and one trigger."""
    (task,) = suite.tasks
    definition = find_task(task.name)[0]
    train, test = SIZES[task.name]
    fractions = definition.fractions
    owner = round(train * (1 - sum(fractions.by_split.values())))
    training = build(Training, "the training", task.training)
    epochs = training.epochs or usual_settings(task.architecture).epochs or definition.epochs
    tuning = build(Tuning, "the tuning", suite.tuning)
    conditions = len(suite.anchors)
    references = len(suite.references)
    choosing = suite.most_runs_that_choose
    shown = len(suite.methods) * len(suite.target_asr) + suite.controls * (len(suite.target_asr) + 1)
    reported = conditions * shown * references * len(suite.seeds)
    # Clean and triggered answers; runs that choose are measured at each scale.
    measured = 2 * (reported * test + choosing * len(suite.scales) * round(train * fractions.selection))
    return Work(
        references=references + len(suite.selection.references),
        choosing=choosing,
        reported=reported,
        trained=(references + len(suite.selection.references)) * epochs * owner,
        tuned=(choosing + reported) * tuning.steps * 2 * tuning.batch_size,
        measured=measured,
    )


def hours(work: Work, training: float, predicting: float) -> dict[str, float]:
    """Hours of one device by part, from the seconds of an example in a training step and in a prediction."""
    parts = {
        "references": work.trained * training,
        "tuning": work.tuned * training,
        "measuring": work.measured * predicting,
    }
    seconds = {**parts, "all": sum(parts.values())}
    return {name: value / 3600 for name, value in seconds.items()}


def network(model: str) -> tuple[nn.Module, dict[str, torch.Tensor], int]:
    """A network with random weights, two inputs for it, and its number of classes."""
    if model == "resnet-34":
        from anchorlab.models.resnet import SmallImageResNet, SmallImageResNetConfig

        widths, depths = [64, 128, 256, 512], [3, 4, 6, 3]
        config = SmallImageResNetConfig(
            num_channels=3, embedding_size=64, hidden_sizes=widths, depths=depths, layer_type="basic", num_labels=200
        )
        return SmallImageResNet(config), {"pixel_values": torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)}, 200
    from transformers import BertConfig, BertForSequenceClassification

    length = find_task("imdb")[0].max_length
    assert length is not None
    ids = torch.randint(1, 30_000, (2, length))
    return BertForSequenceClassification(BertConfig()), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, 2


def measure(model: str, device: torch.device, steps: int) -> dict[str, object]:
    """Seconds of an example of a model, in a step and in a prediction."""
    net, examples, classes = network(model)
    net = move_to_device(net, device)
    count = BATCH[device.type][model]
    inputs = {name: value.repeat_interleave(count // 2, 0).to(device) for name, value in examples.items()}
    labels = torch.arange(count, device=device) % classes
    optimiser = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)

    def step() -> None:
        with run_arithmetic(device, deterministic=False):
            functional.cross_entropy(logits(net, inputs), labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    def predict() -> None:
        with torch.inference_mode(), exact_arithmetic(device):
            logits(net, inputs)

    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return {
        "model": model,
        "device": name,
        "threads": torch.get_num_threads(),
        "batch": count,
        "steps": steps,
        "training_seconds_per_example": round(timed(step, steps, device) / count, 8),
        "predicting_seconds_per_example": round(timed(predict, steps, device) / count, 8),
    }


def timed(run: Callable[[], None], steps: int, device: torch.device) -> float:
    """Seconds of a run, after one that is not counted."""
    run()
    began = time.perf_counter()
    for _ in range(steps):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def table() -> pd.DataFrame:
    """Hours by suite and device."""
    pace, rows = pd.read_csv(PACE), []
    for file in ("images", "texts"):
        suite = load_suite(HERE / f"{file}.yaml")
        work = work_of(suite)
        for _, measured in pace[pace["model"] == suite.tasks[0].architecture].iterrows():
            spent = hours(work, measured["training_seconds_per_example"], measured["predicting_seconds_per_example"])
            runs = {"references": work.references, "choosing": work.choosing, "reported": work.reported}
            times = {f"hours_{part}": round(value, 2) for part, value in spent.items()}
            rows.append({"suite": file, "device": measured["device"], **runs, **times})
    return pd.DataFrame(rows)


def main() -> None:
    """Measures if asked, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure this machine's steps first")
    parser.add_argument("--steps", type=int, help="steps that are timed; default: 2 on a CPU, 50 on a card")
    arguments = parser.parse_args()
    if arguments.measure:
        device = find_device()
        rows = [
            measure(model, device, arguments.steps or (2 if device.type == "cpu" else 50)) for model in BATCH["cpu"]
        ]
        new = pd.DataFrame(rows)
        kept = pd.read_csv(PACE) if PACE.is_file() else new.iloc[:0]
        kept = kept[~kept["device"].isin(new["device"])]
        pd.concat([kept, new] if len(kept) else [new]).to_csv(PACE, index=False)
    found = table()
    found.to_csv(HERE / "hours.csv", index=False)
    print(found.to_string(index=False))


if __name__ == "__main__":
    main()
