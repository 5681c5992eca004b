"""Base of repairs and detectors: the kind of data that they fit, the examples that they need, and their effort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.errors import RenamedAttributes
from anchorlab.settings import Refusing


class Defence(RenamedAttributes, metaclass=Refusing):
    """Base of ``Repair``, ``ModelDetector`` and ``InputDetector``.

    A subclass is a frozen pydantic dataclass whose fields are its hyper-parameters. It sees a model and the defender's
    clean examples, and never the attack or test data.
    """

    renamed_attributes: ClassVar[Mapping[str, str]] = {
        "reads": "modality",
        "least": "min_examples",
        "judges_sets": "is_set_level",
    }

    #: The papers that it comes from: keys of ``anchorlab.reports.paper``'s references.bib, or whole BibTeX entries.
    cites: ClassVar[tuple[str, ...]] = ()
    #: The kind of data of the models that it fits.
    modality: ClassVar[Modality] = "any"
    #: What it needs of a network, which ``check_model`` looks for, in words that follow "Needs"; empty for nothing.
    needs: ClassVar[str] = ""
    #: Whether it needs gradients or weights, which a model in the form in which it is deployed does not have.
    needs_float: ClassVar[bool] = False
    #: The smallest number of clean examples that it works with, training and validation examples together.
    min_examples: ClassVar[int] = 16
    #: The smallest number of classes that it works with.
    min_classes: ClassVar[int] = 2
    #: Hyper-parameters with which it takes seconds and its figures mean nothing, as in a suite's smoke form.
    quick_values: ClassVar[Mapping[str, Any]] = {}

    def quick(self) -> Self:
        """The same defence with ``quick_values``."""
        if not self.quick_values:
            return self
        return cast("Self", replace(cast("Any", self), **self.quick_values))

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """Raises AnchorlabError, before anything runs, for a model that the defence cannot read.

        Args:
            model: a copy in evaluation mode; in a suite it is not trained yet.
            inputs: of up to four clean examples, on the model's device.
        """
        del model, inputs

    def examples_processed(self, examples: int) -> int | None:
        """How many examples pass forward and backward through the model, for estimates of time; None if unknown.

        Args:
            examples: number of clean examples that the defender has.
        """
        del examples
        return None
