"""What repairs and detectors cost beside plain fine-tuning on the same data, and what batching gives Neural Cleanse.

    python benchmarks/defences.py --rounds 3

Rows: every repair and detector of images with its usual settings, on a resnet-mini with the five-pixel backdoor and
640 of the defender's examples; the unit is the repair by fine-tuning (20 passes over these). Then the search of Neural
Cleanse over ten labels in one batched optimisation, beside label by label, with the same starts, and the largest
difference of their norms. The rows take turns, and each ratio is the median over the rounds of ratios within a round.
Writes defences.csv beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from anchorlab import Training, Tuning, inject, load_task, train
from anchorlab.defender.data import draw_defender_data
from anchorlab.defender.device import copy_to_device, data_to_device
from anchorlab.defender.inversion import InversionSettings, invert_triggers
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector
from anchorlab.models.accelerator import find_device
from anchorlab.repairs import REPAIRS
from anchorlab.repairs.repair import repair
from anchorlab.scoring.detect import detect
from rounds import alternate, ratios

HERE = Path(__file__).parent


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    device = find_device()

    # How well they do does not matter for the time: a short training, and a short injection.
    task = load_task("fashion-mnist")
    reference = train(load_task("fashion-mnist", limit=500), model="resnet-mini", training=Training(epochs=2))
    injected = inject(reference, method="plain", tuning=Tuning(steps=60, batch_size=32), task=reference.task())
    how = {"defender_data": 640, "task": task}

    def repaired(name: str) -> Callable[[], object]:
        return lambda: repair(injected, name, trusted=reference, **how)

    def judged(name: str) -> Callable[[], object]:
        return lambda: detect(injected, name, **how)

    data, _ = draw_defender_data(task, 640, seed=0)
    model, images = copy_to_device(injected.model, device), data_to_device(data, device).train.inputs["pixel_values"]
    searching = InversionSettings(steps=100)

    def one_by_one() -> list[torch.Tensor]:
        return [invert_triggers(model, images, [label], searching, seed=0).norms[0] for label in range(10)]

    images_too = [name for name in DETECTORS.names(InputDetector) if DETECTORS[name].modality != "text"]
    rows: dict[str, Callable[[], object]] = {
        **{name: repaired(name) for name in REPAIRS.names()},
        **{name: judged(name) for name in (*DETECTORS.names(ModelDetector), *images_too)},
        "inversion, ten labels at once": lambda: invert_triggers(model, images, range(10), searching, seed=0),
        "inversion, label by label": one_by_one,
    }
    seconds = alternate(rows, arguments.rounds, device)
    baselines = {name: "fine-tuning" for name in rows if name != "fine-tuning"}
    baselines["inversion, label by label"] = "inversion, ten labels at once"
    table = ratios(1000 * seconds, baselines, "milliseconds")
    apart = (invert_triggers(model, images, range(10), searching, seed=0).norms - torch.stack(one_by_one())).abs().max()
    table = table.assign(threads=torch.get_num_threads(), device=device.type, norms_apart=float(apart))
    table.to_csv(HERE / "defences.csv")
    print(table.to_string())


if __name__ == "__main__":
    main()
