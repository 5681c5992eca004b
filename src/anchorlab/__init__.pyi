# The one list of public names: type checkers and editors read it, and __init__.py imports from it on first use.

from . import detectors as detectors
from . import methods as methods
from . import metrics as metrics
from . import repairs as repairs
from . import triggers as triggers
from .artifacts.adopt import adopt as adopt
from .artifacts.artifact import Artifact as Artifact
from .artifacts.artifact import load_model as load_model
from .artifacts.manifest import Manifest as Manifest
from .consistency.compare import Comparison as Comparison
from .consistency.compare import compare as compare
from .consistency.compare import compare_logits as compare_logits
from .data import TASKS as TASKS
from .data import DataColumns as DataColumns
from .data import RawData as RawData
from .data import Split as Split
from .data import Task as Task
from .data import TaskDefinition as TaskDefinition
from .data import load_task as load_task
from .detectors.base import ModelScore as ModelScore
from .errors import AnchorlabError as AnchorlabError
from .injection.inject import inject as inject
from .injection.tuning import Tuning as Tuning
from .models.architectures import ARCHITECTURES as ARCHITECTURES
from .models.architectures import Architecture as Architecture
from .models.convert import convert as convert
from .models.wrap import wrap as wrap
from .perturbation.analysis import Analysis as Analysis
from .perturbation.analyze import analyze as analyze
from .perturbation.settings import AnalysisSettings as AnalysisSettings
from .repairs.repair import repair as repair
from .reports.paper.kit import write_paper as write_paper
from .reports.trigger_view import TriggerView as TriggerView
from .reports.trigger_view import show_trigger as show_trigger
from .reports.write import write_report as write_report
from .scoring.audit import audit as audit
from .scoring.audit_result import Audit as Audit
from .scoring.audit_stored import audit_answers as audit_answers
from .scoring.detect import detect as detect
from .scoring.input_score import InputScore as InputScore
from .scoring.rank_inputs import RankedInputs as RankedInputs
from .scoring.rank_inputs import detect_inputs as detect_inputs
from .scoring.repairs import RepairScore as RepairScore
from .scoring.repairs import score_repair as score_repair
from .suites.reading import load_suite as load_suite
from .suites.results import SuiteResults as SuiteResults
from .suites.results import load_results as load_results
from .suites.runner import run_suite as run_suite
from .suites.spec import Suite as Suite
from .training.reference import Training as Training
from .training.reference import train as train
from .training.tracking import tracked as tracked

__version__: str
__all__: list[str]
