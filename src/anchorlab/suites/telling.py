"""What a job in another process tells of its progress, through the pipe that its answer comes through."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from anchorlab.progress import Listener

#: Begins a message of figures; an answer begins otherwise, because it is a pickle.
_FIGURES = b"figures:"

#: Seconds between two messages of figures.
_EVERY = 1.0


def timed(pipe: Connection) -> Callable[[bytes], Any]:
    """Runs a pickled job, and tells how long it took; what a process imports before its first job does not count."""

    def call(job: bytes) -> Any:
        function, args = pickle.loads(job)
        began = time.monotonic()
        try:
            return function(*args)
        finally:
            _tell(pipe, {"seconds": time.monotonic() - began})

    return call


def _tell(pipe: Connection, figures: Mapping[str, float]) -> None:
    pipe.send_bytes(_FIGURES + pickle.dumps(dict(figures)))


def teller(pipe: Connection) -> Listener:
    """Sends the figures of the bars of this process through the pipe, at most about once a second."""
    last = 0.0

    def tell(_title: str, _done: int, _total: int, figures: Mapping[str, float]) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            _tell(pipe, figures)

    return tell


def awaited_answer(pipe: Connection, told: dict[str, float]) -> bytes:
    """The answer of a job; the figures that come before it go into ``told``.

    Raises:
        EOFError: if the other end is closed.
    """
    while (message := pipe.recv_bytes()).startswith(_FIGURES):
        told.update(pickle.loads(message.removeprefix(_FIGURES)))
    return message
