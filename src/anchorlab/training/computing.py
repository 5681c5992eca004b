"""How the steps of training and of tuning compute: options that both have. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anchorlab.errors import AnchorlabError
from anchorlab.settings import LATER

Precision = Annotated[
    Literal["no", "bf16", "auto"],
    Field(description="float32 (in TF32 on CUDA), mixed with bfloat16, or which of them a trial finds clearly faster"),
]
Deterministic = Annotated[
    bool, Field(description="on CUDA, the same bits each time, in exact float32", json_schema_extra=LATER)
]
Compile = Annotated[
    bool | None,
    Field(
        description="compile the model's forward pass; if left out, on CUDA where the run is long enough to pay for it",
        json_schema_extra=LATER,
    ),
]
Optimiser = Annotated[
    Literal["adamw", "sgd"],
    Field(description="AdamW, or SGD with Nesterov's momentum of 0.9", json_schema_extra=LATER),
]

#: From this weight decay on, SGD is refused: published ones are a hundredth of it.
_TOO_MUCH_FOR_SGD = 0.02


def check_decay(optimiser: str, decay: float) -> None:
    """Refuses SGD with a weight decay that suits AdamW.

    Raises:
        AnchorlabError: if the two do not go together.
    """
    if optimiser == "sgd" and decay >= _TOO_MUCH_FOR_SGD:
        raise AnchorlabError(
            f"a weight_decay of {decay:g} is AdamW's, and would stop SGD from learning, which adds it to the "
            "gradient: give weight_decay with optimiser=sgd, for example 0.0005"
        )
