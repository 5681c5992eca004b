"""Starts worker processes: on Linux as forks of one process that has imported everything, which takes a moment.

That process computes nothing, so that a fork loses no thread and no GPU. It is Python's own fork server, but one
for each `Starter`, because a server has the environment that it began with. Elsewhere a worker begins with nothing and
takes as long as its imports.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from multiprocessing import current_process, forkserver, popen_fork, popen_forkserver, reduction, spawn, util
from multiprocessing.context import ForkServerProcess, SpawnProcess, set_spawning_popen
from pathlib import Path
from types import TracebackType
from typing import Any

from anchorlab.errors import AnchorlabError

#: What the fork server imports.
_PRELOADED = "anchorlab.suites.preloaded"

#: What a process ends with that imported an unguarded script; no other ends so, and Python's own codes are 1 and 2.
UNGUARDED = 71

#: Held while the environment is changed, which all threads share.
_CHANGING = threading.Lock()


class UnguardedScript(AnchorlabError):  # noqa: N818  (it says what is wrong)
    """A script starts processes outside of its main guard, so that each of them would begin the script again."""

    def __init__(self) -> None:
        super().__init__(
            "a suite runs in processes of its own, which import the script that starts them, so that an unguarded one "
            'would begin again in each: put the work of the script below if __name__ == "__main__":'
        )


def refuse_unguarded() -> None:
    """Raises UnguardedScript in a process that is just being started, and imports the script for that."""
    if getattr(current_process(), "_inheriting", False):
        raise UnguardedScript


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Inside, a process that starts has these variables, and does not look for modules in the current folder.

    The user's data may lie there, with anything beside them. Afterwards a worker takes the path of this process.
    """
    values = {**values, "PYTHONSAFEPATH": "1"}
    with _CHANGING:
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


class Starter:
    """Starts processes, each with the environment that this process has at that moment. Any thread may use it.

    Args:
        values: variables that they have besides.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._lock = threading.Lock()
        self._stopped = False
        self._ready = False
        # The system libraries of a Mac do not bear a fork.
        self._server = forkserver.ForkServer() if sys.platform == "linux" else None
        if self._server is not None:
            self._server.set_forkserver_preload([_PRELOADED])

    def begin(self) -> None:
        """Lets the imports begin, unless they have; does not wait for them."""
        if self._server is not None:
            # Libraries ask for a GPU while they are imported; asked so, torch does not begin CUDA.
            with self._lock, variables(**self._values, PYTORCH_NVML_BASED_CUDA_CHECK="1"):
                self._refuse_if_stopped()
                self._server.ensure_running()

    def start(self, target: Callable[..., None], *args: Any) -> popen_fork.Popen:
        """A new process that runs ``target(*args)``; both must survive pickling.

        Raises:
            CancelledError: if this was stopped.
        """
        if self._server is not None:
            with suppress(EOFError, OSError):  # the server died, of too little memory, for example
                return self._fork(self._server, _Process(target=target, args=args))
        self._refuse_if_stopped()
        with variables(**self._values):
            return SpawnProcess._Popen(SpawnProcess(target=target, args=args))

    def _fork(self, server: forkserver.ForkServer, process: _Process) -> popen_fork.Popen:
        self.begin()
        with variables(**self._values):
            environment = dict(os.environ)
        forked = _Forked(process, server, environment)
        with self._lock:
            self._ready = True
            if self._stopped:
                forked.kill()
            self._refuse_if_stopped()
        return forked

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise CancelledError

    def refuse(self) -> None:
        """From now on no process starts; whoever waits for the imports is told so at once."""
        with self._lock:
            self._stopped = True
            if not self._ready:
                self._kill()

    def stop(self) -> None:
        """Ends the server. Stop its processes before, because the system tells it alone how they ended."""
        self.refuse()
        with self._lock:
            self._kill()

    def _kill(self) -> None:
        server: Any = self._server
        if server is not None and server._forkserver_pid is not None:
            os.kill(server._forkserver_pid, signal.SIGKILL)  # nobody else has waited for it, so the number is its own
            server._stop()


class _Process(ForkServerProcess):
    _start_method = "spawn"  # what its own processes are, whatever it is


class _Forked(popen_forkserver.Popen):
    """As Python's, but with a server of one's own, and with an environment."""

    def __init__(self, process: _Process, server: forkserver.ForkServer, environment: dict[str, str]) -> None:
        self._server, self._environment = server, environment
        self._fds: list[int] = []
        super().__init__(process)

    def _launch(self, process: _Process) -> None:
        message = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(_Preparation(_preparation(process.name), self._environment), message)
            reduction.dump(process, message)
        finally:
            set_spawning_popen(None)
        self.sentinel, to_child = self._server.connect_to_new_process(self._fds)
        # The child takes the end of this pipe for the end of its parent.
        self.finalizer = util.Finalize(self, _close, (os.dup(to_child), self.sentinel))
        with os.fdopen(to_child, "wb") as pipe:
            pipe.write(message.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


def _preparation(name: str) -> dict[str, Any]:
    """What Python prepares a process by, without the script where that came through a pipe.

    Python takes ``<stdin>`` for a file that each process reads again, and none can.
    """
    data: dict[str, Any] = spawn.get_preparation_data(name)
    if not Path(data.get("init_main_from_path", "")).is_file():
        data.pop("init_main_from_path", None)
    return data


def _close(*numbers: int) -> None:
    for number in numbers:
        os.close(number)


class _Preparation:
    """Becomes, where it is unpickled, what Python prepares a process by; before that it sets the environment there."""

    def __init__(self, data: dict[str, object], environment: dict[str, str]) -> None:
        self._parts = data, environment

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _prepared, self._parts


def _prepared(data: dict[str, object], environment: dict[str, str]) -> dict[str, object]:
    os.environ.clear()
    os.environ.update(environment)
    sys.excepthook = _show_once
    return data


def _show_once(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Leaves what is wrong with the script to the process that the user started, which says it once."""
    if isinstance(error, UnguardedScript):
        os._exit(UNGUARDED)
    sys.__excepthook__(kind, error, trace)
