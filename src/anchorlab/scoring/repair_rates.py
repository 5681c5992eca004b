"""Two rates of a repair that papers report: DER and RIR, from rates before and after it.

Both are half of 1, plus what the repair gained on triggered inputs, less the accuracy that it cost on clean ones. A
change to the wrong side counts as none, so that both lie from 0 to 1, and a repair that does nothing has 0.5.

The defence effectiveness rating is of Zhu, Wei, Shen, Fan and Wu 2023 (arXiv 2304.11823). The robust improvement rate
is that of BackdoorBench (Wu, Chen, Zhang et al. 2025, International Journal of Computer Vision), whose code computes
both in ``utils/metric.py``. There, the functions that take predictions add the loss of accuracy, which the formula
subtracts, and take it from triggered inputs. Those that take rates, which its ``visual_metric.py`` calls, have the
formulas below.
"""

from __future__ import annotations


def effectiveness(*, asr_before: float, asr: float, accuracy_before: float, accuracy: float) -> float:
    """DER, from 0 to 1: half of ``1 + fall of the ASR - fall of the accuracy``.

    >>> effectiveness(asr_before=1.0, asr=0.25, accuracy_before=0.875, accuracy=0.75)
    0.8125
    """
    return (1 + max(0.0, asr_before - asr) - max(0.0, accuracy_before - accuracy)) / 2


def robust_improvement(
    *, robust_accuracy_before: float, robust_accuracy: float, accuracy_before: float, accuracy: float
) -> float:
    """RIR, from 0 to 1: half of ``1 + rise of the robust accuracy - fall of the accuracy``.

    The robust accuracy is that on triggered attacked inputs, by their true labels.

    >>> robust_improvement(robust_accuracy_before=0.0, robust_accuracy=0.5, accuracy_before=0.875, accuracy=0.75)
    0.6875
    """
    return (1 + max(0.0, robust_accuracy - robust_accuracy_before) - max(0.0, accuracy_before - accuracy)) / 2
