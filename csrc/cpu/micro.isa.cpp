// Micro-kernels, compiled once per instruction set with CURVBLAS_ISA naming it. Nothing but the table leaves this file:
// the rest has internal linkage, and no standard template enters it, because the linker would keep one copy for all
// levels.
#include "cpu/micro.h"

#include "cpu/half.h"
#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

// y[0..n) += f x[0..n)
template <class T>
inline void add_multiple(Index n, T f, const T* __restrict x, T* __restrict y) {
    for (Index j = 0; j < n; ++j) y[j] += f * x[j];
}

// y[0..n) += f0 x[0, 0..n) + ... + f3 x[3, 0..n): one load and store of y for four multiply-adds, where add_multiple
// needs four.
template <class T>
inline void add_four(Index n, T f0, T f1, T f2, T f3, const T* __restrict x, Index ld, T* __restrict y) {
    for (Index j = 0; j < n; ++j) y[j] += (f0 * x[j] + f1 * x[ld + j]) + (f2 * x[2 * ld + j] + f3 * x[3 * ld + j]);
}

// Row k of U is row k of A less the rows above it, times their entries in column k, over the root of its first entry.
template <class T>
Index cholesky(Index n, T* A, Index ld) {
    for (Index k = 0; k < n; ++k) {
        T* const row = A + k * ld + k;
        const T* above = A + k;
        Index i = 0;
        for (; i + 4 <= k; i += 4, above += 4 * ld)
            add_four(n - k, -above[0], -above[ld], -above[2 * ld], -above[3 * ld], above, ld, row);
        for (; i < k; ++i, above += ld) add_multiple(n - k, -above[0], above, row);
        // Written as not(>) so that NaN fails too.
        if (!(row[0] > 0)) return k + 1;
        const T root =
            sizeof(T) == 4 ? static_cast<T>(__builtin_sqrtf(row[0])) : static_cast<T>(__builtin_sqrt(row[0]));
        const T reciprocal = 1 / root;
        row[0] = root;
        for (Index j = 1; j < n - k; ++j) row[j] *= reciprocal;
    }
    return 0;
}

// Row i of U^-1 needs the rows below it: from the last one upwards, every inner loop runs along a row.
template <class T>
void invert_triangle(Index n, T* U, Index ld, T* work) {
    for (Index i = n - 1; i >= 0; --i) {
        T* const row = U + i * ld;
        for (Index j = i; j < n; ++j) work[j] = 0;
        Index k = i + 1;
        for (; k + 4 <= n; k += 4) {  // a triangle of three columns, and what lies right of it
            const T* below = U + k * ld + k;
            for (Index r = 0; r < 3; ++r) add_multiple(3 - r, -row[k + r], below + r * ld + r, work + k + r);
            add_four(n - k - 3, -row[k], -row[k + 1], -row[k + 2], -row[k + 3], below + 3, ld, work + k + 3);
        }
        for (; k < n; ++k) add_multiple(n - k, -row[k], U + k * ld + k, work + k);
        const T reciprocal = 1 / row[i];
        row[i] = reciprocal;
        for (Index j = i + 1; j < n; ++j) row[j] = work[j] * reciprocal;
    }
}

// A sum of outer products of the columns of W, which `work` holds as rows, filled up with zeros.
template <class T>
void multiply_by_transpose(Index n, T* W, Index ld, T* work) {
    for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < i; ++j) work[j * n + i] = 0;
        for (Index j = i; j < n; ++j) work[j * n + i] = W[i * ld + j];
    }
    for (Index i = 0; i < n; ++i) {
        T* const row = W + i * ld + i;
        for (Index j = 0; j < n - i; ++j) row[j] = 0;
        Index k = i;
        for (; k + 4 <= n; k += 4) {
            const T* column = work + k * n + i;
            add_four(k + 4 - i, column[0], column[n], column[2 * n], column[3 * n], column, n, row);
        }
        for (; k < n; ++k) add_multiple(k + 1 - i, work[k * n + i], work + k * n + i, row);
    }
}

template <class T>
void product(Index n, const T* A, const double* __restrict x, double* __restrict y) {
    for (Index j = 0; j < n; ++j) y[j] = 0;
    for (Index i = 0; i < n; ++i)  // A is symmetric: its rows are its columns
        for (Index j = 0; j < n; ++j) y[j] += x[i] * static_cast<double>(A[i * n + j]);
}

void widen_bfloat16(Index n, const std::uint16_t* x, float* y) {
    for (Index i = 0; i < n; ++i) y[i] = BFloat16{x[i]};
}

void widen_float16(Index n, const std::uint16_t* x, float* y) {
    Index i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
    for (; i < n; ++i) y[i] = Float16{x[i]};
}

// Blocks without a branch inside, so that they become vector code, and an early end between them.
template <class Bits>
bool finite(Index n, const Bits* x, Bits exponent_mask) {
    constexpr Index block = 1024;
    for (Index start = 0; start < n; start += block) {
        const Index end = start + block < n ? start + block : n;
        Bits bad = 0;
        for (Index i = start; i < end; ++i) bad |= static_cast<Bits>((x[i] & exponent_mask) == exponent_mask);
        if (bad) return false;
    }
    return true;
}

bool finite_16(Index n, const std::uint16_t* x, std::uint16_t exponent_mask) { return finite(n, x, exponent_mask); }
bool finite_32(Index n, const std::uint32_t* x) { return finite(n, x, std::uint32_t{0x7f800000u}); }
bool finite_64(Index n, const std::uint64_t* x) { return finite(n, x, std::uint64_t{0x7ff0000000000000u}); }

}  // namespace

extern const Tile<float> tile_float32;
extern const Tile<double> tile_float64;
extern const EigenLanes<float> eigen_lanes_float32;
extern const EigenLanes<double> eigen_lanes_float64;
extern const SmallProduct<float> small_product_float32;
extern const SmallProduct<double> small_product_float64;
extern const Micro table;
const Micro table = {
    CURVBLAS_STRING(CURVBLAS_ISA),
    &tile_float32,
    &tile_float64,
    &eigen_lanes_float32,
    &eigen_lanes_float64,
    &small_product_float32,
    &small_product_float64,
    {cholesky<float>, invert_triangle<float>, multiply_by_transpose<float>, product<float>},
    {cholesky<double>, invert_triangle<double>, multiply_by_transpose<double>, product<double>},
    widen_float16,
    widen_bfloat16,
    finite_16,
    finite_32,
    finite_64,
};

}  // namespace curvblas::cpu::CURVBLAS_ISA
