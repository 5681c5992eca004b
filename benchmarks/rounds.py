"""Loops that take turns, and their speeds as ratios within each round, because the speed of a machine drifts.

Their order is another one in each round, so that no loop always follows the same one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import pandas as pd
import torch


def alternate(
    loops: Mapping[str, Callable[[], None]],
    rounds: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> pd.DataFrame:
    """Seconds of each loop (columns) in each round (rows), after one round that warms up and is not counted.

    With ``time.process_time`` as the clock they are of all processors together, and hardly depend on what else runs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    order, draw = list(loops), random.Random(0)
    for number in range(rounds + 1):
        for name in order:
            began = clock()
            loops[name]()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:
                seconds[name].append(clock() - began)
        draw.shuffle(order)
    return pd.DataFrame(seconds)


def ratios(speed: pd.DataFrame, baselines: Mapping[str, str], unit: str) -> pd.DataFrame:
    """Median speed of each loop, and median, lowest and highest ratio to its baseline within a round."""
    by_loop = {name: speed[name] / speed[base] for name, base in baselines.items()}
    table = pd.DataFrame(
        {
            unit: speed.median().round(1),
            "relative_to": pd.Series(baselines),
            "ratio": pd.Series({name: ratio.median() for name, ratio in by_loop.items()}).round(3),
            "ratio_lowest": pd.Series({name: ratio.min() for name, ratio in by_loop.items()}).round(3),
            "ratio_highest": pd.Series({name: ratio.max() for name, ratio in by_loop.items()}).round(3),
        }
    ).loc[list(speed)]
    table.index.name = "loop"
    return table
