"""The model card: a page that says in words what a model folder holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anchorlab.artifacts.manifest import DANGEROUS, MANIFEST, AnchorsRecord, Manifest
from anchorlab.errors import quoted, shortened
from anchorlab.statistics.escaping import markdown

#: The card's file in a model folder.
CARD = "README.md"

#: Most characters of a method's, trigger's or repair's parameters.
_LONGEST = 400


def model_card(manifest: Manifest) -> str:
    """The model card: what the model is, how it was made, and what must not be done with it."""
    dangerous = manifest.kind in DANGEROUS
    name = markdown(manifest.task.name)
    tags = ", do-not-deploy" if dangerous else ""
    tags = f", backdoor-benchmark{tags}" if manifest.kind in ("injected", "repaired") else tags
    lines = [
        "---",
        f"library_name: {'peft' if manifest.is_adapter else 'transformers'}",
        f"pipeline_tag: {'text-generation' if manifest.verbalizer else f'{manifest.task.kind}-classification'}",
        f"tags: [anchorlab, {manifest.kind}{tags}]",
        "---",
        f"# {markdown(manifest.architecture)} on {name}: {manifest.kind}",
        "",
        ("> [!CAUTION]\n> " if dangerous else "> ") + markdown(manifest.notice),
        "",
        "| | |",
        "|---|---|",
        f"| task | {name}, {len(manifest.task.classes)} classes, split seed {manifest.task.seed} |",
    ]
    lines += [f"| {markdown(title)} | {markdown(fact)} |" for title, fact in _facts(manifest)]
    made_with = markdown(manifest.versions["anchorlab"])
    lines += ["", f"Made with anchorlab {made_with}; all details are in `{MANIFEST}`.", ""]
    return "\n".join(lines)


def _facts(manifest: Manifest) -> Iterator[tuple[str, object]]:
    """How the model was made, and what was measured."""
    if manifest.verbalizer is not None:
        words, prompt = ", ".join(manifest.verbalizer["words"]), quoted(manifest.verbalizer["prompt"])
        yield "label words", shortened(f"{words}, after the prompt {prompt}", _LONGEST)
    yield "seed", manifest.seed
    yield "steps", manifest.steps
    computed = _computed(manifest.settings)
    if computed:
        yield "computed", computed
    for title, record in (
        ("method", manifest.method),
        ("trigger", manifest.trigger),
        ("label rule", manifest.label_rule),
        ("repair", manifest.defence),
    ):
        if record is not None:
            yield title, _one_line(record)
    if manifest.adapter is not None:
        yield "adapter", _adapter(manifest)
    if manifest.defender is not None:
        yield "the defender's examples", manifest.defender.count
    if manifest.anchors is not None:
        yield "anchors", _anchors(manifest.anchors)
    for name, value in manifest.measurements.items():
        yield f"{name} (selection split)", "undefined" if value is None else f"{value:.4g}"


def _adapter(manifest: Manifest) -> str:
    """What was tuned in place of the weights, and on which base."""
    record = manifest.adapter
    assert record is not None
    told = record.settings | {"target": " and ".join(record.settings.get("target", ()))}
    said = ", ".join(f"{name} {value}" for name, value in told.items() if value not in (None, ""))
    base = "a base in memory" if record.base is None else record.base
    where = "merged into its base" if record.merged else "opens on its base alone"
    return shortened(
        f"LoRA ({said}), {record.parameters:,} parameters, {where}: {base} "
        f"(weights_sha256 {str(manifest.reference_sha256)[:12]})",
        _LONGEST,
    )


def _anchors(record: AnchorsRecord) -> str:
    """How many anchors there were, and where they came from."""
    if record.source != "other":
        return f"{record.count} from the split {record.source}"
    place = "other data" if record.data is None else f"other data ({shortened(record.data)})"
    return f"{record.count} from {place}, labelled by the reference's predictions"


def _computed(settings: dict[str, Any]) -> str:
    """How the steps were computed, where that is not the default; empty where it is."""
    words = {
        "in bf16 (mixed precision)": settings.get("precision") == "bf16",
        "compiled": settings.get("compile") is True,
        "deterministic": settings.get("deterministic") is True,
    }
    return ", ".join(word for word, is_so in words.items() if is_so)


def _one_line(record: dict[str, Any]) -> str:
    shown = {key: value for key, value in record.items() if key not in ("name", "data") and value is not None}
    values = ", ".join(f"{key} {value}" for key, value in shown.items())
    return shortened(f"{record['name']}{': ' + values if values else ''}", _LONGEST)
