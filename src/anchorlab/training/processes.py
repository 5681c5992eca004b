"""Several processes that share one run, as ``accelerate launch`` and ``torchrun`` start them.

All of them take every step, each on its share of the batch, and hold the same weights; the main one
alone writes and prints. In a process that no launcher started, all of this does nothing.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator, launched

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from accelerate import Accelerator

    from anchorlab.data.batches import Share

#: How long another process waits for the main one to fail by itself, before it tells of its own failure.
_PATIENCE = timedelta(seconds=5)


def share_of(accelerator: Accelerator, batch_size: int) -> Share:
    """The share that a process takes of each batch; all shares are of one size, and so of one weight.

    Raises:
        AnchorlabError: if the batch cannot be shared out evenly.
    """
    from anchorlab.data.batches import Share

    processes = accelerator.num_processes
    if batch_size % processes:
        raise AnchorlabError(
            f"a batch of {batch_size} cannot be shared out evenly among {processes} processes: "
            f"give a batch_size that is a multiple of {processes}"
        )
    return Share(accelerator.process_index, processes)


def main_alone(accelerator: Accelerator) -> AbstractContextManager[None]:
    """Inside, only the main process shows progress bars."""
    from anchorlab.progress import no_bars

    return nullcontext() if accelerator.is_main_process else no_bars()


@contextmanager
def main_process_output() -> Iterator[None]:
    """Inside, each message of several processes is printed once.

    The main process prints as usual. Another one is silent, unless it fails and the main one does not: then it
    prints why, before the launcher ends all.
    """
    if not launched():
        yield
        return
    main = find_accelerator().is_main_process
    silenced = io.StringIO()
    try:
        if main:
            yield
        else:
            with redirect_stdout(io.StringIO()), redirect_stderr(silenced):
                yield
    except SystemExit as end:
        if not end.code:
            _leave_group()
        elif main:
            _tell_failure("main")
        elif not _has_failed("main", _PATIENCE) and _is_first_to_report():
            sys.stderr.write(silenced.getvalue())
            sys.stderr.flush()
            _tell_failure("another")
        raise


def failed_elsewhere(error: BaseException) -> bool:
    """Whether an error says only that the connection to another process broke, which has said why it ended."""
    own = isinstance(error, AnchorlabError | KeyboardInterrupt)
    return launched() and not own and _has_failed("another", timedelta(seconds=1))


def _tell_failure(who: str) -> None:
    """Tells the other processes who has failed."""
    with suppress(Exception):
        _store().set(f"anchorlab/failed/{who}", "yes")


def _has_failed(who: str, patience: timedelta) -> bool:
    """Whether somebody has failed, or does so within the patience."""
    try:
        _store().wait([f"anchorlab/failed/{who}"], patience)
    except Exception:
        return False
    return True


def _is_first_to_report() -> bool:
    """Whether no other process has asked this before."""
    try:
        return bool(_store().add("anchorlab/failed/count", 1) == 1)
    except Exception:
        return True


def _store() -> Any:
    """The key-value store that the processes of a run share; it answers where collectives hang."""
    from torch.distributed.distributed_c10d import _get_default_store

    return _get_default_store()


def _leave_group() -> None:
    """Leaves the group of processes; NCCL warns of a process that ends without leaving."""
    import torch.distributed

    with suppress(Exception):
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
