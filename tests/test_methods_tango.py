"""TANGO: averaged SGD, directions in the limit, minibatches, stability, bad samples, states and arguments."""

import copy
import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import tango

from identities.tango import IDENTITIES


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_does_not_hold_for_nan(monkeypatch, identity, bound):
    step = tango.TANGO.step
    monkeypatch.setattr(tango.TANGO, "step", lambda *given: np.nan * step(*given))

    assert not identity() <= bound


class TestVelocity:
    def test_is_that_of_the_paper_with_the_rate_of_the_step_before(self, rng):
        method, v, previous = tango.TANGO(4, gamma=0.2, dt=0.5), np.zeros(4), 0.0

        for dt in (0.5, 0.3, 0.9, 0.1):
            g, pseudo = rng.standard_normal((2, 4))
            method.dt = dt
            keep = (1 - previous) * v
            v, previous = keep + 0.2 * g - 0.2 * (pseudo @ keep) * pseudo, dt
            assert np.allclose(method.step(g, pseudo), -dt * v, rtol=1e-14)

        assert np.allclose(method.velocity, v, rtol=1e-14)

    def test_of_a_minibatch_is_the_mean_of_those_of_its_rows(self, rng):
        g, pseudo, before = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), rng.standard_normal(3)

        rows = [tango.tango_velocity(before, g[n], pseudo[n : n + 1], 0.1, 0.4) for n in range(5)]
        together = tango.tango_velocity(before, g.mean(axis=0), pseudo, 0.1, 0.4)

        assert np.allclose(together, np.mean(rows, axis=0), rtol=1e-13)

    def test_without_pseudo_gradients_is_the_outer_product_variant(self, rng):
        G = rng.standard_normal((3, 6, 4))
        short, long = (tango.TANGO(4, gamma=0.1, dt=0.2) for _ in range(2))

        for rows in G:
            found, expected = short.step(rows), long.step(rows.mean(axis=0), rows)

        assert np.array_equal(found, expected)

    def test_with_pseudo_gradients_of_zero_is_momentum(self, rng):
        method, v = tango.TANGO(3, gamma=0.1, dt=0.25), np.zeros(3)

        for k in range(5):
            g = rng.standard_normal(3)
            v = (0.75 if k else 1.0) * v + 0.1 * g
            method.step(g, np.zeros(3))

        assert np.allclose(method.velocity, v, rtol=1e-14)

    def test_of_a_slow_rate_of_one_is_gradient_descent(self, rng):
        method = tango.TANGO(3, gamma=0.1, dt=1.0)

        for g in rng.standard_normal((4, 3)):
            assert np.allclose(method.step(g, rng.standard_normal(3)), -0.1 * g, rtol=1e-15)

    def test_tends_to_the_natural_gradient_with_slower_rates(self, rng):
        scales = np.array([1.0, 0.5, 0.3, 0.2])
        pseudo, g = rng.standard_normal((50, 4)) * scales, rng.standard_normal(4) * scales
        natural, cosines = np.linalg.solve(pseudo.T @ pseudo / 50, g), []

        for dt in (1e-1, 1e-2, 1e-3, 1e-4):
            method = tango.TANGO(4, gamma=0.5 / (pseudo**2).sum(axis=1).max(), dt=dt)
            for _ in range(min(20_000, int(20 / dt))):
                method.step(g, pseudo)
            cosines.append(method.velocity @ natural / np.linalg.norm(method.velocity) / np.linalg.norm(natural))

        assert cosines == sorted(cosines)
        assert cosines[0] < 0.95 < 0.999 < cosines[-1]


class TestStability:
    @pytest.mark.parametrize(("factor", "grows"), [(0.99, False), (1.01, True)])
    def test_of_more_than_one_lets_v_grow(self, factor, grows):
        dt = 0.1
        pseudo = np.array([2.0, 0.0])
        method = tango.TANGO(2, gamma=factor * (2 - dt) / (1 - dt) / 4, dt=dt)
        method.step(np.ones(2), pseudo)
        start = abs(method.velocity[0])

        for _ in range(400):
            method.step(np.zeros(2), pseudo)

        assert np.isclose(method.stability, factor)
        assert (abs(method.velocity[0]) > 10 * start) == grows

    def test_is_that_of_the_longest_row(self):
        method = tango.TANGO(2, gamma=0.5, dt=1.0)
        method.step(np.ones(2), np.array([[1.0, 0.0], [3.0, 4.0]]))

        assert method.stability == 0.5 * 25 / 2


class TestBadNumbers:
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("place", [0, 1])
    def test_of_a_row_are_reported_and_others_enter(self, rng, place, bad):
        rows = list(rng.standard_normal((2, 4, 3)))
        method, other = (tango.TANGO(3, gamma=0.1, dt=0.5) for _ in range(2))
        method.step(*rows), other.step(*rows)
        expected = other.step(*(np.delete(x, 2, axis=0) for x in rows))
        rows[place][2, 1] = bad

        found = method.step(*rows)

        assert method.status.tolist() == [Status.OK, Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.array_equal(found, expected)

    def test_of_the_mean_gradient_leave_v_as_it_was(self, rng):
        method = tango.TANGO(3, gamma=0.1, dt=0.5)
        method.step(rng.standard_normal(3))
        before = method.velocity

        found = method.step(np.array([1.0, np.nan, 0.0]), np.ones((2, 3)))

        assert np.isnan(found).all()
        assert method.status.tolist() == [Status.NOT_FINITE] * 2
        assert np.array_equal(method.velocity, before)

    def test_that_overflow_leave_v_as_it_was(self):
        method = tango.TANGO(1, gamma=1.0, dt=0.5)
        method.step(np.ones(1), np.zeros(1))

        found = method.step(np.ones(1), np.full(1, 1e200))

        assert np.isnan(found).all()
        assert method.status.tolist() == [Status.NOT_FINITE]
        assert method.velocity == 1

    def test_that_overflow_float32_in_the_update_leave_v_as_it_was(self):
        method = tango.TANGO(2, gamma=1e10, dt=0.1)

        found = method.step(np.full(2, 1e30, np.float32), np.zeros(2, np.float32))

        assert np.isnan(found).all()
        assert method.status.tolist() == [Status.NOT_FINITE]
        assert (method.velocity == 0).all()


class TestState:
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_can_be_copied(self, rng, copied):
        first, second = rng.standard_normal((2, 3))
        method = tango.TANGO(3, gamma=0.1, dt=0.5)
        method.step(first)

        other = copied(method)

        assert np.array_equal(method.step(second), other.step(second))

    def test_goes_on_bit_by_bit(self, rng):
        G = rng.standard_normal((4, 3))
        method, other = (tango.TANGO(3, gamma=0.1, dt=0.5) for _ in range(2))
        for g in G[:2]:
            method.step(g)
        state = method.state_dict()
        expected = [method.step(g) for g in G[2:]]

        other.load_state_dict(state)
        state["velocity"][:] = 7

        assert state["steps"] == 2
        assert np.array_equal([other.step(g) for g in G[2:]], expected)

    def test_has_the_rates_that_were_set_between_steps(self, rng):
        method, other = (tango.TANGO(3, gamma=0.1, dt=0.5) for _ in range(2))
        method.gamma, method.dt = 0.2, 0.3
        method.step(rng.standard_normal(3))

        other.load_state_dict(method.state_dict())
        g = rng.standard_normal(3)

        assert np.array_equal(method.step(g), other.step(g))

    @pytest.mark.parametrize(
        ("entry", "value", "error", "message"),
        [
            ("velocity", np.array([1.0, np.nan, 0.0]), ValueError, "must be finite, got nan"),
            ("previous_dt", np.nan, ValueError, r"must be a number in \[0, 1\], got nan"),
            ("previous_dt", "x", TypeError, r"must be a number in \[0, 1\], got str"),
            ("steps", -4, ValueError, "must be an int >= 0, got -4"),
            ("steps", "x", TypeError, "must be an int >= 0, got str"),
            ("gamma", 0.0, ValueError, "must be a finite number > 0, got 0.0"),
            ("dt", 2.0, ValueError, r"must be a number in \(0, 1\], got 2.0"),
        ],
    )
    def test_with_a_bad_entry_is_refused_before_anything_changes(self, rng, entry, value, error, message):
        method, other = (tango.TANGO(3, gamma=0.1, dt=0.5) for _ in range(2))
        method.step(rng.standard_normal(3))
        before = other.state_dict()

        with pytest.raises(error, match=rf"TANGO: state\['{entry}'\] {message}"):
            other.load_state_dict({**method.state_dict(), "gamma": 0.2, "dt": 0.1, entry: value})

        after = other.state_dict()
        assert all(np.array_equal(before[name], after[name]) for name in before)

    def test_that_does_not_fit_is_refused(self):
        method = tango.TANGO(3, gamma=0.1, dt=0.5)

        with pytest.raises(ValueError, match=r"state\['velocity'\] must be a float64 array of shape \(3,\)"):
            method.load_state_dict(tango.TANGO(2, gamma=0.1, dt=0.5).state_dict())
        with pytest.raises(ValueError, match="state must have velocity, previous_dt, steps, gamma, dt, got steps"):
            method.load_state_dict({"steps": 1})


class TestArguments:
    def test_of_float32_and_of_pytorch_give_updates_of_their_kind(self):
        method = tango.TANGO(2, gamma=0.1, dt=0.5)
        assert method.step(np.ones(2, np.float32)).dtype == np.float32

        torch = pytest.importorskip("torch")
        update = method.step(torch.ones(2, dtype=torch.float32))

        assert isinstance(update, torch.Tensor)
        assert update.dtype == torch.float32

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"dim": 0}, ValueError, "dim must be an int >= 1, got 0"),
            ({"gamma": 0.0}, ValueError, "gamma must be a finite number > 0, got 0.0"),
            ({"dt": 0.0}, ValueError, r"dt must be a number in \(0, 1\], got 0.0"),
            ({"dt": "slow"}, TypeError, r"dt must be a number in \(0, 1\], got str"),
        ],
    )
    def test_of_the_object_that_are_wrong_are_refused(self, options, error, message):
        with pytest.raises(error, match=f"TANGO: {message}"):
            tango.TANGO(**{"dim": 3, "gamma": 0.1, "dt": 0.5, **options})

    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ((np.ones(2),), ValueError, r"gradient must have shape \(3,\) or \(N, 3\) with N > 0, got \(2,\)"),
            ((np.ones((0, 3)),), ValueError, r"gradient must have shape .*, got \(0, 3\)"),
            ((np.ones(3), np.ones((2, 2))), ValueError, r"pseudo_gradient must have shape .*, got \(2, 2\)"),
            ((np.ones((2, 3)), np.ones(3)), ValueError, "a row for each of the 2 of gradient, got 1"),
            ((np.ones(3, complex),), TypeError, "gradient must be an array of real numbers, got ndarray of complex128"),
        ],
    )
    def test_of_a_step_that_are_wrong_are_refused(self, given, error, message):
        method = tango.TANGO(3, gamma=0.1, dt=0.5)

        with pytest.raises(error, match=f"TANGO.step: .*{message}"):
            method.step(*given)

        assert method.state_dict()["steps"] == 0

    def test_of_a_device_are_refused(self, device):
        with pytest.raises(TypeError, match="gradient must be in the CPU's memory, got an array of curvblas"):
            tango.TANGO(3, gamma=0.1, dt=0.5).step(device.to_device(np.ones(3)))
