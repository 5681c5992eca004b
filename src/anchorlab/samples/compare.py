"""Two runs' per-sample logs over the same documents: which answers flipped, and is that more than chance?

Sources: McNemar 1947 for the exact test, Bonett and Price 2012 for the interval of paired rates, Holm 1979 for the
correction. lm-eval's own ``scripts/model_comparator.py`` takes both standard errors as independent, which drops the
covariance of the two runs (its issue 3831): over the same documents its test is too weak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError, some, unknown
from anchorlab.files import parquet_path, user_path, write_atomically
from anchorlab.progress import progress_bar
from anchorlab.samples.logs import logs_of
from anchorlab.samples.pairing import Paired, Pairs, paired
from anchorlab.samples.result import SampleComparison, TaskComparison
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.counted import several
from anchorlab.statistics.paired import difference_of_paired_rates, mean_interval, mean_test
from anchorlab.statistics.tests import holm, mcnemar

#: Fewer documents than this are warned of.
FEW_DOCUMENTS = 20


@checked
def compare_samples(
    reference: str | Path,
    candidate: str | Path,
    *,
    metrics: Sequence[str] | None = None,
    save_instances: str | Path | None = None,
) -> SampleComparison:
    """Compares two runs of the same tasks from their per-sample logs, document by document.

    A run is what ``lm-eval --log_samples`` wrote, a folder or one of its ``samples_TASK_DATE.jsonl``; or any JSONL file
    with an id and an answer or scores in each line. Samples are paired by task, filter and the hash of the document,
    or the id where a run has no hash. A task is read at a time, and of its lines only ids, hashes and scores are kept.

    Args:
        reference: the reference's log.
        candidate: the candidate's log.
        metrics: the metrics to compare; all that are numbers if None. Name those that you planned to look at, because
            p values are corrected for every row.
        save_instances: a parquet file to write each document's scores to; None for none.

    Raises:
        AnchorlabError: if a log is missing or damaged, an id stands twice or in one run alone, a score is beyond 1e100,
            or nothing can be compared.
    """
    table = None if save_instances is None else parquet_path(save_instances)
    logs = logs_of(user_path(reference), user_path(candidate))
    rows: list[TaskComparison] = []
    cautions = [logs.left_out] if logs.left_out else []
    known: set[str] = set()
    frames: list[dict[str, object]] = []
    with progress_bar("comparing", len(logs.files)) as report:
        for done, (task, files) in enumerate(logs.files.items(), start=1):
            found = paired(task, *files, metrics)
            known |= found.metrics
            cautions += _cautions(task, found)
            for pairs in found.filters:
                answers = metrics is None and not pairs.reference and not found.unscored and pairs.changed is not None
                rows += [_row(pairs, metric) for metric in ([""] if answers else pairs.reference)]
                frames += _instances(pairs) if save_instances is not None else []
            report(done, {})
    for metric in metrics or ():
        if metric not in known:
            raise unknown("metric of these logs", metric, known)
    if not rows:
        raise AnchorlabError(
            f"{reference} and {candidate} have no score or answer in common: give logs whose lines hold a number for a "
            "metric, or an answer"
        )
    if table is not None:
        _write(table, frames)
    adjusted = holm([row.p for row in rows])
    rows = [row.model_copy(update={"p_holm": p}) for row, p in zip(rows, adjusted, strict=True)]
    return SampleComparison(rows=rows, cautions=[*cautions, *_few(rows)])


def _row(pairs: Pairs, metric: str) -> TaskComparison:
    """The row of a metric; of the answers alone where it is empty."""
    churn = None if pairs.changed is None else float(pairs.by_document(pairs.changed.astype(np.float64)).mean())
    documents = int(pairs.document.max()) + 1
    values = {"task": pairs.task, "filter": pairs.filter, "metric": metric, "churn": churn, "p_holm": None}
    if not metric:
        return TaskComparison(**values, documents=documents, samples=len(pairs.document), **_UNSCORED)
    scores = [pairs.by_document(side[metric]) for side in (pairs.reference, pairs.candidate)]
    scored = np.isfinite(scores[0])
    first, second = (each[scored] for each in scores)
    samples = int(np.isfinite(pairs.reference[metric]).sum())
    single = samples == len(first)
    binary = _is_binary(pairs.reference[metric]) and _is_binary(pairs.candidate[metric])
    return TaskComparison(
        **values,
        documents=len(first),
        samples=samples,
        value_reference=float(first.mean()),
        value=float(second.mean()),
        difference=float((second - first).mean()),
        **_tested(first, second, binary=binary, single=single),
    )


#: What a row has of answers without scores.
_UNSCORED = {
    **dict.fromkeys(("value_reference", "value", "difference", "interval", "negative_flips", "positive_flips", "p")),
    "test": "",
}


def _tested(first: Floats, second: Floats, *, binary: bool, single: bool) -> dict[str, object]:
    """Interval, flips and p of the scores ``[D]`` of both runs.

    Args:
        first: the reference's, a mean over samples where a document has several.
        second: the candidate's.
        binary: whether every sample's score is 0 or 1.
        single: whether every document has one sample.
    """
    differences = second - first
    if not binary:
        p, test = mean_test(differences), "paired t"
        if p is None and len(differences) > 1:  # the same change everywhere, which has no spread for Student's test
            p, test = mcnemar(*_ways(differences)), "sign test"
        return {
            "interval": mean_interval(differences),
            "negative_flips": None,
            "positive_flips": None,
            "p": p,
            "test": "" if p is None else test,
        }
    fell, rose = _ways(differences)
    count = len(differences)
    return {
        "interval": difference_of_paired_rates(fell, rose, count)
        if single and count > 1
        else mean_interval(differences),
        "negative_flips": fell / count,
        "positive_flips": rose / count,
        "p": mcnemar(fell, rose),
        "test": "McNemar" if single else "sign test",
    }


def _ways(differences: Floats) -> tuple[int, int]:
    """How many scores fell, and how many rose."""
    return int((differences < 0).sum()), int((differences > 0).sum())


def _is_binary(scores: Floats) -> bool:
    """Whether every score is 0 or 1, those that are missing aside."""
    return bool(np.isin(scores[np.isfinite(scores)], (0, 1)).all())


def _cautions(task: str, found: Paired) -> Iterator[str]:
    """What was left out of a task, and what differs besides the model."""
    called = task or "the log"
    if found.unscored:
        yield f"{called}: {some(sorted(found.unscored))} left out, because no number belongs to one document."
    if found.one_sided:
        yield f"{called}: {some(sorted(found.one_sided))} left out, because one run has no number of it."
    for pairs in found.filters:
        total = len(pairs.numbers)
        if pairs.other_prompts:
            yield (
                f"{called}: the prompts of {pairs.other_prompts:,} of {several(total, 'sample')} differ, so that the "
                "difference is the prompt's and the model's together: run both with the same template and examples."
            )
        if pairs.other_targets:
            yield (
                f"{called}: the right answers of {pairs.other_targets:,} of {several(total, 'sample')} differ: run "
                "both with the same version of the task."
            )


def _few(rows: Sequence[TaskComparison]) -> Iterator[str]:
    few = [row for row in rows if row.documents < FEW_DOCUMENTS]
    if few:
        yield (
            f"{some([row.name for row in few])}: fewer than {FEW_DOCUMENTS} documents, so that an interval over them "
            "says little: evaluate more."
        )


def _instances(pairs: Pairs) -> Iterator[dict[str, object]]:
    """A table for each metric of a filter: each sample's two scores."""
    for metric, scores in pairs.reference.items():
        yield {
            "task": pairs.task,
            "filter": pairs.filter,
            "metric": metric,
            "id": pairs.numbers,
            "document": pairs.document,
            "score_reference": scores,
            "score": pairs.candidate[metric],
            "changed": pairs.changed,
        }


def _write(file: Path, frames: Sequence[dict[str, object]]) -> None:
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True).to_parquet(buffer, index=False)
    write_atomically(file, buffer.getvalue())
