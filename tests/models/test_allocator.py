"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Touches 40 MB that it frees at once, twice before and twice after; prints the page faults of the second time of each.
TOUCHES = """
import ctypes, resource
import torch
from anchorlab.models.device import exact_arithmetic

SIZE = 4 * 10**7

def faults():
    b"x" * SIZE
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * SIZE
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
with exact_arithmetic(torch.device("cpu")):
    pass
print(before, faults(), hasattr(ctypes.CDLL(None), "gnu_get_libc_version"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told to keep memory")
def test_a_process_that_has_computed_on_the_cpu_keeps_what_it_frees() -> None:
    said = subprocess.run([sys.executable, "-c", TOUCHES], check=True, capture_output=True, text=True).stdout.split()
    if said[2] != "True":
        pytest.skip("another C library")
    pages = 10**7 * 4 / 2**12
    assert int(said[0]) > pages / 2 > pages / 100 > int(said[1])
