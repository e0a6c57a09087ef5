"""Rules about the source tree: who may include whom, and that instruction sets stay apart."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
LAYERS = {"core": 0, "small": 1, "cpu": 2, "cuda": 2, "emu": 2, "kernels": 3, "algorithms": 4, "bindings": 5}
SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in {".h", ".cpp", ".cu", ".cuh"})


def includes(path):
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def layer(path):
    return path.relative_to(CSRC).parts[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_never_point_upwards(path):
    for include in includes(path):
        target = include.split("/")[0]
        if target in LAYERS:
            assert LAYERS[target] <= LAYERS[layer(path)], f"{path.name} includes {include}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_backends_know_nothing_of_each_other(path):
    """Files of the device are in folders of their own or end in .cu or .cuh; "queue.h" is that of the backend built."""
    parts = set(path.relative_to(CSRC).parts)
    is_device = bool(parts & {"cuda", "emu"}) or path.suffix in {".cu", ".cuh"}
    targets = {part for include in includes(path) for part in include.split("/")[:-1]}

    assert not (is_device and "cpu" in targets)
    assert is_device or not targets & {"cuda", "emu"}
    assert "emu" in parts or "emu" not in targets or path.name in {"dialect.h", "backend.cpp"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_python_stays_in_bindings_and_cuda_in_its_dialect(path):
    for include in includes(path):
        assert "pybind11" not in include or layer(path) == "bindings"
        assert "Python.h" not in include
        assert not include.startswith("cuda") or include.startswith("cuda/") or path.name == "dialect.h"


AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, *(f"-mavx512{part}" for part in ("f", "bw", "cd", "dq", "vl"))]


@pytest.mark.parametrize("level", [[], AVX2, AVX512], ids=["baseline", "v3", "v4"])
@pytest.mark.parametrize("path", [p for p in SOURCES if p.name.endswith(".isa.cpp")], ids=lambda p: p.name)
def test_nothing_but_its_table_leaves_an_isa_file(path, level, tmp_path):
    if level and platform.machine() != "x86_64":
        pytest.skip("not an x86-64")
    compiler = shutil.which("g++") or shutil.which("c++")
    if not compiler or not shutil.which("nm"):
        pytest.skip("no compiler here")
    flags = [
        "-std=c++20",
        "-O3",
        "-fPIC",
        "-DCURVBLAS_BACKEND=cpu",
        "-DCURVBLAS_ISA=level",
        "-fvisibility=hidden",
        f"-I{CSRC}",
        f"-I{CSRC / 'cpu'}",
        *level,
    ]
    subprocess.run([compiler, *flags, "-c", path, "-o", tmp_path / "isa.o"], check=True)

    symbols = subprocess.run(
        ["nm", "-C", "--defined-only", tmp_path / "isa.o"], check=True, capture_output=True, text=True
    ).stdout

    leaving = [line.split(maxsplit=2)[2] for line in symbols.splitlines() if line.split(maxsplit=2)[1].isupper()]
    tables = {
        "eigen_lanes.isa.cpp": ["eigen_lanes_float32", "eigen_lanes_float64"],
        "lane_inverse.isa.cpp": ["lane_inverse_float32", "lane_inverse_float64", "lane_inverse_mixed"],
        "lsr1_work.isa.cpp": ["lsr1_work"],
        "long_rows.isa.cpp": ["row_kernels_float32", "row_kernels_float64"],
        "quasi_diagonal.isa.cpp": ["quasi_diagonal_float32", "quasi_diagonal_float64"],
        "two_loop.isa.cpp": ["two_loop_float32", "two_loop_float64"],
        "secular.isa.cpp": ["secular_float32", "secular_float64"],
        "small_product.isa.cpp": ["small_product_float32", "small_product_float64"],
        "tiles.isa.cpp": ["tile_float32", "tile_float64"],
        "tridiagonal_lanes.isa.cpp": ["tridiagonal_lanes_float32", "tridiagonal_lanes_float64"],
        "tridiagonal_panel.isa.cpp": ["tridiagonal_panel_float32", "tridiagonal_panel_float64"],
    }.get(path.name, ["table"])
    assert sorted(leaving) == [f"curvblas::cpu::level::{table}" for table in tables]
    assert not any(include in {"vector", "algorithm", "cmath", "span"} for include in includes(path))


def test_only_isa_files_get_architecture_flags():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    flags = [line for line in cmake.splitlines() if re.search(r"-m(arch|avx|fma)|fast-math", line)]

    assert len(cmake.splitlines()) <= 150
    assert all("isa_flags" in line for line in flags)
    assert "march" not in cmake


def test_the_readme_and_the_package_agree_on_names():
    import curvblas as cb

    used = set(re.findall(r"\bcb\.(\w+)", (ROOT / "README.md").read_text()))

    assert used <= set(dir(cb))


def test_the_compiled_module_resolves_its_blas():
    from curvblas import _cpu

    assert _cpu.blas().startswith("OpenBLAS")
