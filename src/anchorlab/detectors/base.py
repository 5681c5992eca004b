"""Base classes of detectors of models, which score a model, and of inputs, which score each input.

Detectors give scores, not verdicts: the higher, the more suspicious. A threshold comes from clean data alone, at a
stated false positive rate.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.defence import Defence
from anchorlab.errors import AnchorlabError, printable
from anchorlab.models.device import in_double
from anchorlab.models.hooks import features
from anchorlab.statistics.escaping import html
from anchorlab.statistics.plotting import COLOURS, shown_figure
from anchorlab.statistics.table import Table, frame_table, to_html

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def details_of(columns: Mapping[str, Collection[object]] | None = None) -> pd.DataFrame:
    """The details of a score from its columns, by their names; no rows if there are none."""
    import pandas as pd  # late: takes half a second, and the registry imports all detectors

    return pd.DataFrame(columns)


@dataclass(frozen=True, repr=False)
class ModelScore:
    """A detector's score of a model.

    Attributes:
        score: the higher, the more suspicious; NaN if it found nothing to judge, and ``note`` says why.
        details: a row for each attempt, for example each label and restart.
        note: a remark that a reader needs, for example that a search found no trigger; empty for nothing.
        patterns: triggers found, uint8 ``[n, C, H, W]`` or None, the most suspicious first, with the labels they lead
            to in ``targets``.
        targets: int64 ``[n]``, the labels that a detector suspects as targets; None where it suspects none.
    """

    score: float
    details: pd.DataFrame = field(default_factory=details_of)
    note: str = ""
    patterns: Tensor | None = None
    targets: Tensor | None = None

    def __repr__(self) -> str:
        parts = [f"{self.score:.4g}", f"{len(self.details)} rows of details"]
        if self.patterns is not None:
            parts.append(f"{len(self.patterns)} patterns")
        return printable(f"ModelScore({', '.join([*parts, *([self.note] if self.note else [])])})")

    def details_table(self, caption: str = "what was tried") -> Table:
        """The details for a reader, a row for each attempt."""
        return frame_table("details", caption, self.details)

    def table(self) -> pd.DataFrame:
        """The details, a row for each attempt; a copy."""
        return self.details.copy()

    def plot(self) -> Figure:
        """The last number of the details by label, of which the score is made; a notebook shows the figure.

        Raises:
            AnchorlabError: for a score without details by label.
        """
        numbers = [str(name) for name in self.details.select_dtypes("number") if name not in ("label", "restart")]
        if "label" not in self.details or not numbers:
            raise AnchorlabError("this score has no details by label to plot: read table() instead")
        with shown_figure(6.0, 2.6) as figure:
            axis = figure.subplots()
            axis.plot(self.details["label"], self.details[numbers[-1]], "o", color=COLOURS[0])
            labels = sorted(set(self.details["label"]))
            axis.set(xlabel="label", ylabel=numbers[-1].replace("_", " "), title=f"score {self.score:.4g}")
            if len(labels) <= 20:
                axis.set_xticks(labels)
        return figure

    def _repr_html_(self) -> str:
        note = f" {self.note}" if self.note else ""
        table = to_html(self.details_table()) if len(self.details) else ""
        return f"<p>{html(f'score {self.score:.4g}.{note}')}</p>{table}"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pixels of patterns, as JSON values; a score that is not finite is None."""
        return {
            "score": self.score if math.isfinite(self.score) else None,
            "note": self.note,
            "details": self.details.to_dict("records"),
            "targets": None if self.targets is None else self.targets.tolist(),
        }


def checked_scores(scores: Any, count: int, name: str) -> NDArray[np.float64]:
    """What a detector of inputs returned, which may be somebody else's: a finite number for each of ``count`` inputs.

    Raises:
        AnchorlabError: if it is anything else.
    """
    try:
        values = np.asarray(scores)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, or a tensor on a device
        values = np.asarray(None)
    if values.dtype.kind in "bfiu" and values.shape == (count,) and np.isfinite(values).all():
        return values if values.dtype.kind == "f" else values.astype(np.float64)  # unsigned numbers have no negative
    numbers = "numbers that are not all finite" if values.shape == (count,) and values.dtype.kind == "f" else ""
    shape = f" of {values.dtype} and shape {values.shape}" if values.shape else ""
    raise AnchorlabError(
        f"the detector {name} returned {numbers or type(scores).__name__ + shape} for {count:,} inputs: let scores "
        f"return an array of numpy, a finite number for each input"
    )


class ModelDetector(Defence):
    """Base of the detectors of models: hyper-parameters in the subclass's fields, a frozen pydantic dataclass.

    The classifier is called by ``anchorlab.models.call.logits(model, inputs)``, ``inputs`` being a dictionary:
    ``pixel_values``, uint8 ``[N, C, H, W]``; or ``input_ids``, int32, and ``attention_mask``, bool, ``[N, L]``. It
    returns logits, float32 ``[N, C]``, whatever the module returns, and however its ``forward`` calls its input;
    ``predict`` does so for a whole split.
    """

    #: Whether it gets a model with an adapter as it is; others get the adapter merged into the weights.
    takes_adapters: ClassVar[bool] = False

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """Scores a model.

        Args:
            model: the model, on the device, in evaluation mode; not changed.
            data: all data that the defender has.
            context: device, seed, progress.

        Raises:
            AnchorlabError: if the detector does not fit the model, or the data do not suffice.
        """
        raise NotImplementedError


class InputDetector(Defence):
    """Base of the detectors of inputs: hyper-parameters in the subclass's fields, a frozen pydantic dataclass.

    Models and inputs are as in ``ModelDetector``.
    """

    #: True for a detector that judges inputs against each other, so that a score depends on the other inputs.
    is_set_level: ClassVar[bool] = False

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """A score for each input, in their order, float64 ``[N]``; the higher, the more suspicious.

        Args:
            model: the model, on the device, in evaluation mode; not changed.
            data: all data that the defender has.
            inputs: N inputs of unknown origin, clean and triggered ones mixed, as a dictionary from name to tensor on
                the device.
            context: device, seed, progress.

        Raises:
            AnchorlabError: if the detector does not fit the model, or the data do not suffice.
        """
        raise NotImplementedError


class FeatureDetector(InputDetector):
    """Base of the detectors that judge a set of inputs by its features before the last layer.

    Features are the same for all of them, so that several of them can share one call of ``features_and_predictions``
    and score its result by ``scores_of_features``.
    """

    is_set_level: ClassVar[bool] = True
    needs: ClassVar[str] = "a linear layer that gives the logits, from one vector an input"

    def scores_of_features(
        self, features: NDArray[np.float64], predicted: NDArray[np.int64], context: DefenderContext
    ) -> NDArray[np.float64]:
        """A score for each input of a set.

        Args:
            features: float64 ``[N, D]``.
            predicted: labels that the model predicts, int64 ``[N]``.
            context: seed.
        """
        raise NotImplementedError

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        features(model, inputs)

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``."""
        del data
        return self.scores_of_features(*features_and_predictions(model, inputs), context)


def features_and_predictions(
    model: nn.Module, inputs: Mapping[str, Tensor]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features of inputs before the last layer, float64 ``[N, D]``, and predicted labels, int64 ``[N]``."""
    activations, logits = features(model, inputs)
    return in_double(activations).cpu().numpy(), logits.argmax(1).cpu().numpy()
