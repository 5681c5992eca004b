"""Writes ranked inputs into a folder: every score, the most suspicious inputs, and a page of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError, shortened
from anchorlab.files import read_json, write_atomically, write_json
from anchorlab.reports.foreign import refuse_foreign
from anchorlab.reports.html import PAGE, picture_uri
from anchorlab.reports.plain import PlainPage, PlainSection, ShownInput, write_plain
from anchorlab.scoring.rank_inputs import RankedInputs
from anchorlab.statistics.comma_separated import frame_csv

#: The file that tells a folder of ranked inputs.
RECORD = "inputs.json"

#: Most characters of a text on the page.
_LONGEST = 600

_REMEDY = "run anchorlab detect --inputs again with --out"


def write_ranking(ranked: RankedInputs, *, model: str, file: str, out: Path, top: int = 20) -> Path:
    """Writes ``inputs.json``, every score as ``scores.csv``, and the page to a folder.

    Args:
        ranked: the inputs with their scores.
        model: the name of the model.
        file: the name of the file of the inputs.
        out: the folder.
        top: number of inputs that the page shows, with their pictures or texts.

    Returns:
        The path of the page.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    write_atomically(out / "scores.csv", frame_csv(ranked.frame()))
    whole = ranked.to_dict()
    shown = [
        row | _content(ranked, int(index)) for row, index in zip(whole.pop("rows")[:top], ranked.order, strict=False)
    ]
    record = {"model": model, "file": file, **whole, "shown": shown}
    write_json(out / RECORD, record)
    return write_plain(ranking_page(record), out)


def check_ranking_folder(folder: Path) -> None:
    """Refuses a folder whose files ``detect --inputs --out`` did not write, as ``refuse_foreign`` does."""
    files = [PAGE, "scores.csv"]
    refuse_foreign(folder / RECORD, "anchorlab detect --inputs", lambda: _page_of(folder / RECORD), files)


def write_ranking_page(folder: Path, out: Path) -> Path:
    """Writes the page of a folder that ``write_ranking`` filled.

    Raises:
        AnchorlabError: if its record is damaged, or the page cannot be written.
    """
    return write_plain(_page_of(folder / RECORD), out)


def _page_of(file: Path) -> PlainPage:
    record = read_json(file, _REMEDY)
    try:
        return ranking_page(record)
    except (KeyError, TypeError, ValueError) as error:
        raise AnchorlabError(f"{file} is damaged ({error!r}): {_REMEDY}") from error


def _content(ranked: RankedInputs, index: int) -> dict[str, str]:
    """The picture or the text of an input."""
    split = ranked.inputs.split
    if split.texts is not None:
        return {"text": shortened(split.texts[index], _LONGEST)}
    return {"picture": picture_uri(split.inputs["pixel_values"][index])}


def ranking_page(record: dict[str, Any]) -> PlainPage:
    """What a page says of ranked inputs."""
    shown = [
        ShownInput(list(_words(row, record)), row.get("picture", ""), row.get("text", "")) for row in record["shown"]
    ]
    section = PlainSection(
        f"The {len(shown)} most suspicious of {record['inputs']:,} inputs",
        words=[
            "Beside each input stands what the model predicts, and of each detector the share of the defender's "
            "held-back clean examples that score as high. scores.csv has all scores."
        ],
        inputs=shown,
    )
    findings = [
        *record["sentences"],
        "No detector proves the absence of a backdoor, and no trigger was known to any of them.",
    ]
    return PlainPage(
        "detection", f"Which inputs of {record['file']} look suspicious to {record['model']}?", findings, [section]
    )


def _words(row: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
    yield f"{row['rank']}. {row['place']}"
    yield f"prediction: {row['prediction']} ({row['probability']:.2f})"
    if row["label"] is not None:
        yield f"its label: {row['label']}"
    shares = (f"{name} {100 * float(row[f'{name}_clean_share']):.0f}%" for name in record["detectors"])
    yield f"clean ones that score as high: {', '.join(shares)}"
