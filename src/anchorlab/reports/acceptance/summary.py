"""The checks as Markdown, for the summary of a job or a comment on a pull request."""

from __future__ import annotations

from anchorlab.reports.acceptance.record import Acceptance, Check, Outcome
from anchorlab.statistics.escaping import html, markdown
from anchorlab.statistics.table import to_markdown_table

_SIGNS: dict[Outcome, str] = {"passed": "✅", "failed": "❌", "error": "⚠️", "skipped": "➖"}
_WORDS: dict[Outcome, str] = {
    "passed": "accepted",
    "failed": "not accepted",
    "error": "could not be judged",
    "skipped": "measured, not judged",
}


def summary_text(acceptance: Acceptance) -> str:
    """A heading, the checks as a table, the result in words, cautions, and the numbers folded away."""
    outcome = acceptance.outcome
    parts = [
        f"### {_SIGNS[outcome]} anchorlab {acceptance.command}: {_WORDS[outcome]}\n",
        f"{markdown(acceptance.title)}\n",
        _checks(acceptance),
    ]
    if acceptance.sentences:
        parts.append("".join(f"- {markdown(sentence)}\n" for sentence in acceptance.sentences))
    if acceptance.cautions:
        parts.append("".join(f"- **caution:** {markdown(caution)}\n" for caution in acceptance.cautions))
    if acceptance.table is not None:
        caption = html(" · ".join(acceptance.table.caption.splitlines()))
        table = to_markdown_table(acceptance.table)
        parts.append(f"<details><summary>{caption}</summary>\n\n{table}\n</details>\n")
    if acceptance.files:
        names = ", ".join(markdown(file) for file in acceptance.files)
        parts.append(f"Written: {names}\n")
    parts.append(f"<sub>anchorlab {markdown(acceptance.version)}, exit code {acceptance.code}</sub>\n")
    return "\n".join(parts)


def _checks(acceptance: Acceptance) -> str:
    head = [("", "check", "value", "95% interval", "found"), ("---", "---", "---:", "---", "---")]
    lines = [*head, *map(_row, acceptance.checks)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(check: Check) -> tuple[str, ...]:
    value = "" if check.value is None else f"{check.value:.4g}"
    interval = "" if check.interval is None else f"{check.interval[0]:.4g} to {check.interval[1]:.4g}"
    return (_SIGNS[check.outcome], markdown(check.name), value, interval, markdown(check.sentence))
