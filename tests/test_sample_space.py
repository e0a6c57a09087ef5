"""Natural gradients in the space of samples, beyond what holds for every kernel."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle


def draw(rng, dtype, *shape):
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def distance(x, expected):
    return np.linalg.norm(x - expected) / np.linalg.norm(expected)


def solve_on(on, jacobian, rhs, damping, **options):
    """Solve on a backend, whose own arrays are real: complex ones go there as their parts."""
    if not hasattr(on, "to_device") or np.dtype(jacobian.dtype).kind != "c":
        return on.sample_space_solve(jacobian, rhs, damping, **options)
    previous, momentum = options.get("previous"), options.get("momentum", 0.0)
    parts = [None if x is None else on.to_device(x.view(x.real.dtype)) for x in (jacobian, rhs, previous)]
    x, status = on._module.sample_space_solve(parts[0], parts[1], damping, parts[2], momentum, True)
    return cb.SampleSpaceResult(on.to_host(x).view(jacobian.dtype), on.to_host(status))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize(("N", "P"), [(1, 5), (7, 80), (33, 33), (40, 9), (35, 150)])
class TestSolution:
    def test_is_that_of_least_squares(self, backend, rng, N, P, dtype):
        J, e = draw(rng, dtype, N, P), draw(rng, dtype, N)

        found = solve_on(backend, J, e, 0.3)

        assert found.status == Status.OK
        assert found.solution.dtype == dtype
        bound = 1e-12 if np.finfo(dtype).eps < 1e-10 else 2e-4 if N > P else 2e-5
        assert distance(found.solution, oracle.sample_space_solve(J, e, 0.3)) < bound

    def test_with_momentum_is_the_ridge_around_the_previous_one(self, backend, rng, N, P, dtype):
        J, e, previous = draw(rng, dtype, N, P), draw(rng, dtype, N), draw(rng, dtype, P)

        found = solve_on(backend, J, e, 1e-1, previous=previous, momentum=0.9)

        bound = 4e-12 if np.finfo(dtype).eps < 1e-10 else 2e-3 if N > P else 5e-5
        expected = oracle.sample_space_solve(J, e, 1e-1, previous, 0.9)
        assert distance(found.solution, expected) < bound


def test_is_the_natural_gradient_of_the_whole_matrix(cpu, rng):
    """MinSR is stochastic reconfiguration; with SPRING's term, which a centred J does not feel, too."""
    N, P, damping = 30, 60, 1e-3
    O = rng.standard_normal((N, P)) + 1j * rng.standard_normal((N, P))  # noqa: E741
    local = rng.standard_normal(N) + 1j * rng.standard_normal(N)
    O, eps = (O - O.mean(0)) / np.sqrt(N), (local - local.mean()) / np.sqrt(N)  # noqa: E741

    found = cpu.sample_space_solve(O, eps, damping).solution

    S, force = O.conj().T @ O, O.conj().T @ eps
    assert distance(found, np.linalg.solve(S + damping * np.eye(P), force)) < 1e-11
    with_term = O @ O.conj().T + damping * np.eye(N) + np.ones((N, N)) / N
    assert distance(found, O.conj().T @ np.linalg.solve(with_term, eps)) < 1e-11


def test_equals_tonga_before_its_first_truncation(cpu, rng):
    gradients, decay, damping = rng.standard_normal((12, 40)), 0.9, 0.2
    method = cb.TONGA(40, rank=2, window=12, decay=decay, damping=damping)
    v = [method.step(g) for g in gradients][-1]
    rows = decay ** (np.arange(11, -1, -1) / 2)[:, None] * gradients
    last = np.zeros(12)
    last[-1] = 1

    assert distance(cpu.sample_space_solve(rows, last, damping).solution, v) < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_rows_that_depend_on_each_other_give_the_least_norm(backend, rng, dtype):
    J, e = draw(rng, dtype, 9, 60), draw(rng, dtype, 9)
    J[4], J[7] = J[1], 2 * J[2]

    found = solve_on(backend, J, e, 0.0)

    assert found.status == Status.JITTERED
    expected = np.linalg.pinv(J.astype(np.complex128), rcond=1e-4) @ e
    assert distance(found.solution, expected) < (1e-12 if dtype == np.float64 else 1e-5)


def test_momentum_zero_reads_no_previous_solution(backend, rng):
    J, e = rng.standard_normal((6, 20)), rng.standard_normal(6)

    found = backend.sample_space_solve(J, e, 0.1, previous=np.full(20, np.nan), momentum=0.0)

    assert np.array_equal(found.solution, backend.sample_space_solve(J, e, 0.1).solution)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_groups_have_the_bits_of_single_matrices(cpu, rng, dtype):
    sizes = [(3, 40), (40, 2000), (17, 9)]
    J, e = [draw(rng, dtype, *size) for size in sizes], [draw(rng, dtype, N) for N, _ in sizes]
    found = []

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        found.append(cpu.sample_space_solve(J, e, 0.1).solution)

    alone = [cpu.sample_space_solve(*given, 0.1).solution for given in zip(J, e, strict=True)]
    assert all(np.array_equal(a, b) for other in (*found[1:], alone) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", ["gram", "damped_inverse"])
def test_other_functions_refuse_complex_arrays(name):
    with pytest.raises(TypeError, match=r"must be float64 or float32 .*, got dtype complex128"):
        getattr(cb, name)(np.eye(2) + 0j, *([1.0] if name == "damped_inverse" else []))


def test_more_rows_than_columns_without_damping(backend, rng):
    J, e = rng.standard_normal((50, 20)), rng.standard_normal(50)

    found = backend.sample_space_solve(J, e, 0.0)

    assert found.status == Status.JITTERED
    assert distance(found.solution, np.linalg.lstsq(J, e, rcond=None)[0]) < 1e-11


def test_independent_rows_are_interpolated_without_damping(backend, rng):
    J, e = rng.standard_normal((8, 30)), rng.standard_normal(8)

    found = backend.sample_space_solve(J, e, 0.0)

    assert found.status == Status.OK
    assert np.allclose(J @ found.solution, e, atol=1e-12)


@pytest.mark.parametrize("argument", ["jacobian", "rhs", "previous"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_only_the_matrix_of_a_bad_number_reports_it(backend, rng, argument, bad):
    sizes = [(5, 20), (40, 60), (3, 7)]
    given = {
        "jacobian": [rng.standard_normal(size) for size in sizes],
        "rhs": [rng.standard_normal(N) for N, _ in sizes],
        "previous": [rng.standard_normal(P) for _, P in sizes],
    }
    expected = backend.sample_space_solve(**given, damping=0.1, momentum=0.5)
    given[argument][1].flat[2] = bad

    found = backend.sample_space_solve(**given, damping=0.1, momentum=0.5)

    assert np.asarray(found.status).tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
    assert np.asarray(found.ok).tolist() == [True, False, True]
    assert np.isnan(found.solution[1]).all()
    assert all(np.array_equal(found.solution[k], expected.solution[k]) for k in (0, 2))


def test_one_damping_a_matrix_of_which_one_is_bad(backend, rng):
    J, e, dampings = rng.standard_normal((3, 4, 9)), rng.standard_normal((3, 4)), np.array([0.1, -1.0, 10.0])

    found = backend.sample_space_solve(J, e, dampings)

    assert np.asarray(found.status).tolist() == [Status.OK, Status.INVALID_PARAMETER, Status.OK]
    assert np.isnan(found.solution[1]).all()
    for k in (0, 2):
        assert distance(found.solution[k], oracle.sample_space_solve(J[k], e[k], dampings[k])) < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_many_columns_are_read_in_blocks_from_a_file(cpu, rng, dtype, tmp_path):
    """32 MB of J are a block."""
    N, P = 40, 1_000_001
    path = tmp_path / "jacobian"
    written = np.memmap(path, dtype, "w+", shape=(N, P))
    for n in range(N):
        written[n] = draw(rng, dtype, P)
    written.flush()
    J, e = np.memmap(path, dtype, "r", shape=(N, P)), draw(rng, dtype, N)
    previous = draw(rng, dtype, P)
    found = []

    for threads in (1, 2, 3):
        cb.set_num_threads(threads)
        found.append(cpu.sample_space_solve(J, e, 1e5, previous=previous, momentum=0.5).solution)

    assert all(np.array_equal(found[0], other) for other in found[1:])
    x, rest = found[0] - np.float32(0.5) * previous, e - 0.5 * (J @ previous)
    weights = np.linalg.solve(J @ J.conj().T + 1e5 * np.eye(N), rest)
    assert distance(x, weights @ J.conj()) < 1e-4


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_complex_arrays_of_other_libraries(rng, library):
    pytest.importorskip(library)
    J, e = draw(rng, np.complex64, 5, 12), draw(rng, np.complex64, 5)
    if library == "torch":
        import torch

        given = [torch.from_numpy(J), torch.from_numpy(e)]
    else:
        import jax.numpy as jnp

        given = [jnp.asarray(J), jnp.asarray(e)]

    found = cb.sample_space_solve(*given, 0.1)

    assert type(found.solution) is type(given[0])
    assert distance(np.asarray(found.solution), oracle.sample_space_solve(J, e, 0.1)) < 1e-5


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("size", [1e-25, 1e-20, 1e25])
@pytest.mark.parametrize("N", [3, 12, 40])
def test_the_unit_of_rows_does_not_matter_in_float32(backend, rng, dtype, size, N):
    J, e, previous = draw(rng, np.complex128, N, 90), draw(rng, np.complex128, N), draw(rng, np.complex128, 90)
    if dtype == np.float32:
        J, e, previous = J.real, e.real, previous.real
    J[1] = 0
    expected = oracle.sample_space_solve(J, e, 2.0, previous, 0.5)

    scaled = [(size * x).astype(dtype) for x in (J, e)]
    found = solve_on(backend, *scaled, 2.0 * size**2, previous=previous.astype(dtype), momentum=0.5)

    assert found.status == Status.OK
    assert distance(found.solution, expected) < 2e-6


def test_a_solution_that_its_dtype_does_not_hold_is_refused(backend):
    J, e = np.array([[1e-20, 0]], np.float32), np.array([1e30], np.float32)

    found = backend.sample_space_solve([J, 1e20 * J, J], [e, e, 0 * e], 0.0)

    assert np.asarray(found.status).tolist() == [Status.NOT_FINITE, Status.OK, Status.OK]
    assert np.isnan(found.solution[0]).all()
    assert np.allclose(found.solution[1], [1e30, 0])


def test_complex_tensors_that_are_conjugated_or_strided(rng):
    torch = pytest.importorskip("torch")
    J, e = draw(rng, np.complex128, 5, 12), draw(rng, np.complex128, 5)
    there = torch.from_numpy(J)

    conjugated = cb.sample_space_solve(there.conj(), torch.from_numpy(e).conj(), 0.1).solution
    strided = cb.sample_space_solve(there.T.contiguous().T, torch.from_numpy(e), 0.1).solution

    assert distance(np.asarray(conjugated), oracle.sample_space_solve(J.conj(), e.conj(), 0.1)) < 1e-12
    assert distance(np.asarray(strided), oracle.sample_space_solve(J, e, 0.1)) < 1e-12


class TestArguments:
    def test_shapes_are_named(self):
        J = np.ones((2, 5))
        with pytest.raises(
            ValueError, match=r"rhs must have shape \(..., 2\) for jacobian of shape \(2, 5\), got \(5,\)"
        ):
            cb.sample_space_solve(J, np.ones(5), 1.0)
        with pytest.raises(ValueError, match=r"previous must have shape \(..., 5\) for jacobian of shape \(2, 5\)"):
            cb.sample_space_solve(J, np.ones(2), 1.0, previous=np.ones(2))
        with pytest.raises(
            ValueError, match=r"rhs must have shape \(..., 2\) for jacobian of shape \(2, 5\), got \(3,\)"
        ):
            cb.sample_space_solve(J + 0j, np.ones(3) + 0j, 1.0)
        with pytest.raises(ValueError, match=r"jacobian must have shape \(..., N, P\), got \(2,\)"):
            cb.sample_space_solve(np.ones(2), np.ones(2), 1.0)

    def test_numbers_are_looked_at(self):
        with pytest.raises(ValueError, match="damping must be a finite number >= 0, got -1"):
            cb.sample_space_solve(np.eye(2), np.ones(2), -1.0)
        with pytest.raises(ValueError, match=r"momentum must be a number in \[0, 1\), got 1"):
            cb.sample_space_solve(np.eye(2), np.ones(2), 1.0, previous=np.ones(2), momentum=1.0)

    def test_complex_arguments_are_all_complex(self):
        with pytest.raises(TypeError, match="rhs must be complex128 like jacobian, got float64"):
            cb.sample_space_solve(np.eye(2) + 0j, np.ones(2), 1.0)
        with pytest.raises(TypeError, match=r"rhs must be float64 .*got dtype complex128"):
            cb.sample_space_solve(np.eye(2), np.ones(2) + 0j, 1.0)
