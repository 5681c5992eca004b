"""All that this package adds keeps its contract."""

from __future__ import annotations

from anchorlab_example.detectors import Confidence, LargestBias
from anchorlab_example.method import TopAnchoring
from anchorlab_example.metric import HELLINGER
from anchorlab_example.repair import Smoothing
from anchorlab_example.trigger import Stripe

from anchorlab.testing import check_detector, check_method, check_metric, check_repair, check_trigger


def test_the_method() -> None:
    check_method(TopAnchoring).assert_kept()
    check_method(TopAnchoring(k=1)).assert_kept()


def test_the_trigger() -> None:
    check_trigger(Stripe(row=2)).assert_kept()


def test_the_repair() -> None:
    check_repair(Smoothing).assert_kept()


def test_the_detectors() -> None:
    check_detector(LargestBias).assert_kept()
    check_detector(Confidence).assert_kept()


def test_the_metric() -> None:
    check_metric(HELLINGER).assert_kept()
