"""Trust-region steps of compact models: those of SR1 and of L-BFGS, rows that depend on each other, the hard cases."""

import numpy as np
import pytest

import curvblas as cb

import compact
import lsr1

BOUNDS = {"residual": 1e-11, "length": 1e-11, "curvature": 1e-12, "value": 1e-10, "reduction": 1e-10}
BOUNDS_32 = {"residual": 1e-5, "length": 1e-5, "curvature": 1e-5, "value": 1e-4, "reduction": 1e-4}


def trials(on, many=100):
    return 2 if hasattr(on, "to_device") else many


class TestModels:
    @pytest.mark.parametrize("name", lsr1.CLASSES)
    def test_of_sr1_have_the_steps_of_lsr1(self, backend, rng, name):
        problems = []
        for _ in range(trials(backend)):
            S, Y, gamma, g, radius = lsr1.problem(rng, name)
            problems.append((*compact.of_sr1(S, Y, gamma), gamma, g, radius))
        S, Y, gamma, g, radius = lsr1.problem(rng, name)

        found = compact.solved(backend, problems)
        one = backend.trust_region_step(*compact.of_sr1(S, Y, gamma), g, radius, gamma=gamma)

        assert not np.asarray(found.status).any()
        errors = compact.worst(problems, found)
        assert all(errors[e] <= bound for e, bound in BOUNDS.items()), errors
        expected = backend.lsr1_step(S, Y, g, radius, gamma=gamma)
        assert one.case == expected.case
        assert np.isclose(one.predicted_reduction, expected.predicted_reduction, rtol=1e-11)
        if "hard" not in name:  # where there are several solutions
            assert np.allclose(one.step, expected.step, rtol=0, atol=1e-11 * abs(expected.step).max())

    @pytest.mark.parametrize(("m", "n"), [(1, 3), (5, 33), (10, 100), (32, 65), (20, 7)])
    @pytest.mark.parametrize("spread", [0, 8])
    def test_of_bfgs_have_its_directions_where_the_radius_is_not_felt(self, backend, rng, m, n, spread):
        A = rng.uniform(0.1, 10.0, n)
        S = rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-spread, spread, (m, 1))
        g = rng.standard_normal(n)
        Psi, M_inv, sigma = compact.of_bfgs(S, S * A)

        found = backend.trust_region_step(Psi, M_inv, g, 1e6, gamma=sigma)

        expected = cb.lbfgs_direction(S, S * A, g)
        assert found.case == 0
        assert np.abs(found.step - expected).max() <= 1e-10 * np.abs(expected).max()

    @pytest.mark.parametrize("radius", [1e-3, 0.5, 3.0])
    def test_of_bfgs_in_small_balls_are_those_of_the_dense_matrix(self, backend, rng, radius):
        S = rng.standard_normal((6, 20))
        Psi, M_inv, sigma = compact.of_bfgs(S, S * rng.uniform(0.1, 10.0, 20))
        problem = Psi, M_inv, sigma, 30 * rng.standard_normal(20), radius

        found = compact.solved(backend, [problem])

        errors = compact.worst([problem], found)
        assert found.case[0] == 1
        assert all(errors[e] <= bound for e, bound in BOUNDS.items()), errors

    def test_of_float32(self, backend, rng):
        problems = []
        for name in lsr1.CLASSES:
            S, Y, gamma, g, radius = lsr1.problem(rng, name)
            Psi, M_inv = compact.of_sr1(S, Y, gamma)
            problems.append((np.float32(Psi), np.float32(M_inv), gamma, np.float32(g), radius))

        found = compact.solved(backend, problems)

        assert found.step.dtype == np.float32
        assert not found.status.any()
        errors = compact.worst(problems, found)
        assert all(errors[e] <= bound for e, bound in BOUNDS_32.items()), errors

    def test_without_rows_are_multiples_of_the_identity(self, backend, rng):
        g = rng.standard_normal(7)

        found = backend.trust_region_step(np.empty((0, 7)), np.empty((0, 0)), g, 100.0, gamma=2.0)

        assert np.allclose(found.step, -g / 2, rtol=1e-14)


class TestRows:
    @pytest.mark.parametrize("noise", [0, 1e-6, 1e-9, 1e-12])
    @pytest.mark.parametrize(("rank", "m", "n"), [(3, 6, 10), (1, 3, 4), (8, 20, 8), (5, 40, 30)])
    def test_that_depend_on_each_other_all_count(self, backend, rng, rank, m, n, noise):
        problems = []
        for _ in range(trials(backend)):
            Psi = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
            Psi += noise * rng.standard_normal((m, n))
            problems.append((Psi, compact.indefinite(rng, m), -0.5, rng.standard_normal(n), 0.7))

        found = compact.solved(backend, problems)

        assert not np.asarray(found.status).any()
        errors = compact.worst(problems, found)
        assert all(errors[e] <= bound for e, bound in BOUNDS.items()), errors

    def test_that_are_repeated_add_up(self, backend, rng):
        """Twice the same row with M_inv = I is that row times the square root of two."""
        Psi, g = rng.standard_normal((3, 9)), rng.standard_normal(9)
        twice = np.concatenate([Psi, Psi])

        found = backend.trust_region_step(twice, -np.eye(6), g, 1.5, gamma=0.3)

        expected = backend.trust_region_step(np.sqrt(2) * Psi, -np.eye(3), g, 1.5, gamma=0.3)
        assert np.allclose(found.step, expected.step, rtol=0, atol=1e-12)

    def test_of_zeros_have_a_part_in_the_inverse(self, backend, rng):
        """M_inv = [[0, 1], [1, -2]] has 2 for its inverse's first entry, and a zero row is no masked one."""
        psi, g = rng.standard_normal((1, 9)), rng.standard_normal(9)
        M_inv = np.array([[0.0, 1.0], [1.0, -2.0]])

        found = backend.trust_region_step(np.concatenate([psi, 0 * psi]), M_inv, g, 0.5, gamma=0.3)

        expected = backend.trust_region_step(psi, np.array([[0.5]]), g, 0.5, gamma=0.3)
        assert np.allclose(found.step, expected.step, rtol=0, atol=1e-13)

    def test_may_be_in_units_of_their_own(self, backend, rng):
        Psi, M_inv, g = rng.standard_normal((5, 12)), compact.indefinite(rng, 5), rng.standard_normal(12)
        units = np.array([1e-60, 1e3, 1.0, 1e40, 1e-7])

        found = backend.trust_region_step(units[:, None] * Psi, np.outer(units, units) * M_inv, g, 0.9, gamma=-0.2)

        expected = backend.trust_region_step(Psi, M_inv, g, 0.9, gamma=-0.2)
        assert np.allclose(found.step, expected.step, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("rank", [2, 5])
    @pytest.mark.parametrize("mask_type", [np.float64, bool])
    def test_that_are_masked_are_not_there(self, backend, rng, mask_type, rank):
        if mask_type is bool and hasattr(backend, "to_device"):
            pytest.skip("our device arrays convert nothing")
        Psi = rng.standard_normal((5, rank)) @ rng.standard_normal((rank, 12))
        M_inv, g, mask = (
            compact.indefinite(rng, 5),
            rng.standard_normal(12),
            np.array([1, 0, 1, 1, 0]).astype(mask_type),
        )
        used = mask.astype(bool)

        found = backend.trust_region_step(Psi, M_inv, g, 0.7, gamma=0.4, mask=mask)

        alone = backend.trust_region_step(Psi[used], M_inv[np.ix_(used, used)], g, 0.7, gamma=0.4)
        assert np.allclose(found.step, alone.step, rtol=0, atol=1e-12)
        assert found.case == alone.case

    def test_above_the_diagonal_of_the_inverse_are_not_read(self, backend, rng):
        Psi, M_inv, g = rng.standard_normal((4, 9)), compact.indefinite(rng, 4), rng.standard_normal(9)

        found = backend.trust_region_step(Psi, np.tril(M_inv) + np.triu(np.full((4, 4), np.nan), 1), g, 1.0, gamma=0.1)

        assert np.array_equal(found.step, backend.trust_region_step(Psi, M_inv, g, 1.0, gamma=0.1).step)


class TestHardCase:
    @pytest.mark.parametrize("tau", [1e-2, 1e-5, 1e-8, 1e-11])
    def test_is_met_from_near(self, backend, rng, tau):
        problems = []
        for _ in range(trials(backend, 30)):
            S, Y, gamma, g, radius = lsr1.near_hard(rng, tau)
            problems.append((*compact.of_sr1(S, Y, gamma), gamma, g, radius))

        found = compact.solved(backend, problems)

        assert not np.asarray(found.status).any()
        errors = compact.worst(problems, found)
        assert all(errors[e] <= BOUNDS[e] for e in ("residual", "length", "curvature")), errors

    @pytest.mark.parametrize("m", [3, 7])
    @pytest.mark.parametrize("is_outside", [False, True])
    def test_of_rows_that_depend_on_each_other(self, backend, rng, is_outside, m):
        """Rank 3 of B - gamma I; g has nothing along the lowest eigenvector, which is in the span of Psi or not."""
        problems = []
        for _ in range(trials(backend)):
            C, Q = (np.linalg.qr(rng.standard_normal((rows, 3)))[0] for rows in (m, 11))
            Psi = C @ Q.T
            gamma = -1.0 if is_outside else 1.0
            M_inv = (1 if is_outside else -1) * np.diag(rng.uniform(0.2, 0.7, m))
            values, V = np.linalg.eigh(compact.dense(Psi, M_inv, gamma))
            lowest = values < values[0] + 1e-8
            a = rng.standard_normal(11)
            p = V[:, ~lowest] @ (a[~lowest] / (values[~lowest] - values[0]))
            problems.append((Psi, M_inv, gamma, V[:, ~lowest] @ a[~lowest], 2 * np.linalg.norm(p)))

        found = compact.solved(backend, problems)

        assert (np.asarray(found.case) == 2).all()
        errors = compact.worst(problems, found)
        assert all(errors[e] <= bound for e, bound in BOUNDS.items()), errors
