// One warp, one tensor-core product of each shape: a (rows, depth), b (depth, 8), c (rows, 8), all row-major float64 in
// global memory, converted to what the product takes.
#include "cuda/mma.cuh"
#include "products.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// Two numbers that fit 16 bits exactly, in one register.
template <bool bfloat>
__device__ std::uint32_t pack(double low, double high) {
#ifdef CURVBLAS_EMULATE_CUDA
    const auto bits = [](double x) {
        for (unsigned b = 0; b < 0x10000; ++b) {
            const auto candidate = static_cast<std::uint16_t>(b);
            if ((bfloat ? widen_bfloat16(candidate) : widen_float16(candidate)) == static_cast<float>(x)) return b;
        }
        return 0x7fffu;  // NaN: the caller's number does not fit
    };
    return bits(low) | bits(high) << 16;
#else
    if constexpr (bfloat) {
        const auto bits = [](double x) { return __bfloat16_as_ushort(__float2bfloat16(static_cast<float>(x))); };
        return bits(low) | static_cast<std::uint32_t>(bits(high)) << 16;
    } else {
        const auto bits = [](double x) { return __half_as_ushort(__float2half(static_cast<float>(x))); };
        return bits(low) | static_cast<std::uint32_t>(bits(high)) << 16;
    }
#endif
}

__global__ void product_f64(const double* a, const double* b, double* c) {
    const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
    double sum[2] = {c[g * 8 + 2 * t], c[g * 8 + 2 * t + 1]};
    const double a_part[1] = {a[g * 4 + t]}, b_part[1] = {b[t * 8 + g]};
    mma_m8n8k4_f64(sum, a_part, b_part);
    for (int e = 0; e < 2; ++e) c[g * 8 + 2 * t + e] = sum[e];
}

template <class F>
__device__ void with_sums(double* c, const F& f) {
    const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
    float sum[4];
    for (int e = 0; e < 4; ++e) sum[e] = static_cast<float>(c[(g + e / 2 * 8) * 8 + 2 * t + e % 2]);
    f(g, t, sum);
    for (int e = 0; e < 4; ++e) c[(g + e / 2 * 8) * 8 + 2 * t + e % 2] = static_cast<double>(sum[e]);
}

__global__ void product_tf32(const double* a, const double* b, double* c) {
    with_sums(c, [&](int g, int t, float (&sum)[4]) {
        std::uint32_t a_part[4], b_part[2];
        for (int e = 0; e < 4; ++e)
            a_part[e] = round_to_tf32(static_cast<float>(a[(g + e % 2 * 8) * 8 + t + e / 2 * 4]));
        for (int e = 0; e < 2; ++e) b_part[e] = round_to_tf32(static_cast<float>(b[(t + e * 4) * 8 + g]));
        mma_m16n8k8_tf32(sum, a_part, b_part);
    });
}

template <bool bfloat>
__global__ void product_16(const double* a, const double* b, double* c) {
    with_sums(c, [&](int g, int t, float (&sum)[4]) {
        std::uint32_t a_part[4], b_part[2];
        for (int e = 0; e < 4; ++e) {
            const double* const from = a + (g + e % 2 * 8) * 16 + 2 * t + e / 2 * 8;
            a_part[e] = pack<bfloat>(from[0], from[1]);
        }
        for (int e = 0; e < 2; ++e) {
            const double* const from = b + (2 * t + e * 8) * 8 + g;
            b_part[e] = pack<bfloat>(from[0], from[8]);
        }
        if constexpr (bfloat)
            mma_m16n8k16_bf16(sum, a_part, b_part);
        else
            mma_m16n8k16_f16(sum, a_part, b_part);
    });
}

}  // namespace

bool run_product(const std::string& kind, const double* a, const double* b, double* c) {
    void (*const kernel)(const double*, const double*, double*) = kind == "f64"    ? product_f64
                                                                  : kind == "tf32" ? product_tf32
                                                                  : kind == "f16"  ? product_16<false>
                                                                  : kind == "bf16" ? product_16<true>
                                                                                   : nullptr;
    if (kernel) launch(kernel, dim3(1), dim3(32), 0, nullptr, a, b, c);
    return kernel;
}

}  // namespace curvblas::CURVBLAS_BACKEND
