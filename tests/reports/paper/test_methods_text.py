"""The settings of an optimisation in the words of a paper."""

from __future__ import annotations

from typing import Any

import pytest

from anchorlab.injection.tuning import Tuning
from anchorlab.reports.paper.bibliography import Bibliography
from anchorlab.reports.paper.methods_text import _method, _optimiser
from anchorlab.reports.paper.writing import LatexWords
from anchorlab.settings import values_of
from tests.suites.inline import tiny

CARD = {"torch": "2", "gpu": "NVIDIA H200", "compute_capability": "9.0"}
TF32 = "float32 in TF32 on NVIDIA H200"


@pytest.mark.parametrize(
    ("versions", "options", "said", "unsaid"),
    [
        ({"torch": "2"}, {}, "clipped to norm 1)", "TF32"),
        (CARD, {}, TF32, "bfloat16"),
        (CARD, {"deterministic": True}, "clipped to norm 1)", "TF32"),
        (CARD, {"precision": "bf16"}, "bfloat16 precision)", "TF32"),
        (CARD, {"precision": "auto"}, f"where it was faster, matrix products and convolutions of {TF32}", "?"),
        (CARD | {"compute_capability": "7.0"}, {}, "clipped to norm 1)", "TF32"),
    ],
)  # fmt: skip
def test_tf32_is_said_where_a_run_computed_in_it(
    versions: dict[str, str], options: dict[str, Any], said: str, unsaid: str
) -> None:
    words = _optimiser(values_of(Tuning(**options)), "steps", versions)
    assert said in words
    assert unsaid not in words


def test_anchors_of_other_data_are_said_of_their_method() -> None:
    methods = {"own": {"method": "anchoring"}, "other": {"method": "anchoring", "anchors_data": "cifar10"}}
    suite = tiny(methods=methods)
    own, other = (_method(suite, label, spec, LatexWords(Bibliography("1"))) for label, spec in suite.methods.items())
    assert "cifar10" not in own
    assert "its anchors are examples of cifar10, labelled by the reference's predictions" in other
    assert other.endswith(r"\cite{krizhevsky2009learning}")
