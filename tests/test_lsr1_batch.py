"""Trust-region steps of limited-memory SR1: many at a time, arrays of any form, bad numbers, arguments."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import lsr1


class TestBatch:
    def test_has_the_bits_of_single_models_in_any_order(self, backend, rng):
        names = list(lsr1.CLASSES) if not hasattr(backend, "to_device") else list(lsr1.CLASSES)[4:]
        problems = [lsr1.problem(rng, name) for name in names]
        given = lsr1.stacked(problems)
        order = rng.permutation(len(names))

        together = backend.lsr1_step(**given)
        shuffled = backend.lsr1_step(**{name: x[order] for name, x in given.items()})

        for b, k in enumerate(order):
            assert np.array_equal(shuffled.step[b], together.step[k])
        for b in (0, len(names) - 1):
            S, Y, gamma, g, radius = problems[b]
            assert np.array_equal(backend.lsr1_step(S, Y, g, radius, gamma=gamma).step, together.step[b])

    @pytest.mark.parametrize("shape", [(300, 6, 40), (1, 10, 400_000)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_has_the_same_bits_for_any_number_of_threads(self, cpu, rng, shape, dtype):
        S, Y = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        g = rng.standard_normal((shape[0], shape[2])).astype(dtype)
        found = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            found.append(cpu.lsr1_step(S, Y, g, 1.0).step)

        assert all(np.array_equal(found[0], other) for other in found[1:])

    def test_of_several_axes_and_strides(self, cpu, rng):
        problems = [lsr1.problem(rng, "indefinite") for _ in range(6)]
        given = lsr1.stacked(problems)

        plain = cpu.lsr1_step(**given)
        found = cpu.lsr1_step(
            *(np.repeat(given[x].reshape(2, 3, 5, 40), 2, axis=-1)[..., ::2] for x in "SY"),
            given["grad"].reshape(2, 3, 40),
            given["radius"].reshape(2, 3),
            gamma=given["gamma"].reshape(2, 3),
        )

        assert found.step.shape == (2, 3, 40)
        assert found.case.shape == (2, 3)
        assert np.array_equal(found.step.reshape(6, 40), plain.step)

    def test_only_reads_its_arguments(self, cpu, rng):
        given = lsr1.stacked([lsr1.problem(rng, name) for name in lsr1.CLASSES])
        before = {name: x.copy() for name, x in given.items()}
        for x in given.values():
            x.flags.writeable = False

        cpu.lsr1_step(**given)

        assert all(np.array_equal(given[name], x) for name, x in before.items())

    def test_of_torch(self, rng):
        torch = pytest.importorskip("torch")
        S, Y, gamma, g, radius = lsr1.problem(rng, "indefinite")

        found = cb.lsr1_step(
            *map(torch.from_numpy, (S, Y, g)), radius, gamma=gamma, mask=torch.ones(5, dtype=torch.bool)
        )

        assert isinstance(found.step, torch.Tensor)
        assert np.array_equal(found.step.numpy(), cb.lsr1_step(S, Y, g, radius, gamma=gamma).step)

    @pytest.mark.parametrize("argument", ["S", "Y", "grad"])
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_only_the_model_of_a_bad_number_reports_it(self, backend, rng, argument, bad):
        given = lsr1.stacked([lsr1.problem(rng, name) for name in list(lsr1.CLASSES)[5:]])
        expected = backend.lsr1_step(**given)
        given[argument][1].flat[3] = bad

        found = backend.lsr1_step(**given)

        assert np.asarray(found.status).tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.isnan(found.step[1]).all()
        assert np.isnan(found.predicted_reduction[1])
        assert all(np.array_equal(found.step[k], expected.step[k]) for k in (0, 2))
        assert np.asarray(found.ok).tolist() == [True, False, True]

    def test_bad_entries_of_parameters_are_statuses(self, backend, rng):
        given = lsr1.stacked([lsr1.problem(rng, "indefinite") for _ in range(4)])
        given["radius"][:2] = 0.0, np.nan
        given["gamma"][2] = np.inf

        found = backend.lsr1_step(**given)

        assert np.asarray(found.status).tolist() == [*[Status.INVALID_PARAMETER] * 3, Status.OK]
        assert np.isnan(found.step[:3]).all()


def crowd(rng, m, n):
    """Models that share vectors with others: ordinary ones, and after each of these one of another kind."""
    S = rng.standard_normal((26, m, n))
    Y = S * rng.uniform(-2, 4, (26, 1, n))
    g, mask = rng.standard_normal((26, n)), np.ones((26, m))
    radius, gamma = rng.uniform(0.05, 3, 26), rng.choice([-1.0, 1.0], 26)
    Y[0], radius[0], gamma[0] = S[0] * rng.uniform(1.5, 4, n), 1e3, 1  # the minimiser is inside
    mask[1], mask[3, 1:], mask[5] = np.arange(m) % 2, 0, 0
    g[5], gamma[5] = 0, -1  # no pair at all, and the step goes anywhere
    S[7, -1], Y[7, -1] = S[7, 0], Y[7, 0]
    Y[9] = gamma[9] * S[9] + rng.standard_normal(n) * (1 + 1e-7 * rng.standard_normal((m, n)))  # near each other
    S[11, 0, 0] = np.nan
    S[13, 0], Y[13] = 0, np.abs(Y[13])
    g[15] = 0
    radius[17], radius[19] = 1e-300, 1e300
    gamma[21] = 0
    radius[23], gamma[25] = np.nan, np.inf
    return {"S": S, "Y": Y, "grad": g, "radius": radius, "gamma": gamma, "mask": mask}


class TestSideBySide:
    """Small models share the lanes of vectors."""

    @pytest.mark.parametrize(("m", "n"), [(1, 3), (4, 20), (5, 5), (8, 30), (16, 40), (17, 40)])
    def test_neighbours_change_no_bit(self, cpu, rng, m, n):
        given = crowd(rng, m, n)

        together = cpu.lsr1_step(**given)

        expected = np.full(26, Status.OK)
        expected[[11, 23, 25]] = Status.NOT_FINITE, Status.INVALID_PARAMETER, Status.INVALID_PARAMETER
        assert np.asarray(together.status).tolist() == expected.tolist()
        assert set(np.asarray(together.case)[expected == Status.OK]) == {0, 1, 2}
        for b in range(26):
            alone = cpu.lsr1_step(**{name: x[[b]] for name, x in given.items()})
            for name in ("step", "multiplier", "case", "predicted_reduction"):
                found, single = (np.asarray(getattr(x, name)) for x in (together, alone))
                assert np.array_equal(found[[b]], single, equal_nan=True), (b, name)

    def test_a_pivot_that_is_rounding_does_not_depend_on_neighbours(self, cpu, rng):
        S = np.zeros((2, 2, 3))
        S[:, :, 0] = 1
        S[1] = rng.standard_normal((2, 3))
        Y = 2 * S
        Y[0, 0] = 1 + 2.0**-50, 0.3, 0.7
        mask = np.array([[1.0, 0.0], [1.0, 1.0]])

        for _ in range(50):
            g = rng.standard_normal((2, 3))
            together = cpu.lsr1_step(S, Y, g, 1.0, gamma=1.0, mask=mask)
            assert np.array_equal(together.step[0], cpu.lsr1_step(S[0], Y[0], g[0], 1.0, gamma=1.0, mask=mask[0]).step)

    @pytest.mark.parametrize(
        ("S", "Y", "gamma"),
        [
            ([[0, 0, 0], [1, 0, 0]], [[0, 1, 0], [2, 0, 0]], 1.0),  # Minv is singular, and of the zero NaN
            ([[1e10, 0, 0]], [[1e-310, 1, 0]], 0.0),  # a pivot has no reciprocal
        ],
    )
    def test_a_pivot_that_is_no_pivot_is_no_failure(self, backend, S, Y, gamma):
        S, Y, g = np.array(S, float), np.array(Y, float), np.array([1.0, 2.0, 3.0])
        found = backend.lsr1_step(S, Y, g, 1.0, gamma=gamma)

        assert found.status == Status.OK
        assert abs(np.linalg.norm(found.step) - 1) < 1e-12
        newest = backend.lsr1_step(S[-1:], Y[-1:], g, 1.0, gamma=gamma)  # the older pair is left out
        assert np.allclose(found.step, newest.step, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("count", [1, 7, 9, 16])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_memories_of_different_lengths_have_exact_steps(self, cpu, rng, count, dtype):
        problems = [lsr1.problem(rng, "indefinite", k=8) for _ in range(count)]
        given = {name: x.astype(dtype) for name, x in lsr1.stacked(problems).items()}
        given["radius"], given["gamma"] = (given[name].astype(float) for name in ("radius", "gamma"))
        mask = given["mask"] = (np.arange(8) >= np.arange(count)[:, None] % 9).astype(dtype)

        found = cpu.lsr1_step(**given)

        assert np.asarray(found.ok).all()
        for b in range(count):
            S, Y, g = (given[name][b].astype(float) for name in ("S", "Y", "grad"))
            pairs, one = mask[b] != 0, lsr1.one_of(found, b)
            errors = lsr1.errors(S[pairs], Y[pairs], given["gamma"][b], g, given["radius"][b], one)
            bound = 1e-11 if dtype == np.float64 else 1e-5
            assert max(errors[name] for name in ("residual", "length", "curvature", "reduction")) <= bound, errors


class TestArguments:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"radius": 0.0}, ValueError, "radius must be a finite number > 0, got 0"),
            ({"radius": -1.0}, ValueError, "radius must be a finite number > 0, got -1"),
            ({"gamma": np.nan}, ValueError, "gamma must be a finite number, got nan"),
            ({"S": np.ones(3)}, ValueError, r"S must have shape \(..., m, n\) with n > 0, got \(3,\)"),
            ({"Y": np.ones((2, 4))}, ValueError, r"Y must have shape .*\(2, 3\).*got \(2, 4\)"),
            ({"grad": np.ones(2)}, ValueError, r"grad must have shape \(..., 3\) for S of shape \(2, 3\), got \(2,\)"),
            ({"mask": np.ones(3)}, ValueError, r"mask must have shape \(..., 2\) for S of shape \(2, 3\), got \(3,\)"),
            ({"grad": np.ones(3, np.float32)}, TypeError, "grad must be float64 like S, got float32"),
            ({"S": [np.ones((2, 3))]}, TypeError, "S must be one array, got list"),
        ],
    )
    def test_are_named(self, change, error, message):
        good = {"S": np.ones((2, 3)), "Y": np.ones((2, 3)), "grad": np.ones(3), "radius": 1.0}
        with pytest.raises(error, match=message):
            cb.lsr1_step(**{**good, **change})
