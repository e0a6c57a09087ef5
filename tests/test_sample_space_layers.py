"""Natural gradients in the space of samples from the rows of layers: as from an explicit Jacobian."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle

CASES = 12
LAYERS = [(None, 5, 3), (2, 40, 30), (20, 4, 6), (None, 1, 1), (7, 3, 2)]  # (T, p, q); by pairs and by gradients
BIAS = [True, True, False, False, True]


def draw(rng, dtype=np.float64, cases=CASES, layers=LAYERS):
    """Return the rows of layers, and one number a case."""

    def rows(positions, d):
        return rng.standard_normal((cases, d) if positions is None else (cases, positions, d)).astype(dtype)

    A_rows, G_rows = ([rows(layer[0], layer[k]) for layer in layers] for k in (1, 2))
    return A_rows, G_rows, rng.standard_normal(cases).astype(dtype)


def flat(solution):
    return np.concatenate([np.ravel(x) for x in solution])


def distance(x, expected):
    return np.linalg.norm(np.float64(x) - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [False, True, BIAS], ids=["without", "with", "some"])
class TestLayers:
    def test_multiply_like_rows_of_the_jacobian(self, backend, rng, bias, dtype):
        A_rows, G_rows, _ = draw(rng, dtype)

        K = backend.layer_gram(A_rows, G_rows, bias=bias)

        J = oracle.layer_jacobian(A_rows, G_rows, np.broadcast_to(bias, len(LAYERS)))
        assert K.dtype == np.float64
        assert distance(K, J @ J.T) < (1e-14 if dtype == np.float64 else 1e-6)
        assert np.array_equal(K, K.T)

    def test_solve_like_the_jacobian(self, backend, rng, bias, dtype):
        A_rows, G_rows, e = draw(rng, dtype)

        found = backend.sample_space_solve_layers(A_rows, G_rows, e, 2.0, bias=bias)

        J = oracle.layer_jacobian(A_rows, G_rows, np.broadcast_to(bias, len(LAYERS)))
        assert found.status == Status.OK
        assert [x.shape for x in found.solution] == [
            (q, p + int(has)) for (_, p, q), has in zip(LAYERS, np.broadcast_to(bias, len(LAYERS)), strict=True)
        ]
        assert all(x.dtype == dtype for x in found.solution)
        expected = oracle.sample_space_solve(J, np.float64(e), 2.0)
        assert distance(flat(found.solution), expected) < (1e-12 if dtype == np.float64 else 1e-5)


def test_agrees_with_the_solver_of_a_jacobian(cpu, rng):
    A_rows, G_rows, e = draw(rng)
    J = oracle.layer_jacobian(A_rows, G_rows, BIAS)

    found = cpu.sample_space_solve_layers(A_rows, G_rows, e, 1e-2, bias=BIAS)

    assert distance(flat(found.solution), cpu.sample_space_solve(J, e, 1e-2).solution) < 1e-12


@pytest.mark.parametrize("positions", [2, 3])
def test_many_pairs_are_summed_in_blocks_of_cases(cpu, rng, positions):
    """Of 1,100 cases with 2 or 3 positions, 953 or 423 are a block."""
    A_rows, G_rows, _ = draw(rng, np.float32, 1100, [(positions, 70, 60)])

    K = cpu.layer_gram(A_rows, G_rows, bias=True)

    J = oracle.layer_jacobian(A_rows, G_rows, [True])
    assert distance(K, J @ J.T) < 1e-6
    assert np.array_equal(K, K.T)


def test_many_gradients_are_summed_in_blocks_of_rows(cpu, rng):
    A_rows, G_rows, _ = draw(rng, np.float64, 70, [(60, 700, 401)])

    K = cpu.layer_gram(A_rows, G_rows, bias=True)

    J = oracle.layer_jacobian(A_rows, G_rows, [True])
    assert distance(K, J @ J.T) < 1e-14


def test_gives_the_same_bits_for_any_number_of_threads(cpu, rng):
    A_rows, G_rows, e = draw(rng, np.float32, 150, [(None, 300, 200), (3, 128, 100), (30, 20, 30)])
    found = []

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        K = cpu.layer_gram(A_rows, G_rows)
        found.append((K, flat(cpu.sample_space_solve_layers(A_rows, G_rows, e, 1.0).solution)))

    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_takes_strided_and_read_only_rows(backend, rng):
    A_rows, G_rows, e = draw(rng)
    expected = backend.sample_space_solve_layers(A_rows, G_rows, e, 0.5, bias=True)

    def awkward(x):
        room = np.zeros([2 * size + 1 for size in x.shape])
        view = room[tuple([slice(1, None, 2)] * x.ndim)]
        view[...] = x
        view.setflags(write=False)
        return view

    found = backend.sample_space_solve_layers(
        [awkward(a) for a in A_rows], [awkward(g) for g in G_rows], awkward(e), 0.5, bias=True
    )

    assert distance(flat(found.solution), flat(expected.solution)) < 1e-13


def test_repeated_cases_give_the_least_norm(backend, rng):
    A_rows, G_rows, e = draw(rng)
    for rows in (*A_rows, *G_rows):
        rows[5], rows[8] = rows[1], rows[2]

    found = backend.sample_space_solve_layers(A_rows, G_rows, e, 0.0, bias=True)

    J = oracle.layer_jacobian(A_rows, G_rows, [True] * len(LAYERS))
    assert found.status == Status.JITTERED
    assert found.ok
    assert distance(flat(found.solution), np.linalg.pinv(J, rcond=1e-7) @ e) < 1e-11


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_makes_the_solution_nan(backend, rng, bad):
    A_rows, G_rows, e = draw(rng)
    G_rows[2][3, 1, 0] = bad

    found = backend.sample_space_solve_layers(A_rows, G_rows, e, 0.5)

    assert found.status == Status.NOT_FINITE
    assert np.isnan(flat(found.solution)).all()


def test_nothing_is_an_ordinary_number_of_cases_or_inputs(backend):
    none = backend.sample_space_solve_layers([np.zeros((0, 3))], [np.zeros((0, 2))], np.zeros(0), 1.0, bias=True)
    only_bias = backend.sample_space_solve_layers(
        [np.zeros((2, 4, 0))], [np.ones((2, 4, 3))], np.ones(2), 1.0, bias=True
    )

    assert np.array_equal(none.solution[0], np.zeros((2, 4)))
    assert np.allclose(only_bias.solution[0], 8 / (2 * 48 + 1))


class TestArguments:
    def test_rows_are_a_list(self):
        with pytest.raises(TypeError, match="A_rows must be a list of arrays, one for each layer, got numpy"):
            cb.layer_gram(np.ones((2, 3)), np.ones((2, 1)))
        with pytest.raises(TypeError, match="A_rows must be a list of arrays, one for each layer, got an empty list"):
            cb.sample_space_solve_layers([], [], np.ones(2), 1.0)

    def test_shapes_are_named(self):
        a, g = np.ones((2, 4, 3)), np.ones((2, 4, 5))
        with pytest.raises(
            ValueError,
            match=r"G_rows\[0\] must have shape \(2, 4, q\) for A_rows\[0\] of shape \(2, 4, 3\), got \(2, 5\)",
        ):
            cb.layer_gram([a], [g[:, 0]])
        with pytest.raises(
            ValueError, match=r"A_rows\[1\] must have shape \(N, p\) or \(N, T, p\), .* got \(1, 4, 3\) after N = 2"
        ):
            cb.layer_gram([a, a[:1]], [g, g])
        with pytest.raises(ValueError, match=r"A_rows\[0\] must have shape \(N, p\) or \(N, T, p\), .* got \(2,\)"):
            cb.layer_gram([np.ones(2)], [np.ones(2)])
        with pytest.raises(ValueError, match=r"rhs must have shape \(2,\) for A_rows of that many cases, got \(3,\)"):
            cb.sample_space_solve_layers([a], [g], np.ones(3), 1.0)

    def test_dtypes_and_numbers_are_looked_at(self):
        a, g = np.ones((2, 3)), np.ones((2, 5))
        with pytest.raises(TypeError, match=r"G_rows\[0\] must be float64 like A_rows, got float32"):
            cb.layer_gram([a], [np.float32(g)])
        with pytest.raises(TypeError, match="rhs must be float64 like A_rows, got float32"):
            cb.sample_space_solve_layers([a], [g], np.ones(2, np.float32), 1.0)
        with pytest.raises(ValueError, match="damping must be a finite number >= 0, got -1"):
            cb.sample_space_solve_layers([a], [g], np.ones(2), -1.0)
        with pytest.raises(TypeError, match="bias must be True or False, got int"):
            cb.layer_gram([a], [g], bias=1)


@pytest.mark.parametrize("positions", [None, 4, 30])
def test_squares_that_float32_does_not_hold_are_not_finite(backend, rng, positions):
    A_rows, G_rows, e = draw(rng, np.float32, layers=[(positions, 6, 5)])
    A_rows[0][3] *= np.float32(1e-25)
    A_rows[0][7] = 0

    found = backend.sample_space_solve_layers(A_rows, G_rows, e, 1.0)
    K = backend.layer_gram(A_rows, G_rows)

    assert found.status == Status.NOT_FINITE
    assert np.isnan(found.solution[0]).all()
    assert np.isnan(K[3]).all()
    assert np.isfinite(np.delete(np.delete(K, 3, 0), 3, 1)).all()
