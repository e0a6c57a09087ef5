"""DiCE: derivatives of expectations of enumerated processes, baselines, masks, libraries and bad input."""

import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import dice

from identities.dice import IDENTITIES, estimate
from oracle.methods_dice import Choices

THETA = np.array([0.4, -0.7])


def baseline_of(process):
    """Return one that knows the choices before a step, and no others."""
    before = np.concatenate([np.zeros((1, len(process.paths))), np.cumsum(process.paths.T, axis=0)[:-1]])
    return 0.8 + 0.5 * before - 0.3 * before**2


def torch_log_probs(torch, process, theta):
    z = torch.as_tensor(process.features) @ theta
    signs = torch.as_tensor(2.0 * process.paths - 1)
    return torch.nn.functional.logsigmoid(signs * z).T  # (T, B)


def torch_rewards(torch, process, theta):
    factor = 1 + theta[0] * theta[1] if process.is_direct else 1
    return torch.as_tensor(process.fixed.T) * factor


def all_derivatives(torch, objective, theta, order):
    """Return the derivatives of orders 1 to `order` of a scalar, flattened."""
    values, found = [objective], []
    for _ in range(order):
        values = torch.cat(
            [torch.autograd.grad(v, theta, create_graph=True, allow_unused=True)[0].reshape(-1) for v in values]
        )
        found.append(values.detach().numpy().copy())
    return found


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_does_not_hold_for_nan(monkeypatch, identity, bound):
    to_go = dice._to_go
    monkeypatch.setattr(dice, "_to_go", lambda x: np.nan * to_go(x))

    assert not identity() <= bound


class TestWeights:
    @pytest.mark.parametrize("is_direct", [False, True])
    @pytest.mark.parametrize("order", [None, 1, 2])
    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_have_the_expected_derivatives(self, steps, order, is_direct):
        process = Choices(steps, is_direct)
        options = {} if order is None else {"baseline": baseline_of(process), "order": order}

        found = estimate(process, THETA, 0.9, **options)

        for part, expected in zip(found, process.expectation(THETA, 0.9), strict=True):
            assert np.allclose(part, expected, rtol=1e-13, atol=1e-14)

    def test_of_the_surrogate_loss_have_a_hessian_that_is_biased(self):
        """The gradient of sum_t log_probs_t R_t is right; differentiated again, the product of scores is missing."""
        process = Choices(2)
        values, scores, curvatures = process.log_probs(THETA)
        p, weights = process.probabilities(THETA), dice.dice_weights(values.T, process.fixed.T)
        _, gradient, hessian = process.expectation(THETA, 1.0)

        surrogate = np.einsum("b,tb,btij->ij", p, weights.gradient, curvatures)

        assert np.allclose(np.einsum("b,tb,bti->i", p, weights.gradient, scores), gradient, rtol=1e-13)
        assert np.linalg.norm(surrogate - hessian) > 0.1 * np.linalg.norm(hessian)

    @pytest.mark.parametrize(("order", "is_smaller"), [(1, False), (2, True)])
    def test_of_a_baseline_of_order_2_have_hessians_of_less_variance(self, order, is_smaller):
        """The exact expectation of later rewards as the baseline: at order 1 the variance hardly changes."""
        process = Choices(3)
        values, scores, curvatures = process.log_probs(THETA)
        p, to_go = process.probabilities(THETA), np.cumsum(process.fixed.T[::-1], axis=0)[::-1]
        baseline = np.empty_like(to_go)
        for t in range(3):
            for path in process.paths:
                same = (process.paths[:, :t] == path[:t]).all(axis=1)
                baseline[t, (process.paths == path).all(axis=1)] = p[same] @ to_go[t, same] / p[same].sum()

        def variance(**options):
            weights = dice.dice_weights(values.T, process.fixed.T, **options)
            seen = weights.hessian_product(scores[:, :, 0].T)
            samples = seen.log_probs * scores[:, :, 0].T + weights.gradient * curvatures[:, :, 0, 0].T
            samples = samples.sum(axis=0)
            return p @ samples**2 - (p @ samples) ** 2

        ratio = variance(baseline=baseline, order=order) / variance()
        assert (ratio < 0.7) == is_smaller

    def test_of_a_choice_that_cannot_be_made_are_zero(self):
        log_probs, rewards = np.log([[0.3], [0.5], [0.2]]), np.array([[1.0], [2.0], [3.0]])
        log_probs[1] = -np.inf

        weights = dice.dice_weights(log_probs, rewards, baseline=np.full((3, 1), 0.5), order=2)
        seen = weights.hessian_product(np.array([[1.0], [np.nan], [2.0]]))

        assert weights.gradient.ravel().tolist() == [5.5, 0.0, 2.5]
        assert seen.log_probs.ravel().tolist() == [5.5 + 2 * 2.5, 0.0, 3 * 2.5]
        assert weights.status.tolist() == [Status.OK]

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("place", ["log_probs", "rewards", "baseline"])
    def test_of_a_bad_trajectory_are_nan_and_others_are_as_without_it(self, rng, place, bad):
        given = {name: rng.standard_normal((4, 3)) for name in ("log_probs", "rewards", "baseline")}
        expected = dice.dice_weights(**given, discount=0.5)
        given[place] = given[place].copy()
        given[place][2, 1] = bad

        found = dice.dice_weights(**given, discount=0.5)
        products = found.hessian_product(np.ones((4, 3)))

        assert found.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert all(np.isnan(x[..., 1]).all() for x in (found.gradient, products.log_probs, products.rewards))
        assert np.array_equal(found.gradient[:, ::2], expected.gradient[:, ::2])
        assert np.array_equal(products.log_probs[:, ::2], expected.hessian_product(np.ones((4, 3))).log_probs[:, ::2])

    @pytest.mark.parametrize(("dtype", "huge"), [("float64", 1e308), ("float32", 3e38)])
    @pytest.mark.parametrize("place", ["rewards", "baseline"])
    def test_of_a_trajectory_whose_sums_overflow_are_nan(self, dtype, huge, place):
        given = {"rewards": np.ones((3, 2), dtype), "baseline": np.zeros((3, 2), dtype)}
        given[place][:, 1] = huge if place == "rewards" else -huge
        given["rewards"][0, 1] = huge

        found = dice.dice_weights(np.zeros((3, 2)), **given)

        assert found.status.tolist() == [Status.OK, Status.NOT_FINITE]
        assert np.isnan(found.gradient[:, 1]).all()
        assert np.isnan(found.objective[1])
        assert np.isnan(found.hessian_product(np.ones((3, 2))).log_probs[:, 1]).all()
        assert found.gradient[:, 0].tolist() == [3, 2, 1]

    def test_of_one_trajectory_are_those_of_a_column(self, rng):
        log_probs, rewards = rng.standard_normal((2, 5, 1))

        column, line = (
            dice.dice_weights(log_probs, rewards, 0.7),
            dice.dice_weights(log_probs[:, 0], rewards[:, 0], 0.7),
        )

        assert np.array_equal(column.gradient[:, 0], line.gradient)
        assert line.status.shape == line.objective.shape == ()

    def test_of_float32_and_after_pickling_are_the_same_type(self):
        weights = dice.dice_weights(np.zeros(3, np.float32), np.ones(3, np.float32))
        other = pickle.loads(pickle.dumps(weights))

        assert weights.gradient.dtype == other.hessian_product(np.ones(3, np.float32)).log_probs.dtype == np.float32

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("shape", [(3,), (3, 2)])
    def test_of_pytorch_are_its_arrays(self, shape, dtype):
        torch = pytest.importorskip("torch")
        given = torch.ones(shape, dtype=getattr(torch, dtype))

        weights = dice.dice_weights(-given, given)
        seen = weights.hessian_product(given, given)

        parts = weights.objective, weights.gradient, seen.log_probs, seen.rewards
        assert all(isinstance(x, torch.Tensor) and x.dtype == given.dtype for x in parts)
        assert weights.objective.shape == weights.status.shape == shape[1:]


class TestObjectiveInPyTorch:
    @pytest.mark.parametrize("is_direct", [False, True])
    @pytest.mark.parametrize("order", [None, 1, 2])
    @pytest.mark.parametrize("steps", [2, 3])
    def test_has_the_expected_derivatives_of_orders_1_to_3(self, steps, order, is_direct):
        torch = pytest.importorskip("torch")
        process = Choices(steps, is_direct)
        theta = torch.tensor(THETA, requires_grad=True)
        log_probs, rewards = torch_log_probs(torch, process, theta), torch_rewards(torch, process, theta)
        falling = torch.as_tensor(0.9 ** np.arange(steps))
        exact = (torch.exp(log_probs.sum(0)) * (falling @ rewards)).sum()
        options = {} if order is None else {"baseline": torch.as_tensor(baseline_of(process)), "order": order}

        p = process.probabilities(THETA)
        estimates = [
            dice.dice_objective(
                log_probs[:, b],
                rewards[:, b],
                0.9,
                **{k: v[:, b] if k == "baseline" else v for k, v in options.items()},
            )
            for b in range(len(p))
        ]
        found = [all_derivatives(torch, x, theta, 3) for x in estimates]

        assert np.isclose(sum(w * x.item() for w, x in zip(p, estimates, strict=True)), exact.item(), rtol=1e-14)
        for k, expected in enumerate(all_derivatives(torch, exact, theta, 3)):
            mean = sum(w * x[k] for w, x in zip(p, found, strict=True))
            assert np.allclose(mean, expected, rtol=1e-11, atol=1e-12)

    def test_has_the_derivatives_that_the_weights_say(self, rng):
        torch = pytest.importorskip("torch")
        process, v = Choices(3, is_direct=True), rng.standard_normal(2)
        theta = torch.tensor(THETA, requires_grad=True)
        values, scores, curvatures = process.log_probs(THETA)
        rewards, reward_scores, reward_curvatures = process.rewards(THETA)
        for order in (1, 2):
            baseline = baseline_of(process)
            objective = dice.dice_objective(
                torch_log_probs(torch, process, theta),
                torch_rewards(torch, process, theta),
                0.8,
                baseline=torch.as_tensor(baseline),
                order=order,
            )
            (gradient,) = torch.autograd.grad(objective, theta, create_graph=True)
            (product,) = torch.autograd.grad(gradient @ torch.as_tensor(v), theta)

            weights = dice.dice_weights(values.T, rewards.T, 0.8, baseline=baseline, order=order)
            seen = weights.hessian_product((scores @ v).T, (reward_scores @ v).T)
            mine = np.einsum("tb,bti->i", seen.log_probs, scores)
            mine += np.einsum("tb,bti->i", weights.gradient, curvatures @ v)
            mine += np.einsum("tb,bti->i", seen.rewards, reward_scores)
            mine += np.einsum("t,bti->i", 0.8 ** np.arange(3), reward_curvatures @ v)

            assert np.isclose(objective.item(), weights.objective.mean(), rtol=1e-14)
            assert np.allclose(product.numpy(), mine / len(rewards), rtol=1e-12)

    def test_of_a_choice_that_cannot_be_made_goes_on_without_it(self):
        torch = pytest.importorskip("torch")
        log_probs = torch.tensor([-0.3, -np.inf, -0.5], requires_grad=True)

        objective = dice.dice_objective(log_probs, torch.tensor([1.0, 2.0, 4.0]))
        (gradient,) = torch.autograd.grad(objective, log_probs)

        assert objective.item() == 7
        assert gradient.tolist() == [7, 0, 4]

    def test_of_rewards_that_are_integers_is_discounted(self):
        torch = pytest.importorskip("torch")

        assert dice.dice_objective(torch.zeros(3), torch.tensor([8, 8, 8]), 0.5).item() == 14


class TestMagicBox:
    def test_of_nothing_random_is_one(self):
        torch = pytest.importorskip("torch")

        assert dice.magic_box(torch.zeros(0).sum()).item() == 1
        assert dice.magic_box(np.zeros(0).sum()) == 1

    def test_has_the_derivatives_of_a_probability_over_it(self):
        torch = pytest.importorskip("torch")
        theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

        found = all_derivatives(torch, dice.magic_box(theta**2), theta, 3)

        tau, second = 0.6, 2.0
        assert np.allclose(np.concatenate(found), [tau, tau**2 + second, tau**3 + 3 * tau * second], rtol=1e-14)

    def test_of_jax_has_them_too(self):
        jax = pytest.importorskip("jax")
        process = Choices(2)
        theta = jax.numpy.asarray(THETA, jax.numpy.float32)

        def log_probs(theta):
            z = jax.numpy.asarray(process.features, jax.numpy.float32) @ theta
            return jax.nn.log_sigmoid(jax.numpy.asarray(2.0 * process.paths - 1, jax.numpy.float32) * z).T

        def weighted(theta, order):
            b = jax.numpy.asarray(baseline_of(process), jax.numpy.float32)
            columns = [
                dice.dice_objective(
                    log_probs(theta)[:, k],
                    jax.numpy.asarray(process.fixed.T[:, k], jax.numpy.float32),
                    0.9,
                    baseline=b[:, k],
                    order=order,
                )
                for k in range(4)
            ]
            return process.probabilities(THETA).astype(np.float32) @ jax.numpy.stack(columns)

        def exact(theta):
            c = jax.numpy.asarray(process.fixed @ 0.9 ** np.arange(2), jax.numpy.float32)
            return jax.numpy.exp(log_probs(theta).sum(0)) @ c

        for order in (1, 2):
            f, g = (lambda x, order=order: weighted(x, order)), exact
            for _ in range(3):
                f, g = jax.jacfwd(f), jax.jacfwd(g)
                assert np.allclose(jax.jit(f)(theta), g(theta), rtol=1e-3, atol=1e-4)

    def test_of_an_unknown_library_is_refused(self):
        with pytest.raises(TypeError, match="magic_box: tau must be an array of PyTorch, JAX or NumPy, got list"):
            dice.magic_box([0.0])


@pytest.mark.parametrize("function", [dice.dice_weights, dice.dice_objective])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"log_probs": np.zeros((2, 2, 2))},
            ValueError,
            r"log_probs must have shape \(T,\) or \(T, B\), got \(2, 2, 2\)",
        ),
        ({"log_probs": 1.0}, TypeError, "log_probs must be an array, got float"),
        ({"rewards": np.zeros((3, 3))}, ValueError, r"rewards must have shape \(3, 2\), got \(3, 3\)"),
        ({"baseline": np.zeros(3)}, ValueError, r"baseline must have shape \(3, 2\), got \(3,\)"),
        ({"discount": 1.5}, ValueError, r"discount must be a number in \[0, 1\], got 1.5"),
        ({"order": 3}, ValueError, "order must be 1 or 2, got 3"),
    ],
)
def test_wrong_arguments_are_refused(function, change, error, message):
    with pytest.raises(error, match=f"{function.__name__}: {message}"):
        function(**{"log_probs": np.zeros((3, 2)), "rewards": np.zeros((3, 2)), **change})


def test_wrong_tangents_are_refused():
    weights = dice.dice_weights(np.zeros(3), np.zeros(3))

    with pytest.raises(ValueError, match=r"tangents must have shape \(3,\), got \(2,\)"):
        weights.hessian_product(np.zeros(2))
    with pytest.raises(TypeError, match="tangents must be an array of real numbers, got ndarray of complex128"):
        weights.hessian_product(np.zeros(3, complex))


@pytest.mark.parametrize("name", ["rewards", "baseline"])
def test_lists_are_no_arrays_to_differentiate(name):
    given = {"log_probs": np.zeros(2), "rewards": np.ones(2), name: [1.0, 2.0]}

    with pytest.raises(TypeError, match=f"dice_objective: {name} must be an array of PyTorch, JAX or NumPy, got list"):
        dice.dice_objective(**given)
