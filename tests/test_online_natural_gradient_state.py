"""Kaldi's online natural gradient: what goes from one object to another, and what is refused."""

import pickle

import numpy as np
import pytest

import curvblas as cb

from online import calls_on, coloured


class TestState:
    def test_goes_on_bit_by_bit_with_other_threads(self, cpu, rng):
        draw = coloured(rng, 50, np.float32)
        batches = [[draw(20), draw(30)] for _ in range(20)]
        method = cb.OnlineNaturalGradient([50, 50], rank=6)
        calls_on(cpu, method, batches[:12])
        state = method.state_dict()
        expected = calls_on(cpu, method, batches[12:])

        cb.set_num_threads(3)
        other = cb.OnlineNaturalGradient([50, 50], rank=6)
        other.load_state_dict(state)

        for found, wanted in zip(calls_on(cpu, other, batches[12:]), expected, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))

    def test_can_be_pickled(self, cpu, rng):
        X = rng.standard_normal((9, 5))
        method = cb.OnlineNaturalGradient(5, rank=2)
        method.precondition(X)

        other = pickle.loads(pickle.dumps(method))

        assert np.array_equal(method.precondition(X), other.precondition(X))

    def test_that_does_not_fit_is_refused(self):
        method = cb.OnlineNaturalGradient(5, rank=2)
        method.precondition(np.ones((9, 5)))
        state = method.state_dict()

        with pytest.raises(
            ValueError, match=r"state\['rows'\] must be a float32 or float64 array of shape \(4, 6\), got float64 of"
        ):
            cb.OnlineNaturalGradient(6, rank=2).load_state_dict(state)
        with pytest.raises(ValueError, match="state must have rows, values, rho, calls, frozen, got rows, calls"):
            method.load_state_dict({"rows": [], "calls": 0})
        with pytest.raises(ValueError, match=r"state\['calls'\] = 3 does not fit the other entries"):
            method.load_state_dict({"calls": 3, "frozen": False})
        for name, wrong in (("rows", None), ("values", state["values"][0]), ("rho", [])):
            with pytest.raises(ValueError, match=rf"state\['{name}'\] must be a list of 1 arrays"):
                method.load_state_dict(state | {name: wrong})
        with pytest.raises(ValueError, match=r"state\['values'\] must be a float64 array of shape \(2,\), got float32"):
            method.load_state_dict(state | {"values": [state["values"][0].astype(np.float32)]})

    def test_knows_whether_it_is_frozen(self, cpu, rng):
        method, other = cb.OnlineNaturalGradient(5, rank=2), cb.OnlineNaturalGradient(5, rank=2)
        method.precondition(rng.standard_normal((9, 5)))
        method.frozen = True

        other.load_state_dict(method.state_dict())

        assert other.frozen


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"dim": 0}, ValueError, "dim must be an int >= 1, got 0"),
            ({"dim": [3, 2.0]}, TypeError, r"dim\[1\] must be an int >= 1, got float"),
            ({"dim": []}, ValueError, "dim must be an int >= 1 or a list of them, got an empty list"),
            ({"dim": [3, 4], "rank": [1]}, ValueError, "rank must have an entry for each of 2 dims, got 1"),
            ({"dim": 3, "alpha": 0}, ValueError, "alpha must be a finite number > 0, got 0"),
            ({"dim": 3, "history": "long"}, TypeError, "history must be a finite number > 0, got str"),
            ({"dim": 3, "delta": 1.0}, ValueError, r"delta must be a number in \(0, 1\), got 1.0"),
            ({"dim": 3, "minibatch_history": 1}, ValueError, "minibatch_history must be a finite number > 1, got 1"),
            ({"dim": 3, "update_period": 0}, ValueError, "update_period must be an int >= 1, got 0"),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            cb.OnlineNaturalGradient(**options)

    def test_of_a_call(self):
        one, two = cb.OnlineNaturalGradient(3, rank=1), cb.OnlineNaturalGradient([3, 4], rank=1)

        with pytest.raises(ValueError, match=r"X must have shape \(N, 3\) with N > 0, got \(4,\)"):
            one.precondition(np.ones(4))
        with pytest.raises(ValueError, match=r"X must have shape \(N, 3\) with N > 0, got \(0, 3\)"):
            one.precondition(np.ones((0, 3)))
        with pytest.raises(ValueError, match="X must have 2 arrays, one for each dim, got 1"):
            two.precondition([np.ones((2, 3))])
        with pytest.raises(ValueError, match=r"X\[1\] must have shape \(N, 4\) with N > 0, got \(2, 3\)"):
            two.precondition([np.ones((2, 3))] * 2)
        with pytest.raises(TypeError, match="X must be a list of arrays, as dim is, got ndarray"):
            two.precondition(np.ones((2, 3)))
        one.precondition(np.ones((2, 3)))
        with pytest.raises(TypeError, match="X must be float64 like the first X of this object, got float32"):
            one.precondition(np.ones((2, 3), np.float32))
