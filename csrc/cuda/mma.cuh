// Tensor-core products, by their literal shapes: c += a b over a whole, converged warp. The fragments are those of PTX
// (section "Matrix multiply-accumulate"): with g = lane / 4 and t = lane % 4,
//   a (16 x 8, tf32):        a[0] (g, t)   a[1] (g + 8, t)   a[2] (g, t + 4)   a[3] (g + 8, t + 4)
//   a (16 x 16, pairs):      the same with columns 2 t, 2 t + 1 for t, and 8 more for 4 more
//   b (8 x 8 or 16 x 8):     b[0] (t, g)   b[1] (t + 4, g); pairs: rows 2 t, 2 t + 1, and 8 more
//   c (16 x 8, float32):     c[0] (g, 2 t)   c[1] (g, 2 t + 1)   c[2], c[3] the same 8 rows below
//   m8n8k4 (float64):        a (g, t)   b (t, g)   c[0] (g, 2 t)   c[1] (g, 2 t + 1)
// Emulated products are summed in float64: compare them with tolerances, never bits.
#pragma once

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {

#ifdef CURVBLAS_EMULATE_CUDA

/// The fragments of all lanes as matrices, multiplied. `Element` reads one element of a register.
template <class Register, class Real, int rows, int depth, class Element>
struct Product {
    static constexpr int columns = 8, a_size = rows * depth / 32, b_size = depth * columns / 32, c_size = rows / 4;
    const Register *a, *b;
    Real* c;

    static void compute(void* const* lanes, unsigned) {
        constexpr int packed = Element::packed, half = depth / 2;
        const auto lane_of = [&](int lane) { return static_cast<const Product*>(lanes[lane]); };
        // The register and the part of it that hold column (of a) or row (of b) k; half the depth takes four lanes.
        const auto lane_in_group = [&](int k) { return rows == 8 ? k : k % half / packed; };
        const auto upper = [&](int k) { return rows == 8 ? 0 : k / half; };
        for (int lane = 0; lane < 32; ++lane)
            for (int e = 0; e < c_size; ++e) {
                const int i = lane / 4 + e / 2 * 8, j = lane % 4 * 2 + e % 2;
                double sum = static_cast<double>(lane_of(lane)->c[e]);
                for (int k = 0; k < depth; ++k) {
                    const Register a = lane_of(i % 8 * 4 + lane_in_group(k))->a[upper(k) * 2 + i / 8];
                    const Register b = lane_of(j * 4 + lane_in_group(k))->b[upper(k)];
                    sum += Element::get(a, k % packed) * Element::get(b, k % packed);
                }
                lane_of(lane)->c[e] = static_cast<Real>(sum);
            }
    }
};

struct DoubleElement {
    static constexpr int packed = 1;
    static double get(double x, int) { return x; }
};
struct Tf32Element {
    static constexpr int packed = 1;
    static double get(std::uint32_t x, int) { return std::bit_cast<float>(x & 0xffffe000u); }
};
template <float (*widen)(std::uint16_t)>
struct HalfElement {
    static constexpr int packed = 2;
    static double get(std::uint32_t x, int part) { return widen(static_cast<std::uint16_t>(x >> (16 * part))); }
};

#define CURVBLAS_MMA(name, Register, Real, rows, depth, Element, PTX)                             \
    inline void name(Real(&c)[rows / 4], const Register(&a)[rows * depth / 32 / Element::packed], \
                     const Register(&b)[depth / 4 / Element::packed],                             \
                     emulator::Site site = {__builtin_FILE(), __builtin_LINE()}) {                \
        using P = Product<Register, Real, rows, depth, Element>;                                  \
        P operands{a, b, c};                                                                      \
        emulator::running.collective(whole_warp, #name, &operands, &P::compute, site);            \
    }

#else

struct DoubleElement {
    static constexpr int packed = 1;
};
struct Tf32Element {
    static constexpr int packed = 1;
};
template <float (*)(std::uint16_t)>
struct HalfElement {
    static constexpr int packed = 2;
};

#define CURVBLAS_MMA(name, Register, Real, rows, depth, Element, PTX)                                        \
    __device__ inline void name(Real(&c)[rows / 4], const Register(&a)[rows * depth / 32 / Element::packed], \
                                const Register(&b)[depth / 4 / Element::packed]) {                           \
        PTX;                                                                                                 \
    }

#endif

#define CURVBLAS_MMA_16(type)                                                                       \
    asm("mma.sync.aligned." type " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                            \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

CURVBLAS_MMA(mma_m8n8k4_f64, double, double, 8, 4, DoubleElement,
             asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};" : "+d"(c[0]),
                 "+d"(c[1]) : "d"(a[0]), "d"(b[0])))
CURVBLAS_MMA(mma_m16n8k8_tf32, std::uint32_t, float, 16, 8, Tf32Element,
             CURVBLAS_MMA_16("m16n8k8.row.col.f32.tf32.tf32.f32"))
CURVBLAS_MMA(mma_m16n8k16_f16, std::uint32_t, float, 16, 16, HalfElement<widen_float16>,
             CURVBLAS_MMA_16("m16n8k16.row.col.f32.f16.f16.f32"))
CURVBLAS_MMA(mma_m16n8k16_bf16, std::uint32_t, float, 16, 16, HalfElement<widen_bfloat16>,
             CURVBLAS_MMA_16("m16n8k16.row.col.f32.bf16.bf16.f32"))

#undef CURVBLAS_MMA
#undef CURVBLAS_MMA_16

/// The nearest number with tf32's 10 bits of mantissa, as a register of mma_m16n8k8_tf32.
__device__ inline std::uint32_t round_to_tf32(float x) {
#ifdef CURVBLAS_EMULATE_CUDA
    return (std::bit_cast<std::uint32_t>(x) + 0x1000u) & 0xffffe000u;  // ties away from zero, as cvt.rna
#else
    std::uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
#endif
}

}  // namespace curvblas::CURVBLAS_BACKEND
