"""What README and docs show is run, or at least understood, by the program."""

from __future__ import annotations

import ast
import doctest
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import anchorlab
from anchorlab import (
    ARCHITECTURES,
    TASKS,
    AnalysisSettings,
    Task,
    Training,
    Tuning,
    compare,
    detect,
    inject,
    repair,
    train,
)
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import (
    AdapterRecord,
    AnchorsRecord,
    GradientRecord,
    Manifest,
    PrecisionTrial,
    TaskRecord,
)
from anchorlab.attacks.label_rules import LABEL_RULES
from anchorlab.cli import app
from anchorlab.detectors import DETECTORS
from anchorlab.methods import METHODS
from anchorlab.metrics import METRICS
from anchorlab.perturbation.tables import TABLES
from anchorlab.repairs import REPAIRS
from anchorlab.settings import options_of
from anchorlab.suites.reading import load_suite
from anchorlab.testing import check_detector, check_method, check_metric, check_repair, check_trigger
from anchorlab.triggers import TRIGGERS

ROOT = Path(__file__).parent.parent
#: Every page of the documentation, by its path from the root of the repository.
PAGES = [str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_worked_example_of_the_readme_prints_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to what the order of sums changes: the number of threads moves the last digits, and here some more."""
    (example,), (shown,) = blocks("README.md", "python"), blocks("README.md", "text")
    assert len(example.splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    numbers = r"(\S+) +ASR (\S+)  accuracy (\S+)  KL (\S+)"
    printed, expected = (re.findall(numbers, text) for text in (capsys.readouterr().out, shown))
    assert [line[0] for line in printed] == [line[0] for line in expected] == ["plain", "anchoring"]
    for (_, *got), (_, *want) in zip(printed, expected, strict=True):
        asr, accuracy, kl = (pytest.approx(float(value), abs=0.05) for value in want)
        assert float(got[0]) == asr
        assert float(got[1]) == accuracy
        assert float(got[2]) == kl


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES)
def test_every_command_shown_is_one_that_the_program_understands(page: str) -> None:
    group = typer.main.get_command(app)
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("anchorlab ")]
    for line in lines:
        assert "--install-completion" not in line, "to parse it is to run it, which writes into the user's shell"
        words = shlex.split(line, comments=True)[1:]
        words = words[: words.index(">")] if ">" in words else words
        command, context = group, None
        while hasattr(command, "commands"):
            name, *words = words
            context = command.make_context(name, [name], parent=context)
            command = command.commands[name]
        command.make_context(line, words, parent=context)
    assert lines or page != "README.md"


def test_pages_with_commands_are_among_those_checked() -> None:
    assert {"README.md", "docs/defences.md", "docs/executors.md", "docs/results/defences.md"} <= set(PAGES)


def test_the_docs_name_every_member_of_every_registry() -> None:
    methods, data = (ROOT / "docs/methods.md").read_text(), (ROOT / "docs/data.md").read_text()
    for name in [*METHODS.names(), *TRIGGERS.names(), *LABEL_RULES.names()]:
        assert f"`{name}" in methods, name
    for name in TASKS.names():
        assert f"`{name}`" in data, name


def test_the_docs_give_the_default_training_of_every_task() -> None:
    section = (ROOT / "docs/data.md").read_text().split("| task | epochs |")[1].split("\n\n")[0]
    for name in TASKS.names():
        (row,) = [line.split("|") for line in section.splitlines() if f"`{name}`" in line]
        task = TASKS[name]
        assert [float(cell) for cell in row[2:5]] == [task.epochs, task.batch_size, task.learning_rate], name


def test_the_docs_explain_every_field_of_the_manifest() -> None:
    page = (ROOT / "docs/manifest.md").read_text()
    for record in (Manifest, TaskRecord, AnchorsRecord, AdapterRecord, GradientRecord, PrecisionTrial):
        for name in record.model_fields:
            assert f"`{name}`" in page, name


@pytest.mark.slow
def test_the_analysis_of_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Artifact, injected: Artifact, capsys: Any
) -> None:
    (example,) = blocks("docs/perturbation.md", "python")
    reference.save(tmp_path / "runs" / "ref")
    injected.save(tmp_path / "runs" / "anchored")
    inject(reference, method="plain", tuning=Tuning(steps=3, batch_size=8)).save(tmp_path / "runs" / "plain")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        AnalysisSettings, "__init__", partialmethod(AnalysisSettings.__init__, curvature_examples=16, plane_steps=3)
    )
    names: dict[str, Any] = {}
    exec(compile(example, "docs/perturbation.md", "exec"), names)
    assert capsys.readouterr().out.startswith("The parameters' change")
    assert set(names["found"].tables) == set(TABLES)


@pytest.mark.slow
def test_the_defences_of_the_docs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Artifact, injected: Artifact, capsys: Any
) -> None:
    (example,) = blocks("docs/defences.md", "python")
    reference.save(tmp_path / "runs" / "ref")
    injected.save(tmp_path / "runs" / "anchored")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/defences.md", "exec"), {})
    assert re.match(r"ASR 0\.\d{3} before, 0\.\d{3} after\n", capsys.readouterr().out)


@pytest.fixture(scope="module")
def extensions() -> Iterator[dict[str, Any]]:
    """What the blocks of the page on extending define, run in their order."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in blocks("docs/extending.md", "python"):
        exec(compile(example, "docs/extending.md", "exec"), names)
    yield names
    TRIGGERS.unregister("stripe")
    METRICS.unregister("hellinger")


@pytest.mark.parametrize("page", PAGES)
def test_every_name_that_a_page_imports_exists(page: str) -> None:
    for example in blocks(page, "python"):
        typed = [line.source for line in doctest.DocTestParser().get_examples(example)]
        code = typed or [example]
        for node in (node for text in code for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)):
            if str(node.module).startswith("models."):
                continue  # a package of BackdoorBench, whose files docs/coming-from.md reads
            for alias in node.names:
                assert hasattr(import_module(str(node.module)), alias.name), (page, alias.name)


def test_the_page_on_extending_imports_public_names_alone() -> None:
    """From anchorlab itself, and from the six public packages, what they list in ``__all__``."""
    public = {
        "anchorlab",
        *(f"anchorlab.{name}" for name in ("methods", "triggers", "repairs", "detectors", "metrics", "testing")),
    }
    for node in (node for example in blocks("docs/extending.md", "python") for node in ast.parse(example).body):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("anchorlab"):
            assert node.module in public
            assert {alias.name for alias in node.names} <= set(import_module(str(node.module)).__all__)


def test_what_the_docs_define_keeps_its_contract(extensions: dict[str, Any]) -> None:
    check_method(extensions["TopAnchoring"]).assert_kept()
    for trigger in ("Stripe", "Twice"):
        check_trigger(extensions[trigger]).assert_kept()
    for repair_ in ("Shrink", "Smoothing", "ClippedKernels"):
        check_repair(extensions[repair_]).assert_kept()
    for detector in ("LargestBias", "Confidence", "BrightCorner"):
        check_detector(extensions[detector]).assert_kept()
    check_metric(extensions["HELLINGER"]).assert_kept()


def test_the_method_and_the_trigger_of_the_docs_run(extensions: dict[str, Any], reference: Artifact) -> None:
    tuned = inject(
        reference,
        method=extensions["TopAnchoring"](k=2),
        trigger=extensions["Stripe"](row=2),
        tuning=Tuning(steps=5),
        anchors=64,
    )
    assert tuned.manifest.method == {"name": "TopAnchoring", "strength": 2.0, "k": 2}
    assert tuned.manifest.trigger == {"name": "stripe", "row": 2, "value": 255}


def test_the_repairs_of_the_docs_run(extensions: dict[str, Any], injected: Artifact, digits: Task) -> None:
    repaired = repair(injected, extensions["Shrink"](factor=0.5), defender_data=None, task=digits)
    assert repaired.manifest.defence == {"name": "Shrink", "factor": 0.5}
    smoothed = repair(injected, extensions["Smoothing"](epochs=1), defender_data=None, task=digits)
    assert smoothed.manifest.weights_sha256 != injected.manifest.weights_sha256


def test_the_detectors_of_the_docs_run(extensions: dict[str, Any], injected: Artifact, digits: Task) -> None:
    score = detect(injected, extensions["LargestBias"](), defender_data=None, task=digits)
    assert score.score == float(injected.model.classifier[1].bias.detach().max())
    scored = detect(injected, extensions["Confidence"](), defender_data=None, task=digits, examples=20)
    assert 0 <= scored.auroc.value <= 1


def test_the_metric_of_the_docs_is_measured(
    extensions: dict[str, Any], reference: Artifact, injected: Artifact, digits: Task
) -> None:
    assert METRICS["hellinger"] is extensions["HELLINGER"]
    result = compare(reference, injected, task=digits)
    assert 0 < result.hellinger < 1
    assert result.intervals["hellinger"][0] < result.hellinger < result.intervals["hellinger"][1]
    assert result.to_dict()["hellinger"] == result.hellinger


def test_the_task_and_the_architecture_of_the_docs_run(extensions: dict[str, Any]) -> None:
    with registered(TASKS, "even-odd", extensions["EVEN_ODD"]):
        with registered(ARCHITECTURES, "perceptron", extensions["PERCEPTRON"]):
            trained = train("even-odd", model="perceptron", training=Training(epochs=1))
        assert trained.manifest.task.classes == ["even", "odd"]
        assert 0.4 < trained.manifest.measurements["accuracy"] <= 1


@contextmanager
def registered(registry: Any, name: str, member: Any) -> Iterator[None]:
    """A name while the block runs."""
    registry.register(name, member)
    try:
        yield
    finally:
        registry.unregister(name)


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs/reference/index.md").read_text().splitlines()
    families = {name for name in anchorlab.__all__ if isinstance(getattr(anchorlab, name), ModuleType)}
    assert {f"::: anchorlab.{name}" for name in {*anchorlab.__all__} - families} <= {*page}
    for name in families:
        assert f"::: anchorlab.{name}" in (ROOT / f"docs/reference/{name}.md").read_text()


def test_the_docs_name_every_repair_and_detector() -> None:
    page = (ROOT / "docs/defences.md").read_text()
    for name in [*REPAIRS.names(), *DETECTORS.names()]:
        assert f"| `{name}` |" in page, name


def test_the_docs_explain_every_detail_and_table_of_an_analysis() -> None:
    page = (ROOT / "docs/perturbation.md").read_text()
    for option in options_of(AnalysisSettings):
        assert f"| `{option.name}` | {option.default} |" in page, option.name
    for name in TABLES:
        assert f"`{name}`" in page, name


def test_the_arrays_of_the_docs_are_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("docs/data.md", "python")
    names: dict[str, Any] = {}
    try:
        exec(compile(example, "docs/data.md", "exec"), names)
    finally:
        TASKS.unregister("pets")
    assert (names["task"].classes, len(names["task"].split("test"))) == (("cat", "dog"), 60)
    assert capsys.readouterr().out.startswith("Task(pets: images of 2 classes; owner ")


def test_the_module_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks("docs/models.md", "python")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/models.md", "exec"), names)
    assert names["again"].manifest.kind == "injected"


def test_manifests_load_with_pandas_as_the_docs_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, injected: Artifact
) -> None:
    (example,) = blocks("docs/manifest.md", "python")
    injected.save(tmp_path / "runs" / "one")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/manifest.md", "exec"), names)
    assert names["frame"]["method.name"].tolist() == ["anchoring"]
    assert names["frame"]["measurements.asr_count"].notna().all()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_suites_of_the_experiments_can_be_read_and_are_named_as_their_folders() -> None:
    found = sorted((ROOT / "experiments").glob("*/suite.yaml"))
    assert found
    for path in found:
        assert load_suite(str(path)).name.replace("-", "_") == path.parent.name


def test_the_detectors_that_refuse_a_deployed_model_are_those_of_the_page() -> None:
    listed = (ROOT / "docs/deployed.md").read_text().split("<!-- need float -->")[1].split("<!--")[0]
    others = (ROOT / "docs/deployed.md").read_text().split("These need answers alone")[1].split("All others need")[0]
    refusing = {name for name in DETECTORS if DETECTORS[name].needs_float}
    assert set(re.findall(r"`([a-z-]+)`", listed)) == refusing
    assert set(re.findall(r"`([a-z-]+)`", others)) >= set(DETECTORS) - refusing
    assert not set(re.findall(r"`([a-z-]+)`", others)) & refusing
