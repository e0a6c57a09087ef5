"""Natural Q-learning: targets, three solvers, invariance, limits of the divergence, bad rows, states, arguments."""

import copy
import math
import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import natural_q

from identities.natural_q import IDENTITIES

METHODS = natural_q.METHODS


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_does_not_hold_for_nan(monkeypatch, identity, bound):
    monkeypatch.setattr(natural_q, "_shortened", lambda J, x, *_: (np.nan * x, math.nan, 1.0))

    assert not identity() <= bound


class TestTargets:
    def test_are_rewards_and_the_best_value_that_follows(self):
        values = np.array([[1.0, 4.0], [3.0, -2.0], [9.0, 9.0]])

        found = natural_q.q_targets(np.array([1.0, 2.0, 5.0]), values, np.array([False, False, True]), 0.5)

        assert found.tolist() == [3, 3.5, 5]

    def test_do_not_look_at_values_behind_the_end(self):
        found = natural_q.q_targets(np.ones(2), np.array([[np.nan, 1.0], [np.inf, 1.0]]), np.array([True, True]), 0.9)

        assert found.tolist() == [1, 1]

    def test_that_are_wrong_are_refused(self):
        with pytest.raises(ValueError, match=r"q_targets: next_values must have shape \(2, actions\), got \(3, 2\)"):
            natural_q.q_targets(np.ones(2), np.ones((3, 2)), np.zeros(2, bool), 0.9)
        with pytest.raises(ValueError, match=r"q_targets: discount must be a number in \[0, 1\], got 1.1"):
            natural_q.q_targets(np.ones(2), np.ones((2, 2)), np.zeros(2, bool), 1.1)


@pytest.mark.parametrize("method", METHODS)
class TestStep:
    @pytest.mark.parametrize("damping", [1e-6, 1e-2, 1e2])
    @pytest.mark.parametrize(("n", "P"), [(1, 1), (5, 30), (30, 5), (12, 12)])
    def test_solves_with_the_damped_metric(self, cpu, rng, method, n, P, damping):
        J, e = rng.standard_normal((n, P)), rng.standard_normal(n)

        step = natural_q.natural_q_step(J, e, damping, rate=0.3, method=method)

        residual = (J.T @ J / n + damping * np.eye(P)) @ step.update - 0.3 * J.T @ e / n
        assert step.status == Status.OK
        assert np.linalg.norm(residual) < 1e-9 * np.linalg.norm(J.T @ e / n)
        assert np.isclose(step.divergence, np.square(J @ step.update).mean() / 2)

    def test_does_not_depend_on_the_scale_of_features_without_damping(self, rng, method):
        J, e, scales = rng.standard_normal((30, 4)), rng.standard_normal(30), np.array([1.0, 0.1, 5.0, 30.0])

        plain, scaled = (natural_q.natural_q_step(x, e, 0.0, method=method).update for x in (J, J * scales))

        assert np.allclose(scales * scaled, plain, rtol=1e-7)

    @pytest.mark.parametrize("limit", [1e-4, 1e3])
    def test_is_shortened_to_the_divergence_allowed(self, rng, method, limit):
        J, e = rng.standard_normal((8, 20)), rng.standard_normal(8)
        free = natural_q.natural_q_step(J, e, 0.1, method=method)

        step = natural_q.natural_q_step(J, e, 0.1, max_divergence=limit, method=method)

        size = step.update @ (J.T @ J / 8 + 0.1 * np.eye(20)) @ step.update / 2
        assert np.allclose(step.update, step.scale * free.update, rtol=1e-9)
        assert np.isclose(size, limit) if step.scale < 1 else size <= limit
        assert (step.scale < 1) == (limit == 1e-4)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("place", [0, 1])
    def test_leaves_out_bad_rows_and_reports_them(self, rng, method, place, bad):
        given = [rng.standard_normal((8, 20)), rng.standard_normal(8)]
        expected = natural_q.natural_q_step(*(np.delete(x, 3, axis=0) for x in given), 0.1, method=method)
        given[place][3, ...] = bad

        step = natural_q.natural_q_step(*given, 0.1, method=method)

        assert step.row_status.tolist() == [Status.OK] * 3 + [Status.NOT_FINITE] + [Status.OK] * 4
        assert step.status == Status.OK
        assert np.array_equal(step.update, expected.update)

    def test_without_a_good_row_is_nan(self, method):
        step = natural_q.natural_q_step(np.ones((2, 3)), np.full(2, np.nan), 0.1, method=method)

        assert step.status == Status.NOT_FINITE
        assert np.isnan(step.update).all()
        assert math.isnan(step.divergence)

    def test_that_overflows_is_reported(self, method):
        step = natural_q.natural_q_step(np.full((1, 3), 1e-200), np.full(1, 1e200), 0.0, method=method)

        assert step.status == Status.NOT_FINITE
        assert np.isnan(step.update).all()

    def test_that_overflows_float32_is_reported(self, method):
        given = np.full((1, 2), 1e-30, np.float32), np.array([1e20], np.float32)

        step = natural_q.natural_q_step(*given, 0.0, method=method)

        assert step.status == Status.NOT_FINITE
        assert np.isnan(step.update).all()

    @pytest.mark.parametrize("damping", [0.0, 0.1])
    @pytest.mark.parametrize(
        ("scale", "errors"), [(2.0**-600, 1.0), (2.0**600, 1.0), (1.0, 2.0**600), (1.0, 2.0**-600)]
    )
    def test_goes_along_with_powers_of_two(self, rng, method, damping, scale, errors):
        J, e = rng.standard_normal((8, 5)), rng.standard_normal(8)
        plain = natural_q.natural_q_step(J, e, damping, method=method)

        step = natural_q.NaturalQ(5, rate=1.0, damping=damping, method=method)
        found = step.step(scale * J, np.zeros(8), errors * e)
        same = natural_q.NaturalQ(5, rate=1.0, damping=damping, method=method).step(J, np.zeros(8), e)

        assert step.last.status == plain.status
        assert np.array_equal(found, same * (errors / scale))
        assert damping or np.array_equal(found, plain.update * (errors / scale))

    def test_of_a_tiny_jacobian_beside_a_damping_is_a_gradient(self, method):
        step = natural_q.natural_q_step(np.full((1, 1), 1e-170), np.ones(1), 0.5, method=method)

        assert np.allclose(step.update, 2e-170, rtol=1e-14, atol=0)

    def test_of_no_error_is_zero(self, method):
        step = natural_q.natural_q_step(np.ones((2, 3)), np.zeros(2), 0.1, method=method)

        assert step.update.tolist() == [0, 0, 0]


@pytest.mark.parametrize("method", ["woodbury", "cg"])
def test_repeated_rows_without_damping_give_the_solution_of_least_norm(rng, method):
    J = np.repeat(rng.standard_normal((3, 10)), 2, axis=0)
    e = rng.standard_normal(6)

    step = natural_q.natural_q_step(J, e, 0.0, method=method)

    assert step.status <= Status.JITTERED
    assert np.allclose(step.update, np.linalg.pinv(J) @ e, rtol=1e-8)


def test_a_singular_explicit_matrix_is_not_solved_silently(rng):
    J = np.repeat(rng.standard_normal((3, 10)), 2, axis=0)

    assert natural_q.natural_q_step(J, np.ones(6), 0.0, method="explicit").status != Status.OK


class TestObject:
    def test_takes_a_share_of_the_largest_eigenvalue_for_damping(self, rng):
        J, values, targets = rng.standard_normal((6, 15)), rng.standard_normal(6), rng.standard_normal(6)
        largest = np.linalg.eigvalsh(J.T @ J / 6)[-1]

        found = natural_q.NaturalQ(15, rate=0.4, damping=0.1).step(J, values, targets)

        expected = natural_q.natural_q_step(J, targets - values, 0.1 * largest, rate=0.4).update
        assert np.allclose(found, expected, rtol=1e-12)

    def test_lets_the_rate_fall(self):
        method = natural_q.NaturalQ(1, rate=1.0, decay=0.5, damping=0.0)

        found = [float(method.step(np.ones((1, 1)), np.zeros(1), np.ones(1))[0]) for _ in range(3)]

        assert found == [1, 0.5, 0.25]

    def test_keeps_the_rate_where_a_step_fails_or_it_would_vanish(self):
        method = natural_q.NaturalQ(1, rate=1.0, decay=0.5, damping=0.0)

        method.step(np.full((1, 1), np.nan), np.zeros(1), np.ones(1))
        assert method.rate == 1

        method.rate = 3e-308
        method.step(np.ones((1, 1)), np.zeros(1), np.ones(1))
        assert method.rate == 3e-308

    @pytest.mark.parametrize(("steps", "error"), [(-1, ValueError), ("x", TypeError)])
    def test_refuses_states_with_bad_steps(self, steps, error):
        with pytest.raises(error, match=r"NaturalQ: state\['steps'\] must be an int >= 0"):
            natural_q.NaturalQ(1).load_state_dict({"rate": 0.5, "steps": steps})

    def test_keeps_what_is_known_of_the_last_step(self):
        method = natural_q.NaturalQ(2, max_divergence=1e-6)
        method.step(np.eye(2), np.zeros(2), np.array([1.0, np.nan]))

        assert method.last.row_status.tolist() == [Status.OK, Status.NOT_FINITE]
        assert method.last.scale < 1

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_can_be_copied(self, rng, copied):
        given = rng.standard_normal((3, 4)), np.zeros(3), np.ones(3)
        method = natural_q.NaturalQ(4, decay=0.5)
        method.step(*given)

        other = copied(method)

        assert np.array_equal(method.step(*given), other.step(*given))

    def test_goes_on_in_another_object(self, rng):
        given = rng.standard_normal((3, 4)), np.zeros(3), np.ones(3)
        method, other = (natural_q.NaturalQ(4, decay=0.5) for _ in range(2))
        method.step(*given)

        other.load_state_dict(method.state_dict())

        assert np.array_equal(method.step(*given), other.step(*given))
        with pytest.raises(ValueError, match="state must have rate, steps, got rate"):
            other.load_state_dict({"rate": 1.0})

    def test_gives_updates_of_the_kind_of_the_jacobian(self):
        torch = pytest.importorskip("torch")
        method = natural_q.NaturalQ(2)

        found = method.step(torch.eye(2), torch.zeros(2), torch.ones(2))

        assert isinstance(found, torch.Tensor)
        assert found.dtype == torch.float32
        assert method.step(np.eye(2, dtype=np.float32), np.zeros(2), np.ones(2)).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jacobian": np.ones(3)}, r"jacobian must have shape \(n, P\), got \(3,\)"),
        ({"errors": np.ones(2)}, r"errors must have shape \(3,\), got \(2,\)"),
        ({"damping": -1.0}, "damping must be a finite number >= 0, got -1.0"),
        ({"rate": 0.0}, "rate must be a finite number > 0, got 0.0"),
        ({"max_divergence": 0.0}, "max_divergence must be a finite number > 0, got 0.0"),
        ({"method": "minres"}, "method must be one of woodbury, cg, explicit, got 'minres'"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=f"natural_q_step: {message}"):
        natural_q.natural_q_step(**{"jacobian": np.ones((3, 4)), "errors": np.ones(3), "damping": 0.1, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 0}, "dim must be an int >= 1, got 0"),
        ({"decay": 0.0}, r"decay must be a number in \(0, 1\], got 0.0"),
        ({"damping": np.inf}, "damping must be a finite number >= 0, got inf"),
        ({"method": "minres"}, "method must be one of woodbury, cg, explicit, got 'minres'"),
    ],
)
def test_wrong_objects_are_refused(change, message):
    with pytest.raises(ValueError, match=f"NaturalQ: {message}"):
        natural_q.NaturalQ(**{"dim": 3, **change})


def test_device_arrays_are_refused(device):
    with pytest.raises(TypeError, match="jacobian must be in the CPU's memory, got an array of curvblas"):
        natural_q.natural_q_step(device.to_device(np.eye(3)), np.ones(3), 0.1)
