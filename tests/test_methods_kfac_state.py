"""K-FAC: states, wrong calls, bad layers."""

import pickle

import numpy as np
import pytest

from curvblas.methods.kfac import KFAC, Conv, Layer

from kfac_layers import DAMPING, LAYERS, RECURRENT, batch, put


class TestState:
    @pytest.mark.parametrize("name", ["factored", "eigen", "ekfac"])
    @pytest.mark.parametrize("copied", ["state", "pickle"])
    def test_goes_on_bit_by_bit(self, rng, name, copied):
        layers = [*LAYERS, RECURRENT]
        method = KFAC(layers, method=name, damping=DAMPING, period=2, first=1)
        for _ in range(3):
            method.step(*batch(rng, layers))
        if copied == "pickle":
            other = pickle.loads(pickle.dumps(method))
        else:
            other = KFAC(layers, method=name, period=2, first=1)
            other.load_state_dict(method.state_dict())

        for _ in range(2):
            seen = batch(rng, layers)
            assert all(map(np.array_equal, method.step(*seen), other.step(*seen)))

    def test_of_no_step_is_a_new_start(self, rng):
        V, a, g = batch(rng, LAYERS)
        method = KFAC(LAYERS)
        method.update(a, g)

        method.load_state_dict(KFAC(LAYERS).state_dict())

        assert method.steps == 0
        assert all(map(np.array_equal, method.step(V, a, g), KFAC(LAYERS).step(V, a, g)))

    def test_that_does_not_fit_is_refused(self, rng):
        _, a, g = batch(rng, LAYERS)
        method = KFAC(LAYERS)
        method.update(a, g)
        state = method.state_dict()

        with pytest.raises(ValueError, match="state must have steps, ages, positions, status, damping, solvers, got A"):
            method.load_state_dict({"A": state["A"]})
        with pytest.raises(ValueError, match=r"state\['A'\] must have 1 arrays, got 5"):
            KFAC(LAYERS[:1]).load_state_dict(state)
        with pytest.raises(ValueError, match=r"state\['solvers'\] must have 15 arrays, got 10"):
            KFAC(LAYERS, method="eigen").load_state_dict(state)
        with pytest.raises(ValueError, match=r"state\['A'\] must be a float32 or float64 array of shape \(9, 9\), got"):
            KFAC([Layer(3, 8), *LAYERS[1:]]).load_state_dict(state)

    def test_hands_out_copies(self, rng):
        V, a, g = batch(rng, LAYERS)
        method, other = KFAC(LAYERS, method="eigen"), KFAC(LAYERS, method="eigen")
        for each in (method, other):
            each.update(a, g)

        for group in (method.factors["A"], method.moments, method.state_dict()["solvers"]):
            for array in group:
                array[:] = -1

        assert all(map(np.array_equal, method.step(V, a, g), other.step(V, a, g)))


@pytest.mark.parametrize(
    "change",
    [{"ages": [-5]}, {"steps": "3"}, {"status": ["x"]}, {"status": [99]}, {"positions": 2}, {"A": 5}, {"ages": [0.5]}],
)
def test_states_with_entries_of_another_type_change_nothing(rng, change):
    method, other = KFAC(LAYERS[:1]), KFAC(LAYERS[:1], damping=7.0)
    method.update(*batch(rng, LAYERS[:1])[1:])

    with pytest.raises(ValueError, match=rf"KFAC: state\['{next(iter(change))}'\] must"):
        other.load_state_dict({**method.state_dict(), **change})

    assert (other.damping, other.steps) == (7.0, 0)


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"method": "exact"}, ValueError, "method must be one of factored, eigen, ekfac, got 'exact'"),
            ({"damping": -1.0}, ValueError, "damping must be a finite number >= 0, got -1.0"),
            ({"decay": 1.0}, ValueError, r"decay must be a number in \[0, 1\), got 1.0"),
            ({"period": 0}, ValueError, "period must be an int >= 1, got 0"),
            ({"first": 1.5}, TypeError, "first must be an int >= 1, got float"),
            ({"layers": [(3, 4)]}, TypeError, r"layers\[0\] must be a Layer or a Conv, got tuple"),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            KFAC(**{"layers": LAYERS, **options})

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: Layer(0, 3), ValueError, "out_features must be an int >= 1, got 0"),
            (lambda: Layer(1, 3, sharing="all"), ValueError, "sharing must be one of none, expand, reduce, recurrent"),
            (lambda: Conv(1, 3, 3), ValueError, "kernel_size must be a tuple of one to three ints, got 3"),
            (lambda: Conv(1, 3, (3, 3), stride=0), ValueError, "stride must be an int >= 1, or a tuple of 2, got 0"),
            (
                lambda: Conv(1, 3, (3, 3), padding=(1,)),
                ValueError,
                r"padding must be an int >= 0, or a tuple of 2, got",
            ),
        ],
    )
    def test_of_a_layer(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"inputs": 3}, TypeError, "inputs must be a list of 5 arrays, got int"),
            ({"inputs": []}, ValueError, "inputs must be a list of 5 arrays, got 0"),
            ({"inputs": (0, np.ones((6, 3)))}, ValueError, r"inputs\[0\] must have shape \(6, 4\), got \(6, 3\)"),
            ({"inputs": (0, np.ones((6, 4), int))}, TypeError, r"inputs\[0\] must be of float64, .*, got int64"),
            ({"inputs": (0, [[1.0]])}, TypeError, r"inputs\[0\] must be an array, got list"),
            (
                {"derivatives": (0, np.ones((5, 3)))},
                ValueError,
                r"derivatives\[0\] must have shape \(6, 3\), got \(5, 3\)",
            ),
            (
                {"derivatives": (3, np.ones((6, 3, 7, 3)))},
                ValueError,
                r"derivatives\[3\] must have shape \(6, 3, 7, 4\)",
            ),
            ({"inputs": (3, np.ones((6, 2)))}, ValueError, r"inputs\[3\] must have shape \(N, 2, size, size\), got"),
            ({"grads": (1, np.ones((2, 6)))}, ValueError, r"grads\[1\] must have shape \(2, 5\), got \(2, 6\)"),
            (
                {"grads": (1, np.ones((2, 5), "f"))},
                TypeError,
                r"grads\[1\] must be float64 like the factors, got float32",
            ),
            ({"rate": 0.0}, ValueError, "rate must be a finite number > 0, got 0.0"),
            ({"clip": -1.0}, ValueError, "clip must be a finite number > 0, got -1.0"),
        ],
    )
    def test_of_a_step_write_nothing(self, rng, change, error, message):
        named = dict(zip(("grads", "inputs", "derivatives"), batch(rng, LAYERS), strict=True))
        method = KFAC(LAYERS)
        method.step(**named)
        before = method.state_dict()
        for name, value in change.items():
            if isinstance(value, tuple):
                named[name] = [value[1] if k == value[0] else x for k, x in enumerate(named[name])]
            else:
                named[name] = value

        with pytest.raises(error, match=message):
            method.step(**named)

        after = method.state_dict()
        assert after["steps"] == 1
        assert all(map(np.array_equal, before["A"] + before["G"], after["A"] + after["G"]))

    def test_of_bfloat16_of_a_library_that_numpy_cannot_read(self):
        torch = pytest.importorskip("torch")
        a, g = torch.ones(4, 3, dtype=torch.bfloat16), torch.ones(4, 2, dtype=torch.bfloat16)

        with pytest.raises(TypeError, match=r"inputs\[0\] must be NumPy's to be bfloat16 on the CPU, got one of torch"):
            KFAC([Layer(2, 3)]).update([a], [g])

    def test_before_the_first_update(self, rng):
        V, *_ = batch(rng, LAYERS)

        with pytest.raises(ValueError, match=r"KFAC.precondition: update must come before, got no rows yet"):
            KFAC(LAYERS).precondition(V)

    def test_of_what_wants_the_cpu(self, emulated, rng):
        for layer, what in ((Layer(3, 4, sharing="reduce"), "reduce"), (LAYERS[3], "a convolution with E-KFAC")):
            V, a, g = (put(emulated, group) for group in batch(rng, [layer]))
            method = KFAC([layer], method="ekfac")
            with pytest.raises(TypeError, match=f"inputs.0. must be in the CPU's memory for .*{what}"):
                method.update(a, g)
            with pytest.raises(TypeError, match="grads must be of a library with arithmetic; use update and precond"):
                method.step(V, a, g)

    def test_of_another_library_than_before(self, emulated, rng):
        _, a, g = batch(rng, LAYERS)
        method = KFAC(LAYERS)
        method.update(a, g)

        with pytest.raises(TypeError, match=r"inputs must be arrays of numpy, as before, got one of curvblas\._emu"):
            method.update(put(emulated, a), put(emulated, g))
