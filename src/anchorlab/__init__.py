"""anchorlab: inject benchmark backdoors into trained classifiers, and measure what that changes.

The names below are the stable public interface; everything else may move. They are imported when first
used, so that ``import anchorlab`` and ``anchorlab --help`` do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anchorlab.artifacts.adopt import adopt as adopt
    from anchorlab.artifacts.artifact import Artifact as Artifact
    from anchorlab.artifacts.artifact import load_model as load_model
    from anchorlab.artifacts.manifest import Manifest as Manifest
    from anchorlab.consistency.evaluate import Comparison as Comparison
    from anchorlab.consistency.evaluate import compare as compare
    from anchorlab.data import DataColumns as DataColumns
    from anchorlab.data import Task as Task
    from anchorlab.data import load_task as load_task
    from anchorlab.errors import AnchorlabError as AnchorlabError
    from anchorlab.injection.inject import inject as inject
    from anchorlab.injection.loop import Tuning as Tuning
    from anchorlab.models.wrap import wrap as wrap
    from anchorlab.perturbation.analysis import Analysis as Analysis
    from anchorlab.perturbation.analyze import AnalysisSettings as AnalysisSettings
    from anchorlab.perturbation.analyze import analyze as analyze
    from anchorlab.suites.collect import SuiteResults as SuiteResults
    from anchorlab.suites.collect import collect as collect
    from anchorlab.suites.reading import load_suite as load_suite
    from anchorlab.suites.runner import run_suite as run_suite
    from anchorlab.suites.spec import Suite as Suite
    from anchorlab.training.reference import Training as Training
    from anchorlab.training.reference import train as train

_HOMES = {
    "Analysis": "perturbation.analysis",
    "AnalysisSettings": "perturbation.analyze",
    "AnchorlabError": "errors",
    "Artifact": "artifacts.artifact",
    "Comparison": "consistency.evaluate",
    "DataColumns": "data",
    "Manifest": "artifacts.manifest",
    "Suite": "suites.spec",
    "SuiteResults": "suites.collect",
    "Task": "data",
    "Training": "training.reference",
    "Tuning": "injection.loop",
    "adopt": "artifacts.adopt",
    "analyze": "perturbation.analyze",
    "collect": "suites.collect",
    "compare": "consistency.evaluate",
    "inject": "injection.inject",
    "load_model": "artifacts.artifact",
    "load_suite": "suites.reading",
    "load_task": "data",
    "run_suite": "suites.runner",
    "train": "training.reference",
    "wrap": "models.wrap",
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'anchorlab' has no attribute '{name}'")
    return getattr(import_module(f"anchorlab.{_HOMES[name]}"), name)
