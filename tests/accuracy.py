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
PAGE = """# Accuracy of trust-region steps

`lsr1_step` on {trials} random problems a row, each row one batched call: n = 40 variables, 5 pairs, gamma given. The
worst of

* residual: `|(B + sigma I) p + g| / ((|B| + sigma) |p| + |g|)`, to be at most 1e-11 in float64 and 1e-5 in float32;
* length: `| |p| / radius - 1 |` where sigma > 0, and what |p| is too long elsewhere; at most 1e-11 and 1e-5;
* curvature: `-(lambda_min + sigma) / |B|` where that is positive; at most 1e-12 in float64.

B is formed densely in float64 from the pairs that were given. Emulated: the CUDA kernels, executed on the CPU.
Made by `python tests/accuracy.py --output docs`.

{table}
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
    errors = ("residual", "length", "curvature")
    lines = [f"| problems | dtype | {' | '.join(f'{b}: {e}' for b in backends for e in errors)} |"]
    lines.append("|---|---|" + "---:|" * (len(backends) * len(errors)))
    for name, dtype, problems in rows():
        cells = []
        for module in backends.values():
            found = solve(module, lsr1.stacked(problems))
            if np.asarray(found.status).any():
                raise SystemExit(f"{name}: there is no step for some problem")
            worst = lsr1.worst(lsr1.all_errors(problems, found))
            cells += [f"{worst[error]:.1e}" for error in errors]
        lines.append(f"| {name} | {np.dtype(dtype).name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "accuracy_lsr1.md").write_text(PAGE.format(trials=TRIALS, table="\n".join(lines)))


if __name__ == "__main__":
    main()
