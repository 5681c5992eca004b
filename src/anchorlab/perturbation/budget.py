"""How much an analysis may cost: seconds, or Hessian-vector products, its dearest step."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field

from anchorlab.errors import AnchorlabError, shortened


class BudgetSpent(Exception):  # noqa: N818 (not an error: what is under way is left out, and all else stays)
    """Nothing more may be spent on what is under way."""


@dataclass
class Budget:
    """What may be spent, counted from when it is made.

    Attributes:
        seconds: of all the work; None for any number.
        products: Hessian-vector products; None for any number.
    """

    seconds: float | None = None
    products: int | None = None
    _start: float = field(default_factory=time.monotonic, repr=False)
    _spent: int = field(default=0, repr=False)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """A budget as typed: seconds as in ``120s``, or Hessian-vector products as in ``40p``.

        Raises:
            AnchorlabError: if it is neither, or not above 0.
        """
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?)s|(\d{1,12})p", text.strip())
        seconds, products = (match[1], match[2]) if match else (None, None)
        if not (float(seconds or 0) > 0 or int(products or 0) > 0) or math.isinf(float(seconds or 0)):
            raise AnchorlabError(
                f"the budget '{shortened(text)}' is not possible: give seconds, as in 120s, or Hessian-vector "
                "products, as in 40p, above 0"
            )
        return cls(seconds=float(seconds)) if seconds else cls(products=int(products or 0))

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g} seconds"
        return "no limit" if self.products is None else f"{self.products} Hessian-vector products"

    def check(self) -> None:
        """Raises BudgetSpent if the time is over."""
        if self.seconds is not None and time.monotonic() - self._start >= self.seconds:
            raise BudgetSpent

    def spend(self) -> None:
        """Takes a product from the budget; raises BudgetSpent if there is none left, or the time is over."""
        self.check()
        if self.products is not None and self._spent >= self.products:
            raise BudgetSpent
        self._spent += 1
