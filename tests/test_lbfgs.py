"""Limited-memory BFGS: directions against the matrices of the papers, pairs that are refused or damped, batches."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from lsr1 import on


def problem(rng, m, n, batch=(), dtype=np.float64):
    """Return pairs of convex quadratics, and gradients."""
    A = rng.uniform(0.1, 10.0, (*batch, 1, n))
    S = rng.standard_normal((*batch, m, n))
    return (x.astype(dtype) for x in (S, S * A, rng.standard_normal((*batch, n))))


def directions(S, Y, g, initial=None):
    """Return -H g by dense matrices in float64."""
    count = g.size // g.shape[-1]
    flat = [np.asarray(x, np.float64).reshape(count, *x.shape[-k:]) for x, k in ((S, 2), (Y, 2), (g, 1))]
    return np.stack([-oracle.bfgs_inverse(s, y, initial) @ x for s, y, x in zip(*flat, strict=True)]).reshape(g.shape)


class TestDirection:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(("m", "n"), [(0, 3), (1, 1), (3, 2), (5, 33), (10, 100), (32, 65), (37, 50)])
    def test_is_that_of_the_dense_matrix(self, backend, rng, dtype, m, n):
        S, Y, g = problem(rng, m, n, (2,), dtype)

        found = backend.lbfgs_direction(S, Y, g)

        expected = directions(S, Y, g)
        bound = 1e-6 if dtype == np.float32 else 1e-11
        assert found.dtype == dtype
        assert np.abs(found - expected).max() <= bound * np.abs(expected).max()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_of_long_vectors_is_that_of_short_ones(self, backend, rng, dtype):
        S, Y, g = problem(rng, 4, 6, (), dtype)
        wide = [np.zeros((*x.shape[:-1], 5000), dtype) for x in (S, Y, g)]
        for x, long in zip((S, Y, g), wide, strict=True):
            long[..., 700:4300:600] = x

        found = backend.lbfgs_direction(*wide)

        expected = backend.lbfgs_direction(S, Y, g)
        assert np.allclose(found[700:4300:600], expected, rtol=1e-6 if dtype == np.float32 else 1e-12, atol=0)
        assert np.count_nonzero(found) == 6

    def test_solves_a_quadratic_that_it_has_seen(self, backend, rng):
        S, Y, _ = problem(rng, 6, 6)

        assert np.allclose(backend.lbfgs_direction(S, Y, Y[-1]), -S[-1], rtol=1e-10)  # the secant equation
        exact = backend.lbfgs_direction(np.eye(6), np.diag([1.0, 2, 3, 4, 5, 6]), np.ones(6))
        assert np.allclose(exact, -1 / np.arange(1, 7), rtol=1e-14)

    def test_masks_leave_pairs_out(self, backend, rng):
        S, Y, g = problem(rng, 5, 8, (2,))
        mask = np.array([[1.0, 0, 1, 1, 0], [0, 0, 0, 0, 0]])

        found = backend.lbfgs_direction(S, Y, g, mask=mask)

        assert np.allclose(found[0], directions(S[0, [0, 2, 3]], Y[0, [0, 2, 3]], g[0]), rtol=1e-12)
        assert np.array_equal(found[1], -g[1])

    @pytest.mark.parametrize("n", [7, 4500])
    def test_pairs_without_curvature_are_left_out(self, backend, rng, n):
        S, Y, g = problem(rng, 4, n)
        Y[1] *= -1
        Y[3] -= S[3] * (S[3] @ Y[3]) / (S[3] @ S[3])

        found = backend.lbfgs_direction(S, Y, g)

        assert np.allclose(found, backend.lbfgs_direction(S[[0, 2]], Y[[0, 2]], g), rtol=1e-10)

    def test_initial_inverse(self, backend, rng):
        S, Y, g = problem(rng, 3, 9, (4,))
        given = np.array([0.5, np.nan, -1.0, 0.0])

        found = backend.lbfgs_direction(S, Y, g, initial_inverse=given)

        assert np.allclose(found[0], directions(S[0], Y[0], g[0], 0.5), rtol=1e-12)
        assert np.isnan(found[1:]).all()

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("n", [8, 4500])
    def test_a_bad_pair_spoils_its_own_model_only(self, backend, rng, bad, which, n):
        given = list(problem(rng, 2, n, (3,)))
        expected = backend.lbfgs_direction(*given)
        given[which][1, 0, 3] = bad

        found = backend.lbfgs_direction(*given, mask=np.array([[1.0, 1], [0, 1], [1, 1]]))

        assert np.isnan(found[1]).all()
        assert np.array_equal(found[::2], expected[::2])

    @pytest.mark.parametrize("scale", [1e-12, 1e12])
    def test_units_do_not_matter(self, backend, rng, scale):
        S, Y, g = problem(rng, 4, 10)

        expected = backend.lbfgs_direction(S, Y, g)

        assert np.allclose(backend.lbfgs_direction(S, scale * Y, scale * g), expected, rtol=1e-12)
        assert np.allclose(backend.lbfgs_direction(scale * S, Y / scale, g / scale), scale * expected, rtol=1e-12)

    def test_strided_and_reversed_views(self, backend, rng):
        S, Y, g = problem(rng, 4, 12, (3,))
        views = [x[::-1, ..., ::2] for x in (S, Y, g)]

        assert np.array_equal(backend.lbfgs_direction(*views), backend.lbfgs_direction(*(x.copy() for x in views)))

    @pytest.mark.parametrize("n", [40, 6000])
    def test_has_the_same_bits_for_any_threads_and_alone(self, cpu, rng, n):
        S, Y, g = problem(rng, 5, n, (20,))
        found = cb.lbfgs_direction(S, Y, g)

        for threads in (1, 3, 7):
            cb.set_num_threads(threads)
            assert np.array_equal(cb.lbfgs_direction(S, Y, g), found)
        assert np.array_equal(cb.lbfgs_direction(S[7], Y[7], g[7]), found[7])


class TestRange:
    @pytest.mark.parametrize("n", [2, 4500])
    def test_squares_may_be_as_large_as_numbers_are(self, backend, n):
        s, g = np.zeros((1, n)), np.zeros(n)
        s[0, :2], g[:2] = 8e153, 1.0

        assert np.allclose(backend.lbfgs_direction(s, s, g), -g, rtol=1e-14)


class TestMemory:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_directions_are_those_of_the_last_pairs(self, backend, rng, dtype):
        S, Y, g = problem(rng, 8, 15, (), dtype)
        method = cb.LBFGS(15, memory=3)

        assert np.array_equal(on(backend, method, "direction", g), -g)
        for k, (s, y) in enumerate(zip(S, Y, strict=True)):
            assert on(backend, method, "update", s, y)
            kept = slice(max(k - 2, 0), k + 1)
            expected = directions(S[kept], Y[kept], g)
            bound = 1e-5 if dtype == np.float32 else 1e-11
            assert np.allclose(on(backend, method, "direction", g), expected, rtol=bound, atol=bound)
        assert method.kept == 3

    def test_skips_pairs_without_curvature(self, backend):
        method, s = cb.LBFGS(3), np.array([1.0, 0.0, 0.0])

        assert not on(backend, method, "update", s, -s)
        assert not on(backend, method, "update", s, np.array([0.0, 1.0, 0.0]))
        assert not on(backend, method, "update", 0 * s, s)
        assert not on(backend, method, "update", s, np.array([1e-11, 1.0, 0.0]))
        assert on(backend, method, "update", s, np.array([1e-9, 1.0, 0.0]))
        assert (method.kept, method.status) == (1, Status.OK)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
    @pytest.mark.parametrize("curvature", ["skip", "powell"])
    def test_refuses_and_reports_bad_pairs(self, backend, rng, bad, curvature):
        S, Y, g = problem(rng, 2, 6)
        method = cb.LBFGS(6, curvature=curvature)
        on(backend, method, "update", S[0], Y[0])
        before = on(backend, method, "direction", g)
        Y[1, 2] = bad

        assert not on(backend, method, "update", S[1], Y[1])
        assert method.status == Status.NOT_FINITE
        assert np.array_equal(on(backend, method, "direction", g), before)

    def test_powell_damps_to_a_fifth_of_the_curvature_of_the_model(self, backend, rng):
        H = rng.standard_normal((12, 12))
        H = H + H.T + 2 * np.eye(12)
        method, S, Y, damped = cb.LBFGS(12, memory=4, curvature="powell"), [], [], 0
        for s in rng.standard_normal((9, 12)):
            y = H @ s
            if S:
                B = np.linalg.inv(oracle.bfgs_inverse(np.array(S[-4:]), np.array(Y[-4:])))
                sBs, sy = s @ B @ s, s @ y
                if sy < 0.2 * sBs:
                    theta, damped = 0.8 * sBs / (sBs - sy), damped + 1
                    y = theta * y + (1 - theta) * B @ s
                    assert np.isclose(s @ y, 0.2 * sBs)
            if on(backend, method, "update", s, H @ s):
                S.append(s), Y.append(y)
        assert damped >= 3
        assert len(S) >= 5

        g = rng.standard_normal(12)
        expected = directions(np.array(S[-4:]), np.array(Y[-4:]), g)
        assert np.allclose(on(backend, method, "direction", g), expected, rtol=1e-9)

    @pytest.mark.parametrize("curvature", ["skip", "powell"])
    def test_a_batch_is_each_model_alone(self, backend, rng, curvature):
        S, Y, g = problem(rng, 6, 9, (4,))
        Y[1, 2:4] *= -1
        Y[2, 0] *= -1
        Y[3, 1, 2] = np.nan
        method = cb.LBFGS(9, memory=3, batch=4, curvature=curvature)
        alone = [cb.LBFGS(9, memory=3, curvature=curvature) for _ in g]

        for k in range(6):
            accepted = on(backend, method, "update", S[:, k].copy(), Y[:, k].copy())
            assert accepted.tolist() == [on(backend, m, "update", S[b, k], Y[b, k]) for b, m in enumerate(alone)]
            assert cb.errors.host_status(method.status).tolist() == [m.status for m in alone]
        found = on(backend, method, "direction", g)

        assert all(np.array_equal(found[b], on(backend, m, "direction", g[b])) for b, m in enumerate(alone))

    def test_minimises_a_quadratic_in_as_many_steps_as_variables(self, cpu, rng):
        H = rng.standard_normal((8, 8))
        H = H @ H.T + np.eye(8)
        x, method = rng.standard_normal(8), cb.LBFGS(8, memory=8)
        for _ in range(9):
            p = method.direction(H @ x)
            step = -(p @ H @ x) / (p @ H @ p) * p
            method.update(step, H @ step)
            x = x + step
        assert np.linalg.norm(H @ x) < 1e-9

    def test_goes_on_from_a_state(self, cpu, rng):
        S, Y, g = problem(rng, 5, 40)
        method, other = cb.LBFGS(40, memory=3), cb.LBFGS(40, memory=3)
        for s, y in zip(S[:4], Y[:4], strict=True):
            method.update(s, y)

        other.load_state_dict(method.state_dict())

        assert [m.update(S[4], Y[4]) for m in (method, other)] == [True, True]
        assert np.array_equal(method.direction(g), other.direction(g))


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"n": 0}, ValueError, "LBFGS: n must be an int >= 1, got 0"),
            ({"n": 3, "curvature": "damp"}, ValueError, 'LBFGS: curvature must be "skip" or "powell", got \'damp\''),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            cb.LBFGS(**options)

    def test_of_pairs_and_gradients(self):
        method = cb.LBFGS(3)
        with pytest.raises(ValueError, match=r"LBFGS.direction: grad must have shape \(3,\), got \(2,\)"):
            method.direction(np.ones(2))
        method.update(np.ones(3), np.ones(3))
        with pytest.raises(ValueError, match=r"LBFGS.update: y must have shape \(3,\), got \(2,\)"):
            method.update(np.ones(3), np.ones(2))
        with pytest.raises(TypeError, match="grad must be float64 like the first vectors of this object, got float32"):
            method.direction(np.ones(3, np.float32))
        with pytest.raises(ValueError, match=r"lbfgs_direction: initial_inverse must be a finite number > 0, got 0"):
            cb.lbfgs_direction(np.ones((1, 3)), np.ones((1, 3)), np.ones(3), initial_inverse=0.0)
        with pytest.raises(ValueError, match=r"grad must have shape \(..., 3\) for S of shape \(1, 3\), got \(2,\)"):
            cb.lbfgs_direction(np.ones((1, 3)), np.ones((1, 3)), np.ones(2))

    def test_tensors_of_torch_stay_in_torch(self, rng):
        torch = pytest.importorskip("torch")
        S, Y, g = (torch.from_numpy(x) for x in problem(rng, 3, 6))
        method = cb.LBFGS(6)
        assert all(method.update(s, y) for s, y in zip(S, Y, strict=True))

        found = method.direction(g)

        assert isinstance(found, torch.Tensor)
        assert torch.allclose(found, cb.lbfgs_direction(S, Y, g), rtol=1e-12)


class TestOut:
    def test_receives_the_direction(self, backend, rng):
        S, Y, g = problem(rng, 3, 9, (2,))
        out = np.full((2, 9), -1.0)

        assert backend.lbfgs_direction(S, Y, g, out=out) is out
        assert np.array_equal(out, backend.lbfgs_direction(S, Y, g))

    def test_of_classes(self, cpu, rng):
        S, Y, g = problem(rng, 3, 9)
        bfgs, sr1, out = cb.LBFGS(9), cb.LSR1(9), np.empty(9)
        for method in (bfgs, sr1):
            method.update(S[0], Y[0])

        assert bfgs.direction(g, out=out) is out
        assert np.array_equal(out, bfgs.direction(g))
        found = sr1.step(g, 1.0, out=out)
        assert found.step is out
        assert np.array_equal(out, sr1.step(g, 1.0).step)

    def test_may_not_overlap_and_must_fit(self):
        S, g = np.ones((1, 3)), np.ones(3)

        with pytest.raises(ValueError, match="out is written and must not share memory with grad"):
            cb.lbfgs_direction(S, S, g, out=g)
        with pytest.raises(ValueError, match=r"lsr1_step: out must have the shape of grad \(3,\), got \(2,\)"):
            cb.lsr1_step(S, S, g, 1.0, out=np.ones(2))
        with pytest.raises(TypeError, match="out must be float64 like grad, got float32"):
            cb.LBFGS(3).direction(g, out=np.ones(3, np.float32))
