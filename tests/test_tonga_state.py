"""TONGA: what goes from one object to another, and what is refused."""

import pickle

import numpy as np
import pytest

import curvblas as cb
from tonga import LIMITS, steps_on


class TestState:
    def test_goes_on_bit_by_bit_with_other_threads(self, cpu, rng):
        gradients = rng.standard_normal((12, 50)).astype(np.float32)
        method = cb.TONGA(50, blocks=[20, 30], renormalize=True, **LIMITS)
        steps_on(cpu, method, gradients[:6])
        state = method.state_dict()
        expected = steps_on(cpu, method, gradients[6:])

        cb.set_num_threads(3)
        other = cb.TONGA(50, blocks=[20, 30], renormalize=True, **LIMITS)
        other.load_state_dict(state)

        assert np.array_equal(steps_on(cpu, other, gradients[6:]), expected)

    def test_can_be_pickled(self, cpu, rng):
        method = cb.TONGA(5, **LIMITS)
        method.step(rng.standard_normal(5))
        g = rng.standard_normal(5)

        other = pickle.loads(pickle.dumps(method))

        assert np.array_equal(method.step(g), other.step(g))

    def test_that_does_not_fit_is_refused(self):
        method = cb.TONGA(5, **LIMITS)
        method.step(np.ones(5))
        state = method.state_dict()

        with pytest.raises(
            ValueError, match=r"state\['basis'\] must be a float32 or float64 array of shape \(7, 6\), got float64 of"
        ):
            cb.TONGA(6, **LIMITS).load_state_dict(state)
        with pytest.raises(ValueError, match="state must have basis, squares, damping, count, steps, got count"):
            method.load_state_dict({"count": 0})
        with pytest.raises(ValueError, match=r"state\['steps'\] = 5 does not fit the other entries"):
            method.load_state_dict({"count": 1, "steps": 5})

    @pytest.mark.parametrize("name", ["squares", "damping"])
    def test_of_another_dtype_or_order_is_refused(self, name):
        method = cb.TONGA(5, blocks=[2, 3], **LIMITS)
        method.step(np.ones(5))

        state = method.state_dict()
        with pytest.raises(ValueError, match=rf"state\['{name}'\] must be a float64 array of shape"):
            method.load_state_dict(state | {name: np.float32(state[name])})
        method._memory[name] = np.repeat(state[name], 2, axis=-1)[..., ::2]  # a copy would be contiguous
        with pytest.raises(ValueError, match=f"{name} of the state must be contiguous, writable and float64"):
            method.step(np.ones(5))

    def test_hands_out_a_copy_of_the_damping(self, rng):
        method, other = cb.TONGA(5, **LIMITS), cb.TONGA(5, **LIMITS)
        g = rng.standard_normal(5)
        for one in (method, other):
            one.step(g)

        method.damping[:] = -1

        assert np.array_equal(method.step(g), other.step(g))


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dim": 0}, "dim must be an int >= 1, got 0"),
            ({"dim": 3, "rank": 0}, "rank must be an int >= 1, got 0"),
            ({"dim": 3, "decay": 0.0}, r"decay must be a number in \(0, 1\], got 0.0"),
            ({"dim": 3, "decay": 0.1, "window": 30}, r"window \|log decay\| must be at most 40, got 69.1"),
            ({"dim": 3, "damping": 0.0}, "damping must be a finite number > 0, got 0.0"),
            ({"dim": 3, "min_damping": 0.0}, "min_damping must be a finite number > 0, got 0.0"),
            ({"dim": 3, "blocks": [1, 1]}, "blocks must add up to dim = 3, got sizes that add up to 2"),
        ],
    )
    def test_are_checked(self, options, message):
        with pytest.raises(ValueError, match=message):
            cb.TONGA(**options)

    def test_integers_are_integers(self):
        with pytest.raises(TypeError, match=r"blocks\[1\] must be an int >= 1, got float"):
            cb.TONGA(3, blocks=[1, 2.0])

    @pytest.mark.parametrize("wrong", [[], [np.ones(3)], (np.ones(3),)])
    def test_gradients_are_one_array(self, wrong):
        with pytest.raises(TypeError, match=r"gradients must be one array, got (list|tuple)"):
            cb.TONGA(3).step(wrong)

    def test_gradients_have_one_shape_and_dtype(self):
        method = cb.TONGA(3)
        with pytest.raises(ValueError, match=r"gradients must have shape \(3,\) or \(N, 3\) with N > 0, got \(4,\)"):
            method.step(np.ones(4))
        method.step(np.ones(3))

        with pytest.raises(ValueError, match=r"must have shape \(3,\) or \(N, 3\) with N > 0, got \(\)"):
            method.step(np.array(1.0))
        with pytest.raises(
            TypeError, match="gradients must be float64 like the first gradients of this object, got float32"
        ):
            method.step(np.ones(3, np.float32))
