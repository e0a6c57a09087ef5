"""Unitwise natural gradients: their identities, classes on every backend, states and arguments."""

import pickle

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from curvblas.methods import unitwise

from identities.unitwise import IDENTITIES, affine_error, backpropagated_error, diagonal_step
from oracle.methods_unitwise import Network

CLASSES = {
    "unitwise": lambda **options: unitwise.UnitwiseNaturalGradient(**{"damping": 0.1, **options}),
    "quasi-diagonal": lambda **options: unitwise.QuasiDiagonalNaturalGradient(**options),
}
both_classes = pytest.mark.parametrize("make", CLASSES.values(), ids=CLASSES)


def batch(rng, layers=((5, 4, 3), (9, 2, 6)), dtype=np.float64):
    """Return gradients, rows and weights of layers (N, p - 1, q)."""
    grads = [rng.standard_normal((q, n + 1)).astype(dtype) for _, n, q in layers]
    rows = [rng.standard_normal((N, n)).astype(dtype) for N, n, _ in layers]
    return grads, rows, [rng.random((N, q)).astype(dtype) for N, _, q in layers]


def on_backend(on, function, *arguments):
    """Call with arrays of a backend; arrays of the host in and out."""
    if not hasattr(on, "to_device"):
        return function(*arguments)
    there = [[on.to_device(x) for x in group] for group in arguments]
    return [on.to_host(x) for x in function(*there)]


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identities_hold(identity, bound):
    assert identity() <= bound


def test_the_diagonal_alone_is_not_invariant():
    assert affine_error(diagonal_step) > 0.1


@pytest.mark.parametrize(("distribution", "sizes"), [("softmax", (4, 5, 3)), ("bernoulli", (4, 5, 5, 3))])
def test_the_backpropagated_metric_is_another_one_elsewhere(distribution, sizes):
    assert backpropagated_error(distribution, sizes) > 0.1


class TestWeights:
    @pytest.mark.parametrize("distribution", ["gaussian", "bernoulli", "softmax"])
    def test_sampled_targets_give_the_natural_weights_in_expectation(self, rng, distribution):
        network, x = Network(rng, (3, 4, 3), distribution, variance=0.5), rng.standard_normal((1, 3))
        x = np.repeat(x, 100_000, axis=0)
        rows, scores = network.forward(x)
        outputs = network.outputs(scores)

        y = unitwise.sample_outputs(outputs, distribution, rng, variance=0.5)
        derivatives = network.backward(rows, (outputs - y) / (0.5 if distribution == "gaussian" else 1))

        precision = 0.5 if distribution == "gaussian" else 1.0
        exact = unitwise.natural_weights(network.jacobians(x[:1])[0], outputs[:1], distribution, variance=precision)
        sampled = unitwise.outer_product_weights(derivatives[0]).mean(axis=0)
        assert np.allclose(sampled, exact[0], rtol=0.05)

    def test_weights_keep_dtype_and_library(self):
        torch = pytest.importorskip("torch")

        weights = unitwise.natural_weights(torch.ones(2, 3, 4), torch.full((2, 4), 0.25), "softmax")

        assert isinstance(weights, torch.Tensor)
        assert weights.dtype == torch.float32

    def test_certain_outputs_tell_nothing(self):
        weights = unitwise.natural_weights(np.ones((1, 1, 3)) * [1.0, 2.0, 3.0], np.array([[0.0, 1.0, 0.0]]), "softmax")

        assert weights.tolist() == [[0.0]]

    def test_arrays_of_a_device_are_refused(self, emulated):
        there = emulated.to_device(np.ones((2, 3)))

        with pytest.raises(TypeError, match="outer_product_weights: derivatives must be in the CPU's memory"):
            unitwise.outer_product_weights(there)

    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            (
                lambda: unitwise.natural_weights(np.ones((2, 3)), None, "softmax"),
                r"jacobian must have shape \(N, q, o\)",
            ),
            (lambda: unitwise.natural_weights(np.ones((2, 3, 4)), np.ones((2, 3)), "softmax"), r"outputs must have"),
            (lambda: unitwise.natural_weights(np.ones((2, 3, 4)), np.ones((2, 4)), "poisson"), "distribution must be"),
            (
                lambda: unitwise.sample_outputs(np.ones((2, 3)), "gaussian", None, variance=0.0),
                "variance must be a fin",
            ),
            (lambda: unitwise.backpropagated_weights([], [np.ones((2, 3))], np.ones((2, 4)), "softmax"), "as many as"),
            (
                lambda: unitwise.backpropagated_weights(
                    [np.ones((4, 2))], [np.ones((2, 3))], np.ones((2, 4)), "softmax"
                ),
                r"slopes\[0\] must have shape \(2, 2\), got \(2, 3\)",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, call, expected):
        with pytest.raises(ValueError, match=expected):
            call()


class TestSteps:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_unitwise_steps_solve_dense_systems(self, backend, rng, dtype):
        method, M = unitwise.UnitwiseNaturalGradient(damping=0.1, decay=0.6), 0.0

        for step in range(3):
            grads, rows, weights = batch(rng, [(20, 4, 3)], dtype)
            (found,) = on_backend(backend, method.precondition, grads, rows, weights)
            decay = min(1 - 1 / (step + 1), 0.6)
            x = np.concatenate([rows[0], np.ones((20, 1))], axis=1)
            M = decay * M + (1 - decay) / 20 * np.einsum("nk,ni,nj->kij", weights[0], x, x)

        exact = np.linalg.solve(M + 0.1 * np.eye(5), grads[0][..., None])[..., 0]
        assert np.linalg.norm(found - exact) < 200 * np.finfo(dtype).eps * np.linalg.norm(exact)

    def test_quasi_diagonal_steps_are_those_of_the_kernels(self, backend, rng):
        method, first, second = unitwise.QuasiDiagonalNaturalGradient(damping=0.1), np.zeros((3, 5)), np.zeros((3, 5))

        for decay in (0.0, 0.5):
            grads, rows, weights = batch(rng, [(20, 4, 3)])
            (found,) = on_backend(backend, method.precondition, grads, rows, weights)
            cb.accumulate_quasi_diagonal(first, second, rows[0], weights[0], decay=decay)

        exact = cb.solve_quasi_diagonal(first, second, grads[0], 0.1).solution
        assert np.linalg.norm(found - exact) < 1e-13 * np.linalg.norm(exact)

    @both_classes
    def test_single_layers_are_lists_of_one(self, rng, make):
        grads, rows, weights = (x[0] for x in batch(rng))

        alone = make().precondition(grads, rows, weights)

        assert np.array_equal(alone, make().precondition([grads], [rows], [weights])[0])

    @both_classes
    def test_results_are_of_the_library_of_the_gradients(self, rng, make):
        torch = pytest.importorskip("torch")
        given = batch(rng)

        found = make().precondition(*[[torch.as_tensor(x) for x in group] for group in given])

        expected = make().precondition(*given)
        assert all(isinstance(x, torch.Tensor) for x in found)
        assert all(np.array_equal(a.numpy(), b) for a, b in zip(found, expected, strict=True))

    @both_classes
    def test_a_bad_unit_does_not_touch_the_others(self, backend, rng, make):
        grads, rows, weights = batch(rng, [(9, 4, 3)])
        clean = on_backend(backend, make().precondition, grads, rows, weights)
        weights[0][0, 1] = np.nan
        method = make()

        found = on_backend(backend, method.precondition, grads, rows, weights)

        status = method.status[0] if isinstance(method.status, list) else method.status
        status = backend.to_host(status) if hasattr(backend, "to_host") else status
        assert status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.isnan(found[0][1]).all()
        assert np.array_equal(found[0][[0, 2]], clean[0][[0, 2]])


class TestStates:
    @both_classes
    def test_a_loaded_object_goes_on_with_the_same_bits(self, rng, make):
        method, other = make(), make()
        method.precondition(*batch(rng))
        other.load_state_dict(pickle.loads(pickle.dumps(method.state_dict())))
        given = batch(rng)

        expected, found = method.precondition(*given), other.precondition(*given)

        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))

    @both_classes
    def test_objects_are_pickled_and_new_states_loaded(self, rng, make):
        method = make()
        method.load_state_dict(make().state_dict())
        other, given = pickle.loads(pickle.dumps(method)), batch(rng)

        assert np.array_equal(other.precondition(*given)[0], method.precondition(*given)[0])

    @both_classes
    def test_states_are_copies(self, rng, make):
        method = make()
        method.precondition(*batch(rng))
        state = method.state_dict()
        kept = pickle.loads(pickle.dumps(state))

        method.precondition(*batch(rng))

        name = next(iter(kept))
        assert all(np.array_equal(a, b) for a, b in zip(state[name], kept[name], strict=True))

    @both_classes
    @pytest.mark.parametrize("state", [{}, {"steps": 1}])
    def test_states_that_miss_entries_are_refused(self, make, state):
        with pytest.raises(ValueError, match=r"state must have steps"):
            make().load_state_dict(state)


class TestArguments:
    @both_classes
    def test_what_does_not_fit_is_refused_before_anything_is_kept(self, rng, make):
        method, (grads, rows, weights) = make(), batch(rng)

        with pytest.raises(ValueError, match=r"grads\[1\] must have shape \(6, 3\)"):
            method.precondition([grads[0], grads[1].T], rows, weights)
        with pytest.raises(ValueError, match=r"weights\[0\] must have shape \(5, q\)"):
            method.precondition(grads, rows, [weights[0][1:], weights[1]])
        with pytest.raises(ValueError, match="rows must have 2 arrays like grads, got 1"):
            method.precondition(grads, rows[:1], weights)
        with pytest.raises(TypeError, match="rows must be a list of arrays like grads, got ndarray"):
            method.precondition(grads, rows[0], weights)

        assert method.state_dict() == {"steps": 0}

    @both_classes
    def test_later_steps_want_the_dtype_and_the_layers_of_the_first(self, rng, make):
        method = make()
        method.precondition(*batch(rng))
        kept = pickle.dumps(method.state_dict())

        with pytest.raises(TypeError, match=r"grads\[0\] must be float64 as before, got float32"):
            method.precondition(*batch(rng, dtype=np.float32))
        with pytest.raises(ValueError, match="grads must have 2 arrays as before, got 1"):
            method.precondition(*batch(rng, [(5, 4, 3)]))

        assert pickle.dumps(method.state_dict()) == kept

    def test_parameters_out_of_range_are_refused(self):
        with pytest.raises(ValueError, match="UnitwiseNaturalGradient: damping must be a finite number > 0, got 0"):
            unitwise.UnitwiseNaturalGradient(damping=0)
        with pytest.raises(ValueError, match=r"QuasiDiagonalNaturalGradient: decay must be a number in \[0, 1\)"):
            unitwise.QuasiDiagonalNaturalGradient(decay=1.0)
        with pytest.raises(ValueError, match="QuasiDiagonalNaturalGradient: damping must be a finite number >= 0"):
            unitwise.QuasiDiagonalNaturalGradient(damping=-1.0)
        with pytest.raises(ValueError, match=r"QuasiDiagonalNaturalGradient: floor must be a number in \[0, 1\)"):
            unitwise.QuasiDiagonalNaturalGradient(floor=2.0)

    def test_dampings_for_other_layers_are_refused_before_anything_is_kept(self, rng):
        method = unitwise.QuasiDiagonalNaturalGradient(damping=[0.1, 0.2, 0.3])

        with pytest.raises(ValueError, match="damping must have 2 entries, one for each layer, got 3"):
            method.precondition(*batch(rng))

        assert method.state_dict() == {"steps": 0}

    @both_classes
    @pytest.mark.parametrize("steps", ["3", -1, 0.5])
    def test_states_with_entries_of_another_type_are_refused(self, make, steps):
        with pytest.raises(ValueError, match=r"state\['steps'\] must"):
            make().load_state_dict({"steps": steps})

    def test_moments_that_are_no_list_are_refused(self):
        with pytest.raises(ValueError, match=r"state\['moments'\] must be a list of arrays, got int"):
            unitwise.UnitwiseNaturalGradient(damping=0.1).load_state_dict({"steps": 3, "moments": 5})


class TestRecovery:
    @both_classes
    def test_units_with_nan_begin_anew(self, backend, rng, make):
        grads, rows, weights = batch(rng)
        bad = [w.copy() for w in weights]
        bad[0][0, 1] = np.nan
        method = make()
        on_backend(backend, method.precondition, grads, rows, bad)

        found = on_backend(backend, method.precondition, grads, rows, weights)

        expected = make().precondition(grads, rows, weights)
        assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(found, expected, strict=True))

    @both_classes
    def test_gradients_with_nan_are_reported_by_unit(self, rng, make):
        grads, rows, weights = (x[0] for x in batch(rng))
        grads[1, 0], method = np.nan, make()

        method.precondition(grads, rows, weights)

        assert np.asarray(method.status).tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]

    @both_classes
    def test_no_rows_are_no_step(self, rng, make):
        method, (grads, rows, weights) = make(), batch(rng)
        empty = [x[:0] for x in rows], [x[:0] for x in weights]
        with pytest.raises(ValueError, match=r"rows\[0\] must have rows at first, got shape \(0, 4\)"):
            method.precondition(grads, *empty)
        expected = method.precondition(grads, rows, weights)

        found = method.precondition(grads, *empty)

        assert method.state_dict()["steps"] == 1
        assert all(map(np.array_equal, found, expected))

    @pytest.mark.parametrize("distribution", ["bernoulli", "softmax"])
    def test_samples_of_nan_are_nan(self, rng, distribution):
        y = unitwise.sample_outputs(np.array([[np.nan, 1.0], [0.0, 1.0]]), distribution, rng)

        assert np.isnan(y[0, 0])
        assert y[1].tolist() == [0.0, 1.0]
