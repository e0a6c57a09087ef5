"""What the compiled CUDA kernels are made of, read from the machine code of each architecture. No device is needed."""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from curvblas import _backend

ROOT = Path(__file__).parents[1]
ARCHITECTURES = ["sm_80", "sm_90"]

# The most registers a thread; and per kernel, instructions that must be there (at least so many).
TILE = {"LDGSTS": 4, "LDS.128": 32}  # asynchronous copies; shared memory read 16 bytes at a time
KERNELS = {
    "sum_rows<float>": (128, {**TILE, "FFMA": 256}),
    "sum_rows<double>": (255, {**TILE, "DFMA": 256}),
    "join_sums<float>": (128, {"FFMA": 16}),
    "join_sums<double>": (255, {"DFMA": 16}),
    "sum_patches<float>": (128, {**TILE, "FFMA": 256}),
    "sum_patches<double>": (255, {**TILE, "DFMA": 256}),
    "join_patches<float>": (128, {"FFMA": 16}),
    "join_patches<double>": (255, {"DFMA": 16}),
    "correlate<float>": (128, {**TILE, "FFMA": 256}),
    "correlate<double>": (255, {**TILE, "DFMA": 256}),
    "gather_boxes<float>": (128, {"FFMA": 16}),
    "gather_boxes<double>": (255, {"DFMA": 16}),
    "multiply_tiles<float>": (128, {**TILE, "FFMA": 256}),
    "multiply_tiles<double>": (255, {**TILE, "DFMA": 256}),
    "sum_positions<float>": (128, {**TILE, "FFMA": 256}),
    "sum_positions<double>": (255, {**TILE, "DFMA": 256}),
    "project<float>": (128, {**TILE, "FFMA": 256}),
    "project<double>": (255, {**TILE, "DFMA": 256}),
    "sum_squares<float>": (128, {**TILE, "FFMA": 272}),
    "sum_squares<double>": (255, {**TILE, "DFMA": 272}),
    "join_squares<float>": (128, {"FFMA": 16}),
    "join_squares<double>": (255, {"DFMA": 16}),
    "sum_pairs<float>": (128, {**TILE, "FFMA": 256}),
    "sum_pairs<double>": (255, {**TILE, "DFMA": 256}),
    "join_pairs<float>": (128, {"FFMA": 16}),
    "join_pairs<double>": (255, {"DFMA": 16}),
    "sum_powers<float>": (128, {**TILE, "FFMA": 256}),
    "sum_powers<double>": (255, {**TILE, "DFMA": 256}),
    "join_powers<float>": (128, {"FFMA": 16}),
    "join_powers<double>": (255, {"DFMA": 16}),
    "solve_units<float>": (80, {"SHFL": 5}),
    "solve_units<double>": (80, {"SHFL": 5}),
    "invert<float>": (255, {"FFMA": 32, "DFMA": 32, "BAR": 8}),
    "invert<double>": (255, {"DFMA": 32, "BAR": 8}),
    "load_shifted<float>": (64, {}),
    "load_shifted<double>": (64, {}),
    "sum_logarithms<float>": (64, {"SHFL": 5}),
    "sum_logarithms<double>": (64, {"SHFL": 5}),
    "decompose<float>": (128, {"FFMA": 64, "SHFL": 5}),
    "decompose<double>": (128, {"DFMA": 128, "SHFL": 5}),
    "prepare<float>": (64, {"SHFL": 5}),
    "prepare<double>": (64, {"SHFL": 5}),
    "load_scaled<float>": (64, {}),
    "load_scaled<double>": (64, {}),
    "finish<float>": (128, {"SHFL": 5}),
    "finish<double>": (128, {"SHFL": 5}),
    "factorise<float>": (255, {"FFMA": 32, "DFMA": 32, "BAR": 8}),
    "factorise<double>": (255, {"DFMA": 32, "BAR": 8}),
    "load_damped<float>": (255, {}),
    "load_damped<double>": (255, {}),
    "solve_columns<float>": (255, {"FFMA": 32, "BAR": 4}),
    "solve_columns<double>": (255, {"DFMA": 32, "BAR": 4}),
    "load_normalised<float>": (255, {"SHFL": 5}),
    "load_normalised<double>": (255, {"SHFL": 5}),
    "store_iterates<float>": (255, {}),
    "store_iterates<double>": (255, {}),
    "multiply_gram<float>": (128, {**TILE, "FFMA": 256}),
    "multiply_gram<double>": (255, {**TILE, "DFMA": 256}),
    "form_polynomial<float>": (128, {**TILE, "FFMA": 256}),
    "form_polynomial<double>": (255, {**TILE, "DFMA": 256}),
    "multiply_polynomial<float>": (128, {**TILE, "FFMA": 256}),
    "multiply_polynomial<double>": (255, {**TILE, "DFMA": 256}),
    "multiply_symmetric": (255, {**TILE, "DFMA": 256}),
    "widen<float>": (255, {}),
    "widen<double>": (255, {}),
    "scale_basis<float>": (255, {}),
    "scale_basis<double>": (255, {}),
    "judge_root<float>": (255, {"SHFL": 5}),
    "judge_root<double>": (255, {"SHFL": 5}),
    "start_newton<float>": (255, {"SHFL": 5}),
    "start_newton<double>": (255, {"SHFL": 5}),
    "form_step": (255, {}),
    "check_newton": (255, {"SHFL": 5}),
    "end_newton<float>": (255, {"DFMA": 32, "BAR": 8}),
    "end_newton<double>": (255, {"DFMA": 32, "BAR": 8}),
    "load_warm_start<float>": (128, {"SHFL": 5}),
    "load_warm_start<double>": (128, {"SHFL": 5}),
    "begin_contraction<float>": (64, {"SHFL": 5}),
    "begin_contraction<double>": (64, {"SHFL": 5}),
    "measure_contraction": (255, {**TILE, "DFMA": 256}),
    "sum_mirrored": (64, {"SHFL": 5}),
    "look_at_contraction<float>": (64, {"SHFL": 5}),
    "look_at_contraction<double>": (64, {"SHFL": 5}),
    "step_inverse<float>": (255, {**TILE, "DFMA": 256}),
    "step_inverse<double>": (255, {**TILE, "DFMA": 256}),
    "store_inverse<float>": (64, {}),
    "store_inverse<double>": (64, {}),
    "divide_damping<float>": (64, {"SHFL": 5}),
    "divide_damping<double>": (64, {"SHFL": 5}),
    "sum_inner<float>": (64, {"SHFL": 5}),
    "sum_inner<double>": (64, {"SHFL": 5}),
    "join_inner": (64, {}),
    "find_largest_curvature<float>": (64, {"SHFL": 5}),
    "find_largest_curvature<double>": (64, {"SHFL": 5}),
    "divide_by_curvature<float>": (64, {}),
    "divide_by_curvature<double>": (64, {}),
    "combine<float>": (64, {"SHFL": 5}),
    "combine<double>": (64, {"SHFL": 5}),
    "average_momentum<float>": (64, {}),
    "average_momentum<double>": (64, {}),
    "take_step<float>": (64, {"FFMA": 1}),
    "take_step<double>": (64, {"DFMA": 1}),
    "scale_columns<float>": (64, {}),
    "scale_columns<double>": (64, {}),
    "add_products<float>": (64, {}),
    "add_products<double>": (64, {}),
    "judge_matrices<float>": (64, {"SHFL": 5}),
    "judge_matrices<double>": (64, {"SHFL": 5}),
    "find_not_finite": (64, {"VOTE": 1}),
    "gather_kernel": (64, {}),
    "pack_tile<float>": (64, {"LDS": 1, "STS": 1}),
    "pack_tile<double>": (64, {"LDS": 1, "STS": 1}),
    "unpack_tile<float>": (64, {"LDS": 2, "STS": 1}),
    "unpack_tile<double>": (64, {"LDS": 2, "STS": 1}),
    "multiply_strips<float>": (128, {"FFMA": 16, "DFMA": 16, "SHFL": 5}),
    "multiply_strips<double>": (128, {"DFMA": 16, "SHFL": 5}),
    "multiply_slabs<float>": (128, {**TILE, "FFMA": 256}),
    "multiply_slabs<double>": (255, {**TILE, "DFMA": 256}),
    "add_slabs<float>": (64, {"DADD": 1}),
    "add_slabs<double>": (64, {"DADD": 1}),
    "combine_rows<float>": (72, {"DFMA": 4}),
    "combine_rows<double>": (72, {"DFMA": 4}),
    "copy_rows<float>": (64, {}),
    "copy_rows<double>": (64, {}),
    "weigh<float>": (64, {}),
    "weigh<double>": (64, {}),
    "scale_rows<float>": (64, {}),
    "scale_rows<double>": (64, {}),
    "work_on_blocks<TongaBegin>": (64, {}),
    "work_on_blocks<TongaAppend>": (128, {}),
    "work_on_blocks<TongaSystem>": (64, {}),
    "work_on_blocks<TongaWeights>": (128, {}),
    "work_on_blocks<TongaMeanWeights>": (128, {}),
    "work_on_blocks<TongaTruncation>": (128, {}),
    "work_on_elements<SampleSpaceAdd>": (64, {}),
    "work_on_elements<SampleSpaceEmbed<float>>": (64, {}),
    "work_on_elements<SampleSpaceEmbed<double>>": (64, {}),
    "work_on_elements<SampleSpaceRight<float>>": (64, {}),
    "work_on_elements<SampleSpaceRight<double>>": (64, {}),
    "work_on_elements<SampleSpaceJudge>": (64, {}),
    "work_on_elements<SampleSpaceProject>": (64, {}),
    "work_on_elements<SampleSpaceExpand>": (64, {}),
    "work_on_elements<SampleSpaceRefuse>": (64, {}),
    "work_on_elements<SampleSpaceFit>": (64, {}),
    "work_on_elements<LayerVerify<float>>": (64, {}),
    "work_on_elements<LayerVerify<double>>": (64, {}),
    "work_on_elements<LayerRefuse>": (64, {}),
    "work_on_elements<SampleSpaceJoin<float>>": (64, {}),
    "work_on_elements<SampleSpaceJoin<double>>": (64, {}),
    "find_shifts": (64, {}),
    "round_row<float>": (64, {}),
    "round_row<double>": (64, {}),
    "leave_one_out<float>": (64, {"DFMA": 3, "SHFL": 15}),
    "leave_one_out<double>": (64, {"DFMA": 3, "SHFL": 15}),
    "restore_norm<float>": (64, {}),
    "restore_norm<double>": (64, {}),
    "work_on_elements<LayerClear>": (64, {}),
    "work_on_elements<LayerPairs>": (80, {"DFMA": 1}),
    "work_on_elements<LayerCopy<float>>": (64, {}),
    "work_on_elements<LayerCopy<double>>": (64, {}),
    "work_on_elements<OngStart<float>>": (64, {}),
    "work_on_elements<OngStart<double>>": (64, {}),
    "work_on_elements<OngJudge>": (64, {}),
    "work_on_elements<OngForm>": (64, {}),
    "work_on_elements<OngUpdate>": (80, {}),
    "work_on_elements<OngOrthogonalise<float>>": (80, {}),
    "work_on_elements<OngOrthogonalise<double>>": (80, {}),
    "subtract_products<float>": (64, {"DFMA": 2, "SHFL": 10}),
    "subtract_products<double>": (64, {"DFMA": 2, "SHFL": 10}),
    "multiply_by_factor<float>": (64, {}),
    "multiply_by_factor<double>": (64, {}),
    "work_on_elements<KalmanStart<float>>": (64, {}),
    "work_on_elements<KalmanStart<double>>": (64, {}),
    "work_on_elements<KalmanWiden<float>>": (64, {}),
    "work_on_elements<KalmanSystem<float>>": (64, {}),
    "work_on_elements<KalmanSystem<double>>": (64, {}),
    "work_on_elements<KalmanJudge<float>>": (64, {}),
    "work_on_elements<KalmanJudge<double>>": (64, {}),
    "work_on_elements<KalmanGain<float>>": (64, {}),
    "work_on_elements<KalmanGain<double>>": (64, {}),
    "work_on_elements<Lsr1Begin<float>>": (128, {}),
    "work_on_elements<Lsr1Begin<double>>": (128, {}),
    "work_on_elements<Lsr1Curvature>": (128, {}),
    "work_on_elements<Lsr1Gamma>": (128, {}),
    "work_on_elements<Lsr1Factor>": (128, {}),
    "work_on_elements<Lsr1Model>": (128, {}),
    "work_on_elements<Lsr1InvertProduct>": (128, {}),
    "work_on_elements<Lsr1Invert>": (128, {}),
    "work_on_elements<Lsr1CurvatureAgain>": (128, {}),
    "work_on_elements<Lsr1Solve>": (128, {}),
    "work_on_elements<Lsr1Combine>": (128, {}),
    "work_on_elements<Lsr1Psi<float>>": (128, {}),
    "work_on_elements<Lsr1Psi<double>>": (128, {}),
    "work_on_elements<Lsr1Project>": (128, {}),
    "work_on_elements<Lsr1SolveInBasis>": (128, {}),
    "work_on_elements<Lsr1CombineInBasis>": (128, {}),
    "work_on_elements<Lsr1ChooseUnit<float>>": (128, {}),
    "work_on_elements<Lsr1ChooseUnit<double>>": (128, {}),
    "work_on_elements<Lsr1AddUnit<float>>": (128, {}),
    "work_on_elements<Lsr1AddUnit<double>>": (128, {}),
    "work_on_elements<Lsr1Multiply>": (128, {}),
    "work_on_elements<CompactClear>": (128, {}),
    "work_on_elements<CompactModel<float>>": (128, {}),
    "work_on_elements<CompactModel<double>>": (128, {}),
    "work_on_elements<Lsr1Reduce>": (128, {}),
    "work_on_elements<Lsr1Normalise>": (128, {}),
    "work_on_elements<Lsr1Compress>": (128, {}),
    "work_on_elements<Lsr1ProjectAgain>": (128, {}),
    "work_on_elements<Lsr1MultiplyInBasis>": (128, {}),
    "work_on_elements<PairJoin<float>>": (128, {}),
    "work_on_elements<PairJoin<double>>": (128, {}),
    "work_on_elements<PairJudgeSr1>": (128, {}),
    "work_on_elements<PairJudgeBfgs>": (128, {}),
    "work_on_elements<PairLeaveOldest>": (128, {}),
    "work_on_elements<PairStore<float>>": (128, {}),
    "work_on_elements<PairStore<double>>": (128, {}),
    "work_on_elements<PairSubtract<float>>": (128, {}),
    "work_on_elements<PairSubtract<double>>": (128, {}),
    "work_on_elements<PairClear<float>>": (128, {}),
    "work_on_elements<PairClear<double>>": (128, {}),
    "work_on_elements<LbfgsCombine<float>>": (128, {}),
    "work_on_elements<LbfgsCombine<double>>": (128, {}),
    "work_on_elements<LbfgsDamp>": (128, {}),
    "descend<float>": (128, {"SHFL": 20}),
    "descend<double>": (128, {"SHFL": 20}),
}


def tool(name):
    """Return a program of the toolkit: from PyPI's packages, or of the system."""
    spec = importlib.util.find_spec("nvidia")
    for folder in [*(spec.submodule_search_locations if spec else []), "/usr/local"]:
        for path in [*Path(folder).glob(f"cu*/bin/{name}"), *Path(folder).glob(f"cuda/bin/{name}")]:
            return path
    return shutil.which(name) or pytest.skip(f"{name} is not here")


def output(*command):
    # A sanitizer that is preloaded into this process is not meant for the toolkit's programs.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, env=environment).stdout


def kernel_name(mangled):
    """Return "sum_rows<float>" for a kernel in an anonymous namespace."""
    (demangled,) = output("c++filt", mangled).splitlines()
    short = demangled.replace("curvblas::cuda::", "").replace("(anonymous namespace)", "").replace("> >", ">>")
    arguments = r"(?:<\w+(?:<\w+>)?>)?"
    name = re.search(rf"(\w+{arguments})\(", short.split("_cu_")[-1])
    return re.sub(rf"^.*?([a-z]\w*{arguments})$", r"\1", name.group(1))


@functools.cache
def module():
    if _backend._cuda is None:
        pytest.skip("the CUDA backend is not built")
    return Path(_backend._cuda.__file__)


@functools.cache
def resources(architecture):
    """Return {kernel: (registers, bytes of stack)}."""
    text = output(tool("cuobjdump"), "-res-usage", "-arch", architecture, module())
    found = re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+)", text)
    return {kernel_name(name): (int(registers), int(stack)) for name, registers, stack in found}


@functools.cache
def instructions(path, architecture):
    """Return {kernel: how often each instruction occurs}, with and without its modifiers."""
    text = output(tool("cuobjdump"), "-sass", "-arch", architecture, path)
    kernels = {}
    for part in text.split("Function : ")[1:]:
        counts = Counter()
        for opcode in re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", part, re.MULTILINE):
            words = opcode.split(".")
            counts.update({".".join(words[: k + 1]) for k in range(len(words))})
            counts.update({f"{words[0]}.{word}" for word in words[2:]})
        kernels[kernel_name(part.split(None, 1)[0])] = counts
    return kernels


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_table_names_every_kernel(architecture):
    assert sorted(resources(architecture)) == sorted(KERNELS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_registers_are_as_stated_and_none_is_spilled(architecture, kernel):
    registers, stack = resources(architecture)[kernel]
    counts = instructions(module(), architecture)[kernel]

    assert registers <= KERNELS[kernel][0]
    assert (stack, counts["LDL"], counts["STL"]) == (0, 0, 0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_instructions_are_those_that_were_meant(architecture, kernel):
    counts = instructions(module(), architecture)[kernel]

    missing = {opcode: counts[opcode] for opcode, least in KERNELS[kernel][1].items() if counts[opcode] < least}
    assert not missing


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tensor_core_wrappers_are_one_instruction_each(architecture, tmp_path):
    cubin = tmp_path / "products.cubin"
    paths = [f"-I{path}" for path in (ROOT / "csrc", ROOT / "csrc" / "cuda", ROOT / "tests" / "emu")]
    options = ["-std=c++20", "-DCURVBLAS_BACKEND=cuda", f"-arch={architecture}", "-cubin", "-o", cubin]
    output(tool("nvcc"), *options, *paths, ROOT / "tests" / "emu" / "products.cu")

    kernels = instructions(cubin, architecture)

    assert kernels["product_f64"]["DMMA"] == 1
    assert all(kernels[f"product_{kind}"]["HMMA"] == 1 for kind in ("tf32", "16<true>", "16<false>"))
