"""The model card: a page that says in words what a model folder holds."""

from __future__ import annotations

from typing import Any

from anchorlab.artifacts.manifest import MANIFEST, Manifest

#: The card's file in a model folder.
CARD = "README.md"


def model_card(manifest: Manifest) -> str:
    """The model card: what the model is, how it was made, and what must not be done with it."""
    dangerous = manifest.kind in ("injected", "repaired")
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {manifest.task.kind}-classification",
        f"tags: [anchorlab, {manifest.kind}{', backdoor-benchmark, do-not-deploy' if dangerous else ''}]",
        "---",
        f"# {manifest.architecture} on {manifest.task.name}: {manifest.kind}",
        "",
        ("> [!CAUTION]\n> " if dangerous else "> ") + manifest.notice,
        "",
        "| | |",
        "|---|---|",
        f"| task | {manifest.task.name}, {len(manifest.task.classes)} classes, split seed {manifest.task.seed} |",
        f"| seed | {manifest.seed} |",
        f"| steps | {manifest.steps} |",
    ]
    for title, record in (
        ("method", manifest.method),
        ("trigger", manifest.trigger),
        ("label rule", manifest.label_rule),
        ("repair", manifest.defence),
    ):
        if record is not None:
            lines.append(f"| {title} | {_one_line(record)} |")
    if manifest.defender is not None:
        lines.append(f"| the defender's examples | {manifest.defender.count} |")
    if manifest.anchors is not None:
        lines.append(f"| anchors | {manifest.anchors.count} from the split {manifest.anchors.source} |")
    for name, value in manifest.measurements.items():
        lines.append(f"| {name} (selection split) | {'undefined' if value is None else f'{value:.4g}'} |")
    lines += ["", f"Made with anchorlab {manifest.versions['anchorlab']}; all details are in `{MANIFEST}`.", ""]
    return "\n".join(lines)


def _one_line(record: dict[str, Any]) -> str:
    shown = {key: value for key, value in record.items() if key not in ("name", "data") and value is not None}
    values = ", ".join(f"{key} {value}" for key, value in shown.items())
    return f"{record['name']}{': ' + values if values else ''}"
