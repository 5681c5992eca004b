"""What detectors of models accuse over a population: hits, false alarms and failures, scanners beside our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pandas as pd

from anchorlab.detectors.command import FAILED, NO_PLACE
from anchorlab.reports.suite.detections import (
    area_cell,
    comparable_models,
    detections_of_kind,
    scored_models,
    without_references,
)
from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.repairs import cell_of
from anchorlab.reports.suite.working import of_working
from anchorlab.statistics.accusations import (
    above,
    p_by_rank,
    rank_level,
    share_of_references,
    share_over_references,
)
from anchorlab.statistics.clustered_roc import ScoredModels
from anchorlab.statistics.counted import several
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import ENOUGH_REFERENCES
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: The registered name of scanners.
_SCANNER = "command"

#: What intervals of counts of references are.
_EXACT = "The interval of false alarms, and of hits where each reference has 0 or 1, is Clopper and Pearson's."


@dataclass(frozen=True)
class Side:
    """Models of one side of a population, clean ones or injected ones.

    Attributes:
        share: of those with a score that are accused, or, of clean ones, of references with such a model; None if no
            detector can say it with so few references.
        accused: how many that are.
        models: the models with a score.
        failed: how many have none.
    """

    share: Estimate | None
    accused: int
    models: ScoredModels
    failed: int


@dataclass(frozen=True)
class Accusations:
    """What one detector accuses.

    Attributes:
        detector: its label.
        rule: when it accuses, in words.
        is_scanner: whether it is a program of somebody else's.
        clean: the models without a backdoor, clean references and benign updates.
        injected: the models with a backdoor that works.
        by_method: the same by method.
        reasons: why scores are missing, in the scanner's own words; each once.
    """

    detector: str
    rule: str
    is_scanner: bool
    clean: Side
    injected: Side
    by_method: dict[str, Side]
    reasons: tuple[str, ...]


def accusations(results: SuiteResults) -> Iterator[tuple[str, list[Accusations]]]:
    """Part of the suite to the accusations of its detectors of models; nothing without a model of a method."""
    frame = detections_of_kind(results, "model")
    if not len(frame) or "detector_name" not in frame or not (frame["role"] == "method").any():
        return
    for title, part in comparable_models(replace(results, detections=of_working(results))):
        yield title, [_of(str(name), models) for name, models in part.groupby("detector", sort=False)]


def _of(name: str, models: pd.DataFrame) -> Accusations:
    is_scanner = models["detector_name"].iloc[0] == _SCANNER
    threshold = float(json.loads(models["parameters"].iloc[0])["accuse_above"]) if is_scanner else None
    injected = models[models["role"] == "method"]
    clean = models[models["role"] != "method"]
    null = scored_models(clean[clean["score"].notna()])
    level = None if is_scanner else rank_level(scored_models(models[models["score"].notna()]), null)
    notes = models.loc[models["score"].isna(), "note"].fillna("")

    def side(rows: pd.DataFrame, share_of: Callable[..., Estimate] = share_over_references) -> Side:
        judged = scored_models(rows[rows["score"].notna()])
        if threshold is not None:
            accused = above(judged, threshold)
        else:
            accused = [] if level is None else [p <= level for p in p_by_rank(judged, null)]
        share = share_of(accused, judged.references) if accused else None
        return Side(share, sum(accused), judged, len(rows) - len(judged))

    return Accusations(
        name,
        f"score > {threshold:g}" if threshold is not None else "–" if level is None else f"p ≤ {level:.3g}",
        is_scanner,
        side(clean, share_of_references),
        side(injected),
        {str(method): side(rows) for method, rows in injected.groupby("method", sort=False)},
        tuple(dict.fromkeys(str(note).removeprefix(FAILED) for note in notes if note)),
    )


def accusations_table(results: SuiteResults) -> Table | None:
    """AUROC, hits and false alarms with intervals over references, and failures; None without a detector of models."""
    parts = list(accusations(results))
    every = [found for _, part in parts for found in part]
    if not every:
        return None
    methods = list(dict.fromkeys(method for found in every for method in found.by_method))
    groups = [Rows([_row(found, methods) for found in part], title) for title, part in parts]
    counts = [side.models.clusters for found in every for side in (found.clean, found.injected) if len(side.models)]
    lacking = any(side.share is None and len(side.models) for found in every for side in (found.clean, found.injected))
    notes = [
        "Hits are the share of models with a working backdoor that a detector accuses, a mean over references. False "
        "alarms are the share of references of which it accuses a clean model, the reference or a benign update. "
        + (of_references(min(counts), max(counts), groups) if counts else ""),
        *([_EXACT] if counts and max(counts) >= ENOUGH_REFERENCES else []),
        "A scanner accuses above its threshold. A detector of ours has none, and accuses by the rank p of a model's "
        "score among other references, each of which counts once, with the highest score of its clean models. The "
        "level is 5% from 19 other references on. Fewer, n of them, allow 1/(n + 1) at best; with fewer than four "
        "nobody is accused. Of clean models as many references are accused as the level says, whatever the detector: "
        "false alarms by rank are no evidence.",
        "A scanner that crashed, ran out of time or printed no score failed; such models are in no share.",
        *without_references(results.detections),
        *(["There are fewer than four other references with clean models, too few for a rank."] if lacking else []),
    ]
    return Table(
        name="accusations",
        caption="Which models detectors accuse: AUROC, hits, false alarms and failures.",
        head="detector",
        columns=[
            Column("rule", "accuses at", is_text=True),
            Column("auroc", "AUROC"),
            Column("hits", "hits"),
            *(
                column
                for method in methods
                for column in (
                    Column(f"auroc_{method}", f"AUROC, {method}"),
                    Column(f"hits_{method}", f"hits, {method}"),
                )
            ),
            Column("false_alarms", "false alarms"),
            Column("failed", "failed", "of all models"),
        ],
        groups=groups,
        notes=notes,
    )


def _row(found: Accusations, methods: list[str]) -> Row:
    failed = found.clean.failed + found.injected.failed
    total = failed + len(found.clean.models) + len(found.injected.models)
    cells = []
    for side in (found.injected, *(found.by_method.get(method) for method in methods)):
        cells += [NONE, NONE] if side is None else [area_cell(found.clean.models, side.models), _hits(side)]
    alarms = _alarms(found.clean)
    return Row(found.detector, [Cell(found.rule), *cells, alarms, Cell(f"{failed} of {total}", failed)])


def _hits(side: Side) -> Cell:
    if side.share is None:
        return NONE
    return replace(cell_of(side.share, "asr"), note=f"{side.accused} of {len(side.models)}")


def _alarms(side: Side) -> Cell:
    if side.share is None:
        return NONE
    total = side.models.clusters
    accused = round((side.share.value or 0.0) * total)
    return replace(cell_of(side.share, "asr"), note=f"{accused} of {several(total, 'reference')}")


def scanner_findings(results: SuiteResults) -> Iterator[str]:
    """What scanners accuse, in sentences."""
    for title, part in accusations(results):
        where = f"{title}: " if title else ""
        for found in part:
            if found.is_scanner:
                yield f"{where}{_sentence(found)}"


def _sentence(found: Accusations) -> str:
    hits, alarms = found.injected, found.clean
    failed = hits.failed + alarms.failed
    accused = (
        f"{found.detector} accuses {hits.accused} of {several(len(hits.models), 'model')} with a backdoor and "
        f"{alarms.accused} of {len(alarms.models):,} without"
    )
    if not failed:
        return f"{accused}."
    why = f" ({'; '.join(found.reasons[:2])})" if found.reasons else ""
    return f"{accused}; it failed on {failed:,}{why}."


@dataclass(frozen=True)
class LostPath:
    """A scanner whose JSON does not have the place of the score.

    Attributes:
        detector: its label.
        path: of the score.
        missing: the score that models without it have.
        models: how many have none.
        scored: models with a score, these among them.
    """

    detector: str
    path: str
    missing: float
    models: int
    scored: int

    @property
    def everywhere(self) -> bool:
        """Whether no model had it, so that no score of this scanner means anything."""
        return self.models == self.scored


def lost_paths(results: SuiteResults) -> Iterator[LostPath]:
    """Scanners that scored models without the place of their score; results of earlier versions do not say it."""
    for name, scans in _scans(results):
        rows = scans[scans["score"].notna()]
        lost = int(rows["note"].fillna("").astype(str).str.startswith(NO_PLACE).sum())
        if lost:
            settings = json.loads(rows["parameters"].iloc[0])
            yield LostPath(name, settings["score_path"], float(settings["missing"]), lost, len(rows))


def failed_scanners(results: SuiteResults) -> Iterator[str]:
    """The labels of scanners that failed on every model."""
    for name, scans in _scans(results):
        if scans["score"].isna().all() and scans["note"].fillna("").astype(str).str.startswith(FAILED).all():
            yield name


def _scans(results: SuiteResults) -> Iterator[tuple[str, pd.DataFrame]]:
    """The label of each scanner, and a row for each of its scans."""
    frame = detections_of_kind(results, "model")
    if len(frame) and "detector_name" in frame:
        scans = frame[frame["detector_name"] == _SCANNER].drop_duplicates("identity")
        yield from ((str(name), rows) for name, rows in scans.groupby("detector", sort=False))


def lost_path_doubts(results: SuiteResults) -> Iterator[str]:
    """The same in sentences, with the likeliest cure."""
    for lost in lost_paths(results):
        how = (
            f"the JSON of {lost.detector} has no {lost.path} for {lost.models:,} of {several(lost.scored, 'model')}, "
            f"which have the score {lost.missing:g} for that"
        )
        if lost.everywhere:
            yield f"{how}: none of its scores means anything. Look at what it prints, and correct --score-path."
        else:
            yield f"{how}. That is right if it leaves out what it does not find; else correct --score-path."
