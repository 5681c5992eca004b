"""A whole suite on a real cluster of which a node dies: nothing is lost, and one process gives the same results."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from anchorlab.suites.executors import RayCluster
from anchorlab.suites.results import load_results
from anchorlab.suites.runner import Progress, failures, run_suite
from anchorlab.suites.store import Store
from tests.suites.inline import tiny
from tests.suites.test_executors import cluster, pid_of_raylet, until

__all__ = ["cluster"]  # the fixture


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.slow
def test_a_suite_outlives_a_node_of_its_cluster(cluster: str, finished: Path, tmp_path: Path) -> None:
    killed: list[int] = []
    with RayCluster(cluster) as executor:
        until(lambda: executor.slots == 2)
        doomed = executor.submit(pid_of_raylet).result()

        def kill_in_mid_run(progress: Progress) -> None:
            if progress.done >= 8 and not killed:
                os.kill(doomed, signal.SIGKILL)
                killed.append(progress.done)

        run_suite(tiny(), tmp_path, executor=executor, report=kill_in_mid_run)
        assert executor.slots == 1
    assert killed
    assert killed[0] < 20
    assert failures(tiny(), Store(tmp_path)) == []
    apart = ["seconds", "peak_bytes"]
    pd.testing.assert_frame_equal(
        load_results(tmp_path).results.drop(columns=apart),
        load_results(finished).results.drop(columns=apart),
        rtol=1e-4,
        atol=1e-6,
    )
