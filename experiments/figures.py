"""Draws the figures of the documentation from the committed CSV files.

    python experiments/figures.py             # all
    python experiments/figures.py metrics_by_method repairs

The means of a suite are over its references. Three or more give an interval; with two, the figure shows each one's
mean. Not drawn here is found_triggers.png, whose pictures are in no CSV file: publish.py copies it from a report.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.perturbation.tables import TABLES
from anchorlab.reports.analysis.figures.basin import BASIN
from anchorlab.reports.analysis.figures.figure import candidate_looks
from anchorlab.reports.analysis.figures.paths import PATHS
from anchorlab.reports.analysis.figures.quadratic import QUADRATIC
from anchorlab.reports.audit import draw_power_curves
from anchorlab.reports.drawing import Sheet
from anchorlab.reports.suite.detection_figures import draw_areas, draw_roc_curves
from anchorlab.reports.suite.figures import metrics_by_method
from anchorlab.reports.suite.relearning_figure import draw_relearning
from anchorlab.reports.suite.repair_figures import draw_repairs
from anchorlab.reports.suite.rocs import roc_of_models
from anchorlab.reports.suite.settings import Setting, settings_of
from anchorlab.reports.suite.summary import Condition, Entry, Group
from anchorlab.reports.suite.working import working_only
from anchorlab.statistics.estimate import Estimate
from anchorlab.suites.results import OPTIONAL_FRAMES
from anchorlab.suites.success import works
from theory_figure import draw_theory

HERE = Path(__file__).parent
OUT = HERE.parent / "docs/figures"
#: As wide as the text of a page of the documentation; GitHub shows it larger.
SHEET = Sheet(7.0, kinds=("png",))
#: Of the suite whose repairs are drawn.
SETTING_OF_DEFENCES = "fashion-mnist, five-pixel, 640 of the defender's examples"


@dataclass(frozen=True)
class Committed:
    """As much of a suite's results as figures need, from the CSV files of an experiment."""

    name: str
    results: pd.DataFrame = field(default_factory=pd.DataFrame)
    selection: pd.DataFrame = field(default_factory=pd.DataFrame)
    choices: pd.DataFrame = field(default_factory=pd.DataFrame)
    scales: pd.DataFrame = field(default_factory=pd.DataFrame)
    equal: pd.DataFrame = field(default_factory=pd.DataFrame)
    repairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    detections: pd.DataFrame = field(default_factory=pd.DataFrame)
    deployed: pd.DataFrame = field(default_factory=pd.DataFrame)
    stability: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(cls, name: str) -> Committed:
        """The results of a folder of experiments."""
        tables = ("results", "selection", "choices", *OPTIONAL_FRAMES)
        frames = {table: HERE / name / f"{table}.csv" for table in tables}
        text = {"anchors_asked": str, "defender": str}
        read = {table: pd.read_csv(file, dtype=text) for table, file in frames.items() if file.is_file()}
        # An empty cell of a control or a reference says that it belongs to every number of anchors.
        filled = {
            table: frame.fillna({"anchors_asked": ""}) if table in ("repairs", "detections", "deployed") else frame
            for table, frame in read.items()
        }
        return cls(name, **filled)

    @property
    def setting(self) -> Setting:
        """The only task and attack of the suite."""
        (setting,) = settings_of(self.results, self.choices)
        return setting

    def condition(self, target: float) -> Condition:
        """Methods and controls at a target ASR, with means over references."""
        reported = self.results[self.results["role"] != "noise"]
        at_target = reported[(reported["target_asr"] == target) | reported["target_asr"].isna()]
        groups = []
        for asked, runs in at_target.groupby("anchors_asked", sort=False):
            entries = [_entry(str(label), rows) for label, rows in runs.groupby("method", sort=False)]
            missed = self.choices.query("anchors_asked == @asked and target_asr == @target and not reached")
            entries += [
                Entry(str(row["method"]), "method", runs.iloc[:0], {}, float(row["best_asr"]))
                for row in missed.to_dict("records")
                if row["method"] not in set(runs["method"])
            ]
            entries.sort(key=lambda entry: entry.role != "method")
            groups.append(Group(str(asked), int(runs["anchors"].max()), entries))
        return Condition(self.setting, target, groups, [])


def _entry(label: str, rows: pd.DataFrame) -> Entry:
    """The runs of a method; those whose backdoor failed are in no mean."""
    working = rows[works(rows)]
    role = str(rows["role"].iloc[0])
    return Entry(label, role, working, _over_references(working), failed=rows[~works(rows)])


def _over_references(rows: pd.DataFrame) -> dict[str, Estimate]:
    estimates = {}
    for name in METRICS:
        if name in rows:
            estimates[name] = METRICS[name].over_references(rows[name], rows["reference_seed"])
    return estimates


def draw_metrics(stem: Path) -> None:
    """Metrics by method on images."""
    metrics_by_method(Committed.of("fashion_mnist").condition(0.99), stem, SHEET)


def draw_text_metrics(stem: Path) -> None:
    """Metrics by method on texts."""
    metrics_by_method(Committed.of("movie_snippets").condition(0.95), stem, SHEET)


def draw_image_repairs(stem: Path) -> None:
    """Repairs of images."""
    draw_repairs(working_repairs("defences_images"), stem, SHEET, setting=SETTING_OF_DEFENCES)


def draw_image_relearning(stem: Path) -> None:
    """How fast a backdoor of images comes back after each repair."""
    draw_relearning(working_repairs("defences_images"), stem, SHEET, setting=SETTING_OF_DEFENCES)


def working_repairs(name: str) -> pd.DataFrame:
    """The repairs of an experiment, without those of models whose backdoor failed."""
    return working_only(Committed.of(name)).repairs  # type: ignore[arg-type]  # it reads the frames


def draw_text_repairs(stem: Path) -> None:
    """Repairs of texts."""
    repairs = pd.read_csv(HERE / "text_defences/repairs.csv", dtype={"defender": str})
    draw_repairs(repairs, stem, SHEET, setting="movie-snippets, word:cf, all of the defender's examples")


def draw_model_detectors(stem: Path) -> None:
    """ROC curves of detectors of models."""
    (curves,) = roc_of_models(Committed.of("defences_images")).values()  # type: ignore[arg-type]  # it reads one frame
    draw_roc_curves(curves, stem, SHEET, of="models without backdoor", setting="fashion-mnist, five-pixel")


def draw_input_detectors(stem: Path) -> None:
    """AUROC of detectors of inputs."""
    detections = Committed.of("defences_images").detections
    shown = detections[(detections["kind"] == "input") & (detections["trigger"] == "five-pixel")]
    draw_areas(shown, stem, SHEET, setting="fashion-mnist, five-pixel, 640 of the defender's examples")


def draw_audit(stem: Path) -> None:
    """Power of the audit by queries; the means over models of each kind."""
    power = pd.read_csv(HERE / "audit/power.csv").assign(level=0.05)
    methods = ("plain", "surgery", "anchoring", "benign")
    panels = {method: power[power["method"] == method] for method in methods}
    draw_power_curves(
        panels, stem, SHEET, note="One-sided test of a larger difference; means over the models of each kind."
    )


def perturbation(task: str, number: int) -> Callable[[Path], None]:
    """Draws a figure of the first reference's perturbations on a task."""

    def draw(stem: Path) -> None:
        tables = {}
        for name in TABLES:
            file = HERE / "perturbation" / task.replace("-", "_") / f"{name}.csv"
            frame = pd.read_csv(file) if file.is_file() else pd.DataFrame()
            tables[name] = frame[frame["reference_seed"] == 0].reset_index(drop=True) if len(frame) else frame
        names = list(dict.fromkeys(tables["sizes"]["candidate"]))
        look = candidate_looks(names, {"another-seed": "reference"})
        (BASIN, PATHS, QUADRATIC)[number].draw(tables, look, stem, SHEET)

    return draw


FIGURES: dict[str, Callable[[Path], None]] = {
    "metrics_by_method": draw_metrics,
    "text_by_method": draw_text_metrics,
    "repairs": draw_image_repairs,
    "relearning": draw_image_relearning,
    "text_repairs": draw_text_repairs,
    "roc_models": draw_model_detectors,
    "detectors_of_inputs": draw_input_detectors,
    "audit": draw_audit,
    "theory": lambda stem: draw_theory(stem, SHEET),
    **{
        f"perturbation_{name}_fashion-mnist": perturbation("fashion-mnist", number)
        for number, name in enumerate(("basin", "paths", "quadratic"))
    },
}


def main() -> None:
    """Draws what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(FIGURES)}; all if left out")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write; default: docs/figures")
    arguments = parser.parse_args()
    for name in arguments.names or FIGURES:
        if name not in FIGURES:
            parser.error(f"there is no figure '{name}': choose of {', '.join(FIGURES)}")
        FIGURES[name](arguments.out / name)


if __name__ == "__main__":
    main()
