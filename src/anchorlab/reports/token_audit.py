"""The page of an audit of a language model: the verdict, and the candidate among the benign updates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, write_json
from anchorlab.reports.audit.stored import OF_LANGUAGE_MODELS
from anchorlab.reports.audit.stored import RECORD as OF_CLASSIFIERS
from anchorlab.reports.audit.strips import Strip, strip
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.reports.html import PAGE, asset, environment
from anchorlab.reports.plain import PlainPage, PlainSection, write_plain
from anchorlab.scoring.ranked import Ranked
from anchorlab.scoring.tables import token_audit_table
from anchorlab.scoring.token_audit_result import TokenAudit, token_audit_from
from anchorlab.scoring.token_statistics import TOKEN_STATISTICS

#: The file that tells a folder of such an audit.
RECORD = OF_LANGUAGE_MODELS

#: How to read the page.
_READING = (
    "Each statistic of the candidate is ranked among the same statistic of the benign updates, in both directions: a "
    "candidate that moves less than every update is as unusual as one that moves more. Each kind of access is judged "
    "by its main statistic; the joint test looks at all statistics at once.",
    "What an ordinary update is decides the verdict. If yours are usually shorter, longer or faster, make others with "
    "--steps and --learning-rate, or give real ones with --benign.",
)


def write_token_audit(audit: TokenAudit, out: Path) -> Path:
    """Writes ``token-audit.json`` and the page to a folder, and returns the page's path.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    write_json(out / RECORD, audit.to_dict())
    return write_token_audit_page(audit, out)


def read_token_audit(folder: Path) -> TokenAudit:
    """The audit whose record a folder holds.

    Raises:
        AnchorlabError: if the record is damaged.
    """
    path, remedy = folder / RECORD, "run anchorlab audit --texts again with --out"
    values = read_json(path, remedy)
    try:
        return token_audit_from(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnchorlabError(f"{path} is damaged ({error!r}): {remedy}") from error


def check_token_audit_folder(folder: Path) -> None:
    """Refuses a folder with a page that no such audit wrote, before it is replaced.

    Raises:
        AnchorlabError: naming what would be replaced.
    """
    if (folder / OF_CLASSIFIERS).exists():
        raise AnchorlabError(
            f"{folder} holds an audit of a classifier, which 'anchorlab audit' wrote, and this one is of a language "
            "model: choose another folder"
        )
    refuse_foreign(folder / RECORD, "anchorlab audit --texts", lambda: read_token_audit(folder), [PAGE])


def write_token_audit_page(audit: TokenAudit, out: Path) -> Path:
    """Writes the page to a folder. It needs nothing beside it and no network.

    Raises:
        AnchorlabError: if it cannot be written.
    """
    reference, candidate = (Path(name).name or name for name in (audit.reference, audit.candidate))
    table = token_audit_table(audit, f"{candidate} among benign updates of {reference}")
    page = PlainPage(
        kind="audit",
        title=f"Is {candidate} an ordinary update of {reference}?",
        findings=audit.sentences,
        caution=" ".join(audit.cautions),
        sections=[
            PlainSection("The candidate among the benign updates", tables=[table], parts=list(_strips(audit))),
            PlainSection("How to read it", words=_READING),
        ],
        style=asset("audit.css"),
    )
    return write_plain(page, out)


def _strips(audit: TokenAudit) -> Iterator[Markup]:
    """A picture of each statistic that has numbers, below one legend."""
    drawn = [(one, _strip(one)) for one in audit.statistics if all(map(math.isfinite, (one.value, *one.null)))]
    if not drawn:
        return
    macros = environment().get_template("strips.html").module
    yield macros.legend(drawn[0][1], "documents")  # type: ignore[attr-defined]
    for one, picture in drawn:
        of = TOKEN_STATISTICS[one.access]
        yield macros.figure(f"{of.access}: {of.title} (p = {one.p:.3g})", picture)  # type: ignore[attr-defined]


def _strip(one: Ranked) -> Strip:
    return strip(TOKEN_STATISTICS[one.access].title, one.value, one.statistic.bounds, one.null, one.settings)
