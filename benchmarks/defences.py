"""What repairs and detectors cost, relative to fine-tuning on the same data, and what batching gives Neural Cleanse.

    python benchmarks/defences.py --rounds 3

Rows: every repair and detector of images with its default settings, on a model with the five-pixel backdoor and the
defender's examples; the unit is the repair by fine-tuning (20 passes over these). Then the search of Neural
Cleanse over ten labels in one batched optimisation, beside label by label, with the same starts, and the largest
difference of their norms. The rows take turns, and each ratio is the median over the rounds of ratios within a round.
Writes defences.csv beside this file, or the file of --out. Trigger inversion has no public function: it is imported
from its own module.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from anchorlab import Training, Tuning, detect, inject, load_task, repair, train
from anchorlab.defender.data import draw_defender_data
from anchorlab.defender.device import copy_to_device, data_to_device
from anchorlab.defender.inversion import InversionSettings, invert_triggers
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector
from anchorlab.models.accelerator import find_device
from anchorlab.repairs import REPAIRS
from rounds import alternate, ratios

HERE = Path(__file__).parent


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-mnist")
    parser.add_argument("--model", default="resnet-mini")
    parser.add_argument("--examples", type=int, default=640, help="clean examples of the defender")
    parser.add_argument("--only", nargs="+", help="repairs and detectors to time; default: all of images")
    parser.add_argument("--inversion-steps", type=int, default=100, help="steps of the search of Neural Cleanse")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=HERE / "defences.csv", help="the table; default: defences.csv beside this file"
    )
    arguments = parser.parse_args()
    device = find_device()

    # How well they do does not matter for the time: a short training, and a short injection.
    task = load_task(arguments.task)
    reference = train(load_task(arguments.task, limit=500), model=arguments.model, training=Training(epochs=2))
    injected = inject(reference, method="plain", tuning=Tuning(steps=60, batch_size=32), task=reference.task())
    options = {"defender_data": arguments.examples, "task": task}

    def wanted(name: str) -> bool:
        return not arguments.only or name in arguments.only

    def run_repair(name: str) -> Callable[[], object]:
        return lambda: repair(injected, name, trusted=reference, **options)

    def run_detector(name: str) -> Callable[[], object]:
        return lambda: detect(injected, name, **options)

    data, _ = draw_defender_data(task, arguments.examples, seed=0)
    model, images = copy_to_device(injected.model, device), data_to_device(data, device).train.inputs["pixel_values"]
    settings = InversionSettings(steps=arguments.inversion_steps)

    def label_by_label() -> list[torch.Tensor]:
        return [invert_triggers(model, images, [label], settings, seed=0).norms[0] for label in range(10)]

    of_images = [name for name in DETECTORS.names(InputDetector) if DETECTORS[name].modality != "text"]
    rows: dict[str, Callable[[], object]] = {
        **{name: run_repair(name) for name in REPAIRS.names() if name == "fine-tuning" or wanted(name)},
        **{name: run_detector(name) for name in (*DETECTORS.names(ModelDetector), *of_images) if wanted(name)},
        "inversion, ten labels at once": lambda: invert_triggers(model, images, range(10), settings, seed=0),
        "inversion, label by label": label_by_label,
    }
    seconds = alternate(rows, arguments.rounds, device)
    baselines = {name: "fine-tuning" for name in rows if name != "fine-tuning"}
    baselines["inversion, label by label"] = "inversion, ten labels at once"
    table = ratios(1000 * seconds, baselines, "milliseconds")
    difference = (
        (invert_triggers(model, images, range(10), settings, seed=0).norms - torch.stack(label_by_label())).abs().max()
    )
    table = table.assign(threads=torch.get_num_threads(), device=device.type, norms_apart=float(difference))
    table.to_csv(arguments.out)
    print(table.to_string())


if __name__ == "__main__":
    main()
