from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.suites import executors
from anchorlab.suites.executors import LocalProcesses, RayCluster, WorkerDied
from tests.interrupts import heed_interrupts

# Ray listens on all addresses of the machine: only who knows the token may send jobs to the clusters of these tests.
# It reads this when it is first imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

#: Seconds until a test that waits for an event gives up: long enough for a machine with much else to do. Jobs that must
#: be stopped sleep far longer.
PATIENCE = 600

# What the jobs do. They run in other processes, so they are functions of this module.


class PickyError(Exception):
    """Cannot be read back from a pickle: its constructor wants two arguments."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} in {where}")


def slow_square(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number**2


def fail(error: type[Exception], *args: Any) -> None:
    raise error(*args)


def unpicklable() -> Callable[[], None]:
    return lambda: None


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pid_once_there(path: Path) -> int:
    until(path.exists)
    return os.getpid()


def write_pid(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(10 * PATIENCE)


def search_path() -> list[str]:
    return sys.path


def what_it_began_with() -> tuple[set[str], list[str]]:
    """The modules of this process, and the names of the threads of the process that it is a fork of."""
    threads = [path.read_text().strip() for path in Path(f"/proc/{os.getppid()}/task").glob("*/comm")]
    return set(sys.modules), threads


def settings() -> tuple[int, str | None, str | None]:
    import torch

    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES")


def square_once_allowed(number: int, folder: Path) -> int:
    """Leaves its process id, and that of its raylet, which is the node to Ray, before it waits."""
    mark = folder / f"{number}-{os.getpid()}"
    mark.with_suffix(".tmp").write_text(str(pid_of_raylet()))
    mark.with_suffix(".tmp").rename(mark.with_suffix(".begun"))
    until((folder / "go").exists)
    return number**2


def pid_of_raylet() -> int:
    return os.getppid()


def ignores_ctrl_c() -> bool:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set())  # from the first moment: inherited
    return signal.SIGINT in blocked and signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def fail_and_count(folder: Path) -> None:
    (folder / secrets.token_hex(8)).touch()
    raise AnchorlabError("this will not do")


# Waiting, and who is alive.


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("\nPPid:")[1].split()[0])


@contextmanager
def group(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process and all it begins, as a group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(command, start_new_session=True, text=True, preexec_fn=heed_interrupts, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# This machine


@pytest.fixture(scope="module")
def two() -> Iterator[LocalProcesses]:
    with LocalProcesses(2) as processes:
        yield processes


@pytest.mark.slow
def test_results_belong_to_their_jobs_whatever_ends_first(two: LocalProcesses) -> None:
    futures = [two.submit(slow_square, number, 0.2 if number == 0 else 0) for number in range(6)]
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 4, 9, 16, 25]


def test_errors_come_through_and_the_process_goes_on(two: LocalProcesses) -> None:
    error = two.submit(fail, AnchorlabError, "this will not do").exception(PATIENCE)
    assert type(error) is AnchorlabError
    assert str(error) == "this will not do"
    assert "test_executors.py" in error.__notes__[0]  # the traceback of the process that ran it
    with pytest.raises(RuntimeError, match="PickyError: a fault in a place"):
        two.submit(fail, PickyError, "a fault", "a place").result(PATIENCE)
    with pytest.raises((AttributeError, TypeError, executors.pickle.PicklingError), match="lambda"):
        two.submit(unpicklable).result(PATIENCE)
    assert two.submit(slow_square, 3, 0).result(PATIENCE) == 9


def test_ctrl_c_does_not_reach_processes(two: LocalProcesses) -> None:
    assert all(two.submit(ignores_ctrl_c).result(PATIENCE) for _ in range(2))


@pytest.mark.slow
def test_a_process_that_dies_fails_its_own_job_alone(two: LocalProcesses, tmp_path: Path) -> None:
    signal_file = tmp_path / "go"
    bystander = two.submit(pid_once_there, signal_file)
    with pytest.raises(WorkerDied, match=r"signal 9 .*out of memory"):
        two.submit(kill_oneself).result(PATIENCE)
    assert two.submit(slow_square, 3, 0).result(PATIENCE) == 9  # in a new process: the other is busy
    assert not bystander.done()
    signal_file.touch()
    assert isinstance(bystander.result(PATIENCE), int)


@pytest.mark.skipif(sys.platform != "linux", reason="only there are processes forks of one that has imported all")
def test_no_process_imports_again_what_jobs_need(two: LocalProcesses) -> None:
    with pytest.raises(WorkerDied):
        two.submit(kill_oneself).result(PATIENCE)
    modules, threads = two.submit(what_it_began_with).result(PATIENCE)  # a function that needs none of them
    assert {"torch", "anchorlab.suites.evaluating", "pyarrow.parquet", "transformers.modeling_utils"} <= modules
    assert "ray" not in modules
    # A fork has one thread; a library that had begun others would wait for them. Arrow's own bears a fork.
    assert len([name for name in threads if name != "jemalloc_bg_thd"]) == 1


@pytest.mark.slow
def test_a_process_that_dies_between_jobs_is_replaced(tmp_path: Path) -> None:
    with LocalProcesses(1) as processes:
        (tmp_path / "go").touch()
        first = processes.submit(pid_once_there, tmp_path / "go").result(PATIENCE)
        os.kill(first, signal.SIGKILL)
        until(lambda: processes._workers[0]._process.poll() is not None)
        assert processes.submit(pid_once_there, tmp_path / "go").result(PATIENCE) != first


def test_leaving_ends_what_runs_and_cancels_what_waits(tmp_path: Path) -> None:
    with LocalProcesses(1) as processes:
        running, waiting = processes.submit(write_pid, tmp_path), processes.submit(slow_square, 1, 0)
        until(lambda: list(tmp_path.iterdir()))
    assert waiting.cancelled()
    assert isinstance(running.exception(), CancelledError)
    assert not any(alive(int(path.name)) for path in tmp_path.iterdir())


def test_threads_are_what_a_run_gets_however_many_workers_and_jobs_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "shares", lambda _gpus: [])
    monkeypatch.setattr(executors, "_cores", lambda: 8)
    sizes = {(workers, pending): LocalProcesses(workers, pending) for workers in (None, 3, 20) for pending in (None, 2)}
    assert {asked: (made.slots, made.threads) for asked, made in sizes.items()} == {
        (None, None): (8, 1),
        (None, 2): (2, 1),
        (3, None): (3, 1),
        (3, 2): (2, 1),
        (20, None): (20, 1),
        (20, 2): (2, 1),
    }
    wide = {workers: LocalProcesses(workers, cpus=3.5) for workers in (None, 1)}
    assert {workers: (made.slots, made.threads) for workers, made in wide.items()} == {None: (2, 3), 1: (1, 3)}
    assert LocalProcesses(pending=0).slots == 1
    with pytest.raises(AnchorlabError, match="0 processes"):
        LocalProcesses(0)


@pytest.mark.slow
def test_a_process_has_its_threads_and_sees_its_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_cores", lambda: 7)
    monkeypatch.setattr(executors, "shares", lambda _gpus: ["3", "5"])
    with LocalProcesses(cpus=3) as processes:
        found = {processes.submit(settings).result(PATIENCE) for _ in range(2)}  # one each, because they take turns
    assert processes.slots == 2
    assert found == {(3, "3", "3"), (3, "3", "5")}


SLEEPERS = f"""
import sys
from pathlib import Path
from anchorlab.suites.executors import LocalProcesses
from tests.suites.test_executors import write_pid

with LocalProcesses(2) as processes:
    futures = [processes.submit(write_pid, Path(sys.argv[1])) for _ in range(5)]
    futures[0].result({10 * PATIENCE})
"""


@contextmanager
def two_sleepers(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that waits for two of its own, which sleep, and their ids."""
    with group(sys.executable, "-c", SLEEPERS, str(folder), stderr=subprocess.PIPE) as parent:
        until(lambda: len(list(folder.iterdir())) == 2)
        yield parent, [int(path.name) for path in folder.iterdir()]


@pytest.mark.slow
def test_processes_search_modules_where_their_parent_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with LocalProcesses(1) as executor:
        assert executor.submit(search_path).result() == sys.path
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_script_that_comes_through_a_pipe_may_have_processes() -> None:
    script = (
        "import operator; from anchorlab.suites.executors import LocalProcesses\n"
        "with LocalProcesses(1) as one: print(one.submit(operator.add, 1, 2).result())\n"
    )
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr


def test_a_script_without_a_guard_ends_with_one_sentence_and_stores_no_failure(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from anchorlab import run_suite\nfrom tests.suites.inline import tiny\nrun_suite(tiny(), 'results')\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert 'put the work of the script below if __name__ == "__main__":' in done.stderr.splitlines()[-1]
    assert done.stderr.count("Traceback") == 1
    assert not list((tmp_path / "results").rglob("failed/*.json"))


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with two_sleepers(tmp_path) as (parent, children):
        everyone = {*children, *map(parent_of, children)} - {parent.pid}  # with the process that they are forks of
        assert all(map(alive, everyone))
        parent.kill()
        until(lambda: not any(map(alive, everyone)))


@pytest.mark.slow
def test_ctrl_c_ends_all_with_one_traceback(tmp_path: Path) -> None:
    with two_sleepers(tmp_path) as (parent, children):
        os.killpg(parent.pid, signal.SIGINT)  # to everybody, as a terminal sends it
        errors = parent.communicate(timeout=PATIENCE)[1]
        assert parent.returncode == -signal.SIGINT
        assert not any(map(alive, children))
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
    assert len(list(tmp_path.iterdir())) == 2  # none of the waiting jobs was begun


# Ray


def test_ray_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AnchorlabError, match=r"anchorlab\[ray\]"):
        RayCluster("auto")


def test_a_cluster_that_does_not_answer_is_named() -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    for address in (f"127.0.0.1:{free_port()}", "nonsense"):
        with pytest.raises(AnchorlabError, match=f"no Ray cluster answers at '{address}'"):
            RayCluster(address)
    with pytest.raises(AnchorlabError, match="more than nothing"):
        RayCluster("auto", cpus=0)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a real cluster: a head that runs no jobs and two nodes of one core each."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    # The nodes find the jobs' functions here, because workers do not look into the driver's current folder.
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "4")
    address = f"127.0.0.1:{free_port()}"
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    start += ["--object-store-memory", "100000000"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)))

        def node(name: str, *options: str) -> None:
            log = folder / f"{name}.log"
            output = stack.enter_context(log.open("w"))
            process = stack.enter_context(group(*start, *options, stdout=output, stderr=subprocess.STDOUT))
            until(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()

        port = address.rpartition(":")[2]
        head = ["--head", "--port", port, "--temp-dir", str(folder / "ray"), "--include-dashboard", "false"]
        node("head", *head, "--num-cpus", "0")
        node("first", "--address", address, "--num-cpus", "1")
        node("second", "--address", address, "--num-cpus", "1")
        yield address


@pytest.mark.slow
def test_a_cluster_runs_jobs_on_all_nodes_and_outlives_one(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RayCluster(cluster, retries=0) as fragile:
        until(lambda: fragile.slots == 2)
        assert Path.cwd() == tmp_path
        assert not {"", str(tmp_path), str(tmp_path.resolve())} & set(fragile.submit(search_path).result(PATIENCE))
        pass_errors_on(fragile, tmp_path / "errors")
        share_a_folder(fragile, tmp_path / "shared")
    with RayCluster(cluster) as robust:
        until(lambda: robust.slots == 2)
        lose_a_node(robust, tmp_path / "squares")


def pass_errors_on(ray: RayCluster, folder: Path) -> None:
    folder.mkdir()
    error = ray.submit(fail_and_count, folder).exception(PATIENCE)
    assert type(error) is AnchorlabError
    assert str(error) == "this will not do"
    assert len(list(folder.iterdir())) == 1  # not tried again
    died = ray.submit(kill_oneself).exception(PATIENCE)
    assert isinstance(died, WorkerDied)
    assert "Ray gave up" in str(died)
    assert ray.submit(settings).result(PATIENCE)[0] == 1


def share_a_folder(ray: RayCluster, folder: Path) -> None:
    (folder / "deeper").mkdir(parents=True)
    (folder / "weights").write_bytes(b"\0\1")
    assert ray.submit(dict, ray.share(folder)).result(PATIENCE) == {"weights": b"\0\1"}


def lose_a_node(ray: RayCluster, folder: Path) -> None:
    """The process that runs a job and its node are killed while it runs; the other node does it again."""
    folder.mkdir()
    finished: list[Future[Any]] = []
    futures = [ray.submit(square_once_allowed, number, folder) for number in range(5)]
    for future in futures:
        future.add_done_callback(finished.append)
    until(lambda: len(list(folder.glob("*.begun"))) == 2)
    doomed, other = folder.glob("*.begun")
    assert doomed.read_text() != other.read_text()  # two nodes

    number, _, pid = doomed.stem.partition("-")
    os.kill(int(doomed.read_text()), signal.SIGKILL)
    until(lambda: not alive(int(pid)))
    (folder / "go").touch()
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 4, 9, 16]
    assert len(finished) == 5
    assert len(list(folder.glob(f"{number}-*.begun"))) == 2
    until(lambda: ray.slots == 1)
