"""The base of all triggers: a trigger maps a batch of clean inputs to triggered ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from anchorlab.settings import Refusing

if TYPE_CHECKING:
    from anchorlab.data.encoding import TextEncoding

#: From a batch of inputs to the triggered batch, under the same names.
InputMap = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Trigger(metaclass=Refusing):
    """Base of all triggers.

    A trigger is a frozen pydantic dataclass of its parameters. One for images derives from ``ImageTrigger`` or
    ``Patch``, one for texts from ``TextTrigger``; one for other inputs defines ``__call__`` and ``check`` itself.
    """

    #: The papers that it comes from: keys of ``anchorlab.reports.paper``'s references.bib, or whole BibTeX entries.
    cites: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The triggered inputs, under the same names; the argument and its tensors stay as they are.

        Raises:
            AnchorlabError: if the trigger does not change such inputs, or does not fit on them.
        """

    @abstractmethod
    def check(self, inputs: Mapping[str, Tensor], encoding: TextEncoding | None) -> None:
        """Checks, before any training, that the trigger can act on a task's examples.

        Args:
            inputs: examples of the task.
            encoding: how its texts become tensors; None for images.

        Raises:
            AnchorlabError: if it cannot.
        """

    def bind(self, encoding: TextEncoding | None) -> InputMap:
        """The map on inputs; for texts it depends on how they become tensors, for images it is the trigger itself."""
        del encoding
        return self
