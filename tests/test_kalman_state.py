"""Kalman filters of parameters: what goes from one object to another, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

import curvblas as cb


def observations(rng, count, o, n, dtype=np.float64):
    return [tuple(x.astype(dtype) for x in (rng.standard_normal((o, n)), np.ones(o), np.ones(o))) for _ in range(count)]


class TestState:
    def test_goes_on_bit_by_bit_with_other_threads(self, cpu, rng):
        seen = observations(rng, 8, 3, 50, np.float32)
        method = cb.KalmanNaturalGradient(50, blocks=[20, 30], fading=0.1)
        for x in seen[:4]:
            method.step(*x)
        state = method.state_dict()
        expected = [method.step(*x) for x in seen[4:]]

        cb.set_num_threads(3)
        other = cb.KalmanNaturalGradient(50, blocks=[20, 30], fading=0.1)
        other.load_state_dict(state)

        assert state["steps"] == 4
        assert np.array_equal([other.step(*x) for x in seen[4:]], expected)
        assert all(map(np.array_equal, other.covariance, method.covariance))

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_can_be_copied(self, rng, copied):
        first, second = observations(rng, 2, 2, 5)
        method = cb.KalmanNaturalGradient(5)
        method.step(*first)

        other = copied(method)

        assert np.array_equal(method.step(*second), other.step(*second))

    def test_of_no_step_is_a_new_start(self, rng):
        (seen,) = observations(rng, 1, 2, 5)
        method, new = cb.KalmanNaturalGradient(5), cb.KalmanNaturalGradient(5)
        method.step(*seen)

        method.load_state_dict(new.state_dict())

        assert np.array_equal(method.covariance, np.eye(5))
        assert np.array_equal(method.step(*seen), new.step(*seen))

    def test_that_does_not_fit_is_refused(self, rng):
        method = cb.KalmanNaturalGradient(5)
        method.step(*observations(rng, 1, 2, 5)[0])
        state = method.state_dict()

        with pytest.raises(
            ValueError,
            match=r"state\['covariance'\] must be a float32 or float64 array of shape \(36,\), got float64 of",
        ):
            cb.KalmanNaturalGradient(6).load_state_dict(state)
        with pytest.raises(ValueError, match="state must have covariance, steps, got covariance"):
            method.load_state_dict({"covariance": state["covariance"]})
        with pytest.raises(ValueError, match=r"state\['steps'\] = 5 does not fit the other entries"):
            method.load_state_dict({"steps": 5})

    def test_of_another_dtype_or_order_is_refused(self, rng):
        (seen,) = observations(rng, 1, 2, 5)
        method = cb.KalmanNaturalGradient(5)
        method.step(*seen)
        state = method.state_dict()

        method.load_state_dict({**state, "covariance": state["covariance"].astype(np.float32)})
        with pytest.raises(TypeError, match="jacobian must be float32 like the first jacobian of this object"):
            method.step(*seen)
        method._memory = np.repeat(state["covariance"], 2)[::2]  # a copy would be contiguous
        with pytest.raises(
            ValueError, match=r"covariance of the state must be contiguous, writable and of shape \(25,\)"
        ):
            method.step(*seen)

    def test_hands_out_copies(self, rng):
        first, second = observations(rng, 2, 2, 5)
        method, other = cb.KalmanNaturalGradient(5), cb.KalmanNaturalGradient(5)
        for one in (method, other):
            one.step(*first)

        method.covariance[:] = -1
        method.state_dict()["covariance"][:] = -1

        assert np.array_equal(method.step(*second), other.step(*second))

    def test_of_a_covariance_that_was_given_is_a_copy(self):
        P = np.eye(3)
        method = cb.KalmanNaturalGradient(3, covariance=P)

        P[:] = 7

        assert np.array_equal(method.covariance, np.eye(3))

    def test_of_a_covariance_is_its_lower_triangle(self):
        method = cb.KalmanNaturalGradient(2, covariance=np.array([[1.0, 9.0], [0.5, 2.0]]))

        assert np.array_equal(method.covariance, [[1.0, 0.5], [0.5, 2.0]])


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"dim": 0}, ValueError, "dim must be an int >= 1, got 0"),
            ({"dim": 3, "fading": 1.0}, ValueError, r"fading must be a number in \[0, 1\), got 1.0"),
            ({"dim": 3, "blocks": [1, 1]}, ValueError, "blocks must add up to dim = 3, got sizes that add up to 2"),
            ({"dim": 3, "blocks": [1, 2.0]}, TypeError, r"blocks\[1\] must be an int >= 1, got float"),
            ({"dim": 3, "covariance": 0.0}, ValueError, "covariance must be a finite number > 0 or an array, got 0.0"),
            ({"dim": 3, "covariance": "I"}, TypeError, "covariance must be a finite number > 0 or an array, got str"),
            ({"dim": 3, "covariance": np.eye(2)}, ValueError, r"covariance must have shape \(3, 3\), got \(2, 2\)"),
            ({"dim": 3, "covariance": np.full((3, 3), np.nan)}, ValueError, "covariance must be finite"),
            (
                {"dim": 3, "covariance": [np.eye(3)]},
                ValueError,
                "covariance must be a number or one array, without blocks",
            ),
            (
                {"dim": 3, "covariance": [np.eye(3)], "blocks": [1, 2]},
                ValueError,
                "covariance must be a number or a list of 2 arrays, one for each block",
            ),
            (
                {"dim": 3, "covariance": [np.eye(1), np.eye(3)], "blocks": [1, 2]},
                ValueError,
                r"covariance\[1\] must have shape \(2, 2\), got \(3, 3\)",
            ),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            cb.KalmanNaturalGradient(**options)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"jacobian": np.ones(3)}, ValueError, r"jacobian must have shape \(o, 3\) with o > 0, got \(3,\)"),
            ({"jacobian": np.ones((0, 3))}, ValueError, r"jacobian must have shape \(o, 3\) with o > 0, got \(0, 3\)"),
            ({"jacobian": np.ones((2, 4))}, ValueError, r"jacobian must have shape \(o, 3\) with o > 0, got \(2, 4\)"),
            ({"jacobian": [np.ones((2, 3))]}, TypeError, "jacobian must be one array, got list"),
            ({"error": np.ones((2, 1))}, ValueError, r"error must have shape \(o,\) = \(2,\), got \(2, 1\)"),
            (
                {"noise": np.ones(3)},
                ValueError,
                r"noise must have shape \(o, o\) = \(2, 2\) or \(o,\) = \(2,\), got \(3,\)",
            ),
            ({"noise": np.ones((2, 1))}, ValueError, r"noise must have shape \(o, o\) = \(2, 2\) or .* got \(2, 1\)"),
            ({"noise": np.ones(2, np.float32)}, TypeError, "noise must be float64 like jacobian, got float32"),
            ({"error": np.ones(2, np.float32)}, TypeError, "error must be float64 like jacobian, got float32"),
            (
                {"jacobian": np.ones((2, 3), np.float32)},
                TypeError,
                "jacobian must be float64 like the first jacobian of this object, got float32",
            ),
        ],
    )
    def test_of_a_step_write_nothing_where_they_are_wrong(self, change, error, message):
        good = {"jacobian": np.ones((2, 3)), "error": np.ones(2), "noise": np.ones(2)}
        method = cb.KalmanNaturalGradient(3, fading=0.1)
        method.step(**good)
        before = method.state_dict()

        with pytest.raises(error, match=message):
            method.step(**{**good, **change})

        assert np.array_equal(method.state_dict()["covariance"], before["covariance"])
        assert method.state_dict()["steps"] == 1
