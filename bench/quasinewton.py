"""Time trust-region steps of L-SR1, and directions and whole searches of L-BFGS."""

from __future__ import annotations

import lbfgs_batch_peers
import lbfgs_peers
import lsr1_memory_peers
import lsr1_peers
import minimize_peers
from case import Case, Family
from jobs import Topic, peer, power, topic


def steps() -> Topic:
    """List steps of many models in one call."""
    group = f"lsr1_step, {lsr1_peers.PROBLEMS} models, float64"
    peers = {
        "curvblas": lsr1_peers.Curvblas,
        "numpy_batched": lsr1_peers.NumpyBatched,
        "numpy_threads": lsr1_peers.NumpyThreads,
        "numpy_loop": lsr1_peers.NumpyLoop,
        "jax": lsr1_peers.Jax,
    }
    pairs = []
    for n, m in ((20, 4), (100, 8), (1000, 8), (100, 16)):
        case = Case(
            group,
            f"n = {n}, m = {m}",
            dtype="float64",
            quick=n <= 100,
            peers=tuple(peers),
            goal_slowdowns={"numpy_batched": 1 / 5, "jax": 1 / 5},
        )
        pairs.append((case, (n, m)))
    return topic(pairs, peers)


def two_reads(n: int) -> float:
    """Return the bytes of S and Y, twice."""
    return 2 * 2 * 4.0 * lbfgs_peers.MEMORY * n


def long_steps() -> Topic:
    """List steps of one long model that keeps its pairs."""
    n, peers = 10_000_000, {"curvblas": lsr1_memory_peers.Curvblas, "numpy": lsr1_memory_peers.Numpy}
    group = f"LSR1, n = {power(n)}, m = {lsr1_memory_peers.MEMORY}, float32"
    step = Case(group, "step", traffic=two_reads(n), peers=tuple(peers), goal_share=1 / 1.3)
    update = Case(group, "update", peers=tuple(peers))
    return topic([(case, (n, case.operation)) for case in (step, update)], peers)


def long_directions() -> Topic:
    """List directions of one long model that keeps its pairs."""
    peers = {"curvblas": lbfgs_peers.Curvblas, "numpy": lbfgs_peers.Numpy, "torch": lbfgs_peers.Torch}
    goals = {"numpy": 1 / 1.6, "torch": 1 / 2.2}
    pairs = []
    for n in (1_000_000, 10_000_000):
        group = f"LBFGS, n = {power(n)}, m = {lbfgs_peers.MEMORY}, float32"
        share = 1 / 1.1 if n > 1_000_000 else None
        direction = Case(
            group, "direction", traffic=two_reads(n), peers=tuple(peers), goal_slowdowns=goals, goal_share=share
        )
        pairs += [(case, (n, case.operation)) for case in (direction, Case(group, "update", peers=tuple(peers)))]
    return topic(pairs, peers)


def directions() -> Topic:
    """List directions of many problems in one call."""
    peers = {
        "curvblas": lbfgs_batch_peers.Curvblas,
        "numpy_batched": lbfgs_batch_peers.NumpyBatched,
        "numpy_loop": lbfgs_batch_peers.NumpyLoop,
        "jax": lbfgs_batch_peers.Jax,
    }
    group = f"lbfgs_direction, {lbfgs_batch_peers.PROBLEMS} problems"
    sizes = f"n = {lbfgs_batch_peers.SIZE}, m = {lbfgs_batch_peers.MEMORY}"
    goals = {"numpy_loop": 1 / 50, "jax": 1 / 5}
    pairs = [
        (
            Case(group, f"{sizes}, {dtype}", dtype=dtype, quick=True, peers=tuple(peers), goal_slowdowns=goals),
            (dtype,),
        )
        for dtype in ("float64", "float32")
    ]
    return topic(pairs, peers)


def searches() -> Topic:
    """List whole searches."""
    peers = {"curvblas": minimize_peers.Curvblas, "scipy": minimize_peers.Scipy}
    pairs = [
        (
            Case(
                "minimize_lbfgs, logistic regression, float64",
                name.replace("_", " "),
                quick=True,
                packages=("sklearn",),
                peers=tuple(peers),
                goal_slowdown=1.0,
            ),
            (name,),
        )
        for name in ("breast_cancer", "digits")
    ]
    return topic(pairs, peers)


TOPICS = (steps(), long_steps(), long_directions(), directions(), searches())
FAMILY = Family(
    title="Quasi-Newton methods: trust-region steps of L-SR1, directions and searches of L-BFGS",
    cases=[case for topic in TOPICS for case in topic.cases],
    peers={
        "curvblas": peer(TOPICS, "curvblas", "curvblas"),
        "numpy": peer(TOPICS, "numpy"),
        "numpy_batched": peer(TOPICS, "numpy_batched"),
        "numpy_threads": peer(TOPICS, "numpy_threads"),
        "numpy_loop": peer(TOPICS, "numpy_loop"),
        "scipy": peer(TOPICS, "scipy", "scipy"),
        "torch": peer(TOPICS, "torch", "torch"),
        "jax": peer(TOPICS, "jax", "jax"),
    },
    notes=(
        f"lsr1_step: gamma = {lsr1_peers.GAMMA:g}; nine in ten quadratics are indefinite, most steps end on the "
        f"boundary. Peers: Cholesky and eigendecompositions in stacks, {lsr1_peers.NEWTON_STEPS} Newton steps in "
        "lockstep, no hard case and one projection, which is enough for what is here. numpy_batched: all at once or in "
        "parts that stay in the caches, the fastest; numpy_threads: parts shared by threads; numpy_loop: model by "
        "model; jax: one model, mapped and compiled.",
        "LSR1, LBFGS: pairs and their products are kept. numpy: the compact form, S above Y in one array, so that one "
        "product reads both; torch: two loops, as in torch.optim.LBFGS. Peers sum in float32, curvblas in float64. "
        "Memory: two reads of S and Y; of updates, no share is given.",
        "lbfgs_direction: numpy_batched by two loops over stacks or by the compact form; jax by two loops, written out "
        "or rolled, or by the compact form; each in the way that was fastest just before. numpy_loop: two loops.",
        f"minimize_lbfgs: ridge {minimize_peers.RIDGE:g}, standardised inputs, memory {minimize_peers.MEMORY}, from 0 "
        f"until no entry of the gradient is above {minimize_peers.TARGET:g}; scipy: L-BFGS-B, the same function.",
    ),
)
