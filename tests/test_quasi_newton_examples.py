"""The quasi-Newton examples: derivatives against differences, what is counted, and the command in its short form."""

import re

import numpy as np
import pytest

from curvblas import __main__


@pytest.fixture(autouse=True)
def needs_the_extra():
    for package in ("matplotlib", "rich", "sklearn"):
        pytest.importorskip(package)


@pytest.fixture
def logistic():
    from curvblas.examples.logistic import Logistic

    return Logistic(1e-3)


@pytest.fixture
def contests():
    from curvblas.examples.quasi_newton_digits import digits_contests

    return digits_contests()


def test_the_derivatives_of_the_logistic_loss_are_its_slopes(rng, logistic):
    w, v = rng.standard_normal((2, 31))
    h = 1e-5

    (ahead, gradient_ahead), (behind, gradient_behind) = (logistic(w + sign * h * v) for sign in (1, -1))

    assert np.isclose(logistic(w)[1] @ v, (ahead - behind) / (2 * h), rtol=1e-7)
    assert np.allclose(logistic.hessian_product(w, v), (gradient_ahead - gradient_behind) / (2 * h), atol=1e-8)


def test_every_minimiser_of_the_regression_comes_to_the_same_gradient(logistic):
    from curvblas.examples.logistic import TOLERANCE, courses

    runs = courses(logistic, 1)

    assert len(runs) == 5
    assert all(min(course.gradients) == course.gradients[-1] <= TOLERANCE for course in runs.values())
    assert all(0 < course.steps[-1] < len(course.gradients) for course in runs.values())


def test_an_epoch_evaluates_every_scan_once(contests, monkeypatch):
    from curvblas.examples.quasi_newton_network import VectorNetwork

    contest, seen = contests[0], []
    evaluate = VectorNetwork.value_and_gradient

    def counted(self, x, inputs, targets):
        seen.append(len(inputs))
        return evaluate(self, x, inputs, targets)

    monkeypatch.setattr(VectorNetwork, "value_and_gradient", counted)
    contest.start("L-SR1 (thirds)", (1.0,), 0).advance(4)
    thirds = sum(seen)
    seen.clear()
    contest.start("L-BFGS (all)", (), 0).advance(4)

    assert thirds == 4 * len(contest.data.inputs)
    assert 0 <= sum(seen) / len(contest.data.inputs) - contest.steps < 10  # the last line search


@pytest.mark.parametrize(("name", "value"), [("L-BFGS (thirds)", (300.0,)), ("L-SR1 (thirds)", (1e-9,))])
def test_a_step_that_raises_the_loss_of_its_third_is_not_taken_but_learnt_from(contests, name, value):
    training = contests[1].start(name, value, 0)
    network, scans = training.optimiser, contests[1].data.inputs[:599]
    network._radius = 300.0
    start = network.x.copy()

    network.step(scans, scans)

    assert np.array_equal(network.x, start)
    assert network._method.kept == 1


@pytest.mark.parametrize(
    ("name", "value"), [("L-BFGS (thirds)", (0.4,)), ("L-SR1 (thirds)", (0.3,)), ("L-BFGS (all)", ())]
)
def test_the_classifier_learns(contests, name, value):
    from curvblas.examples.trial import run_trial

    run = run_trial(contests[0], name, value, 0, lambda steps: None)

    assert run.losses[-1] < 0.02 * run.losses[0]
    assert run.accuracy > 0.94


def test_the_command_writes_a_page_with_every_method_and_its_plots(tmp_path, capsys):
    __main__.main(["quasi-newton", "--quick", "--output", str(tmp_path)])

    page = (tmp_path / "quasi_newton_examples.md").read_text()
    methods = re.findall(r"^\| (L-BFGS|L-SR1|Adam|curvblas|SciPy)", page, re.MULTILINE)
    assert "Wrote" in capsys.readouterr().out
    assert len(methods) == 2 * 6 + 2 * 5
    for plot in re.findall(r"\((\w+\.png)\)", page):
        assert (tmp_path / plot).read_bytes().startswith(b"\x89PNG")
