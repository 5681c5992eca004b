"""A made-up suite of the shape that real ones have; its per-instance tables come from random logits."""

import dataclasses
import hashlib
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from anchorlab.consistency.instances import instances
from anchorlab.consistency.summary import summarise
from anchorlab.metrics import InstanceTable
from anchorlab.suites.examples import Examples
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.spec import Suite

CLASSES = [f"class {label}" for label in range(9)] + ["<b>ten</b> & co"]
N, C = 150, 10

#: How far a method moves the logits, and how often its trigger works.
METHODS = {
    "plain": (1.5, 0.999),
    "l2": (1.2, 0.995),
    "ewc": (1.0, 0.98),
    "surgery": (0.8, 0.97),
    "anchoring": (0.15, 0.99),
    "weight-ball": (1.1, 0.5),
}
CONTROLS = {"plain (stopped)": (1.3, 0.96), "benign": (0.7, 0.01)}
NOISE = {"same model, other batch size": 1e-7, "same model, bf16": 0.01}


def make_instances(shift, asr, seed, reference_seed):
    """The per-instance table of a run."""
    labels = np.random.default_rng(0).integers(0, C, N)
    before = np.random.default_rng([1, reference_seed]).normal(0, 2, (N, C)) + 4 * np.eye(C)[labels]
    rng = np.random.default_rng([2, reference_seed, seed + 1, int(1e9 * shift)])
    after = before + rng.normal(0, shift, (N, C)) * np.exp(rng.normal(0, 1, (N, 1)))
    attacked = labels != 0
    before_hits, hits = (np.where(attacked & (rng.random(N) < rate), 0, labels) for rate in (0.02, asr))
    table = instances(before, after, labels)
    table["wanted"] = np.where(attacked, 0, -1)
    table["triggered_reference"] = np.where(attacked, before_hits, -1)
    table["triggered"] = np.where(attacked, hits, -1)
    return table


def measured(frame):
    """A run's measurements, as ``results.csv`` has them."""
    found = summarise(frame, classes=CLASSES).to_dict()
    return {**found, "by_class": json.dumps(found["by_class"]), "undefined": json.dumps(found["undefined"])}


@dataclasses.dataclass(frozen=True)
class FakeResults:
    """What ``anchorlab.suites.results.SuiteResults`` is, made up."""

    results: pd.DataFrame
    selection: pd.DataFrame
    choices: pd.DataFrame
    failed: pd.DataFrame
    frames: dict
    examples: dict
    pending: int = 0
    name: str = "made-up"
    title: str = "Six ways to inject a benchmark backdoor, made up for tests"
    command: str = "anchorlab suite run made-up --out 'a folder'"
    spec_text: str = "name: made-up\ntitle: <script>alert(1)</script>\n"
    suite: Suite = dataclasses.field(
        default_factory=lambda: parse_suite(
            "name: a\ntitle: a\ntasks: [digits]\nmethods: {plain: , anchoring: [1, 2]}\n"
        )
    )
    machine: str = "Linux x86_64, 2 cores"
    examples_measured: dict = dataclasses.field(default_factory=dict)
    scales: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    equal: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    repairs: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    detections: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    deployed: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    stability: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    versions: dict = dataclasses.field(default_factory=lambda: {"anchorlab": "0.1.0", "torch": "2.13.0"})
    references: list = dataclasses.field(
        default_factory=lambda: [
            {
                "task": "digits",
                "model": "resnet-tiny",
                "seed": seed,
                "accuracy": 0.96,
                "weights_sha256": f"{seed}" * 64,
                "seconds": 9.5,
            }
            for seed in (0, 1)
        ]
    )

    def instance_table(self, identity):
        return InstanceTable(self.frames[identity])

    def scores(self, identity):
        return pd.DataFrame(columns=["triggered", "score"])

    def inverted(self, identity):
        return []

    def pictures(self, task, rows):
        return pictures(len(rows))


def pictures(n, C=1):
    clean = torch.randint(0, 200, (n, C, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    triggered = clean.clone()
    triggered[:, :, -2:, -2:] += 50
    return Examples(clean=clean, triggered=triggered, labels=torch.arange(n) % 10, classes=CLASSES)


def make_suite(
    *, sizes=("64", "all"), targets=(0.95, 0.99), seeds=(0, 1, 2), references=(0, 1), failed=True, **changes
):
    """Runs of every method, control and noise floor; ``weight-ball`` never reaches its target, ``surgery`` not 0.99."""
    frames, rows, tried, chosen = {}, [], [], []
    place = {"task": "digits", "model": "resnet-tiny", "trigger": "five-pixel", "rule": "all-to-one", "target": 0}

    def run(label, role, asked, target, shift, asr, seed, reference, strength=math.nan):
        anchors = {"": 0, "all": 1200}.get(asked) if asked in ("", "all") else int(asked)
        harder = (1200 / anchors) ** 0.2 if anchors else 1
        key = f"{label}-{asked}-{seed}-{reference}"
        identity = hashlib.sha256(key.encode()).hexdigest()
        if identity not in frames:
            frames[identity] = make_instances(shift * harder, asr, seed, reference)
        return {
            **place,
            "method": label,
            "role": role,
            "target_asr": target,
            "anchors": anchors,
            "anchors_asked": asked,
            "strength": strength,
            "scale": 1.0,
            "parameters": json.dumps({"strength": strength} if strength == strength else {}),
            "seed": seed,
            "reference_seed": reference,
            "steps": 100,
            "seconds": 3 + seed + shift,
            "peak_bytes": 9e8 + seed,
            "identity": identity,
            **measured(frames[identity]),
        }

    for asked, reference, seed in itertools.product(sizes, references, seeds):
        for target in targets:
            for label, (shift, asr) in METHODS.items():
                if label != "weight-ball" and (label, target) != ("surgery", 0.99):
                    strength = math.nan if label == "plain" else 2.0
                    rows.append(run(label, "method", asked, target, shift, asr, seed, reference, strength))
            shift, asr = CONTROLS["plain (stopped)"]
            rows.append(run("plain (stopped)", "control", asked, target, shift, asr, seed, reference))
        rows.append(run("benign", "control", asked, math.nan, *CONTROLS["benign"], seed, reference))
    for label, shift in NOISE.items():
        rows += [run(label, "noise", "", math.nan, shift, 0.02, -1, reference) for reference in references]
    for asked, (label, (shift, asr)) in itertools.product(sizes, METHODS.items()):
        strengths = [math.nan] if label == "plain" else [0.5, 2.0, 8.0]
        for strength in strengths:
            softer = 1 if math.isnan(strength) else (2 / strength) ** 0.5
            row = run(label, "method", asked, math.nan, shift * softer, min(asr * softer**0.05, 1), 1000, 0, strength)
            row |= {"kl": row["kl"] * softer**2, "asr": min(asr * softer**0.02, 1.0)}
            tried.append({name: value for name, value in row.items() if name not in ("role", "target_asr")})
        for target in targets:
            reached = label != "weight-ball" and (label, target) != ("surgery", 0.99)
            chosen.append(
                {name: value for name, value in place.items() if name != "model"}
                | {"anchors_asked": asked, "method": label, "target_asr": target}
                | {"strength": None if label == "plain" else 2.0, "scale": 1.0, "parameters": "{}"}
                | {"reached": reached, "at_edge": label == "l2", "tried": len(strengths), "best_asr": asr}
            )
    mistakes = [("ewc at 8, 64 anchors, seed 3", "reported", "the loss is not finite: <lower> the rate", "0" * 64)]
    return FakeResults(
        results=pd.DataFrame(rows),
        selection=pd.DataFrame(tried),
        choices=pd.DataFrame(chosen),
        failed=pd.DataFrame(mistakes if failed else [], columns=["what", "stage", "error", "identity"]),
        frames=frames,
        examples={"digits, five-pixel": pictures(5)},
        **changes,
    )


@pytest.fixture(scope="session")
def suite():
    """Two sizes, two targets, six runs of each method; must not be changed."""
    return make_suite()
