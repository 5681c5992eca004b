"""Child processes that heed Ctrl-C, wherever the tests run."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """For ``Popen(preexec_fn=...)``: a shell starts background jobs with SIGINT ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
