"""Which models may not be trusted: those that say themselves, in their files, that they may carry a backdoor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from anchorlab.artifacts.manifest import ARTEFACTS, DANGEROUS, MANIFEST, NOTICES, ModelKind
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, user_path
from anchorlab.models.adapter_settings import ADAPTER
from anchorlab.models.folders import CONFIG
from anchorlab.models.onnx_files import notice_in_onnx, onnx_file
from anchorlab.models.weight_files import notice_in
from anchorlab.models.wrap import unwrap


def dangerous_notice(model: nn.Module) -> str | None:
    """The notice in a network's configuration that it may carry a backdoor; None if there is none."""
    notice: str | None = getattr(getattr(unwrap(model), "config", None), "anchorlab_notice", None)
    return None if kind_of_notice(notice) is None else notice


def kind_of_notice(notice: object) -> ModelKind | None:
    """The kind that a notice stands for, of those that may carry a backdoor; None for any other notice."""
    return next((kind for kind in DANGEROUS if notice == NOTICES[kind]), None)


def refuse_kind(
    what: str, kind: str | None, said_by: str, kinds: Sequence[ModelKind] = DANGEROUS, *, otherwise: str = ""
) -> None:
    """Raises AnchorlabError for a kind that may not be trusted.

    Args:
        what: what the model is given as, with its article.
        kind: what it is; None if that is not known.
        said_by: which of its files says so.
        kinds: the kinds that are refused.
        otherwise: what else its user can do, after a comma.
    """
    if kind in kinds:
        raise AnchorlabError(
            f"{what} is a model of kind '{kind}' by its {said_by}, which may carry a backdoor: give one that is held "
            f"to be clean{otherwise}"
        )


def check_trusted_folder(source: str | Path, what: str, *, otherwise: str = "") -> None:
    """Raises AnchorlabError for a folder that is to be trusted, but holds what may carry a backdoor.

    The manifest says so; where there is none, the notice that anchorlab writes into a configuration, into weights and
    into ONNX files. What cannot be read is passed over, because whoever opens the model refuses it.

    Args:
        source: a folder, or an ONNX file in one; a name on the hub is passed over.
        what: what it is given as, with its article.
        otherwise: what else its user can do, after a comma.
    """
    for kind, said_by in _kinds_told(source):
        refuse_kind(what, kind, said_by, otherwise=otherwise)


def may_carry(source: str | Path) -> bool:
    """Whether a folder, or an ONNX file in one, says that it may carry a backdoor; see ``check_trusted_folder``."""
    return any(kind in DANGEROUS for kind, _ in _kinds_told(source))


def artefact_notice(source: str | Path) -> str | None:
    """The notice of a folder, or of an ONNX file in one, that says that it is a research artefact; None if none does.

    A model that was adopted as suspicious keeps it, so that its kind does not tell.
    """
    told = [kind_of_notice(_text_in(_folder(source) / MANIFEST, "notice")), *(kind for kind, _ in _kinds_told(source))]
    return next((NOTICES[kind] for kind in ARTEFACTS if kind in told), None)


def _folder(source: str | Path) -> Path:
    place = user_path(source)
    return place.parent if place.suffix == ".onnx" else place


def _kinds_told(source: str | Path) -> Iterator[tuple[str | None, str]]:
    """The kinds that the files of a folder name, None for no kind that may carry a backdoor; each with what says it."""
    folder = _folder(source)
    if (folder / MANIFEST).is_file():
        yield _text_in(folder / MANIFEST, "kind"), "manifest"
        return
    for name in (CONFIG, ADAPTER):
        yield kind_of_notice(_text_in(folder / name, "anchorlab_notice")), f"notice in {name}"
    for path in sorted(folder.glob("*.safetensors")):
        yield kind_of_notice(notice_in(path)), f"notice in {path.name}"
    if (file := onnx_file(source)) is not None:
        yield kind_of_notice(notice_in_onnx(file)), f"notice in {file.name}"


def _text_in(path: Path, name: str) -> str | None:
    try:
        value = read_json(path, "give another folder", nan=True).get(name) if path.is_file() else None
    except AnchorlabError:
        return None
    return value if isinstance(value, str) else None
