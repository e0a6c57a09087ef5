"""Trust-region steps of limited-memory SR1: the conditions of optimality, the hard cases, limits, bad numbers."""

import numpy as np
import pytest

from curvblas import Status

import lsr1
import oracle

BOUNDS = {"residual": 1e-11, "length": 1e-11, "curvature": 1e-12, "value": 1e-10, "reduction": 1e-10}
BOUNDS_32 = {"residual": 1e-5, "length": 1e-5, "curvature": 1e-5, "value": 1e-4, "reduction": 1e-4}
TAUS = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11]


def trials(on, many=300):
    return 3 if hasattr(on, "to_device") else many


class TestOptimality:
    @pytest.mark.parametrize("name", lsr1.CLASSES)
    def test_of_the_eight_classes(self, backend, rng, name):
        problems = [lsr1.problem(rng, name) for _ in range(trials(backend))]

        found = backend.lsr1_step(**lsr1.stacked(problems))

        assert not np.asarray(found.status).any()
        worst = lsr1.worst(lsr1.all_errors(problems, found))
        assert all(worst[e] <= bound for e, bound in BOUNDS.items()), worst
        assert (np.asarray(found.predicted_reduction) >= 0).all()
        expected = 2 if "hard" in name else 0 if "interior" in name or "range" in name else 1
        assert (np.asarray(found.case) == expected).all()

    @pytest.mark.parametrize("name", lsr1.CLASSES)
    @pytest.mark.parametrize("n", [1000, 300_001])
    def test_of_many_variables(self, backend, rng, name, n):
        if n > 1000 and hasattr(backend, "to_device"):
            pytest.skip("emulated: hours")
        S, Y, gamma, g, radius = lsr1.problem(rng, name)
        wide = lsr1.Embedding(rng, g.size, n)

        found = backend.lsr1_step(wide.spread(S), wide.spread(Y), wide.spread(g), radius, gamma=gamma)

        assert found.status == Status.OK
        errors = wide.errors(S, Y, gamma, g, radius, found)
        assert all(error <= BOUNDS[e] for e, error in errors.items()), errors

    @pytest.mark.parametrize("name", lsr1.CLASSES)
    def test_of_float32(self, backend, rng, name):
        problems = []
        for _ in range(trials(backend, 100)):
            S, Y, gamma, g, radius = lsr1.problem(rng, name)
            problems.append((np.float32(S), np.float32(Y), gamma, np.float32(g), radius))

        found = backend.lsr1_step(**lsr1.stacked(problems))

        assert not np.asarray(found.status).any()
        assert found.step.dtype == np.float32
        worst = lsr1.worst(lsr1.all_errors(problems, found))
        assert all(worst[e] <= bound for e, bound in BOUNDS_32.items()), worst

    @pytest.mark.parametrize("tau", TAUS)
    def test_near_the_hard_case(self, backend, rng, tau):
        problems = [lsr1.near_hard(rng, tau) for _ in range(trials(backend, 30))]

        found = backend.lsr1_step(**lsr1.stacked(problems))

        assert not np.asarray(found.status).any()
        worst = lsr1.worst(lsr1.all_errors(problems, found))
        assert all(worst[e] <= BOUNDS[e] for e in ("residual", "length", "curvature")), worst

    @pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (3, 2), (9, 9), (33, 12), (300, 20), (900, 3)])
    def test_of_other_sizes(self, backend, rng, n, k):
        problems = [lsr1.problem(rng, "indefinite", n, k)]

        found = backend.lsr1_step(**lsr1.stacked(problems))

        worst = lsr1.worst(lsr1.all_errors(problems, found))
        assert all(worst[e] <= BOUNDS[e] for e in ("residual", "length", "curvature")), worst

    def test_of_more_than_eight_pairs_in_float32(self, cpu, rng):
        S, Y, gamma, g, radius = lsr1.problem(rng, "indefinite", 200, 20)
        given = np.float32(S), np.float32(Y), gamma, np.float32(g), radius

        found = cpu.lsr1_step(given[0], given[1], given[3], radius, gamma=gamma)

        found_errors = lsr1.errors(*given, found)
        assert all(found_errors[e] <= BOUNDS_32[e] for e in ("residual", "length")), found_errors


class TestScale:
    @pytest.mark.parametrize("f", [1e-12, 1e12])
    @pytest.mark.parametrize("x", [1e-6, 1e6])
    @pytest.mark.parametrize("name", ["indefinite", "hard, in the span", "hard, outside of the span"])
    def test_of_function_and_variables_changes_nothing_else(self, cpu, rng, name, f, x):
        S, Y, gamma, g, radius = lsr1.problem(rng, name)

        plain = cpu.lsr1_step(S, Y, g, radius, gamma=gamma)
        found = cpu.lsr1_step(S * x, Y * f / x, g * f / x, radius * x, gamma=gamma * f / x**2)

        assert found.case == plain.case
        assert np.isclose(found.predicted_reduction, f * plain.predicted_reduction, rtol=1e-10)
        scaled = lsr1.errors(S * x, Y * f / x, gamma * f / x**2, g * f / x, radius * x, found)
        assert all(scaled[e] <= BOUNDS[e] for e in ("residual", "length", "curvature")), scaled

    def test_of_single_pairs_changes_nothing(self, cpu, rng):
        S, Y, gamma, g, radius = lsr1.problem(rng, "indefinite")
        factors = np.logspace(-8, 8, len(S))[:, None]

        plain, found = (cpu.lsr1_step(S * c, Y * c, g, radius, gamma=gamma).step for c in (1, factors))

        assert np.allclose(plain, found, rtol=1e-9, atol=1e-11)


class TestLimits:
    def test_without_pairs_is_a_gradient_step(self, backend, rng):
        g, none = rng.standard_normal(7), np.empty((0, 7))

        inside = backend.lsr1_step(none, none, g, 100.0, gamma=2.0)
        outside = backend.lsr1_step(none, none, g, 0.1, gamma=-2.0)
        flat = backend.lsr1_step(none, none, g, 0.1, gamma=0.0)
        default = backend.lsr1_step(none, none, g, 100.0)

        assert np.allclose(inside.step, -g / 2, rtol=1e-14)
        assert inside.case == 0
        assert np.allclose(outside.step, -0.1 * g / np.linalg.norm(g), rtol=1e-14)
        assert np.allclose(flat.step, outside.step, rtol=1e-14)
        assert np.allclose(default.step, -g, rtol=1e-14)

    def test_of_a_zero_gradient(self, backend, rng):
        none = np.empty((0, 5))
        S, Y, gamma, g, radius = lsr1.problem(rng, "hard, in the span")
        T, Z, positive, _, _ = lsr1.problem(rng, "definite, interior")

        convex = backend.lsr1_step(T, Z, 0 * g, radius, gamma=positive)
        saddle = backend.lsr1_step(S, Y, 0 * g, radius, gamma=gamma)
        concave = backend.lsr1_step(none, none, np.zeros(5), 3.0, gamma=-1.0)

        assert not np.any(convex.step)
        assert convex.predicted_reduction == 0
        assert saddle.case == concave.case == 2
        assert np.isclose(np.linalg.norm(saddle.step), radius, rtol=1e-12)
        assert np.isclose(saddle.predicted_reduction, 0.5 * radius**2, rtol=1e-11)
        assert np.isclose(np.linalg.norm(concave.step), 3.0, rtol=1e-14)

    @pytest.mark.parametrize("name", ["definite, interior", "indefinite", "hard, outside of the span"])
    def test_of_radii(self, backend, rng, name):
        S, Y, gamma, g, _ = lsr1.problem(rng, name)

        short = backend.lsr1_step(S, Y, g, 1e-300, gamma=gamma)
        long = backend.lsr1_step(S, Y, g, 1e300, gamma=gamma)

        assert short.status == long.status == Status.OK
        assert np.allclose(short.step, -1e-300 * g / np.linalg.norm(g), rtol=1e-11, atol=0)
        assert np.isclose(short.predicted_reduction, 1e-300 * np.linalg.norm(g), rtol=1e-11, atol=0)
        assert np.isfinite(long.step).all()
        if name != "definite, interior":
            assert np.isclose(np.linalg.norm(long.step / 1e300), 1, rtol=1e-11)

    def test_of_a_step_that_float32_does_not_hold(self, backend, rng):
        S, Y, gamma, g, _ = lsr1.problem(rng, "indefinite")

        found = backend.lsr1_step(np.float32(S), np.float32(Y), np.float32(g), 1e300, gamma=gamma)

        assert found.status == Status.INACCURATE
        assert np.isnan(found.step).all()

    def test_of_as_many_pairs_as_variables(self, backend, rng):
        H = rng.standard_normal((6, 6))
        H, S, g = H + H.T, rng.standard_normal((6, 6)), rng.standard_normal(6)

        found = backend.lsr1_step(S, S @ H, g, 0.7)

        B = H + float(found.multiplier) * np.eye(6)
        assert np.linalg.norm(B @ found.step + g) < 1e-8 * np.linalg.norm(g)
        assert np.isclose(np.linalg.norm(found.step), 0.7, rtol=1e-10)


class TestPairs:
    def test_that_are_repeated_are_used_once(self, backend, rng):
        S, Y, gamma, g, radius = lsr1.problem(rng, "indefinite")

        plain = backend.lsr1_step(S, Y, g, radius, gamma=gamma)
        repeated = backend.lsr1_step(
            np.concatenate([S[1:2], 2 * S[:1], S]), np.concatenate([Y[1:2], 2 * Y[:1], Y]), g, radius, gamma=gamma
        )

        assert repeated.status == Status.OK
        assert np.allclose(plain.step, repeated.step, rtol=1e-9, atol=1e-11)

    def test_that_say_nothing_new_are_left_out(self, backend, rng):
        S, Y, gamma, g, radius = lsr1.problem(rng, "indefinite")
        s = rng.standard_normal((1, 40))

        plain = backend.lsr1_step(S, Y, g, radius, gamma=gamma)
        found = backend.lsr1_step(
            np.concatenate([s, 0 * s, S]), np.concatenate([gamma * s, 0 * s, Y]), g, radius, gamma=gamma
        )

        assert np.allclose(plain.step, found.step, rtol=1e-9, atol=1e-11)

    @pytest.mark.parametrize("mask_type", [np.float64, bool])
    def test_that_are_masked_are_not_there(self, backend, rng, mask_type):
        if mask_type is bool and hasattr(backend, "to_device"):
            pytest.skip("our device arrays convert nothing")
        S, Y, gamma, g, radius = lsr1.problem(rng, "indefinite")
        mask = np.array([1, 0, 1, 1, 0]).astype(mask_type)
        used = mask.astype(bool)

        found = backend.lsr1_step(S, Y, g, radius, gamma=gamma, mask=mask)

        alone = backend.lsr1_step(S[used], Y[used], g, radius, gamma=gamma)
        assert np.allclose(found.step, alone.step, rtol=1e-11, atol=1e-13)
        assert found.case == alone.case

    def test_without_a_matrix_are_left_out_from_the_oldest_on(self, backend):
        """S.(y - gamma s) = 0: Minv is singular."""
        S = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        Y = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 5.0]])

        assert np.array_equal(backend.lsr1_matvec(S, Y, np.ones(3), gamma=2.0), [2.0, 2.0, 5.0])
        found = backend.lsr1_step(S, Y, np.array([2.0, 2.0, 5.0]), 9.0, gamma=2.0)
        assert found.status == Status.OK
        assert np.allclose(found.step, -1)


class TestGamma:
    def test_is_below_the_curvature_of_convex_pairs(self, cpu, rng):
        H = np.diag(np.linspace(1, 9, 12))
        S = rng.standard_normal((4, 12))
        lowest = np.linalg.eigvals(np.linalg.solve(S @ S.T, S @ H @ S.T)).real.min()

        ruled = cpu.lsr1_matvec(S, S @ H, np.ones(12))

        assert np.allclose(ruled, oracle.sr1_matrix(S, S @ H, 0.9 * lowest) @ np.ones(12), rtol=1e-9)

    def test_is_that_of_the_newest_convex_pair_of_others(self, cpu, rng):
        S, Y = rng.standard_normal((3, 12)), rng.standard_normal((3, 12))
        Y[0] = -S[0]
        Y[1] = Y[1] if S[1] @ Y[1] > 0 else -Y[1]
        Y[2] = Y[2] if S[2] @ Y[2] < 0 else -Y[2]

        ruled = cpu.lsr1_matvec(S, Y, np.ones(12))

        gamma = Y[1] @ Y[1] / (S[1] @ Y[1])
        assert np.allclose(ruled, oracle.sr1_matrix(S, Y, gamma) @ np.ones(12), rtol=1e-9)

    def test_is_one_without_convex_pairs(self, cpu, rng):
        S = rng.standard_normal((2, 6))

        ruled = cpu.lsr1_matvec(S, -S, np.ones(6))

        assert np.allclose(ruled, oracle.sr1_matrix(S, -S, 1.0) @ np.ones(6), rtol=1e-10)

    def test_moves_away_from_curvatures(self, cpu):
        """y.y / s.y = 2 of the newest pair is an eigenvalue: Minv would be singular."""
        S, Y = np.eye(3)[:2], np.diag([-1.0, 2.0, 0])[:2]

        ruled = cpu.lsr1_step(S, Y, np.array([0.0, 0.0, 1.1]), 100.0)

        assert ruled.status == Status.OK
        assert np.allclose(cpu.lsr1_matvec(S, Y, np.eye(3)[2]), [0, 0, 2.2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestProduct:
    def test_is_that_of_the_recursion(self, backend, rng, dtype):
        S, Y = (rng.standard_normal((2, 4, 11)).astype(dtype) for _ in range(2))
        x = rng.standard_normal((2, 11)).astype(dtype)

        found = backend.lsr1_matvec(S, Y, x, gamma=0.3)

        for b in range(2):
            expected = oracle.sr1_recursion(np.float64(S[b]), np.float64(Y[b]), 0.3) @ x[b]
            assert np.allclose(
                found[b], expected, rtol=0, atol=(1e-5 if dtype == np.float32 else 1e-10) * abs(expected).max()
            )

    def test_meets_all_secant_equations_of_a_quadratic(self, backend, rng, dtype):
        H = rng.standard_normal((9, 9))
        H, S = H + H.T, rng.standard_normal((4, 9))

        found = backend.lsr1_matvec(*(np.stack([A] * 4).astype(dtype) for A in (S, S @ H)), S.astype(dtype), gamma=0.5)

        assert np.allclose(found, S @ H, atol=1e-4 if dtype == np.float32 else 1e-9)
