"""``anchorlab compare --texts``: two causal language models, token by token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.gates import Judging
from anchorlab.cli.groups import OptionGroup
from anchorlab.errors import AnchorlabError


@dataclass(frozen=True)
class TokenOptions(OptionGroup):
    """How two language models are compared over texts."""

    heading = "Language models"

    texts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|sample",
            help="Compare two causal language models over these texts: JSON Lines or parquet with one document a row, "
            "a text file whose documents stand apart by blank lines, or a sample that comes with anchorlab.",
        ),
    ] = None
    domain_column: Annotated[
        str | None, typer.Option(help="The column of domains, by which results are broken down; 'domain' if left out.")
    ] = None
    context: Annotated[
        int | None, typer.Option(metavar="N", help="Most tokens that the models read at once; 512 if left out.")
    ] = None
    stride: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens from one window to the next; as many as fit into one if left out."),
    ] = None
    bos: Annotated[
        bool | None,
        typer.Option(
            "--bos/--no-bos",
            help="Whether the beginning-of-text token is put before each window; as the tokenizer does if left out.",
        ),
    ] = None
    together: Annotated[int | None, typer.Option(metavar="N", help="Full windows that are read at once; 1.")] = None
    precision: Annotated[
        str | None,
        typer.Option(metavar="float32|bfloat16|float16", help="What both models compute in; float32 if left out."),
    ] = None
    in_turn: Annotated[
        bool | None,
        typer.Option(
            "--in-turn", help="Open one model after the other; the reference's answers wait in a file meanwhile."
        ),
    ] = None
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="That file, which is kept, and read in place of the reference where it is there already.",
        ),
    ] = None
    noise: Annotated[
        bool | None,
        typer.Option("--noise", help="Compare the reference with itself too, at another batch size and in bfloat16."),
    ] = None
    worst: Annotated[
        int | None, typer.Option(metavar="N", help="Tokens of largest KL that are kept with their context; 20.")
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The same as keyword arguments of ``compare_tokens``, of those that were given."""
        return {name.replace("-", "_"): value for name, value in self.given().items()}

    def refuse_alone(self) -> None:
        """Refuses options that mean nothing without ``--texts``."""
        for flag in self.given():
            raise AnchorlabError(f"--{flag} is for language models over texts: give --texts too, or leave it out")


def compare_over_texts(
    reference: Path,
    candidate: Path,
    options: TokenOptions,
    judging: Judging,
    *,
    text_column: str | None = None,
    base: str | None = None,
    instances: Path | None = None,
    form: str | None = None,
    every: bool = False,
    out: Path | None = None,
    others: Iterable[str] = (),
) -> Answer:
    """Compares the models, and judges the bounds on the measurements.

    Args:
        reference: the folder of the reference.
        candidate: the folder of the candidate.
        options: the texts, and how they are read.
        judging: the bounds, and what is found of them.
        text_column: the column of texts.
        base: the base model of adapters.
        instances: a parquet file to write a row a token to.
        form: the form in which the candidate is deployed; None for its own.
        every: whether to show every measurement.
        out: a folder for the page and its record.
        others: flags that were given and are for other comparisons.
    """
    from anchorlab.reports.acceptance.gates import gate_checks
    from anchorlab.reports.tokens.page import check_tokens_folder, write_tokens
    from anchorlab.tokens.compare import compare_tokens
    from anchorlab.tokens.measurements import MEASUREMENTS
    from anchorlab.tokens.table import headline_table, tokens_table
    from anchorlab.tokens.words import words_of_tokens

    for flag in others:
        raise AnchorlabError(f"--{flag} is for classifiers: leave it out, or leave --texts out")
    if out is not None:
        check_tokens_folder(out)
    bounds = judging.bounds(list(MEASUREMENTS), {name: each.limits for name, each in MEASUREMENTS.items()})
    found = compare_tokens(
        reference,
        in_form(candidate, form, base),
        text_column=text_column,
        save_tokens=instances,
        base=base,
        **options.arguments(),
    )
    definitions = {name: each.definition for name, each in MEASUREMENTS.items()}
    judging.checks += gate_checks(bounds, found.measured(), definitions)
    if out is not None:
        write_tokens(found, out, judging.sentences)
    judging.answer = Answer(
        sentences=(*judging.sentences, *words_of_tokens(found), found.scoring.words(), *found.notes),
        table=(tokens_table if every else headline_table)(found, f"{candidate} against {reference}"),
        cautions=tuple(found.cautions),
        wrote=instances if out is None else out,
        values=found.to_dict(),
        code=judging.code,
    )
    return judging.answer


def in_form(candidate: Path, form: str | None, base: str | None) -> Any:
    """The candidate's folder; or the model in the form in which it is deployed."""
    if form is None:
        return candidate
    from anchorlab.artifacts.deployed import deployed
    from anchorlab.models.causal import open_causal

    return deployed(open_causal(candidate, base=base), form)
