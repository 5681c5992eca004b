"""What is kept of many runs comes back as it was, from memory and from the temporary file."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.consistency import kept
from anchorlab.consistency.kept import Kept


@pytest.mark.parametrize("in_memory", [2**20, 100])
def test_arrays_come_back_with_their_types(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(kept, "_IN_MEMORY", in_memory)
    store = Kept()
    runs = {str(number): {"kl": np.arange(30.0) * number, "label": np.arange(9)} for number in range(4)}
    for name, arrays in runs.items():
        store.put(name, arrays)
    for name in reversed(runs):
        found = store.of(name)
        assert list(found) == ["kl", "label"]
        assert all(np.array_equal(found[key], array) for key, array in runs[name].items())
        assert found["label"].dtype == np.int64
    with pytest.raises(KeyError):
        store.of("0")["churn"]
