"""Which learning rate does a defender choose, who sees nothing but clean held-back examples?

    python experiments/fine_tuning/rates.py runs/rates

Two references that no table reports, each with a plain five-pixel backdoor, on Fashion-MNIST (resnet-mini, 4 epochs).
Each model is repaired with three rates, 640 clean examples, and judged by its accuracy on the fifth of them that is
held back. A defender takes the largest rate whose mean accuracy lies within one standard error (of all held-back
examples of both references) of the best: as a repair goes on as long, and prunes as deep, as that allows. No attack is
measured here. Fine-tuning stands for all repairs by the shared schedule. Models are kept, so that the same command
continues; it takes half an hour on one core. Writes rates.csv here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from run import EXAMPLES, kept, planted, trained

from anchorlab import load_task, repair
from anchorlab.defender.data import draw_defender_data
from anchorlab.models.call import accuracy
from anchorlab.repairs import ANP, FTSAM, FineTuning

HERE = Path(__file__).parent
REFERENCES = (306, 307)
#: A repair to its class and the rates that are tried.
TRIED: dict[str, tuple[Any, tuple[float, ...]]] = {
    "fine-tuning": (FineTuning, (3e-4, 1e-3, 3e-3)),
    "ft-sam": (FTSAM, (3e-4, 1e-3, 3e-3)),
    "anp": (ANP, (0.02, 0.05, 0.15)),
}


def main() -> None:
    """Makes what is not there yet and writes the table after each reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the models")
    folder = parser.parse_args().folder
    rows: list[dict[str, Any]] = []
    for seed in REFERENCES:
        rows += rows_of(seed, folder / f"reference-{seed}")
        pd.DataFrame(rows).to_csv(HERE / "rates.csv", index=False, float_format="%.6g", lineterminator="\n")


def rows_of(seed: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each repair and rate of one reference's model."""
    task = load_task("fashion-mnist", seed=seed)
    reference = kept(folder / "reference", lambda: trained(task, seed))
    injected = kept(folder / "plain", lambda: planted(reference, task, seed))
    held_back = draw_defender_data(task, EXAMPLES, seed=seed)[0].validation
    rows = []
    for name, (repair_class, rates) in TRIED.items():
        for rate in rates:
            form = repair_class(learning_rate=rate)
            repaired = kept(
                folder / f"{name}-{rate:g}", lambda form=form: repair(injected, form, defender_data=EXAMPLES, seed=seed)
            )
            rows.append(
                {
                    "reference_seed": seed,
                    "repair": name,
                    "learning_rate": rate,
                    "held_back": len(held_back),
                    "accuracy_before": accuracy(injected.model, held_back),
                    "accuracy": accuracy(repaired.model, held_back),
                }
            )
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
