"""The package itself: info, command line, examples in docstrings, types, stubs."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import curvblas as cb
from curvblas import __main__, _backend, _cpu

ROOT = Path(__file__).parents[1]
MODULES = [
    *(f"curvblas.methods.{path.stem}" for path in Path(cb.__file__).parent.glob("methods/[a-z_]*.py")),
    "curvblas",
    "curvblas.inverse_free",
    "curvblas.kalman",
    "curvblas.kron_sum",
    "curvblas.kronecker",
    "curvblas.cholesky",
    "curvblas.convolution",
    "curvblas.damping",
    "curvblas.eigen",
    "curvblas.packing",
    "curvblas.ekfac",
    "curvblas.preconditioning",
    "curvblas.lbfgs",
    "curvblas.line_search",
    "curvblas.lsr1",
    "curvblas.methods.dice",
    "curvblas.methods.kalman",
    "curvblas.methods.natural_q",
    "curvblas.methods.tango",
    "curvblas.methods.whitening",
    "curvblas.minimize_lbfgs",
    "curvblas.minimize_lsr1",
    "curvblas.quasi_newton",
    "curvblas.recurrent",
    "curvblas.low_rank",
    "curvblas.roots",
    "curvblas.sample_space",
    "curvblas.sample_space_layers",
    "curvblas.unitwise",
    "curvblas.errors",
    "curvblas._backend",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)

    failures, _ = doctest.testmod(module)

    assert failures == 0


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/kronecker.md",
        "docs/precondition.md",
        "docs/roots.md",
        "docs/eigenbasis.md",
        "docs/low_rank.md",
        "docs/methods.md",
        "docs/quasi_newton.md",
        "docs/unitwise.md",
        "docs/cuda.md",
    ],
)
def test_examples_on_pages_run(page, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)

    for block in blocks:
        exec(block, {})

    assert blocks


@pytest.mark.parametrize("name", [name for name in cb.__all__ if inspect.isfunction(getattr(cb, name))])
def test_public_functions_state_their_contract(name):
    doc = inspect.getdoc(getattr(cb, name))

    assert doc
    if inspect.signature(getattr(cb, name)).parameters:
        assert all(section in doc for section in ("Parameters", "Raises", "Examples"))


def test_info_says_what_runs():
    info = cb.info()

    assert info["isa"] in info["isa_levels"]
    assert info["backends"]["cpu"] == "usable"
    assert re.match("not built|built for .*, not usable: .*|usable: .*", info["backends"]["cuda"])
    assert info["threads"] == cb.get_num_threads()
    assert info["numpy"] == np.__version__


def test_the_command_line_prints_info(capsys):
    __main__.main(["info"])
    printed = capsys.readouterr().out

    assert all(word in printed for word in ("version", "backends", "cpu (usable)", "OpenBLAS", _cpu.isa()))


def test_the_command_line_names_its_commands():
    result = subprocess.run([sys.executable, "-m", "curvblas"], capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert "required: command" in result.stderr


def test_the_isa_hook_forces_a_level(cpu):
    assert f"cpu-{_cpu.isa()}" == cpu.name


@pytest.mark.skipif(_backend._cuda is None, reason="the CUDA backend is not built")
def test_without_a_driver_the_cuda_backend_says_so():
    why = _backend._cuda.why_not_usable()

    assert _backend._cuda.architectures == "sm_80, sm_90, PTX 90"
    assert why in cb.info()["backends"]["cuda"]
    assert why or _backend._cuda.device_name()


@pytest.mark.parametrize("module", [_cpu, *([_backend._cuda] if _backend._cuda else [])], ids=lambda m: m.__name__)
def test_stubs_name_everything_in_the_module(module):
    stub = (Path(cb.__file__).parent / f"{module.__name__.rpartition('.')[2]}.pyi").read_text()
    names = [name for name in dir(module) if not name.startswith("_")]

    assert all(re.search(rf"(def {name}\(|class {name}:|^{name}: )", stub, re.MULTILINE) for name in names)


def test_import_is_fast():
    """At most 150 ms of processor time over NumPy, best of five fresh processes: a busy machine is not our doing."""

    def seconds(statement):
        code = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
        runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(5)]
        return min(float(run.stdout) for run in runs)

    assert seconds("import curvblas") - seconds("import numpy") < 0.15
