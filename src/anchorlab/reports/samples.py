"""The page of a comparison of two runs' per-sample logs."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, write_json
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.reports.html import PAGE
from anchorlab.reports.plain import PlainPage, PlainSection, write_plain
from anchorlab.samples.result import SampleComparison
from anchorlab.samples.table import samples_table
from anchorlab.samples.words import words_of_samples
from anchorlab.settings import invalid

#: The file that tells a folder with such a comparison.
RECORD = "samples.json"

_REMEDY = "run anchorlab compare --samples again"

#: How to read the table.
_READING = (
    "Both runs answered the same documents. Each difference is a mean over documents of paired differences, and its "
    "95% interval speaks of documents like these. Of a metric that is 0 or 1 the interval is Bonett and Price's and "
    "the p value McNemar's exact one; of any other both are Student's.",
    "A document that several filters or metrics measure stands in several rows. These rows are not independent, so "
    "nothing is pooled over them. Holm's correction for all rows holds nevertheless, because it needs no independence.",
)


def write_samples(found: SampleComparison, reference: str, candidate: str, out: Path) -> Path:
    """Writes ``samples.json`` and the page to a folder, and returns the page's path.

    Args:
        found: what ``compare_samples`` measured.
        reference: the name of the reference.
        candidate: the name of the candidate.
        out: the folder.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    write_json(out / RECORD, {"reference": reference, "candidate": candidate, "values": found.to_dict()})
    return write_plain(samples_page(found, reference, candidate), out)


def check_samples_folder(folder: Path) -> None:
    """Refuses a folder whose files ``compare --samples --out`` did not write, as ``refuse_foreign`` does."""
    refuse_foreign(folder / RECORD, "anchorlab compare --samples", lambda: _page_of(folder / RECORD), [PAGE])


def write_samples_folder(folder: Path, out: Path) -> Path:
    """Writes the page of a folder that ``compare --samples --out`` filled.

    Raises:
        AnchorlabError: if the record is damaged, or the page cannot be written.
    """
    return write_plain(_page_of(folder / RECORD), out)


def _page_of(file: Path) -> PlainPage:
    record = read_json(file, _REMEDY)
    try:
        found = SampleComparison.model_validate(record.get("values"))
    except ValidationError as error:
        raise AnchorlabError(f"{invalid(f'the comparison {file}', error)}; {_REMEDY}") from error
    names = [str(record.get(role, f"the {role}")) for role in ("reference", "candidate")]
    return samples_page(found, *names)


def samples_page(found: SampleComparison, reference: str, candidate: str) -> PlainPage:
    """What a page says of such a comparison."""
    return PlainPage(
        kind="comparison of logs",
        title=f"Does {candidate} answer the same documents as well as {reference}?",
        findings=words_of_samples(found),
        caution=" ".join(found.cautions),
        sections=[
            PlainSection("Tasks and metrics", tables=[samples_table(found, f"{candidate} against {reference}")]),
            PlainSection("How to read it", words=_READING),
        ],
    )
