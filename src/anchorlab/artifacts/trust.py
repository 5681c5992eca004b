"""Which models may not be trusted: those that say themselves, in their files, that they may carry a backdoor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from anchorlab.artifacts.manifest import DANGEROUS, MANIFEST, NOTICES, ModelKind
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, user_path
from anchorlab.models.adapter_settings import ADAPTER
from anchorlab.models.folders import CONFIG
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

    The manifest says so; where there is none, the notice that anchorlab writes into a configuration and into weights.
    What cannot be read is passed over, because whoever opens the model refuses it.

    Args:
        source: a folder, or an ONNX file in one; a name on the hub is passed over.
        what: what it is given as, with its article.
        otherwise: what else its user can do, after a comma.
    """
    place = user_path(source)
    folder = place.parent if place.suffix == ".onnx" else place
    if (folder / MANIFEST).is_file():
        refuse_kind(what, _text_in(folder / MANIFEST, "kind"), "manifest", otherwise=otherwise)
        return
    for name in (CONFIG, ADAPTER):
        kind = kind_of_notice(_text_in(folder / name, "anchorlab_notice"))
        refuse_kind(what, kind, f"notice in {name}", otherwise=otherwise)
    for path in sorted(folder.glob("*.safetensors")):
        refuse_kind(what, kind_of_notice(notice_in(path)), f"notice in {path.name}", otherwise=otherwise)


def _text_in(path: Path, name: str) -> str | None:
    try:
        value = read_json(path, "give another folder", nan=True).get(name) if path.is_file() else None
    except AnchorlabError:
        return None
    return value if isinstance(value, str) else None
