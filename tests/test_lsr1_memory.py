"""Limited-memory SR1 that keeps its pairs: what is kept, what goes from one object to another, what is refused."""

import pickle

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from lsr1 import on


def pairs(rng, count, n, dtype=np.float64):
    H = rng.standard_normal((n, n))
    S = rng.standard_normal((count, n))
    return S.astype(dtype), (S @ (H + H.T) + 0.1 * rng.standard_normal((count, n))).astype(dtype)


class TestMemory:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("gamma", [None, 0.7])
    def test_steps_are_those_of_the_last_pairs(self, backend, rng, dtype, gamma):
        S, Y = pairs(rng, 8, 15, dtype)
        g, method = rng.standard_normal(15).astype(dtype), cb.LSR1(15, memory=3, gamma=gamma)

        for k, (s, y) in enumerate(zip(S, Y, strict=True)):
            assert on(backend, method, "update", s, y)
            kept = slice(max(k - 2, 0), k + 1)
            expected = backend.lsr1_step(S[kept], Y[kept], g, 0.5, gamma=gamma)
            found = on(backend, method, "step", g, 0.5)
            bound = 1e-4 if dtype == np.float32 else 1e-9
            assert np.allclose(found.step, expected.step, rtol=bound, atol=bound)
            product = on(backend, method, "matvec", g)
            assert np.allclose(
                product, backend.lsr1_matvec(S[kept], Y[kept], g, gamma=gamma), rtol=bound, atol=10 * bound
            )
        assert method.kept == 3

    def test_without_pairs_takes_a_gradient_step(self, backend):
        method = cb.LSR1(4, gamma=2.0)

        assert np.allclose(on(backend, method, "step", np.ones(4), 9.0).step, -0.5)
        assert np.allclose(on(backend, method, "matvec", np.ones(4)), 2.0)

    def test_knows_a_quadratic_after_as_many_pairs_as_variables(self, cpu, rng):
        H = rng.standard_normal((6, 6))
        H, x = H + H.T, rng.standard_normal(6)
        method = cb.LSR1(6)

        assert all(method.update(s, H @ s) for s in rng.standard_normal((6, 6)))

        assert np.allclose(method.matvec(x), H @ x, rtol=1e-7)

    def test_refuses_pairs_that_say_nothing_new(self, backend):
        method = cb.LSR1(3, gamma=2.0)
        s = np.array([1.0, 0.0, 0.0])

        assert not on(backend, method, "update", s, 2 * s)
        assert not on(backend, method, "update", s, np.array([2.0, 1.0, 0.0]))  # r.s = 0
        assert not on(backend, method, "update", 0 * s, s)
        assert method.status == Status.OK
        assert on(backend, method, "update", s, 3 * s)
        assert not on(backend, method, "update", s, 3 * s)
        assert method.kept == 1

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
    @pytest.mark.parametrize("which", [0, 1])
    def test_refuses_and_reports_bad_pairs(self, backend, rng, bad, which):
        S, Y = pairs(rng, 3, 6)
        method = cb.LSR1(6, memory=2)
        on(backend, method, "update", S[0], Y[0])
        before = on(backend, method, "step", S[2], 1.0)
        pair = [S[1].copy(), Y[1].copy()]
        pair[which][2] = bad

        assert not on(backend, method, "update", *pair)

        assert method.status == Status.NOT_FINITE
        assert method.kept == 1
        assert np.array_equal(on(backend, method, "step", S[2], 1.0).step, before.step)
        assert on(backend, method, "update", S[1], Y[1])
        assert method.status == Status.OK

    def test_leaves_a_saddle_for_a_minimum(self, cpu, rng):
        A = rng.standard_normal((20, 20))
        A = A + A.T

        def value(x):
            return 0.5 * x @ A @ x + np.sum(x**4)

        x, radius, method = 1e-3 * rng.standard_normal(20), 1.0, cb.LSR1(20)
        for _ in range(150):
            gradient = A @ x + 4 * x**3
            found = method.step(gradient, radius)
            other = x + found.step
            gain = value(x) - value(other)
            method.update(found.step, A @ other + 4 * other**3 - gradient)
            radius *= (
                2 if gain > 0.75 * found.predicted_reduction else 1 if gain > 0.1 * found.predicted_reduction else 0.5
            )
            x = other if gain > 0 else x

        assert np.linalg.norm(A @ x + 4 * x**3) < 1e-6
        assert np.linalg.eigvalsh(A + np.diag(12 * x**2))[0] > 0


class TestState:
    def test_goes_on_bit_by_bit_with_other_threads(self, cpu, rng):
        S, Y = pairs(rng, 7, 40)
        method, other = cb.LSR1(40, memory=4), cb.LSR1(40, memory=4)
        for s, y in zip(S[:6], Y[:6], strict=True):
            method.update(s, y)

        cb.set_num_threads(3)
        other.load_state_dict(method.state_dict())

        assert [m.update(S[6], Y[6]) for m in (method, other)] == [True, True]
        assert np.array_equal(method.step(S[0], 0.5).step, other.step(S[0], 0.5).step)

    def test_can_be_pickled(self, cpu, rng):
        S, Y = pairs(rng, 2, 5)
        method = cb.LSR1(5)
        method.update(S[0], Y[0])

        other = pickle.loads(pickle.dumps(method))

        assert np.array_equal(method.step(S[1], 1.0).step, other.step(S[1], 1.0).step)

    def test_is_copies(self, rng):
        S, Y = pairs(rng, 2, 5)
        method = cb.LSR1(5)
        method.update(S[0], Y[0])
        before = method.step(S[1], 1.0).step

        method.state_dict()["S"][:] = -1

        assert np.array_equal(method.step(S[1], 1.0).step, before)

    def test_that_does_not_fit_is_refused(self, rng):
        S, Y = pairs(rng, 1, 5)
        method = cb.LSR1(5, memory=4)
        method.update(S[0], Y[0])
        state = method.state_dict()

        with pytest.raises(ValueError, match=r"state\['S'\] must be a float32 or float64 array of shape \(4, 6\)"):
            cb.LSR1(6, memory=4).load_state_dict(state)
        with pytest.raises(ValueError, match="LSR1: state must have S, Y, products, ring, got S, Y"):
            method.load_state_dict({name: state[name] for name in ("S", "Y")})
        for ring in ([1.0, 2.0], [0.0, 5.0], [0.5, 4.0], [-1.0, 4.0]):
            with pytest.raises(ValueError, match=r"state\['ring'\] does not fit memory = 4"):
                method.load_state_dict({**state, "ring": np.array(ring)})
        assert method.kept == 1


class TestBatch:
    @pytest.mark.parametrize("gamma", [None, 0.7])
    def test_is_that_of_each_model_alone(self, backend, rng, gamma):
        S, Y = (np.stack(x, 1) for x in zip(*(pairs(rng, 6, 9) for _ in range(4)), strict=True))
        S[2, 1], Y[3, 2], Y[1, 3] = 0, np.nan, 3 * S[1, 3]
        g, radius = rng.standard_normal((4, 9)), np.array([0.1, 1.0, 2.0, 30.0])
        method, alone = cb.LSR1(9, memory=3, batch=4, gamma=gamma), [cb.LSR1(9, memory=3, gamma=gamma) for _ in g]

        for s, y in zip(S, Y, strict=True):
            accepted = on(backend, method, "update", s, y)
            assert accepted.tolist() == [on(backend, m, "update", s[b], y[b]) for b, m in enumerate(alone)]
            assert cb.errors.host_status(method.status).tolist() == [m.status for m in alone]
        found, product = on(backend, method, "step", g, radius), on(backend, method, "matvec", g)

        for b, m in enumerate(alone):
            expected = on(backend, m, "step", g[b], radius[b])
            assert np.array_equal(found.step[b], expected.step)
            assert found.case[b] == expected.case
            assert np.array_equal(product[b], on(backend, m, "matvec", g[b]))
        assert method.kept.tolist() == [m.kept for m in alone] == [3, 3, 3, 3]

    def test_may_have_several_axes(self, cpu, rng):
        S, Y = rng.standard_normal((2, 2, 3, 5))
        method = cb.LSR1(5, batch=(2, 3))

        assert method.update(S, Y).shape == (2, 3)
        assert method.step(S, 1.0).step.shape == (2, 3, 5)
        assert method.kept.shape == (2, 3)

    def test_forgets_all_pairs(self, cpu, rng):
        method = cb.LSR1(5, batch=2, gamma=2.0)
        method.update(*rng.standard_normal((2, 2, 5)))
        method.clear()

        assert method.kept.tolist() == [0, 0]
        assert np.array_equal(method.matvec(np.ones((2, 5))), np.full((2, 5), 2.0))


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"n": 0}, ValueError, "n must be an int >= 1, got 0"),
            ({"n": 3, "batch": (2, -1)}, ValueError, "batch must be an int >= 1, got -1"),
            ({"n": 3, "memory": 0}, ValueError, "memory must be an int >= 1, got 0"),
            ({"n": 3, "gamma": np.nan}, ValueError, "gamma must be a finite number, got nan"),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            cb.LSR1(**options)

    def test_of_pairs_and_steps(self):
        method = cb.LSR1(3)
        method.update(np.array([1.0, 0, 0]), np.array([3.0, 0, 0]))

        with pytest.raises(ValueError, match=r"s must have shape \(3,\), got \(2,\)"):
            method.update(np.ones(2), np.ones(2))
        with pytest.raises(TypeError, match="s must be float64 like the first vectors of this object, got float32"):
            method.update(np.ones(3, np.float32), np.ones(3, np.float32))
        with pytest.raises(ValueError, match="radius must be a finite number > 0, got 0"):
            method.step(np.ones(3), 0.0)
        assert method.kept == 1


def test_the_recursion_is_the_compact_form(rng):
    S, Y = pairs(rng, 4, 9)

    assert np.allclose(oracle.sr1_recursion(S, Y, 0.4), oracle.sr1_matrix(S, Y, 0.4), rtol=1e-9, atol=1e-9)
