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
