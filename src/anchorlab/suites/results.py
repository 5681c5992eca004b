"""The results of a suite, finished or not: frames for tables, figures and the report."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.manifest import TaskRecord, check_same_data
from anchorlab.consistency.instances import read_columns
from anchorlab.data import Task
from anchorlab.errors import AnchorlabError, first_line, removal, shortened, unknown
from anchorlab.files import user_path, write_atomically
from anchorlab.metrics import InstanceTable
from anchorlab.models.wrap import encoding_of
from anchorlab.notices import notice
from anchorlab.statistics.comma_separated import frame_csv
from anchorlab.statistics.table import facts_table, to_html
from anchorlab.suites.detection_tables import read_scores, read_triggers
from anchorlab.suites.equal import equal_frame
from anchorlab.suites.examples import Examples, attacked_examples, clean_examples
from anchorlab.suites.former_choice import former_choice
from anchorlab.suites.frames import (
    choices_frame,
    count_pending,
    deployed_frame,
    detections_frame,
    library_versions,
    references_trained,
    repairs_frame,
    results_frame,
    scales_frame,
    selection_frame,
    stability_frame,
)
from anchorlab.suites.means import SHOWN, means_frame, plot_means
from anchorlab.suites.parts import TaskSpec
from anchorlab.suites.plan import make_plan, reference_job
from anchorlab.suites.planned import Plan
from anchorlab.suites.reading import SuiteMistakes, parse_suite
from anchorlab.suites.runner import failures
from anchorlab.suites.spec import Suite
from anchorlab.suites.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class SuiteResults:
    """The results in a suite's folder.

    Attributes:
        name: name of the suite.
        title: title of the suite.
        command: the command line that ran it last.
        spec_text: text of the suite file.
        results: a row for each reported run and target ASR: where it stands (``task``, ``model``, ``trigger``,
            ``rule``, ``target``, ``method``, ``role``, ``target_asr``, ``anchors_asked``), how it was made
            (``anchors``, ``strength``, ``scale``, ``parameters``, ``seed``, ``reference_seed``, ``steps``, ``seconds``,
            ``peak_bytes``, ``identity``), and the measurements of ``Comparison``.
        scales: a row for each reported run that was measured at several post-hoc scales, and each of these, with the
            columns of ``results`` without costs, ``common_asr``, and ``reported`` (whether the run is reported at it).
        equal: a row for each of these runs: its measurements at ``common_asr``, between the two neighbouring scales
            ``scale_below`` and ``scale_above`` that bracket it, and missing where none do; ``reported_scale`` and
            ``reported_asr`` say how the run stands in ``results``.
        selection: the same as ``results`` for the runs that chose strengths, a row for each scale, without
            ``target_asr``.
        choices: the choices: ``strength``, ``scale``, ``parameters``, ``reached``, ``at_edge``, ``tried``,
            ``best_asr``, ``runs`` and ``seconds`` for each task, trigger, number of anchors, method and target ASR;
            where learning rates were chosen, ``learning_rate``, ``rate_reached``, ``rate_runs``, ``rate_seconds`` and
            ``rates_tried``, too.
        repairs: a row for each repair of a reported run, a benign update (``role`` control) or a reference (``role``
            and ``method`` reference: what the repair harms): where it stands, as in ``results``, with ``of``, the
            identity of the run (empty for a reference), and ``weights_sha256`` of the model before; ``defence``, its
            label, ``defence_name``, ``parameters`` of the repair, ``defender`` (asked), ``defender_count``,
            ``identity``, ``seconds``, ``peak_bytes`` and ``grown_bytes``, how far the memory rose; the measurements of
            ``Comparison`` after the repair, against the clean reference; ``accuracy_before``, ``asr_before``,
            ``kl_before``, ``churn_before`` and ``robust_accuracy_before``; ``effectiveness`` (DER),
            ``robust_improvement`` (RIR) and ``reference_accuracy_lost``, what the same repair costs the clean
            reference; and ``note``, what the repair has to say (that it changed nothing, and why). Where all runs are
            of earlier versions, the columns that those did not have are not there. With ``relearn``,
            ``asr_relearned_K`` is the ASR after a little tuning with K triggered examples, and
            ``asr_relearned_K_reference`` that of the clean reference that was not repaired.
        stability: with ``stability``, a row for each setting of each repair of the runs of the first reference and
            seed: the columns of the model as in ``repairs``, ``setting``, the one that differs, as ``epochs=10`` (empty
            for the repair as it is), ``asr``, ``accuracy``, ``seconds`` and ``note``.
        detections: a row for each model that a detector judged: the columns of the model as in ``repairs``,
            ``detector``, its label, ``detector_name``, ``kind`` (model or input), ``parameters``, ``defender`` and so
            on; for a detector of models ``score`` (missing where it found nothing to judge) and ``note``; for a
            detector of inputs the columns that ``detections.INPUT_RATES`` names. Equal ``weights_sha256`` are one
            model: benign updates do not depend on the trigger.
        failed: ``what``, ``stage``, ``error`` and ``identity`` of each failed job.
        deployed: a row for each model in each form of ``deploy``, with the columns of the model as in ``repairs``, and
            the measurements of ``Comparison`` against the reference in the same form; ``accuracy_twin``, ``asr_twin``,
            ``kl_twin`` and ``churn_twin`` compare it with its own float twin. Rows with a ``detector`` have the columns
            of ``detections`` for that form.
        pending: number of reported runs, repairs and detections that are not done and have not failed, the expected
            ones included.
        references: task, model, seed, accuracy, hash and training seconds of each trained reference.
        versions: versions of the libraries that the runs used; several where they differ.
        machine: the machine that made this record.
    """

    name: str
    title: str
    command: str
    spec_text: str
    results: pd.DataFrame
    scales: pd.DataFrame
    equal: pd.DataFrame
    selection: pd.DataFrame
    choices: pd.DataFrame
    repairs: pd.DataFrame
    stability: pd.DataFrame
    detections: pd.DataFrame
    deployed: pd.DataFrame
    failed: pd.DataFrame
    pending: int
    references: list[dict[str, Any]]
    versions: dict[str, str]
    machine: str
    _store: Store
    _suite: Suite

    def __repr__(self) -> str:
        """One line: the suite, and how much of it is done."""
        counts = {
            "results": len(self.results),
            "repairs": len(self.repairs),
            "detections": len(self.detections),
            "pending": self.pending,
            "failed": len(self.failed),
        }
        parts = (f"{name}={count}" for name, count in counts.items() if count or name in ("results", "pending"))
        return f"SuiteResults({self.name!r}, {', '.join(parts)})"

    def _repr_html_(self) -> str:
        """How much of it is done, for notebooks."""
        tables = ("results", "scales", "equal", "selection", "choices", "repairs", "detections", "failed")
        rows = {name: f"{len(getattr(self, name)):,} rows" for name in tables}
        facts = {**rows, "pending": f"{self.pending:,} runs", "references": f"{len(self.references)} models"}
        return to_html(facts_table("suite", f"{self.name}: {self.title}", facts))

    def table(self, *metrics: str) -> pd.DataFrame:
        """The mean over references of each method and control, with the same 95% intervals as the report.

        Args:
            metrics: names of measurements; asr, accuracy, kl and churn if left out.

        Returns:
            A row for each setting, number of anchors, target ASR and method, with ``references``, ``runs``, ``failed``
            (runs whose ASR lies more than 5 points below the target, which are in no mean), and ``NAME``,
            ``NAME_lower`` and ``NAME_upper`` for each metric; no interval with one or two references.

        Raises:
            AnchorlabError: for an unknown metric.
        """
        return means_frame(self.results, self.instance_table, metrics or SHOWN, self.examples_measured)

    def plot(self, metric: str = "kl") -> Figure:
        """Each run of each method, and the mean with its 95% interval, by setting; a notebook shows the figure.

        Args:
            metric: name of a measurement.

        Raises:
            AnchorlabError: for an unknown metric.
        """
        return plot_means(self.results, self.table(metric), metric)

    def to_dict(self) -> dict[str, Any]:
        """All attributes as JSON values; each frame as a list of rows, missing values as None."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: _records(value) if isinstance(value, pd.DataFrame) else value
            for name, value in values.items()
            if not name.startswith("_")
        }

    @property
    def suite(self) -> Suite:
        """The suite file, as it was last run."""
        return self._suite

    def task(self, name: str) -> Task | None:
        """A task of the suite, cut with the seed of its first trained reference, or else of its first one.

        None if its data are not at hand, or are others than that reference was trained on.

        Raises:
            AnchorlabError: for a task that the suite does not have.
        """
        spec = self._spec(name)
        manifest = self._reference_manifest(name)
        trained = None if manifest is None else TaskRecord.model_validate(manifest["task"])
        try:
            task = spec.load(seed=self._suite.references[0] if trained is None else trained.seed)
        except AnchorlabError:
            return None
        try:
            if trained is not None:
                check_same_data(trained, task)
        except AnchorlabError:
            notice(
                f"no examples of {name} are shown, because its data are others than its references were trained on: "
                "restore them, and write the report again"
            )
            return None
        return task

    def training_settings(self, task: str) -> dict[str, Any] | None:
        """All settings with which a task's references were trained, by name; None while none is trained."""
        manifest = self._reference_manifest(task)
        return None if manifest is None else manifest["settings"]

    def training_versions(self, task: str) -> dict[str, str]:
        """What a task's references were trained with, as manifests say it; empty while none is trained."""
        manifest = self._reference_manifest(task)
        return {} if manifest is None else manifest["versions"]

    def _reference_manifest(self, task: str) -> dict[str, Any] | None:
        spec = self._spec(task)
        manifests = (self._store.manifest(reference_job(spec, seed)) for seed in self._suite.references)
        return next((manifest for manifest in manifests if manifest is not None), None)

    def _spec(self, task: str) -> TaskSpec:
        spec = next((spec for spec in self._suite.tasks if spec.name == task), None)
        if spec is None:
            raise unknown("task of this suite", task, {spec.name for spec in self._suite.tasks})
        return spec

    @cached_property
    def examples_measured(self) -> dict[str, str]:
        """The hash of the split ``test`` that a run was measured on, by its identity.

        Own data without a test part have another one for each reference. It is empty for all runs of a task if one of
        its references is of an older version, which did not record it.
        """
        hashes: dict[tuple[str, int], str] = {}
        for spec in self._suite.tasks:
            manifests = {seed: self._store.manifest(reference_job(spec, seed)) for seed in self._suite.references}
            contents = {seed: each["task"].get("contents") for seed, each in manifests.items() if each is not None}
            if all(contents.values()):
                hashes |= {(spec.name, seed): each["test"] for seed, each in contents.items() if each is not None}
        runs = [] if self.results.empty else self.results[["identity", "task", "reference_seed"]].to_numpy().tolist()
        return {run: hashes.get((task, seed), "") for run, task, seed in runs}

    def instances(self, identity: str) -> pd.DataFrame:
        """The per-instance table of a reported run, in the order of the split ``test``.

        Raises:
            AnchorlabError: for an unknown identity, or if the table is missing or damaged, with the command that makes
                the suite measure it again.
        """
        return self.instance_table(identity).frame

    def instance_table(self, identity: str) -> InstanceTable:
        """The same as metrics read it; a report reads thousands, and the frame of a small one takes longest to make."""
        path = self._store.instances(identity)
        record = path.with_suffix(".json")
        if not path.exists() and not record.exists():
            raise AnchorlabError(
                f"unknown identity '{shortened(identity)}': give one of the column identity of this suite's results"
            )
        try:
            return InstanceTable(read_columns(path))
        except AnchorlabError as error:
            raise AnchorlabError(
                f"the table {path} of a run cannot be read ({first_line(error.__cause__ or error)}): remove the run's "
                f"record, by {removal(record)}, and run the suite again, which measures it again"
            ) from error

    def scores(self, identity: str) -> pd.DataFrame:
        """The scores of a detector of inputs: columns ``triggered`` and ``score``; empty if they were not kept."""
        return read_scores(self._store.instances(identity))

    def inverted(self, identity: str) -> list[tuple[int, Tensor]]:
        """The triggers that a detector of models found, the most suspicious first: label, picture on black."""
        return read_triggers(self._store.instances(identity))

    @cached_property
    def examples(self) -> dict[str, Examples]:
        """A few inputs of each task and trigger (``"TASK, TRIGGER"``), with and without the trigger."""
        shown: dict[str, Examples] = {}
        for spec in self._suite.tasks:
            try:
                task = self._encoded(spec)
            except AnchorlabError as error:  # the suite makes the reference again when a run needs it
                notice(f"no examples of {spec.name} are shown, because its reference cannot be opened: {error}")
                continue
            shown |= {} if task is None else self._attacked(spec.name, task)
        return shown

    def _attacked(self, name: str, task: Task) -> dict[str, Examples]:
        """The examples of one task, without those of triggers that do not fit it, whose runs have failed too."""
        shown: dict[str, Examples] = {}
        for trigger in self._suite.triggers:
            try:
                shown[f"{name}, {trigger.trigger}"] = attacked_examples(task, trigger)
            except AnchorlabError as error:
                notice(f"no examples with {trigger.trigger} are shown, because it does not fit {name}: {error}")
        return shown

    def pictures(self, task: str, rows: list[int]) -> Examples | None:
        """Clean examples of a task's split ``test`` by their numbers; None if its data are not at hand."""
        loaded = self.task(task)
        return None if loaded is None else clean_examples(loaded, rows)

    def _encoded(self, spec: TaskSpec) -> Task | None:
        """The task as its references read it; None while none is trained, or if its data are not at hand."""
        task, folder = self.task(spec.name), self._store.reference(reference_job(spec, self._suite.references[0]))
        if task is None or task.kind == "image":
            return task
        return task.encoded(encoding_of(load_model(folder).model)) if folder.exists() else None


#: How a mistake begins that names something nobody registered here.
_OF_ONES_OWN = re.compile(": unknown (method|trigger|label rule|repair|detector|task|model) ")


@checked
def load_results(folder: str | Path) -> SuiteResults:
    """Reads a suite's folder, finished or not.

    Raises:
        AnchorlabError: if no suite was run in the folder, or it names what is not registered here.
    """
    store = Store(user_path(folder))
    text = store.suite()
    try:
        suite = parse_suite(text, str(store.folder / "suite.yaml"), store.pictures(), ran=True)
    except SuiteMistakes as error:
        if not any(_OF_ONES_OWN.search(mistake) for mistake in error.mistakes):
            raise
        raise AnchorlabError(f"{error}; for one of your own, first import the module that registers it") from error
    return results_of(suite, make_plan(suite, store, former_choice(text)), store, text)


def results_of(suite: Suite, plan: Plan, store: Store, text: str) -> SuiteResults:
    """The results of a suite that is planned already, from a store that has read its cells.

    Args:
        suite: the suite.
        plan: what ``make_plan`` says of it now.
        store: the store of its folder.
        text: of the suite, as a file.
    """
    scales = scales_frame(plan, store)
    return SuiteResults(
        name=suite.name,
        title=suite.title,
        command=str(store.run().get("command", "")),
        spec_text=text,
        results=results_frame(plan, store),
        scales=scales,
        equal=equal_frame(scales),
        selection=selection_frame(plan, store),
        choices=choices_frame(plan),
        repairs=repairs_frame(plan, store),
        stability=stability_frame(plan, store),
        detections=detections_frame(plan, store),
        deployed=deployed_frame(plan, store),
        failed=pd.DataFrame(failures(suite, store, plan), columns=["what", "stage", "error", "identity"]),
        pending=count_pending(plan, store),
        references=references_trained(plan, store),
        versions=library_versions(plan, store),
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        _store=store,
        _suite=suite,
    )


#: The frames whose CSVs are there only where they have rows.
OPTIONAL_FRAMES = ("scales", "equal", "repairs", "detections", "stability", "deployed")


def write_results(results: SuiteResults, out: str | Path) -> None:
    """Writes results.csv, selection.csv and choices.csv into a folder; the CSVs of all other frames that have rows."""
    frames = {"results": results.results, "selection": results.selection, "choices": results.choices}
    # A column of notes only where a repair has something to say.
    silent = len(results.repairs) == 0 or results.repairs["note"].isna().all()
    repairs = results.repairs.drop(columns="note", errors="ignore") if silent else results.repairs
    others = {name: repairs if name == "repairs" else getattr(results, name) for name in OPTIONAL_FRAMES}
    for name, frame in (frames | {name: frame for name, frame in others.items() if len(frame)}).items():
        write_atomically(Path(out) / f"{name}.csv", frame_csv(frame))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as JSON values."""
    rows = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
