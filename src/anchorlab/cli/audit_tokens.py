"""``anchorlab audit --texts``: a language model among benign fine-tunes of its reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.compare_tokens import in_form
from anchorlab.cli.gates import Judging
from anchorlab.cli.groups import OptionGroup
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from anchorlab.scoring.token_updates import TokenTuning


@dataclass(frozen=True)
class AuditTextOptions(OptionGroup):
    """How a language model is audited over texts."""

    heading = "Language models"

    texts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|sample",
            help="Audit a causal language model over these texts: JSON Lines or parquet with one document a row, a "
            "text file whose documents stand apart by blank lines, or a sample that comes with anchorlab.",
        ),
    ] = None
    update_texts: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Texts to make updates of; one half of --texts by hash if left out."),
    ] = None
    documents: Annotated[int | None, typer.Option(metavar="N", help="Most documents that are measured; 100.")] = None
    context: Annotated[
        int | None, typer.Option(metavar="N", help="Most tokens that the models read at once; 256 if left out.")
    ] = None
    top: Annotated[
        int | None, typer.Option(metavar="K", help="Likeliest tokens that access by top-k sees; 5 if left out.")
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens that are sampled at each of --queries prompts; 100 if left out."),
    ] = None

    def refuse_alone(self) -> None:
        """Refuses options that mean nothing without ``--texts``."""
        for flag in self.given():
            raise AnchorlabError(f"--{flag} is for language models over texts: give --texts too, or leave it out")


def audit_over_texts(
    reference: Path,
    candidate: Path,
    options: AuditTextOptions,
    judging: Judging,
    *,
    benign: Sequence[Path],
    updates: int | None,
    steps: Sequence[int] | None,
    learning_rate: float | None,
    level: float,
    access: str | None,
    queries: int | None,
    text_column: str | None,
    base: str | None,
    form: str | None,
    seed: int,
    out: Path,
    others: Iterable[str] = (),
) -> Answer:
    """Audits a language model, writes its record and its page, and judges the bounds.

    Args:
        reference: the folder of the trusted model.
        candidate: the folder of the model to audit.
        options: the texts, and what is asked.
        judging: the bounds, and what is found of them.
        benign: folders of benign updates; none to make them.
        updates: number of updates to make; None for as many as the level needs.
        steps: of each setting of updates to make; None for the usual ones.
        learning_rate: of updates to make; None for the usual one.
        level: of the test.
        access: what the verdict is judged by.
        queries: prompts at which tokens are sampled; None for the usual number.
        text_column: the column of texts.
        base: the base model of adapters.
        form: the form in which the candidate is deployed; None for its own.
        seed: of the sampled tokens.
        out: the folder for the record, the page, and the statistics of updates.
        others: flags that were given and are for other audits.
    """
    from anchorlab.consistency.gate import Measured
    from anchorlab.reports.acceptance.gates import gate_checks
    from anchorlab.reports.acceptance.verdicts import verdict_check
    from anchorlab.reports.token_audit import check_token_audit_folder, write_token_audit
    from anchorlab.scoring.audit_tokens import audit_tokens
    from anchorlab.scoring.tables import token_audit_table
    from anchorlab.scoring.token_audit_result import TOKEN_GATED, TOKEN_RANGES, definitions

    check_token_audit_folder(out)
    for flag in others:
        raise AnchorlabError(f"--{flag} is for classifiers: leave it out, or leave --texts out")
    bounds = judging.bounds(TOKEN_GATED, TOKEN_RANGES)
    asked: dict[str, Any] = {flag.replace("-", "_"): value for flag, value in options.given().items()}
    if queries is not None:
        asked["queries"] = queries
    found = audit_tokens(
        reference,
        in_form(candidate, form, base),
        text_column=text_column,
        benign=list(benign) if benign else updates,
        level=level,
        access=access,
        tuning=_tunings(steps, learning_rate),
        folder=None if benign else out / "updates",
        base=base,
        seed=seed,
        **asked,
    )
    write_token_audit(found, out)
    judging.checks.append(verdict_check(found.verdict))
    judging.checks += gate_checks(bounds, Measured(found.values(), found.intervals()), definitions())
    deployed = "" if form is None else f" in {form}"
    judging.answer = Answer(
        (found.sentences[0], *judging.sentences, *found.sentences[1:]),
        table=token_audit_table(found, f"{candidate}{deployed} against benign updates of {reference}"),
        cautions=found.cautions,
        wrote=out,
        next=_comparison(
            reference,
            candidate,
            {"texts": options.texts, "text-column": text_column, "base": base, "deployed": form},
        ),
        values=found.to_dict(),
        code=judging.code,
    )
    return judging.answer


def _tunings(steps: Sequence[int] | None, learning_rate: float | None) -> list[TokenTuning] | None:
    """The settings of updates to make; None for the usual ones."""
    from anchorlab.scoring.token_updates import LONG, SHORT, TokenTuning
    from anchorlab.settings import build

    if steps is None and learning_rate is None:
        return None
    rate = {} if learning_rate is None else {"learning_rate": learning_rate}
    return [build(TokenTuning, "the benign updates", {"steps": one, **rate}) for one in steps or (SHORT, LONG)]


def _comparison(reference: Path, candidate: Path, options: Mapping[str, str | None]) -> str:
    """The command that shows where the candidate moved."""
    from anchorlab.errors import command_of

    given = [word for flag, value in options.items() if value is not None for word in (f"--{flag}", value)]
    words = ("anchorlab", "compare", reference, candidate, *given)
    return command_of(*words, otherwise="anchorlab compare REFERENCE CANDIDATE --texts FILE")
