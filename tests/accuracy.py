"""``python tests/accuracy.py``: how exact trust-region steps of limited-memory SR1 are, on every backend.

Writes ``accuracy_lsr1.md``: the worst errors over random problems of the eight classes of Brust, Erway and Marcia 2017,
and near the hard case. They are those of the tests, which bound them.
"""

import argparse
from pathlib import Path

import numpy as np

import curvblas as cb

import emulation
import lsr1

TRIALS, TAUS = 300, [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11]
ERRORS = ("residual", "length", "curvature")
PAGE = """# Accuracy of trust-region steps

`lsr1_step` on {trials} random problems a row, each row one batched call: n = 40 variables, 5 pairs, gamma given. The
worst of

* residual: `|(B + sigma I) p + g| / ((|B| + sigma) |p| + |g|)`, to be at most 1e-11 in float64 and 1e-5 in float32;
* length: `| |p| / radius - 1 |` where sigma > 0, and what |p| is too long elsewhere; at most 1e-11 and 1e-5;
* curvature: `-(lambda_min + sigma) / |B|` where that is positive; at most 1e-12 in float64.

B is formed densely in float64 from the pairs that were given. Emulated: the CUDA kernels, executed on the CPU.
Made by `python tests/accuracy.py --output docs`.

{table}

## Many variables

One problem of each class, float64, on the CPU: the worst of the eight. Problems of 40 variables, of which each is
spread over neighbours with random signs, so that B is known.

{wide}
"""


def rows():
    """Yield (name, dtype, problems)."""
    for dtype in (np.float64, np.float32):
        for name in lsr1.CLASSES:
            rng = np.random.default_rng(0)
            problems = [lsr1.problem(rng, name) for _ in range(TRIALS)]
            yield (
                name,
                dtype,
                [
                    (S.astype(dtype), Y.astype(dtype), gamma, g.astype(dtype), radius)
                    for S, Y, gamma, g, radius in problems
                ],
            )
    for tau in TAUS:
        rng = np.random.default_rng(0)
        yield f"near hard, tau = {tau:.0e}", np.float64, [lsr1.near_hard(rng, tau) for _ in range(TRIALS)]


def wide_line(n):
    """Return the line of the table for problems of n variables."""
    errors = []
    for name in lsr1.CLASSES:
        rng = np.random.default_rng(0)
        S, Y, gamma, g, radius = lsr1.problem(rng, name)
        wide = lsr1.Embedding(rng, g.size, n)
        found = cb.lsr1_step(wide.spread(S), wide.spread(Y), wide.spread(g), radius, gamma=gamma)
        if found.status:
            raise SystemExit(f"{name}, n = {n}: there is no step")
        errors.append(wide.errors(S, Y, gamma, g, radius, found))
    cells = [f"{lsr1.worst(errors)[error]:.1e}" for error in ERRORS]
    return f"| {n:,} | {' | '.join(cells)} |"


def solve(module, given):
    """Return steps by the CPU, or by an emulated module."""
    if module is None:
        return cb.lsr1_step(**given)
    there = {name: module.Array.to_device(x) for name, x in given.items()}
    found = cb.lsr1_step(**there)
    return cb.TrustRegionStep(*(getattr(found, name).to_host() for name in found.__dataclass_fields__))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the page")
    options = parser.parse_args()
    backends = {"CPU": None, "emulated": emulation.load("_emu")}
    lines = [f"| problems | dtype | {' | '.join(f'{b}: {e}' for b in backends for e in ERRORS)} |"]
    lines.append("|---|---|" + "---:|" * (len(backends) * len(ERRORS)))
    for name, dtype, problems in rows():
        cells = []
        for module in backends.values():
            found = solve(module, lsr1.stacked(problems))
            if np.asarray(found.status).any():
                raise SystemExit(f"{name}: there is no step for some problem")
            worst = lsr1.worst(lsr1.all_errors(problems, found))
            cells += [f"{worst[error]:.1e}" for error in ERRORS]
        lines.append(f"| {name} | {np.dtype(dtype).name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    wide = [f"| n | {' | '.join(ERRORS)} |", "|---:" * 4 + "|"]
    for n in (1000, 10_000, 100_000, 1_000_000, 10_000_000):
        wide.append(wide_line(n))
        print(wide[-1], flush=True)
    page = PAGE.format(trials=TRIALS, table="\n".join(lines), wide="\n".join(wide))
    (options.output / "accuracy_lsr1.md").write_text(page)


if __name__ == "__main__":
    main()
