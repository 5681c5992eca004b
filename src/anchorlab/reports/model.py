"""The page of a model folder, from its manifest alone: neither weights nor data are opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from anchorlab.artifacts.manifest import DANGEROUS, MANIFEST, Manifest
from anchorlab.errors import AnchorlabError, shell_word, shortened
from anchorlab.reports.plain import PlainPage, PlainSection, write_plain
from anchorlab.settings import invalid
from anchorlab.statistics.table import Table, facts_table

#: Most characters of a value of a setting.
_LONGEST = 400

#: What each kind of model is, in words.
_KINDS = {
    "clean": "a clean reference model",
    "benign": "a benign update of a reference, without a backdoor",
    "injected": "a model with a deliberately injected benchmark backdoor",
    "repaired": "a model that a repair was tried on",
    "suspicious": "a model that its user does not hold to be clean",
}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder.

    Raises:
        AnchorlabError: if it cannot be read, or is damaged.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        detail = invalid(f"the manifest {path}", error) if isinstance(error, ValidationError) else f"{path}: {error}"
        raise AnchorlabError(f"{detail}; copy the folder again, or make the model again") from error


def write_model_page(folder: Path, out: Path) -> Path:
    """Writes the page of a model folder.

    Args:
        folder: made by train, adopt, inject or repair.
        out: where to write ``index.html``.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if the manifest is damaged, or the page cannot be written.
    """
    return write_plain(model_page(read_manifest(folder), folder), out)


def model_page(manifest: Manifest, folder: Path) -> PlainPage:
    """What a page says of a model.

    Args:
        manifest: of the model.
        folder: where it lies, for the commands that open it.
    """
    by = "" if manifest.method is None else f" by {manifest.method['name']}"
    by = by if manifest.defence is None else f" by {manifest.defence['name']}"
    kind = manifest.kind if manifest.kind not in ("injected", "repaired") else f"{manifest.kind}{by}"
    sections = [
        PlainSection("What it is", tables=[_table("identity", dict(_identity(manifest)))]),
        PlainSection("How it was made", tables=list(_making(manifest))),
        PlainSection(
            "Measured when it was made",
            words=[
                "On the split selection, not on test: compare measures on test."
                if manifest.measurements
                else "Nothing was measured when it was made: compare measures it on test."
            ],
            tables=[_table("measurements", dict(_measured(manifest)))] if manifest.measurements else [],
        ),
        PlainSection("The data", tables=[_table("data", dict(_data(manifest)))]),
        _opening(manifest, folder),
        PlainSection("Made with", tables=[_table("versions", manifest.versions)]),
    ]
    return PlainPage(
        kind="model",
        title=f"{manifest.architecture} on {manifest.task.name}: {kind}",
        findings=list(_findings(manifest)),
        sections=sections,
        caution=manifest.notice if manifest.kind in DANGEROUS else "",
    )


def _findings(manifest: Manifest) -> Iterator[str]:
    """What a reader wants to know first."""
    yield f"This is {_KINDS[manifest.kind]}: {manifest.architecture} on {manifest.task.name}."
    if manifest.kind not in DANGEROUS:
        yield manifest.notice
    measured = manifest.measurements
    if measured.get("accuracy") is not None:
        yield f"Accuracy {measured['accuracy']:.4f} on the split selection."
    if measured.get("asr") is not None:
        own = measured.get("asr_reference")
        beside = "" if own is None else f"; the reference's own rate is {own:.4f}"
        yield f"ASR {measured['asr']:.4f} on {measured.get('asr_count') or 0:,.0f} triggered examples{beside}."
    if manifest.note is not None:
        yield f"{manifest.note[:1].upper()}{manifest.note[1:]}."
    if manifest.reference_sha256 is not None:
        yield f"It was made from the model with the weights {manifest.reference_sha256[:12]}…."


def _identity(manifest: Manifest) -> Iterator[tuple[str, object]]:
    yield "kind", manifest.kind
    yield "architecture", manifest.architecture
    yield "SHA-256 of the weights", manifest.weights_sha256
    if manifest.reference_sha256 is not None:
        yield "SHA-256 of the weights that it was made from", manifest.reference_sha256
    if manifest.outputs is not None:
        yield "outputs", manifest.outputs


def _making(manifest: Manifest) -> Iterator[Table]:
    """How it was made: a table of what was done, and one of the optimisation."""
    records = {
        "method": manifest.method,
        "trigger": manifest.trigger,
        "label rule": manifest.label_rule,
        "repair": manifest.defence,
    }
    facts: dict[str, object] = {title: _in_words(record) for title, record in records.items() if record is not None}
    if manifest.anchors is not None:
        facts["anchors"] = f"{manifest.anchors.count:,} from the split {manifest.anchors.source}"
    if manifest.defender is not None:
        facts["defender data"] = f"{manifest.defender.count:,} clean examples from the split defender"
    facts["seed"] = manifest.seed
    if manifest.trained_here:
        facts["steps"] = f"{manifest.steps:,}"
    facts["time"] = f"{manifest.seconds:.1f} s"
    yield _table("making", facts, "What was done")
    if manifest.settings:
        yield _table("settings", manifest.settings, "Settings of the optimisation")
    if manifest.gradients:
        heads = {record.step: record.model_dump(exclude={"step"}) for record in manifest.gradients}
        rows = {
            f"step {step}": ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in record.items())
            for step, record in heads.items()
        }
        yield _table("gradients", rows, "Gradients along the injection")


def _measured(manifest: Manifest) -> Iterator[tuple[str, object]]:
    for name, value in manifest.measurements.items():
        if value is not None and float(value).is_integer() and name.endswith("count"):
            yield name.replace("_", " "), f"{value:,.0f}"
        else:
            yield name.replace("_", " "), "undefined" if value is None else f"{value:.4f}"


def _data(manifest: Manifest) -> Iterator[tuple[str, object]]:
    record = manifest.task
    yield "task", record.name
    yield "where", "the usual place" if record.data is None else record.data
    if record.columns is not None:
        yield "columns", ", ".join(f"{name} {value}" for name, value in record.columns.items() if value is not None)
    yield "classes", f"{len(record.classes)}: {shortened(', '.join(record.classes), _LONGEST)}"
    yield "split seed", record.seed
    if record.limit is not None:
        yield "examples of each class", record.limit
    for part in record.reading or ():
        yield f"read: {part.part}", str(part)


def _opening(manifest: Manifest, folder: Path) -> PlainSection:
    """How to open it, in Python and on the command line."""
    word = shell_word(folder)
    python = f"from anchorlab import load_model\n\nmodel = load_model({str(folder)!r})\nprint(model.manifest.kind)"
    commands = {
        "clean": [f"anchorlab inject {word} --out NEW", f"anchorlab audit {word} CANDIDATE"],
        "benign": [f"anchorlab compare REFERENCE {word}"],
        "injected": [f"anchorlab compare REFERENCE {word}", f"anchorlab analyze REFERENCE {word} --out PAGE"],
        "repaired": [f"anchorlab compare REFERENCE {word}"],
        "suspicious": [f"anchorlab audit REFERENCE {word}"],
    }[manifest.kind]
    return PlainSection(
        "How to open it",
        words=["Weights are safetensors. Nothing in the folder is unpickled, and no code in it is run."],
        code=[python, "\n".join(commands)],
    )


def _table(name: str, facts: dict[str, Any] | dict[str, str] | dict[str, object], caption: str = "") -> Table:
    shown = {head.replace("_", " "): _value(fact) for head, fact in facts.items()}
    return facts_table(name, caption or name, shown)


def _value(fact: object) -> str:
    words = "none" if fact is None else "yes" if fact is True else "no" if fact is False else str(fact)
    return shortened(words, _LONGEST)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3g}"


def _in_words(record: dict[str, Any]) -> str:
    """A method, trigger, label rule or repair with its parameters."""
    shown = {key: value for key, value in record.items() if key not in ("name", "data") and value is not None}
    values = ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in shown.items())
    return shortened(f"{record['name']}{': ' + values if values else ''}", _LONGEST)
