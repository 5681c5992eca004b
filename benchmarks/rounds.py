"""Loops that take turns, and their speeds as ratios within each round, because the speed of a machine drifts.

Their order is another one in each round, so that no loop always follows the same one.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

import pandas as pd
import torch


class Apart:
    """Loops in a process of their own, because what one sets for its whole process must not help the others.

    Args:
        build: a function of a module; it makes the loops inside that process.
        arguments: what it is called with.
    """

    def __init__(self, build: Callable[..., Mapping[str, Callable[[], None]]], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, build, arguments))
        self._process.start()
        end.close()
        self.names: list[str] = self._answer()

    def loops(self) -> dict[str, Callable[[], None]]:
        """Each loop by name; a call returns when the loop has ended over there."""
        return {name: lambda name=name: self._run(name) for name in self.names}  # type: ignore[misc]

    def close(self) -> None:
        """Ends the process."""
        self._pipe.send(None)
        self._process.join()

    def _run(self, name: str) -> None:
        self._pipe.send(name)
        self._answer()

    def _answer(self) -> list[str]:
        try:
            answer: list[str] = self._pipe.recv()
        except EOFError:
            raise SystemExit("the process of these loops ended early; its message stands above") from None
        return answer


def _serve(pipe: Connection, build: Callable[..., Mapping[str, Callable[[], None]]], arguments: tuple[object]) -> None:
    loops = build(*arguments)
    pipe.send(list(loops))
    while (name := pipe.recv()) is not None:
        loops[name]()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        pipe.send([name])


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
