"""Where the jobs of a suite run: in processes of this machine, or on a Ray cluster.

Both take a function and its arguments and return a ``concurrent.futures.Future``. An error that the function raises
comes through unchanged; a process that dies raises `WorkerDied` for its own job alone. torch and ray are imported late,
because a process needs its number of threads and its GPU first. ``docs/executors.md`` says when to use which.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import chdir, suppress
from multiprocessing import Pipe, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.popen_fork import Popen
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from anchorlab.errors import AnchorlabError, quoted, reason
from anchorlab.notices import quiet_imports, show_notices
from anchorlab.progress import listening
from anchorlab.suites.cards import MOST_WORKERS, shares
from anchorlab.suites.starting import UNGUARDED, Starter, UnguardedScript, variables
from anchorlab.suites.telling import awaited_answer, teller, timed


class WorkerDied(AnchorlabError):  # noqa: N818  (it says what happened)
    """The process that ran a job is gone, and the job's result with it; the job may be submitted again."""


class Executor(Protocol):
    """Runs jobs elsewhere. It is a context manager; leaving the context ends all jobs."""

    @property
    def slots(self) -> int:
        """Jobs worth having in flight at this moment; at least 1."""

    def share(self, path: Path) -> Any:
        """Makes a folder cheap to hand to many jobs: pass them the returned value, not the path."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Runs ``function(*args)`` elsewhere; the function must be a member of a module."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalProcesses:
    """Processes of this machine, one a slot; each starts when it is first needed and then runs job after job.

    Leaving the context cancels jobs that wait and kills those that run. Ctrl-C does not reach the processes; if this
    process is killed, they end by themselves.

    Args:
        workers: processes at a time; by default as many as the GPUs suffice for, or the cores if there is no GPU.
        pending: number of jobs to come; no more processes than that start.
        cpus: cores a job is given; it runs ``max(1, int(cpus))`` threads, however many workers there are, because
            another number of threads adds in another order.
        gpus: GPUs a job is given; a fraction shares one. 0 means one, where there are any. More ``workers`` than that
            suffices for take turns on the GPUs all the same.

    Attributes:
        slots: processes at a time.
        threads: threads of each process.

    Raises:
        AnchorlabError: if ``workers`` is less than 1 or more than a machine takes, or it has fewer than ``gpus``.
    """

    def __init__(
        self, workers: int | None = None, pending: int | None = None, *, cpus: float = 1, gpus: float = 0
    ) -> None:
        if workers is not None and not 1 <= workers <= MOST_WORKERS:
            raise AnchorlabError(
                f"a suite cannot run in {quoted(workers)} processes: ask for 1 or more workers, up to {MOST_WORKERS:,}"
            )
        seen = shares(gpus)
        self.threads = max(1, int(cpus))
        workers = workers or min(len(seen), MOST_WORKERS) or max(1, _cores() // self.threads)
        self.slots = workers if pending is None else max(1, min(workers, pending))
        self._starter = Starter({"OMP_NUM_THREADS": str(self.threads)})
        self._workers = [
            _Worker(self._starter, self.threads, seen[number % len(seen)] if seen else None)
            for number in range(self.slots)
        ]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._told: WeakKeyDictionary[Future[Any], dict[str, float]] = WeakKeyDictionary()
        # One thread a process waits for its answers; the signal is left to the main thread.
        self._waiting = ThreadPoolExecutor(self.slots, "anchorlab-slot", initializer=_block_interrupts)

    def share(self, path: Path) -> Path:
        """The path itself: every process of this machine reads it."""
        return path

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Runs ``function(*args)`` in the next idle process; both must survive pickling.

        The future raises what the function raised, or WorkerDied if its process died.
        """
        told: dict[str, float] = {}
        future = self._waiting.submit(self._run, function, args, told)
        self._told[future] = told
        return future

    def figures(self, future: Future[Any]) -> Mapping[str, float]:
        """What the job of a future told last, such as its loss, and its ``seconds`` at its end; empty before that."""
        return self._told.get(future, {})

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], told: dict[str, float]) -> Any:
        worker = self._idle.get()
        try:
            return _result(worker.run(pickle.dumps((function, args)), told))
        finally:
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.shutdown(wait=False, cancel_futures=True)
        self._starter.refuse()
        for worker in self._workers:
            worker.stop()
        self._starter.stop()
        self._waiting.shutdown()


class _Worker:
    """One process at a time, and a new one after it died; one thread at a time uses it, any thread may stop it."""

    def __init__(self, starter: Starter, threads: int, gpu: str | None) -> None:
        self._starter = starter
        self._settings = threads, gpu
        self._lock = threading.Lock()
        self._stopped = False
        self._serving = False
        self._process: Popen | None = None
        self._pipe: Connection | None = None

    def run(self, job: bytes, told: dict[str, float]) -> bytes:
        """The pickle that `_attempt` returns; raises WorkerDied, or CancelledError if stopped meanwhile.

        What the job tells of its progress until then goes into ``told``.

        Raises:
            UnguardedScript: if the process imported the script of this one, which would start the suite again.
        """
        process, pipe = self._start()
        try:
            if not self._serving:
                pipe.recv_bytes()
                self._serving = True
            pipe.send_bytes(job)
            return awaited_answer(pipe, told)
        except (EOFError, OSError):  # the other end is closed
            exit_code = process.wait()
            if self._stopped:
                raise CancelledError from None
            if exit_code == UNGUARDED:
                raise UnguardedScript from None
            raise WorkerDied(_death_message(exit_code)) from None

    def stop(self) -> None:
        """Kills the process, whatever it does; files are written atomically, so none is left half-written."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _start(self) -> tuple[Popen, Connection]:
        """The process and the pipe to it; starts one if none is alive."""
        with self._lock:
            if self._stopped:
                raise CancelledError
            if self._process is None or self._pipe is None or self._process.poll() is not None:
                self._serving = False
                self._pipe, child_end = Pipe()
                self._process = self._starter.start(_serve, child_end, *self._settings)
                child_end.close()  # so that the pipe ends when the process does
            return self._process, self._pipe


def _serve(pipe: Connection, threads: int, gpu: str | None) -> None:
    """What a process does: one job after the other, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_imports()
    show_notices()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    with suppress(EOFError, BrokenPipeError), listening(teller(pipe)):
        pipe.send_bytes(b"")  # it has started
        while True:
            pipe.send_bytes(_attempt(threads, timed(pipe), pipe.recv_bytes()))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # not sys.exit: the job runs in another thread and may run for hours


class RayCluster:
    """A Ray cluster: jobs run on its nodes; if a node dies, its jobs run again on another.

    Every node needs the same versions of anchorlab and torch as this machine. Leaving the context disconnects,
    which ends the jobs still running; the cluster stays up.

    Args:
        address: ``HOST:PORT`` of a cluster that this machine is a node of, ``ray://HOST:PORT`` of another
            cluster, or ``auto`` for the cluster that runs on this machine.
        cpus: cores a job is given; it runs ``max(1, int(cpus))`` threads.
        gpus: GPUs a job is given; a fraction shares one.
        retries: how often a job runs again after its process or node died. Errors that it raises are not retried.

    Raises:
        AnchorlabError: if ray is not installed, or no cluster answers at the address.
    """

    def __init__(self, address: str, *, cpus: float = 1, gpus: float = 0, retries: int = 3) -> None:
        if cpus < 0 or gpus < 0 or cpus + gpus == 0:
            raise AnchorlabError(f"a job cannot run on {cpus:g} CPUs and {gpus:g} GPUs: ask for more than nothing")
        try:
            import ray
        except ImportError:
            raise AnchorlabError("a Ray cluster needs ray: install it with pip install 'anchorlab[ray]'") from None
        self._ray, self._cpus, self._gpus = ray, cpus, gpus
        self._connected_here = not ray.is_initialized()
        if self._connected_here:
            try:
                if address != "auto":
                    _check_reachable(address)
                # Ray puts the driver's current folder on the path of its workers, where it may lie too.
                with chdir(Path.cwd().anchor):
                    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ImportError, OSError, RuntimeError, ValueError) as error:
                raise AnchorlabError(
                    f"no Ray cluster answers at '{address}': start one with 'ray start --head' and give the address "
                    f"that it prints, or 'auto' on a machine of the cluster ({reason(error)})"
                ) from error
        self._remote = ray.remote(_attempt).options(num_cpus=cpus, num_gpus=gpus, max_retries=retries)

    @property
    def slots(self) -> int:
        """Jobs that the living nodes can run at a time; at least 1, so that a job waits for nodes to come."""
        resources = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        requested = {name: amount for name, amount in (("CPU", self._cpus), ("GPU", self._gpus)) if amount > 0}
        # Node by node: a job never spans two.
        fitting = (min(int(node.get(name, 0) / amount) for name, amount in requested.items()) for node in resources)
        return max(1, sum(fitting))

    def share(self, path: Path) -> Any:
        """Puts the files of a folder into the cluster's memory; a job gets ``dict[str, bytes]``, name to content.

        Folders within the folder are left out. Only an argument of its own is replaced, not one within a list.
        """
        return self._ray.put({file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()})

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Runs ``function(*args)`` on a node that has room.

        The future raises what the function raised, or WorkerDied if its process or node died too often.
        """
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        answer = self._remote.remote(max(1, int(self._cpus)), function, *args)
        answer.future().add_done_callback(lambda done: self._settle(future, done))
        return future

    def _settle(self, future: Future[Any], done: Future[bytes]) -> None:
        try:
            future.set_result(_result(done.result()))
        except self._ray.exceptions.RayError as error:
            future.set_exception(WorkerDied(f"Ray gave up on the job, which may be run again: {reason(error)}"))
        except BaseException as error:  # the job's own, which belongs to the future
            future.set_exception(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connected_here:
            self._ray.shutdown()


def _attempt(threads: int, function: Callable[..., Any], *args: Any) -> bytes:
    """Runs a job in the process that it was sent to: a pickle of True and its result, or of False and its error.

    The error carries the traceback of its process as a note.
    """
    import torch

    torch.set_num_threads(threads)
    try:
        return pickle.dumps((True, function(*args)))
    except BaseException as error:
        error.add_note(f"In the process that ran it:\n{traceback.format_exc().rstrip()}")
        return _pickled(error)


def _pickled(error: BaseException) -> bytes:
    """A pickle of False and an error that can be read back; an error that cannot leaves its text."""
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)
    except Exception:
        return pickle.dumps((False, RuntimeError(reason(error))))
    return answer


def _result(answer: bytes) -> Any:
    """The result in the pickle of `_attempt`; raises the error in it."""
    succeeded, value = pickle.loads(answer)
    if succeeded:
        return value
    raise value


def _death_message(exit_code: int | None) -> str:
    if exit_code is None:  # another thread collected the exit code and has not stored it yet
        cause = ""
    elif exit_code == -signal.SIGKILL:
        cause = " of signal 9 (often: out of memory)"
    else:
        cause = f" of signal {-exit_code}" if exit_code < 0 else f" with exit code {exit_code}"
    return f"the process that ran it died{cause}: run it again, with fewer workers if memory is short"


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_reachable(address: str) -> None:
    """Raises OSError or ValueError if nothing listens at an address, where ray itself would try for minutes."""
    url = urlsplit(address if "//" in address else f"//{address}")
    if url.hostname is None or url.port is None:
        raise ValueError("an address is HOST:PORT")
    socket.create_connection((url.hostname, url.port), timeout=10).close()


def _block_interrupts() -> None:
    """Keeps Ctrl-C from this thread and from the processes that it begins, which inherit that."""
    with variables():
        resource_tracker.ensure_running()  # first: when it begins, it lets signals through again
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
