"""Statistics of benign updates in a folder, from which an audit that was interrupted, or of another candidate, goes on.

The weights of updates are not kept: 39 copies of a language model are large, and an audit needs their statistics alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError, first_line, some
from anchorlab.files import kind_at, read_json, write_json
from anchorlab.models.causal import CausalLM
from anchorlab.notices import notice
from anchorlab.scoring.token_statistics import TOKEN_STATISTICS
from anchorlab.scoring.token_updates import PlannedUpdate
from anchorlab.settings import values_of

#: Counts up when a statistic is computed otherwise, so that its kept values are not ranked with new ones.
DEFINITIONS = 2

#: What a configuration says of the file that it comes from, and not of the model.
_OF_THE_FILE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


@dataclass(frozen=True)
class KeptUpdates:
    """The statistics of benign updates, a file an update.

    Attributes:
        folder: where they are; None where none are kept.
        about: all that decides the statistics of any update, as JSON values.
    """

    folder: Path | None
    about: Mapping[str, Any]

    def read(self, planned: PlannedUpdate) -> dict[str, float] | None:
        """The statistics of an update; None if they are not there, or after a notice if they are damaged.

        Raises:
            AnchorlabError: if they were measured otherwise.
        """
        path = self._path(planned)
        if path is None or kind_at(path) is None:
            return None
        try:
            values = read_json(path, "it is made again")
            found = {
                name: math.inf if values["values"][name] is None else float(values["values"][name])
                for name in TOKEN_STATISTICS
            }
            about = dict(values["about"])
        except (AnchorlabError, KeyError, TypeError, ValueError) as error:
            notice(f"{path} is damaged ({first_line(error)}): it is made again")
            return None
        wanted = self._about(planned)
        other = [name.replace("_", " ") for name in wanted if about.get(name) != wanted[name]]
        if other:
            raise AnchorlabError(
                f"{path} was made or measured otherwise than is asked for now (another {some(other)}): choose another "
                "folder with --out, or remove it first"
            )
        return found

    def write(self, planned: PlannedUpdate, values: Mapping[str, float]) -> None:
        """Keeps the statistics of an update."""
        path = self._path(planned)
        if path is not None:
            finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
            write_json(path, {"about": self._about(planned), "values": finite})

    def _path(self, planned: PlannedUpdate) -> Path | None:
        return None if self.folder is None else self.folder / f"{planned.name}.json"

    def _about(self, planned: PlannedUpdate) -> dict[str, Any]:
        return {**self.about, "tuning": values_of(planned.tuning), "tuning_seed": planned.seed}


def configuration_hash(model: CausalLM) -> str:
    """SHA-256 of what decides a model's answers and its training besides the weights: its class and configuration.

    Two models of the same weights may have other positions, another epsilon, another activation or another dropout.
    """
    tell = getattr(model.net.config, "to_dict", dict)
    told = {name: value for name, value in tell().items() if name not in _OF_THE_FILE}
    text = json.dumps([type(model.net).__name__, told], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
