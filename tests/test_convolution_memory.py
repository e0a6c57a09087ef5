"""The temporary memory of `update_conv_factors`: what is told, and what is taken."""

import os
import subprocess
import sys

import numpy as np
import pytest

import curvblas as cb

PEAK_MEMORY = """
import numpy as np
import curvblas as cb

def peak():
    # Of this process alone, unlike ru_maxrss, which begins with the parent's.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

channels, stride = {channels}, {stride}
inputs, C = np.ones((32, channels, 56, 56), np.float32), np.ones((channels * 9, channels * 9), np.float32)
cb.update_conv_factors(np.ones((9, 9)), np.ones((1, 1, 5, 5)), 3)  # what the first call of all loads
before = peak()
cb.update_conv_factors(C, inputs, 3, stride=stride, padding=1)
print(peak() - before, cb.conv_workspace_bytes(C, inputs, 3, stride=stride, padding=1))
"""


class TestConvWorkspaceBytes:
    @pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is Linux's")
    @pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer keeps what is freed")
    @pytest.mark.parametrize(("channels", "stride"), [(32, 1), (64, 1), (64, 2)])
    def test_is_what_a_call_takes(self, channels, stride):
        code = PEAK_MEMORY.format(channels=channels, stride=stride)
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)

        taken, promised = map(int, result.stdout.split())

        patch_matrix = 32 * (56 // stride) ** 2 * channels * 9 * 4
        pages_and_stacks = 1 << 20
        assert promised < patch_matrix / 10
        assert promised / 2 < taken < promised + pages_and_stacks

    @pytest.mark.parametrize(
        ("N", "channels", "size", "kernel_size", "groups"),
        [(64, 32, 56, 3, 1), (32, 3, 64, 7, 1), (16, 256, 14, 3, 1), (16, 128, 28, 3, 1), (32, 32, 56, 3, 32)],
    )
    def test_is_a_small_part_of_the_patch_matrix(self, backend, N, channels, size, kernel_size, groups):
        inputs = np.zeros((N, channels, size, size), np.float16)
        p = channels // groups * kernel_size**2
        C = np.zeros((groups, p, p) if groups > 1 else (p, p), np.float32)
        if not backend.name.startswith("cpu"):
            inputs, C = backend.to_device(inputs), backend.to_device(C)
        patch_matrix = N * size**2 * channels * kernel_size**2 * 4

        held = cb.conv_workspace_bytes(C, inputs, kernel_size, padding=kernel_size // 2, groups=groups)

        assert 0 < held < patch_matrix / 10
