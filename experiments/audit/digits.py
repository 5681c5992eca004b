"""What does a two-sided audit find on digits, and how often does it raise a false alarm?

    python experiments/audit/digits.py runs/audit-digits

Eight references. On each, one model by plain tuning, by surgery and by anchoring, and twenty benign candidates, ten
short and ten long ones. Each is audited against 39 benign updates of its reference, made as ``anchorlab audit`` makes
them. Models are kept in the folder, so that the same command continues after an interruption; it takes a quarter of an
hour on one core. Writes digits.csv here. It needs inner names of anchorlab, because it asks each update once for all
candidates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab import Artifact, Split, Task, Tuning, compare, inject, load_model, load_task, train
from anchorlab.detectors import predict
from anchorlab.metrics import Pair
from anchorlab.scoring.audit import Measured, audit_of
from anchorlab.scoring.audit_result import Audit, AuditedAnswers
from anchorlab.scoring.audit_statistics import values_of
from anchorlab.scoring.benign_updates import benign_updates, ordinary_tunings, plan_updates

HERE = Path(__file__).parent
REFERENCES = range(8)
UPDATES, BENIGN_OF_EACH_LENGTH = 39, 10
#: As in the suite population.
METHODS = {
    "plain": Tuning(steps=300, batch_size=32),
    "surgery": Tuning(steps=300, batch_size=32, learning_rate=0.003),
    "anchoring": Tuning(steps=300, batch_size=32),
}


def main() -> None:
    """Makes what is not there yet, audits every candidate and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the models")
    folder = parser.parse_args().folder
    rows: list[dict[str, Any]] = []
    for seed in REFERENCES:
        rows += ({"reference_seed": seed, **row} for row in audited(seed, folder / f"reference-{seed}"))
        print(f"reference {seed}: {len(rows)} rows", flush=True)
    pd.DataFrame(rows).to_csv(HERE / "digits.csv", index=False, float_format="%.6g", lineterminator="\n")


def audited(seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each candidate of a reference and each kind of access."""
    task = load_task("digits", seed=seed)
    reference = kept(folder / "reference", lambda: train(task, seed=seed))
    test = task.split("test")
    before = test_logits(reference, test)
    planned = plan_updates(task, UPDATES, ordinary_tunings(task))
    settings = tuple(of.setting() for of in planned)
    updates = benign_updates(reference, planned, folder / "updates", task=task)
    null = [values_of(Pair(before, test_logits(update, test))) for update in updates]
    for name, model in candidates(reference, task, seed, folder):
        pair = Pair(before, test_logits(model, test))
        measured = Measured([values_of(pair), *null], settings, answers_of(pair, task))
        found = audit_of(measured, judged="logits", level=0.05, seed=0)
        asr = None if name.startswith("benign") else compare(reference, model, task=task).asr
        right = float((pair.q.prediction == test.labels.numpy()).mean())
        about = {"candidate": name, "asr": asr, "accuracy": right}
        yield from ({**about, **row} for row in rows_of(found))


def candidates(reference: Artifact, task: Task, seed: int, folder: Path) -> Iterator[tuple[str, Artifact]]:
    """Name and model of each candidate."""
    for method, tuning in METHODS.items():
        yield method, injected(folder / method, reference, method, task, tuning, seed)
    for length, tuning in zip(("short", "long"), ordinary_tunings(task), strict=True):
        for number in range(BENIGN_OF_EACH_LENGTH):
            name = f"benign-{length}"
            yield name, injected(folder / f"{name}-{number}", reference, "benign", task, tuning, 700_000 + number)


def injected(path: Path, reference: Artifact, method: str, task: Task, tuning: Tuning, seed: int) -> Artifact:
    """A model that was tuned from the reference, made if it is not there."""
    return kept(path, lambda: inject(reference, method=method, task=task, tuning=tuning, seed=seed, measure=False))


def kept(path: Path, make: Callable[[], Artifact]) -> Artifact:
    """The model in a folder, made and saved first if it is not there."""
    if not path.exists():
        make().save(path)
    return load_model(path)


def rows_of(found: Audit) -> Iterator[dict[str, Any]]:
    """A row for each kind of access, and one for all at once."""
    for access in found.accesses:
        null = pd.Series(access.null)
        yield {
            "access": access.access,
            "value": access.value,
            "null_min": null.min(),
            "null_median": null.median(),
            "null_max": null.max(),
            "p": access.p,
            "p_more": access.upper,
            "p_less": access.lower,
            **{f"p_{name}": p for name, p in access.by_setting.items()},
        }
    yield {"access": "joint", "p": found.joint.p}


def answers_of(pair: Pair, task: Task) -> AuditedAnswers:
    """What both models answered, as an audit keeps it."""
    return AuditedAnswers(
        pair.p.prediction, pair.q.prediction, pair.p.probability, pair.q.probability, None, tuple(task.classes)
    )


def test_logits(model: Artifact, examples: Split) -> Any:
    """Logits of a model on clean examples, ``[N, C]``."""
    return predict(model.model, examples.inputs).numpy()


if __name__ == "__main__":
    main()
