"""``anchorlab plugin``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.commands import add_command, new_app
from anchorlab.cli.shared import remark

if TYPE_CHECKING:
    from anchorlab.statistics.table import Table
    from anchorlab.testing import Contract
    from anchorlab.testing.contract import Outcome

#: Exit code where a rule is broken; a mistake of the user has another.
BROKEN = 1

app = new_app(help="Check what a package of your own adds to anchorlab.")


def check(
    *,
    package: Annotated[
        str,
        typer.Argument(metavar="PACKAGE", help="An installed package, by its own name or its module's."),
    ],
) -> Answer:
    """Check that a package's methods, triggers, repairs, detectors and metrics keep their contracts.

    This imports the package and runs its code, on tiny models that are trained for it. Exit code 1 if a rule is broken.
    """
    from anchorlab.testing.packages import check_package, installed

    found = installed(package)
    remark(f"this runs the code of {found.name} {found.version}")
    contracts = check_package(package)
    broken = [contract for contract in contracts if not contract.kept]
    return Answer(
        sentences=(_result(contracts), *_sentences(contracts, "broken")),
        table=_table(contracts, found.name),
        cautions=_cautions(contracts),
        values={"package": found.name, "contracts": [contract.to_dict() for contract in contracts]},
        code=BROKEN if broken else 0,
    )


def _sentences(contracts: Sequence[Contract], outcome: Outcome) -> list[str]:
    """One for each rule with an outcome."""
    return [
        f"{contract.kind} {contract.name}, {finding.rule}: {finding.sentence}"
        for contract in contracts
        for finding in contract.having(outcome)
    ]


def _cautions(contracts: Sequence[Contract]) -> tuple[str, ...]:
    """What was not tried although it could be, so that it is not taken for kept."""
    untried = [contract for contract in contracts if not contract.having("kept")]
    refused = [sentence for sentence in _sentences(contracts, "not tried") if ": it refuses: " in sentence]
    return (*(f"nothing of the {contract.kind} {contract.name} was tried" for contract in untried), *refused)


def _result(contracts: Sequence[Contract]) -> str:
    count, broken = len(contracts), sum(not contract.kept for contract in contracts)
    if broken:
        return f"{broken} of {count} break{'s' * (broken == 1)} the contract"
    return f"all {count} keep their contracts" if count > 1 else "it keeps its contract"


def _table(contracts: Sequence[Contract], package: str) -> Table:
    from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

    outcomes: tuple[Outcome, ...] = ("kept", "broken", "not tried")
    columns = (Column("kind", "kind", is_text=True), *(Column(outcome, outcome) for outcome in outcomes))
    rows = []
    for contract in contracts:
        counts = [len(contract.having(outcome)) for outcome in outcomes]
        rows.append(Row(contract.name, [Cell(contract.kind), *(Cell(str(count), count) for count in counts)]))
    return Table("contracts", f"rules of what {package} adds", "name", columns, (Rows(rows),))


add_command(app, "check", check, computes=True)
