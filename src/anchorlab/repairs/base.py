"""The base class of repairs, which see a model and the defender's clean examples alone. Each has its own short file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.defence import Defence


class Repair(Defence):
    """Base of all repairs: hyper-parameters in the subclass's fields, a frozen pydantic dataclass.

    The classifier is called by ``anchorlab.models.call.logits(model, inputs)``, ``inputs`` being a dictionary:
    ``pixel_values``, uint8 ``[N, C, H, W]``; or ``input_ids``, int32, and ``attention_mask``, bool, ``[N, L]``. It
    returns logits, float32 ``[N, C]``, whatever the module returns, and however its ``forward`` calls its input;
    ``predict`` does so for a whole split.
    """

    #: True for a repair that needs an earlier version of the model that the defender trusts.
    needs_trusted: ClassVar[bool] = False
    #: Its main settings, one or two, each with other values than the default, of which one at a time is tried to see
    #: how much the outcome depends on them (``anchorlab.score_stability``).
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """A repaired copy, on the device and in evaluation mode.

        Args:
            model: the suspicious model, on the device, in evaluation mode, every parameter trainable; not changed.
            data: all data that the defender has: examples to learn from in ``data.train``, and others to choose by in
                ``data.validation``, both with ``inputs`` and ``labels`` (int64 ``[N]``) on the device.
            context: device, seeded generators, and ``report`` for progress.

        Raises:
            AnchorlabError: if the repair does not fit the model, or the data do not suffice.
        """
        raise NotImplementedError
