"""Options of scanners: other people's programs as detectors of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.groups import OptionGroup
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from anchorlab.detectors import Command

#: What a detector begins with that is a scanner's command.
_PREFIX = "command:"


@dataclass(frozen=True)
class ScannerOptions(OptionGroup):
    """How the score of a scanner is read."""

    heading = "Scanners"

    score_path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Where the score of a command:... detector stands in its JSON, as issues.0.score; of a list its "
            "length counts.",
        ),
    ] = None
    missing: Annotated[
        float | None, typer.Option(help="The score where the JSON has no such place; 0 if left out.")
    ] = None
    exit_scores: Annotated[
        str | None,
        typer.Option(metavar="CODE=SCORE,...", help="The score of each exit code, as 0=0,1=1, in place of JSON."),
    ] = None
    accuse_above: Annotated[
        float | None, typer.Option(help="A model with a higher score than this is accused; 0 if left out.")
    ] = None
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds after which a scanner is ended and has failed; 300 if left out.")
    ] = None
    scanner_version: Annotated[
        str | None, typer.Option(help="The scanner's version, for the record; a new one lets it scan again.")
    ] = None

    def detectors(self, texts: Sequence[str]) -> list[str | Command]:
        """Detectors as they were named; scanners built, and their programs looked for.

        Raises:
            AnchorlabError: for options without a scanner, or a scanner that is not there.
        """
        given = self.given()
        if not any(text.startswith(_PREFIX) for text in texts):
            if given:
                raise AnchorlabError(
                    f"--{next(iter(given))} is for a scanner, but no detector is one: give its command, as in "
                    '--detector command:"scanner --json {model}"'
                )
            return list(texts)
        from anchorlab.detectors import DETECTORS, Command

        values = {name.removeprefix("scanner-").replace("-", "_"): value for name, value in given.items()}
        found: list[str | Command] = []
        for text in texts:
            if text.startswith(_PREFIX):
                scanner = DETECTORS.build("command", {"run": text.removeprefix(_PREFIX), **values})
                assert isinstance(scanner, Command)
                scanner.check_program()
                found.append(scanner)
            else:
                found.append(text)
        return found
