"""An analysis whose numbers are made up, for what shows it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from anchorlab.perturbation.analysis import Analysis
from anchorlab.perturbation.tables import TABLES

#: Names that a page must escape, and one that is too long for a legend.
NAMES = ("plain", "<b>&bold|pipe", "another-model-with-a-name-that-is-far-too-long-for-any-legend-to-hold")


def bounded(name: str, values: np.ndarray, half: float = 0.1) -> dict[str, np.ndarray]:
    return {name: values, f"{name}_lower": values * (1 - half), f"{name}_upper": values * (1 + half)}


def made_up(names: tuple[str, ...] = NAMES) -> Analysis:
    """Every table with numbers that are not measured."""
    draw = np.random.default_rng(0)
    count = len(names)
    column = np.array(names, dtype=object)
    layers = ["all parameters", "one.layer", "two.layer", "buffers"]
    scales = np.linspace(-0.5, 1.5, 17)
    sizes = pd.DataFrame(
        [
            {"candidate": name, "layer": layer, "parameters": 20, "l2": 1.5, "linf": 1.0, "relative": draw.random(),
             "rms": 0.1, "changed": 1.0, "effective_rank": None if layer == "buffers" else 3.0}
            for name in names for layer in layers
        ]
    )  # fmt: skip
    behaviour = pd.DataFrame(
        {"candidate": column, "part": "all", **bounded("accuracy", draw.random(count)),
         **bounded("kl", draw.random(count)), **bounded("asr", np.full(count, math.nan)), "asr_count": 0}
    )  # fmt: skip
    quadratic = pd.DataFrame(
        {"candidate": column, **bounded("kl", draw.random(count)), **bounded("kl_quadratic", draw.random(count)),
         **bounded("kl_ratio", draw.random(count)), **bounded("ewc", draw.random(count)), "fisher_norm": 1.0}
    )  # fmt: skip
    paths = pd.concat(
        pd.DataFrame(
            {"candidate": name, "buffers": kind, "scale": scales, **bounded("loss", draw.random(17) + 0.1),
             **bounded("accuracy", draw.random(17)), **bounded("kl", np.abs(scales)),
             **bounded("asr", draw.random(17)), "kl_quadratic": scales**2}
        )
        for name in names for kind in ("stored", "re-estimated")
    )  # fmt: skip
    barriers = pd.DataFrame(
        {
            "candidate": column,
            "buffers": "stored",
            **bounded("loss", draw.random(count)),
            **bounded("error", draw.random(count)),
        }
    )
    pairs = [(a, b) for a in names for b in names if a != b]
    angles = pd.DataFrame([{"candidate": a, "other": b, "cosine": 0.5, "degrees": 60.0} for a, b in pairs])
    spectrum = pd.DataFrame(
        {"quantity": ["eigenvalue 1", "mean eigenvalue"], "value": [12.5, 0.01], "error": [0.1, 0.2], "products": 3}
    )
    rayleigh = pd.DataFrame({"candidate": column, **bounded("rayleigh", draw.random(count) - 0.5)})
    instances = pd.concat(
        pd.DataFrame({"candidate": name, "kl": draw.random(50) * 0.01, "range": draw.random(50) + 0.5})
        for name in names
    )
    grid = [(x, y) for y in range(4) for x in range(4)]
    plane = pd.DataFrame(
        {
            "x": [x for x, _ in grid],
            "y": [y for _, y in grid],
            "loss": [*draw.random(15), math.inf],
            "asr": draw.random(16),
        }
    )
    models = pd.DataFrame({"candidate": ["reference", *names], "x": range(count + 1), "y": 0.5, "distance": 0.0})
    gradients = pd.DataFrame(
        {"candidate": np.repeat(column, 2), "step": [0, 20] * count, "cosine_clean": 0.1, "cosine_anchor": math.nan}
    )
    bounds = pd.DataFrame({"candidate": column, "bound": "KL by range", "formula": "KL <= r^2/8", "measured": 0.1})
    adapter = pd.DataFrame({"candidate": column, "weight": "all products", "l2": 0.5, "share": 1.0})
    tables = {
        "sizes": sizes, "behaviour": behaviour, "quadratic": quadratic, "paths": paths, "barriers": barriers,
        "angles": angles, "spectrum": spectrum, "rayleigh": rayleigh, "bounds": bounds, "instances": instances,
        "plane": plane, "models": models, "gradients": gradients,
        "adapter": adapter,
    }  # fmt: skip
    return Analysis(
        reference="clean <model>",
        candidates=names,
        kinds={name: "plain" if name == "plain" else "" for name in names},
        task="digits",
        split="test",
        count=1234,
        parameters=56789,
        buffers_left_out=("n",),
        settings={"seed": 0},
        tables={name: tables[name].reset_index(drop=True) for name in TABLES},
        findings=("A is <less> than B.",),
        left_out=("Nothing & more.",),
    )
