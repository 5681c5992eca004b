"""The contracts that methods, triggers, repairs, detectors and metrics keep, to run by pytest on your own.

Each function takes a class or an instance and returns a ``Contract``::

    from anchorlab.testing import check_repair

    def test_my_repair() -> None:
        check_repair(MyRepair).assert_kept()

``anchorlab plugin check PACKAGE`` runs them on all that an installed package registers. They need no data and no
network: two tiny models, of digits and of made-up texts, are trained once in a process, which takes some ten seconds.
"""

from __future__ import annotations

from anchorlab.testing.contract import Contract, Finding
from anchorlab.testing.detectors import check_detector
from anchorlab.testing.methods import check_method
from anchorlab.testing.metrics import check_metric
from anchorlab.testing.packages import check_package
from anchorlab.testing.repairs import check_repair
from anchorlab.testing.triggers import check_trigger

__all__ = [
    "Contract",
    "Finding",
    "check_detector",
    "check_method",
    "check_metric",
    "check_package",
    "check_repair",
    "check_trigger",
]
