"""What a trigger is: the map from clean inputs to triggered ones, a whole batch at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from anchorlab.data.encoding import TextEncoding

#: From a batch of inputs to the triggered batch, under the same names.
Map = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Trigger(ABC):
    """A frozen dataclass of a trigger's parameters; which inputs it changes is its own affair."""

    @abstractmethod
    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The triggered inputs, under the same names; the argument and its tensors are left as they are.

        Raises:
            AnchorlabError: if the inputs are not of the kind that the trigger changes, or it does not fit.
        """

    @abstractmethod
    def check(self, inputs: Mapping[str, Tensor], encoding: TextEncoding | None) -> None:
        """Checks, before any training, that the trigger can act on a task's examples.

        Args:
            inputs: examples of the task.
            encoding: how its texts become tensors; None for tasks that have none.

        Raises:
            AnchorlabError: if it cannot.
        """

    def bind(self, encoding: TextEncoding | None) -> Map:
        """The map itself, for triggers whose map depends on how texts become tensors."""
        del encoding
        return self
