"""The pool: how many threads, forks, Python threads, other libraries' threads."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import curvblas as cb
from curvblas import _threads

from cases import spd


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def work(rng):
    """Several matrices that are worth more than one thread."""
    return cb.damped_inverse([spd(rng, n, np.float64) for n in (300, 200, 250)], 0.1).inverse


def test_the_environment_sets_the_number_of_threads():
    result = run_python("import curvblas as cb; print(cb.get_num_threads())", CURVBLAS_NUM_THREADS="5")

    assert result.stdout.strip() == "5"


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5", "", "1000000000000"])
def test_a_wrong_environment_is_an_error(wrong):
    result = run_python("import curvblas", CURVBLAS_NUM_THREADS=wrong)

    assert f"ValueError: CURVBLAS_NUM_THREADS must be an integer in 1 ... 64, got '{wrong}'" in result.stderr


def test_a_wrong_isa_is_an_error():
    result = run_python("import curvblas", CURVBLAS_ISA="vax")

    assert "ValueError: CURVBLAS_ISA must be one of ['baseline'" in result.stderr
    assert "got 'vax'" in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_limits_the_number_of_threads():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"

    assert run_python(code + "; import curvblas as cb; print(cb.get_num_threads())").stdout.strip() == "1"


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 1 << 20), ("150000 100000", 2), ("50000 100000", 1)])
def test_control_groups_limit_the_number_of_threads(tmp_path, quota, cores):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text(quota)  # a parent's limit holds too
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000")
    (tmp_path / "cgroup").write_text("0::/a/b\n")

    assert _threads._cores_by_cgroup(tmp_path / "cgroup", tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [(-1, 1 << 20), (250000, 3)])
def test_control_groups_of_version_1(tmp_path, quota, cores):
    (tmp_path / "cpu" / "job").mkdir(parents=True)
    (tmp_path / "cpu" / "job" / "cpu.cfs_quota_us").write_text(str(quota))
    (tmp_path / "cpu" / "job" / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "cgroup").write_text("4:memory:/job\n3:cpu,cpuacct:/job\n")

    assert _threads._cores_by_cgroup(tmp_path / "cgroup", tmp_path) == cores


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(0, ValueError), (-3, ValueError), (10**6, ValueError), (2.0, TypeError), (True, TypeError)],
)
def test_set_num_threads_refuses(wrong, error):
    with pytest.raises(
        error, match=f"threads must be .*, got {wrong if error is ValueError else type(wrong).__name__}"
    ):
        cb.set_num_threads(wrong)


# Python 3.12 and JAX warn of any fork in a process with threads: that it works is what is tested here.
survives_fork = pytest.mark.filterwarnings("ignore:.*fork")


@survives_fork
def test_a_forked_child_computes_the_same(rng):
    cb.set_num_threads(3)
    expected = work(np.random.default_rng(0))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    children = [context.Process(target=lambda: queue.put(work(np.random.default_rng(0)))) for _ in range(3)]
    for child in children:
        child.start()
    results = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0, 0, 0]
    assert all(np.array_equal(a, b) for result in results for a, b in zip(result, expected, strict=True))


@survives_fork
def test_a_fork_in_the_middle_of_a_call_leaves_a_working_child():
    cb.set_num_threads(2)
    stop = threading.Event()

    def keep_busy():
        generator = np.random.default_rng(1)
        rows, C = generator.standard_normal((500, 300)), np.zeros((300, 300))
        while not stop.is_set():
            cb.update_factors([C], [rows])

    thread = threading.Thread(target=keep_busy)
    thread.start()
    codes = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            cb.update_factors([np.zeros((300, 300))], [np.ones((500, 300))])
            os._exit(7)
        deadline = time.monotonic() + 30
        while (done := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        if done[0] == 0:
            os.kill(pid, 9)
        codes.append(os.waitstatus_to_exitcode(done[1]) if done[0] else None)
    stop.set()
    thread.join()

    assert codes == [7] * 20


def test_resizing_while_others_call(rng):
    C = [spd(rng, n, np.float64) for n in (150, 200, 100)]
    expected = cb.damped_inverse(C, 0.1).inverse
    same = []

    def call():
        for _ in range(20):
            results = cb.damped_inverse(C, 0.1).inverse
            same.append(all(np.array_equal(a, b) for a, b in zip(results, expected, strict=True)))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for k in range(40):
        cb.set_num_threads(1 + k % 4)
    for thread in threads:
        thread.join()

    assert same == [True] * 60


def test_no_more_threads_than_asked_for():
    code = """
import threading, time, os, numpy as np, curvblas as cb
before = len(os.listdir('/proc/self/task'))
cb.set_num_threads(3)
X = np.random.default_rng(0).standard_normal((900, 600))
def work():
    for _ in range(3):
        C = cb.update_factors([np.zeros((600, 600))] * 1, [X])
        cb.damped_inverse(C * 4, 0.1)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
time.sleep(0.2)  # a joined thread may still be leaving
print(len(os.listdir('/proc/self/task')) - before)
"""
    if not os.path.isdir("/proc/self/task"):  # noqa: PTH112
        pytest.skip("no /proc")

    assert run_python(code, OPENBLAS_NUM_THREADS="1").stdout.strip() == "2"  # two workers beside the callers


def test_another_setting_of_the_blas_does_not_change_results(rng):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    V = rng.standard_normal((300, 400))
    A, G = rng.standard_normal((400, 400)), rng.standard_normal((300, 300))
    expected = cb.precondition(V, A, G)

    with threadpoolctl.threadpool_limits(4):
        result = cb.precondition(V, A, G)

    assert np.array_equal(result, expected)


def test_threadpoolctl_sees_and_limits_the_pool():
    code = """
import threadpoolctl, curvblas as cb
cb.set_num_threads(3)
with threadpoolctl.threadpool_limits(1, user_api="curvblas"):
    print(cb.get_num_threads())
pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "curvblas"]
print(cb.get_num_threads(), [pool["num_threads"] for pool in pools])
"""

    assert run_python(code).stdout.split("\n")[:2] == ["1", "3 [3]"]


def test_idle_threads_sleep():
    code = """
import time, numpy as np, curvblas as cb
cb.set_num_threads(4)
X = np.random.default_rng(0).standard_normal((900, 600))
cb.update_factors([np.zeros((600, 600))], [X])
time.sleep(0.05)
start = time.process_time()
time.sleep(0.5)
print(time.process_time() - start)
"""

    assert float(run_python(code).stdout) < 0.05


def test_imports_without_starting_threads_or_other_libraries():
    code = """
import os, sys, numpy
before = set(sys.modules), len(os.listdir('/proc/self/task')) if os.path.isdir('/proc') else 0
import curvblas
after = set(sys.modules) - before[0]
print(sorted({m.partition('.')[0] for m in after} & {'torch', 'jax', 'cupy', 'scipy', 'sklearn', 'matplotlib', 'rich'}))
print(len(os.listdir('/proc/self/task')) - before[1] if os.path.isdir('/proc') else 0)
print('OPENBLAS_NUM_THREADS' in os.environ)
"""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["[]", "0", "False"]


def _pieces(result):
    """Bits of all arrays of a result of a list, matrix by matrix."""
    fields = [getattr(result, name) for name in result.__dataclass_fields__]
    return [tuple(np.asarray(field[k]).tobytes() for field in fields) for k in range(len(fields[0]))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "solve",
    [lambda factors: cb.damped_inverse(factors, 0.1), cb.eigenbasis],
    ids=["damped_inverse", "eigenbasis"],
)
class TestSharedMatrices:
    """Matrices that keep the other threads waiting are worked on by all of them, the same ones in a group by one."""

    def test_threads_and_company_change_no_bit(self, cpu, rng, solve, dtype):
        large = [spd(rng, n, dtype) for n in (420, 300, 130)]
        many = [spd(rng, 200, dtype) for _ in range(6)]
        cb.set_num_threads(1)
        alone = [_pieces(solve([C]))[0] for C in large]
        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            assert [_pieces(solve([C]))[0] for C in large] == alone
            assert _pieces(solve(large)) == alone
            assert _pieces(solve([*many, *large]))[len(many) :] == alone

    def test_a_bad_one_leaves_the_others_alone(self, cpu, rng, solve, dtype):
        good, bad = spd(rng, 400, dtype), spd(rng, 390, dtype)
        bad[300, 7] = np.nan

        result = solve([bad, good])

        C, eps = good.astype(np.float64), np.finfo(dtype).eps
        if solve is cb.eigenbasis:
            values, vectors = result.values[1].astype(np.float64), result.vectors[1].astype(np.float64)
            assert np.linalg.norm(C @ vectors - vectors * values) < 1000 * eps * np.linalg.norm(C)
            assert np.linalg.norm(vectors.T @ vectors - np.eye(400)) < 1000 * eps
        else:
            inverse = result.inverse[1].astype(np.float64)
            assert np.linalg.norm((C + 0.1 * np.eye(400)) @ inverse - np.eye(400)) < 1e5 * eps
        assert result.status.tolist() == [cb.Status.NOT_FINITE, cb.Status.OK]
        assert _pieces(result)[1] == _pieces(solve([good]))[0]
