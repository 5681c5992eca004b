"""A plugin of pytest that tells each failure when it happens, as in ``python -m pytest -n 8 -p tests.told tests``.

A machine that is lent may end before the summary.
"""

from __future__ import annotations

import sys

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Prints the test, whether it failed while it was set up, run or ended, and the first line of the reason."""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = crash.message if crash is not None else report.longreprtext
        sys.stdout.write(f"\n{report.nodeid}, {report.when}: {reason.partition(chr(10))[0]}\n")
        sys.stdout.flush()
