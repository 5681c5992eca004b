"""``anchorlab detect --inputs``: the rows of a file, ranked by suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.cli.answer import Answer
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import DataColumns, Task


def rank_inputs(
    model: Artifact | nn.Module,
    inputs: Path,
    detectors: Mapping[str, Any],
    *,
    name: str,
    top: int,
    defender_data: int | None,
    task: Task | None,
    columns: DataColumns | None,
    out: Path | None,
    seed: int,
) -> Answer:
    """The answer of ``detect --inputs``.

    Args:
        model: the model.
        inputs: the file or folder of inputs.
        detectors: built detectors by name; none for all that fit.
        name: of the model's folder.
        top: number of inputs to show.
        defender_data: number of clean examples of the defender; None for all.
        task: the data of the model; None for the manifest's.
        columns: what is where in the file.
        out: a folder for every score and the page; None for none.
        seed: of all draws.

    Raises:
        AnchorlabError: as ``detect_inputs``.
    """
    from anchorlab.reports.ranking import check_ranking_folder, write_ranking
    from anchorlab.scoring.rank_inputs import detect_inputs

    if out is not None:
        check_ranking_folder(out)
    ranked = detect_inputs(
        model,
        inputs,
        list(detectors.values()) or None,
        defender_data=defender_data,
        task=task,
        columns=columns,
        seed=seed,
    )
    if out is not None:
        write_ranking(ranked, model=name, file=inputs.name, out=out, top=top)
    sentences = ranked.sentences()
    if out is None:
        sentences.append(
            "Rows count from 0, without the heading; --out FOLDER writes the score of every row, and a page."
        )
    return Answer(
        sentences=tuple(sentences),
        table=ranked.table(top),
        cautions=("A score is no verdict, and no detector proves the absence of a backdoor.",),
        wrote=out,
        values=ranked.to_dict(),
    )


def check_ranking(inputs: Path | None, detectors: object, attack: Mapping[str, object]) -> None:
    """Refuses what does not go with ``--inputs``, or a command that asks for nothing.

    Raises:
        AnchorlabError: for neither inputs nor a detector, or inputs beside an attack.
    """
    if inputs is None and not detectors:
        raise AnchorlabError(
            "detect needs to know by what or on what: give --detector NAME, or --inputs FILE to rank its rows by all "
            "detectors that fit"
        )
    if inputs is not None and attack:
        flags = ", ".join(f"--{flag}" for flag in attack)
        raise AnchorlabError(f"{flags}: --inputs ranks rows without a known trigger: leave out one or the other")
