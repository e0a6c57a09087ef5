"""Trust-region steps of compact models: batches, bad numbers, arguments."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import compact
import lsr1


class TestBatches:
    def test_have_the_bits_of_each_model_alone(self, cpu, rng):
        names = [*lsr1.CLASSES] * 4
        problems = []
        for name in names:
            S, Y, gamma, g, radius = lsr1.problem(rng, name)
            problems.append((*compact.of_sr1(S, Y, gamma), gamma, g, radius))

        cb.set_num_threads(2)
        together = compact.solved(cpu, problems)
        cb.set_num_threads(1)
        alone = [cpu.trust_region_step(Psi, M, g, radius, gamma=gamma) for Psi, M, gamma, g, radius in problems]

        assert together.step.tobytes() == np.stack([one.step for one in alone]).tobytes()
        assert together.multiplier.tobytes() == np.stack([one.multiplier for one in alone]).tobytes()

    def test_are_written_to_a_given_array(self, backend, rng):
        Psi, M_inv = rng.standard_normal((2, 3, 8)), np.stack([compact.indefinite(rng, 3)] * 2)
        g, out = rng.standard_normal((2, 8)), np.empty((2, 8))

        found = backend.trust_region_step(Psi, M_inv, g, 1.0, gamma=0.5, out=out)

        assert found.step is out
        assert np.array_equal(out, backend.trust_region_step(Psi, M_inv, g, 1.0, gamma=0.5).step)

    def test_keep_bad_numbers_to_their_model(self, backend, rng):
        Psi, M_inv = rng.standard_normal((6, 3, 8)), np.stack([compact.indefinite(rng, 3)] * 6)
        g, radius, gamma = rng.standard_normal((6, 8)), np.ones(6), np.full(6, 0.5)
        Psi[0, 1, 2], M_inv[1, 2, 0], g[2, 3], radius[3] = np.nan, np.inf, np.nan, -1
        M_inv[4] = 1

        found = backend.trust_region_step(Psi, M_inv, g, radius, gamma=gamma)

        bad = [Status.NOT_FINITE] * 3 + [Status.INVALID_PARAMETER, Status.INACCURATE]
        assert found.status.tolist() == [*bad, Status.OK]
        assert np.isnan(found.step[:5]).all()
        alone = backend.trust_region_step(Psi[5], M_inv[5], g[5], 1.0, gamma=0.5)
        assert np.array_equal(found.step[5], alone.step)

    @pytest.mark.parametrize("m", [2, 3, 10, 40])
    def test_know_a_singular_inverse(self, cpu, rng, m):
        steps = []
        for _ in range(50):
            C = rng.standard_normal((m, m - 1))
            M_inv = (C * rng.choice([-1, 1], m - 1)) @ C.T
            steps.append(cpu.trust_region_step(rng.standard_normal((m, 50)), M_inv, np.ones(50), 1.0, gamma=1.0))

        assert sum(bool(found.status == Status.INACCURATE) for found in steps) >= 48  # as far as rounding leaves it so


class TestArguments:
    Psi, M_inv, g = np.eye(4)[:2], np.eye(2), np.ones(4)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"Psi": np.ones(4)}, r"trust_region_step: Psi must have shape \(\.\.\., m, n\) with n > 0, got \(4,\)"),
            ({"M_inv": np.eye(3)}, r"M_inv must have shape \(\.\.\., 2, 2\) for Psi of shape \(2, 4\), got \(3, 3\)"),
            ({"M_inv": np.eye(2)[None]}, r"M_inv must have shape \(\.\.\., 2, 2\) for Psi of shape \(2, 4\)"),
            ({"grad": np.ones(3)}, r"grad must have shape \(\.\.\., 4\) for Psi of shape \(2, 4\), got \(3,\)"),
            ({"mask": np.ones(3)}, r"mask must have shape \(\.\.\., 2\) for Psi of shape \(2, 4\), got \(3,\)"),
            ({"radius": -1.0}, "trust_region_step: radius must be"),
            ({"gamma": np.inf}, "trust_region_step: gamma must be"),
        ],
    )
    def test_that_do_not_fit_are_named(self, given, message):
        arguments = {"Psi": self.Psi, "M_inv": self.M_inv, "grad": self.g, "radius": 1.0, "gamma": 1.0, **given}

        with pytest.raises(ValueError, match=message):
            cb.trust_region_step(**arguments)

    @pytest.mark.parametrize("name", ["M_inv", "grad"])
    def test_of_another_dtype_are_refused(self, name):
        arguments = {"Psi": self.Psi, "M_inv": self.M_inv, "grad": self.g, "radius": 1.0, "gamma": 1.0}
        arguments[name] = np.float32(arguments[name])

        with pytest.raises(TypeError, match=f"{name} must be float64 like Psi, got float32"):
            cb.trust_region_step(**arguments)

    def test_want_gamma(self):
        with pytest.raises(TypeError, match="gamma"):
            cb.trust_region_step(self.Psi, self.M_inv, self.g, 1.0)

    def test_may_not_be_written_over(self):
        M_inv = np.eye(4)

        with pytest.raises(ValueError, match="out is written and must not share memory with M_inv"):
            cb.trust_region_step(np.eye(4), M_inv, self.g, 1.0, gamma=1.0, out=M_inv[0])
