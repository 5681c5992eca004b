"""Whether a suite may start the programs that its scanners are, before anything runs."""

from __future__ import annotations

from anchorlab.detectors import Command
from anchorlab.errors import AnchorlabError, quoted
from anchorlab.suites.spec import Suite


def check_programs(suite: Suite, *, allowed: bool, here: bool = True) -> None:
    """Refuses a suite whose scanners nobody has allowed, or are not there.

    A suite file is data, perhaps somebody else's, and no data start a program unless their reader wants it.

    Args:
        suite: the suite to run.
        allowed: whether its scanners may run.
        here: whether the runs are worked on this machine; nodes of a cluster may have what is missing here.

    Raises:
        AnchorlabError: if a scanner is not allowed, or its program is not on this machine.
    """
    for label, spec in suite.detectors.items():
        scanner = spec.build()
        if not isinstance(scanner, Command):
            continue
        if not allowed:
            raise AnchorlabError(
                f"the detector {quoted(label)} of this suite starts a program ({quoted(scanner.run)}): read its "
                "command, and allow it by --allow-programs, in Python by programs=True"
            )
        if here:
            scanner.check_program()
