"""``detect_inputs``: the inputs of a file ranked by how suspicious they look, without a known trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from anchorlab.arguments import checked
from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.resolve import common_task, module_of, named_task, note_other_cut
from anchorlab.data import DataColumns, Split, Task
from anchorlab.data.unjudged import UnjudgedInputs, as_inputs, read_inputs
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.data import DefenderCount
from anchorlab.defender.device import check_fits_form, check_fits_task
from anchorlab.detectors import DETECTORS
from anchorlab.detectors.base import InputDetector, checked_scores
from anchorlab.errors import AnchorlabError, first_line, shortened
from anchorlab.models.call import predict
from anchorlab.models.device import in_double
from anchorlab.models.forms import form_of
from anchorlab.progress import progress_bar
from anchorlab.scoring.detect import prepare
from anchorlab.scoring.trial import Mixture, of_one_form
from anchorlab.seeding import seeded_globally
from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table, to_html

#: Most characters of an input that a table shows.
_SHOWN = 60

#: The share of clean examples that a high score leaves above it or beside it, and the fewest of them that can show it.
RATE, _FEWEST = 0.05, 19


@dataclass(frozen=True, repr=False)
class RankedInputs:
    """Inputs and how suspicious each of them looks to some detectors.

    Attributes:
        inputs: as they were given, N of them.
        scores: detector to its scores, float64 ``[N]``; the higher, the more suspicious.
        clean_shares: detector to the share of the defender's held-back clean examples with at least the score of each
            input, float64 ``[N]``.
        order: the inputs from the most suspicious one on, int64 ``[N]``.
        predictions: labels that the model gives, int64 ``[N]``.
        probabilities: of these labels, float64 ``[N]``.
        classes: names of the classes by label.
        left_out: detector to why it did not judge the inputs.
        validation_count: number of the held-back clean examples.
        usual_shares: detector to the share of these that score higher than 95% of the others; without those that are
            judged by fewer than 19 examples.
    """

    inputs: UnjudgedInputs
    scores: Mapping[str, Floats]
    clean_shares: Mapping[str, Floats]
    order: Integers
    predictions: Integers
    probabilities: Floats
    classes: tuple[str, ...]
    left_out: Mapping[str, str]
    validation_count: int
    usual_shares: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        first = ", ".join(self.inputs.places[index] for index in self.order[:3])
        return f"RankedInputs({len(self)} inputs by {', '.join(self.scores)}; first {first})"

    def _repr_html_(self) -> str:
        return to_html(self.table())

    def frame(self) -> pd.DataFrame:
        """Every input, the most suspicious first.

        Columns: ``rank`` from 1, ``place``, ``prediction``, ``probability``, ``label`` that it came with, and of each
        detector its score and ``NAME_clean_share``.
        """
        columns: dict[str, Any] = {
            "rank": np.arange(1, len(self) + 1),
            "place": [self.inputs.places[index] for index in self.order],
            "prediction": [self.classes[self.predictions[index]] for index in self.order],
            "probability": self.probabilities[self.order],
            "label": [self.inputs.labels[index] for index in self.order],
        }
        for name, scores in self.scores.items():
            columns[name] = scores[self.order]
            columns[f"{name}_clean_share"] = self.clean_shares[name][self.order]
        return pd.DataFrame(columns)

    def table(self, top: int = 20) -> Table:
        """The most suspicious inputs for a reader, each with the detector that ranks it highest."""
        labelled = any(label is not None for label in self.inputs.labels)
        of_texts = self.inputs.split.texts is not None
        columns = [
            Column("prediction", "prediction"),
            *([Column("label", "its label")] if labelled else []),
            Column("detector", "stands out by"),
            *([] if of_texts else [Column("score", "score")]),  # the texts need the room
            Column("clean", "clean ones as high"),
            *([Column("input", "text", is_text=True)] if of_texts else []),
        ]
        names = list(self.scores)
        best = places_of(list(self.scores.values())).argmin(axis=0)
        rows = []
        for index in self.order[:top]:
            name = names[best[index]]
            score, share = float(self.scores[name][index]), float(self.clean_shares[name][index])
            cells = [
                Cell(f"{self.classes[self.predictions[index]]} ({self.probabilities[index]:.2f})"),
                *([Cell(self.inputs.labels[index] or "–")] if labelled else []),
                Cell(name),
                *([] if of_texts else [Cell(f"{score:.3g}", score)]),
                Cell(f"{share:.0%}", share),
                *([Cell(self.shown(int(index)))] if of_texts else []),
            ]
            rows.append(Row(self.inputs.places[index], cells))
        caption = f"the {len(rows)} most suspicious of {len(self):,} inputs"
        return Table("inputs", caption, "input", columns, (Rows(rows),))

    def shown(self, index: int) -> str:
        """An input in a few characters: a text's beginning and end; nothing of an image, whose place is its name."""
        texts = self.inputs.split.texts
        return "" if texts is None else shortened(texts[index], _SHOWN)

    def sentences(self) -> list[str]:
        """The result in words."""
        said = []
        for name, shares in self.clean_shares.items():
            usual = self.usual_shares.get(name)
            among = "" if usual is None else f"; of the clean ones themselves {100 * usual:.3g}% do so among the others"
            said.append(
                f"{name}: {100 * float(is_high(shares).mean()):.3g}% of the {len(self):,} inputs score higher than "
                f"{1 - RATE:.0%} of {self.validation_count:,} clean examples of the defender do{among}."
            )
        said.append(
            "An input's place is its best place by any detector; ties go by the mean place. A high place is no proof: "
            "some input is always first."
        )
        said += [f"{name} did not judge them: {why}" for name, why in self.left_out.items()]
        return said

    def to_dict(self) -> dict[str, Any]:
        """Everything but the inputs themselves, as JSON values; ``rows`` are in the order of their ranks."""
        frame = self.frame().astype(object)
        return {
            "inputs": len(self),
            "detectors": list(self.scores),
            "left_out": dict(self.left_out),
            "validation": self.validation_count,
            "sentences": self.sentences(),
            "rows": frame.where(frame.notna(), None).to_dict("records"),
        }


@checked
def detect_inputs(
    model: Artifact | nn.Module,
    inputs: str | Path | Sequence[str] | Tensor,
    detectors: Sequence[str | InputDetector] | None = None,
    *,
    defender_data: DefenderCount = "usual",
    task: Task | str | None = None,
    columns: DataColumns | None = None,
    seed: int = 0,
) -> RankedInputs:
    """Ranks inputs of unknown origin by how suspicious they look. No trigger needs to be known.

    Args:
        model: the model, with its manifest or as a bare classifier of raw inputs.
        inputs: a file of rows, a folder of images, one image, or a hub name, with labels or without; or texts, or
            images as uint8 ``[N, C, H, W]``.
        detectors: detectors of inputs, or their registered names; all that fit the model and its data if None.
        defender_data: number of clean examples that the defender has, drawn from the split ``defender`` with the seed;
            ``usual`` for 640, or all if there are fewer; None for all. A fifth of them is held back, and says which
            scores clean inputs have.
        task: the task with its data, or its name; the manifest's if None.
        columns: what is where in the file; the columns of the task's own data if None.
        seed: seed of all draws.

    Raises:
        AnchorlabError: for inputs that cannot be read, a detector that does not fit, or too few clean examples.
    """
    task = named_task(task, model)
    note_other_cut([model], task, "defender")
    task = common_task(task, model, [])
    chosen, left_out = _chosen(detectors, task, module_of(model))
    given = read_inputs(inputs, task, columns) if isinstance(inputs, (str, Path)) else as_inputs(inputs, task)
    judged = judge_inputs(
        model, chosen, given.split, task=task, defender_data=defender_data, seed=seed, strict=detectors is not None
    )
    left_out |= judged.left_out
    if not judged.scores:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise AnchorlabError(f"no detector of inputs fits this model and its data ({why}): name one by --detector")
    return RankedInputs(
        given,
        judged.scores,
        judged.clean_shares,
        suspicion_order(list(judged.scores.values())),
        judged.predictions,
        judged.probabilities,
        task.classes,
        left_out,
        judged.validation_count,
        judged.usual_shares,
    )


@dataclass(frozen=True)
class JudgedInputs:
    """What some detectors say of inputs; attributes are as in ``RankedInputs``."""

    scores: Mapping[str, Floats]
    clean_shares: Mapping[str, Floats]
    left_out: Mapping[str, str]
    predictions: Integers
    probabilities: Floats
    validation_count: int
    usual_shares: Mapping[str, float]


def judge_inputs(
    model: Artifact | nn.Module,
    detectors: Mapping[str, InputDetector],
    inputs: Split,
    *,
    task: Task,
    defender_data: DefenderCount,
    seed: int,
    strict: bool = True,
    title: str | None = None,
) -> JudgedInputs:
    """Scores of inputs by some detectors, beside the scores of the defender's held-back clean examples.

    Args:
        model: the model.
        detectors: name to detector, each of which fits the data.
        inputs: N inputs as the model reads them.
        task: the task as the model reads it.
        defender_data: number of clean examples of the defender, as in ``detect_inputs``.
        seed: seed of all draws.
        strict: whether a detector that cannot judge the inputs is an error; otherwise it is left out.
        title: of the progress bar.

    Raises:
        AnchorlabError: for a detector that cannot judge them, or too few clean examples.
    """
    scores: dict[str, Floats] = {}
    shares: dict[str, Floats] = {}
    usual: dict[str, float] = {}
    left_out: dict[str, str] = {}
    # At least one example to learn from, and one for validation.
    min_examples = max(2, *(detector.min_examples for detector in detectors.values()))
    with progress_bar(title or f"judging {len(inputs):,} inputs by {', '.join(detectors)}", len(detectors)) as bar:
        module, data, context = prepare(model, task, min_examples, defender_data, seed, lambda *_: None)
        parts = of_one_form([data.validation.inputs, inputs.to(context.device).inputs])
        answers = in_double(predict(module, parts[1])).softmax(1)
        for number, (name, detector) in enumerate(detectors.items(), 1):
            try:
                with seeded_globally(seed, "detector", type(detector).__name__, device=context.device):
                    clean, scores[name] = _scores(detector, module, data, parts, context)
            except AnchorlabError as error:
                if strict:
                    raise
                left_out[name] = first_line(error)
                continue
            shares[name] = clean_shares(scores[name], clean)
            if len(clean) >= _FEWEST:
                usual[name] = usual_share(clean)
            bar(number, {})
    probabilities, predictions = (part.cpu().numpy() for part in answers.max(1))
    return JudgedInputs(scores, shares, left_out, predictions, probabilities, len(data.validation), usual)


def suspicion_order(scores: Sequence[Floats]) -> Integers:
    """The indices of inputs from the most suspicious one on, int64 ``[N]``.

    An input's place is its best place by any detector, because a trigger that one detector sees may escape all others.
    Ties go by the mean place, and then by the order given.

    Args:
        scores: of each detector, float64 ``[N]``.
    """
    places = places_of(scores)
    return np.asarray(np.lexsort((places.mean(axis=0), places.min(axis=0))), dtype=np.int64)


def places_of(scores: Sequence[Floats]) -> Floats:
    """Each input's place by each detector, float64 ``[D, N]``: 1 is the most suspicious; ties share a mean place."""
    return np.stack([rankdata(-one, method="average") for one in scores])


def clean_shares(scores: Floats, clean: Floats) -> Floats:
    """The share of clean examples with at least each score, float64 ``[N]``."""
    ordered = np.sort(clean)
    return np.asarray(1 - np.searchsorted(ordered, scores, side="left") / len(ordered), dtype=np.float64)


def is_high(shares: Floats) -> NDArray[np.bool_]:
    """Which scores are higher than those of 95% of the clean examples, bool ``[N]``.

    Args:
        shares: of clean examples with at least each score, float64 ``[N]``.
    """
    return np.asarray(shares <= RATE)


def usual_share(clean: Floats) -> float:
    """The share of clean examples that score higher than 95% of the others: what clean inputs show.

    Few scores or equal ones make it another than 0.05: of scores that are all equal none is high.

    Args:
        clean: scores of at least 2 clean examples, float64 ``[N]``.
    """
    beside = clean_shares(clean, clean) * len(clean) - 1
    return float(is_high(beside.round() / (len(clean) - 1)).mean())


def _chosen(
    detectors: Sequence[str | InputDetector] | None, task: Task, module: nn.Module
) -> tuple[dict[str, InputDetector], dict[str, str]]:
    """The detectors by name, and why others do not judge; all registered ones if none are named."""
    wanted = DETECTORS.names(InputDetector) if detectors is None else detectors
    chosen: dict[str, InputDetector] = {}
    left_out: dict[str, str] = {}
    for each in wanted:
        detector = DETECTORS.build(each)
        name = DETECTORS.label(detector)
        if not isinstance(detector, InputDetector):
            raise AnchorlabError(f"{name} scores models, not inputs: name a detector of inputs, or none for all")
        try:
            check_fits_task(detector, task, name)
        except AnchorlabError as error:
            if detectors is not None:
                raise
            other = detector.modality not in ("any", task.kind)
            left_out[name] = f"it is for {detector.modality}s" if other else str(error)
            continue
        if detectors is None and detector.needs_float and form_of(module) is not None:
            left_out[name] = "it needs gradients or weights, which a deployed model does not have"
            continue
        try:
            check_fits_form(detector, module, name, task=task)
        except AnchorlabError as error:
            if detectors is not None:
                raise
            left_out[name] = first_line(error)
            continue
        chosen[name] = detector
    if not chosen:
        raise AnchorlabError("no detector of inputs is named: name one or more, or leave detectors out for all")
    return chosen, left_out


def _scores(
    detector: InputDetector,
    module: nn.Module,
    data: DefenderData,
    parts: Sequence[dict[str, Tensor]],
    context: DefenderContext,
) -> tuple[Floats, Floats]:
    """Scores of the held-back clean examples, and of the inputs, which the detector gets mixed."""
    mixture = Mixture.of(parts, context.seed)
    scores = detector.scores(module, data, mixture.inputs, context)
    clean, given = mixture.separated(checked_scores(scores, sum(mixture.sizes), DETECTORS.label(detector)))
    return clean, given
