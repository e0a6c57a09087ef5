"""The robustness table: what is counted, what counts as solved, and the command in its short form."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize

from curvblas import __main__
from curvblas.examples.problems import all_problems
from curvblas.examples.race import Race, Run, race, run_solver
from curvblas.examples.robustness_page import write_page
from curvblas.examples.robustness_summary import profiles, summarise
from curvblas.examples.solvers import FEW, LBFGSB, Solver, all_solvers


@pytest.fixture
def rosenbrock():
    return all_problems()[0]


@pytest.fixture
def solvers():
    return {solver.name: solver for solver in all_solvers()}


def made(costs):
    """A run that solves its problem, whose minimum is 0, at the given evaluation, or never."""
    values = [1.0] * 20
    if np.isfinite(costs):
        values[int(costs) - 1 :] = [0.0] * (21 - int(costs))
    return Run(values, list(values), [0.001 * k for k in range(1, 21)])


def made_races(problem, table):
    return [Race(problem, {name: made(cost) for name, cost in row.items()}) for row in table]


def test_solved_is_the_first_evaluation_with_a_low_value_and_a_small_gradient():
    run = Run([1.0, 1e-7, 1e-3, 1e-8], [2.0, 0.1, 1e-9, 1e-7], [0.1, 0.2, 0.3, 0.4])

    assert run.evaluations(0.0, stationary=False) == 2
    assert run.evaluations(0.0) == 4
    assert run.time(0.0) == 0.4


def test_small_gradients_at_higher_values_are_elsewhere_and_not_solved():
    run = Run([10.0, 5.0], [1.0, 0.0], [0.1, 0.2])

    assert run.evaluations(0.0) == np.inf
    assert run.ends_elsewhere(0.0)
    assert not run.ends_elsewhere(5.0)


def test_values_and_gradients_that_overflow_never_solve():
    run = Run([1.0, np.inf], [1.0, np.inf], [0.1, 0.2])

    assert run.evaluations(0.0) == run.time(0.0) == np.inf


@pytest.mark.parametrize("name", [solver.name for solver in all_solvers()])
def test_every_evaluation_counts_and_none_is_beyond_the_budget(rosenbrock, solvers, name):
    calls = 0

    class Counted:
        start, n = rosenbrock.start, rosenbrock.n

        def __call__(self, x):
            nonlocal calls
            calls += 1
            return rosenbrock(x)

    run = run_solver(Counted(), solvers[name], 15)

    assert calls == len(run.values) == len(run.gradients) == len(run.seconds) == 15
    assert run.values[0] == pytest.approx(24.2)


@pytest.mark.parametrize("name", [solver.name for solver in all_solvers()])
def test_every_solver_solves_rosenbrocks_function(rosenbrock, solvers, name):
    run = run_solver(rosenbrock, solvers[name], 500)

    assert run.evaluations(0.0) < 200
    assert np.all(np.diff(run.seconds) >= 0)


def test_what_a_solver_claims_does_not_count(rosenbrock):
    liar = Solver("liar", lambda objective, start, budget: objective(start))

    run = run_solver(rosenbrock, liar, 100)

    assert len(run.values) == 1
    assert run.evaluations(0.0) == np.inf


def test_the_table_counts_as_scipy_does(rosenbrock, solvers):
    run = run_solver(rosenbrock, solvers[LBFGSB], 1000)

    options = {"maxcor": 10, "ftol": 0, "gtol": run.gradients[-1] * 1.0001}
    claimed = minimize(rosenbrock, rosenbrock.start, jac=True, method="L-BFGS-B", options=options)

    assert len(run.values) == claimed.nfev


def test_solvers_that_keep_a_matrix_stay_away_from_many_variables(solvers):
    many = next(problem for problem in all_problems() if problem.n > FEW)

    names = race(many, list(solvers.values()), 5).runs

    assert set(names) == {name for name, solver in solvers.items() if not solver.keeps_matrix}


def test_profiles_are_ratios_to_the_best_of_each_problem(rosenbrock):
    races = made_races(rosenbrock, [{"a": 2, "b": 4}, {"a": 9, "b": 3}, {"a": np.inf, "b": 5}, {"a": 6, "b": 6}])

    ratios = profiles(races, Run.evaluations)

    assert ratios["a"].tolist() == [1, 1, 3, np.inf]
    assert ratios["b"].tolist() == [1, 1, 1, 2]


def test_medians_are_over_the_problems_that_both_solve(rosenbrock):
    races = made_races(rosenbrock, [{"a": 2, "b": 4}, {"a": 9, "b": 3}, {"a": np.inf, "b": 5}, {"a": 6, "b": 6}])

    row, reference = summarise(races, "b")

    assert (row.solved, reference.solved) == (3, 4)
    assert row.evaluations == np.median([0.5, 3, 1])
    assert reference.evaluations == reference.seconds == 1


def test_the_page_has_a_dash_where_nothing_is_solved(tmp_path, rosenbrock):
    many = next(problem for problem in all_problems() if problem.n > FEW)
    races = [Race(problem, {LBFGSB: made(7), "other": made(np.inf)}) for problem in (rosenbrock, many)]

    write_page(races, 20, 1.0, tmp_path / "page.md")

    page = (tmp_path / "page.md").read_text()
    assert "| Rosenbrock | 2 | 0 | 0 | 7 | – |" in page
    assert "| Rosenbrock | 2 | 7.0 | – |" in page
    assert f"| {LBFGSB} | 1 of 1 | 1 | 0 | 1.00 | 1.00 |" in page


def test_the_command_writes_a_page_with_every_problem_and_a_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("rich")
    pytest.importorskip("sklearn")

    __main__.main(["robustness", "--quick", "--output", str(tmp_path)])

    page = (tmp_path / "robustness.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| [^|]+ \| \d+ \| ", line)]
    chosen = all_problems()[::4]
    assert "Wrote" in capsys.readouterr().out
    assert [(row[0].lstrip("| "), int(row[1])) for row in rows] == 2 * [(problem.name, problem.n) for problem in chosen]
    assert (tmp_path / "robustness.png").read_bytes().startswith(b"\x89PNG")
