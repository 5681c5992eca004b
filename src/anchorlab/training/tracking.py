"""Trackers of experiments: loss, ASR and results go to Weights & Biases, MLflow or TensorBoard, through accelerate."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError, reason, unknown
from anchorlab.files import user_path
from anchorlab.models.accelerator import find_accelerator
from anchorlab.progress import listening

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

#: Writes named results; what is no number is left out.
Log = Callable[[Mapping[str, Any]], None]

#: The project, or experiment, in which runs appear if the tracker's own environment variable names no other.
PROJECT = "anchorlab"

#: Name of each tracker to the package that it needs.
TRACKERS = {"wandb": "wandb", "mlflow": "mlflow", "tensorboard": "tensorboard"}

#: What most likely helps where a tracker cannot begin a run.
_CURES = {
    "wandb": "'wandb login', or set WANDB_MODE=offline where there is no network",
    "mlflow": "MLFLOW_TRACKING_URI, or install all of mlflow by pip install 'anchorlab[mlflow]'",
}

#: Signs that a name may not have in some tracker.
_FORBIDDEN = re.compile(r"[^\w\-./: ]")


@checked
def tracked(
    trackers: str | Sequence[str],
    *,
    run: str = PROJECT,
    folder: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
) -> AbstractContextManager[Log]:
    """Inside, every training and injection tells trackers its loss, its ASR and all else that its bar shows.

    Args:
        trackers: ``wandb``, ``mlflow``, ``tensorboard``, or several of them.
        run: the name of the run.
        folder: where the trackers write: ``tensorboard/RUN``, ``mlflow.db`` and ``mlruns``, or ``wandb`` in it, unless
            a variable of their own (``MLFLOW_TRACKING_URI``, ``WANDB_DIR``) says otherwise.
        settings: of the run, which are kept beside it.

    Returns:
        A context manager that gives a function; it writes named results, such as ``{"accuracy": 0.97}``.

    Raises:
        AnchorlabError: for a tracker that does not exist or is not installed, or that cannot begin a run.
    """
    names = [trackers] if isinstance(trackers, str) else list(dict.fromkeys(trackers))
    check_trackers(names)
    return _tracked(names, run, user_path(folder), settings or {})


def check_trackers(names: Sequence[str]) -> None:
    """Refuses trackers that do not exist or are not installed.

    Raises:
        AnchorlabError: with the command that installs one.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        if importlib.util.find_spec(TRACKERS[name]) is None:
            raise AnchorlabError(
                f"tracking by {name} needs the package {TRACKERS[name]}: install it by pip install 'anchorlab[{name}]'"
            )


@contextmanager
def _tracked(names: Sequence[str], run: str, folder: Path, settings: Mapping[str, Any]) -> Iterator[Log]:
    if not names:
        yield lambda _: None
        return
    find_accelerator()  # first, because a tracker asks it which process is the main one
    with ExitStack() as stack:
        begun = []
        for name in names:
            tracker = _begun(name, run, folder, settings)
            stack.callback(tracker.finish)
            begun.append(tracker)
        told = _Told(begun)
        stack.enter_context(listening(told.of_bar))
        yield told.results


class _Told:
    """Tells trackers what bars and commands say. Steps only rise, because some trackers drop what comes before."""

    def __init__(self, trackers: Sequence[GeneralTracker]) -> None:
        self.trackers = trackers
        self.step = self.before = 0
        self.title = ""

    def of_bar(self, title: str, done: int, _total: int, figures: Mapping[str, float]) -> None:
        """Takes the figures of a bar, under the first word of its title: ``injecting/asr``."""
        if title != self.title or self.before + done < self.step:
            self.title, self.before = title, self.step
        self.step = self.before + done
        work = title.partition(" ")[0]
        self.log({f"{work}/{name}": value for name, value in figures.items()})

    def results(self, values: Mapping[str, Any]) -> None:
        """Takes results, under ``result``."""
        self.log({f"result/{name}": value for name, value in values.items()})

    def log(self, values: Mapping[str, Any]) -> None:
        """Writes what is a finite number."""
        numbers = {
            _FORBIDDEN.sub("", name): float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for tracker in self.trackers if numbers else ():
            tracker.log(numbers, step=self.step)


def _begun(name: str, run: str, folder: Path, settings: Mapping[str, Any]) -> GeneralTracker:
    """A tracker that has begun a run."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    try:
        tracker: GeneralTracker = LOGGER_TYPE_TO_CLASS[name](**_options(name, run, folder))
        tracker.start()
        tracker.store_init_configuration(_flat(settings))
    except Exception as error:  # each tracker has errors of its own
        cure = _CURES.get(name, "its own settings")
        raise AnchorlabError(f"{name} could not begin a run ({reason(error)}): see to {cure}") from error
    return tracker


def _options(name: str, run: str, folder: Path) -> dict[str, Any]:
    """What the tracker is made with, by its class in accelerate."""
    if name == "tensorboard":
        return {"run_name": run, "logging_dir": folder / "tensorboard"}
    if name == "wandb":
        folder.mkdir(parents=True, exist_ok=True)
        project, place = os.environ.get("WANDB_PROJECT", PROJECT), os.environ.get("WANDB_DIR", str(folder))
        return {"run_name": project, "name": run, "dir": place}
    if "MLFLOW_TRACKING_URI" not in os.environ:
        import mlflow

        folder.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(f"sqlite:///{folder.absolute() / 'mlflow.db'}")
    return {"experiment_name": os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT), "run_name": run}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings without nesting: ``tuning.steps``; what is no number or text is written as text."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = _FORBIDDEN.sub("", f"{prefix}{name}")
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{key}.")
        else:
            flat[key] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
