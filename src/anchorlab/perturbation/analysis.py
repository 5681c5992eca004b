"""What an analysis found: tables of measured numbers, and what can be read off them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

#: What stands for the reference among names of candidates.
REFERENCE = "reference"

#: The tables of an analysis, by name, to what they hold.
TABLES = {
    "sizes": "how large each change of weights is, for the whole model and for each layer",
    "behaviour": "what each candidate does, and what its weights and its buffers alone would do",
    "quadratic": "the change of the function to second order, beside the measured one",
    "paths": "models on the straight line through the reference and each candidate",
    "barriers": "how far loss and error rise between the reference and each candidate",
    "angles": "angles between the changes",
    "spectrum": "curvature of the clean loss at the reference",
    "rayleigh": "curvature of the clean loss along each change",
    "bounds": "bounds of theory beside what was measured, instance by instance",
    "instances": "the values behind the bounds",
    "plane": "clean loss and attack success on the plane through three models",
    "models": "where the models lie on that plane",
    "gradients": "how the gradients of the objectives stood to each other along each injection",
}


@dataclass(frozen=True)
class Analysis:
    """What ``analyze`` found.

    Every table is tidy: a row a thing measured, and where a value has a 95% interval its ends stand beside it in the
    columns ``NAME_lower`` and ``NAME_upper``. ``candidate`` is a candidate's name. Rates are fractions. An undefined
    value is NaN. A table that was not measured has no rows; ``left_out`` says why. The columns, after ``candidate``:

    sizes
        ``layer`` (first ``all parameters``, last ``buffers`` if there are any), ``parameters``, ``l2``, ``linf``,
        ``relative``, ``rms``, ``changed``, ``effective_rank``: see ``anchorlab.perturbation.size``.
    behaviour
        ``part`` (``all`` of the change, or ``weights`` or ``buffers`` alone; the latter two only where a buffer has
        moved), and with intervals ``accuracy``, ``kl`` (nats), ``logit_distance``, ``churn``, ``asr``; ``asr_count``.
        A first row, of the candidate ``reference``, has its accuracy and its rate under the first candidate's attack.
    quadratic
        With intervals: ``kl`` (of the weights alone), ``kl_quadratic`` (``E Var_p(J d) / 2``, nats), ``kl_ratio`` (the
        second over the first), ``logit_distance`` (of the weights alone), ``logit_distance_linear``
        (``E |J d|^2 / C``), ``ewc`` (``sum_i F_ii d_i^2 / 2``, nats); and ``fisher_norm``, the root of ``d' F d``.
    paths
        ``buffers`` (``stored`` or ``re-estimated``), ``scale`` (0 the reference, 1 the candidate), with intervals
        ``loss`` (nats), ``accuracy``, ``kl``, ``asr``; ``kl_quadratic`` is ``scale^2`` times that of ``quadratic``,
        where buffers are stored and have not moved.
    barriers
        ``buffers``, with intervals ``loss`` (nats) and ``error``: how far each rises above the straight line between
        its ends.
    angles
        ``other`` (a candidate too), ``cosine``, ``degrees``; every pair both ways, each with itself left out.
    spectrum
        No candidate: ``quantity`` (``eigenvalue 1`` being the largest, ..., ``trace``, ``mean eigenvalue``), ``value``,
        ``error`` (of an eigenvalue: norm of the residual; else the standard error), ``products`` (Hessian-vector
        products that it took).
    rayleigh
        With interval ``rayleigh``: ``d' H d / d' d``; ``to_largest`` and ``to_mean``, its ratios to the largest and the
        mean eigenvalue; ``loss_quadratic``: ``d' H d / 2``, nats, with interval.
    bounds
        ``bound`` (its name), ``formula``, ``measured`` and ``bound_mean`` (means over instances), ``largest_ratio`` and
        ``median_ratio`` (of measured to bound, over instances; NaN for the rate of flips), ``violations`` (0).
    instances
        ``kl``, ``range`` (``max d - min d``, of the logit shift ``d``), ``centred`` (``|d - mean d|``),
        ``total_variation``, ``margin`` (of the reference), ``churned``.
    plane
        No candidate: ``x``, ``y`` (L2 distance from the reference along either axis), ``loss``, ``asr``.
    models
        ``x``, ``y``, ``distance`` (L2, of the model from the plane); the first row is the ``reference`` at 0, 0.
    gradients
        ``step``, ``cosine_clean``, ``cosine_anchor``, ``norm_backdoor``, ``norm_clean``, ``norm_anchor``: see
        ``anchorlab.artifacts.manifest.GradientRecord``.

    Attributes:
        reference: name of the reference.
        candidates: their names, in the order given.
        kinds: what each candidate is, by name: its method, or what its manifest says it is; empty if it has none.
        task: name of the task.
        split: the split measured on.
        count: number of clean examples.
        parameters: number of parameters of a model.
        buffers_left_out: names of the integer buffers, which only count.
        settings: everything that was set, as JSON values.
        tables: the tables by name, each name of ``TABLES`` being there.
        findings: what can be read off, a sentence each.
        left_out: what was not measured and why, a sentence each.
    """

    reference: str
    candidates: tuple[str, ...]
    kinds: Mapping[str, str]
    task: str
    split: str
    count: int
    parameters: int
    buffers_left_out: tuple[str, ...]
    settings: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    findings: tuple[str, ...]
    left_out: tuple[str, ...]
