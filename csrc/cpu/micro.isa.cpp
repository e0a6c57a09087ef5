// Micro-kernels, compiled once per instruction set with CURVBLAS_ISA naming it. Nothing but the table leaves this file:
// the rest has internal linkage, and no standard template enters it, because the linker would keep one copy for all
// levels.
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "cpu/micro.h"

#define CURVBLAS_STRING_(x) #x
#define CURVBLAS_STRING(x) CURVBLAS_STRING_(x)

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, tile_rows = 8, tile_vectors = 2;  // 16 accumulators of 32 registers
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, tile_rows = 6, tile_vectors = 2;  // 12 accumulators of 16 registers
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, tile_rows = 8, tile_vectors = 2;  // 16 accumulators of 32 registers
#else
constexpr int vector_bytes = 16, tile_rows = 4, tile_vectors = 2;  // 8 accumulators of 16 registers
#endif

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(vector_bytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T>
void multiply_tile(Index depth, const T* A, const T* B, T* C, Index ldc) {
    using V = Vector<T>;
    V sum[tile_rows][tile_vectors] = {};
    for (Index k = 0; k < depth; ++k) {
        V b[tile_vectors];
        for (int v = 0; v < tile_vectors; ++v) b[v] = *reinterpret_cast<const V*>(B + v * lanes<T>);
        for (int i = 0; i < tile_rows; ++i)
            for (int v = 0; v < tile_vectors; ++v) sum[i][v] += A[i] * b[v];
        A += tile_rows;
        B += tile_vectors * lanes<T>;
    }
#pragma GCC unroll 16
    for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 16
        for (int v = 0; v < tile_vectors; ++v) *reinterpret_cast<V*>(C + i * ldc + v * lanes<T>) += sum[i][v];
}

// With the panel's width known here, a panel of a row is copied by a few vector instructions.
template <int panel, class T>
inline void pack(Index n, T f, const T* x, Index stride, T* panels) {
    Index first = 0;
    for (; first + panel <= n; first += panel, panels += stride)
        for (int j = 0; j < panel; ++j) panels[j] = f * x[first + j];
    if (first == n) return;
    for (int j = 0; j < panel; ++j) panels[j] = first + j < n ? f * x[first + j] : 0;
}

template <class T>
void pack_rows(Index n, T f, const T* x, Index stride, T* panels) {
    pack<tile_rows>(n, f, x, stride, panels);
}

template <class T>
void pack_columns(Index n, const T* x, Index stride, T* panels) {
    pack<tile_vectors * lanes<T>>(n, T(1), x, stride, panels);
}

// y[0..n) += f x[0..n)
template <class T>
inline void add_multiple(Index n, T f, const T* __restrict x, T* __restrict y) {
    for (Index j = 0; j < n; ++j) y[j] += f * x[j];
}

template <class T>
Index cholesky(Index n, T* A) {
    for (Index k = 0; k < n; ++k) {
        T* const row = A + k * n;
        // Written as not(>) so that NaN fails too.
        if (!(row[k] > 0)) return k + 1;
        const T root =
            sizeof(T) == 4 ? static_cast<T>(__builtin_sqrtf(row[k])) : static_cast<T>(__builtin_sqrt(row[k]));
        const T reciprocal = 1 / root;
        row[k] = root;
        for (Index j = k + 1; j < n; ++j) row[j] *= reciprocal;
        for (Index i = k + 1; i < n; ++i) add_multiple(n - i, -row[i], row + i, A + i * n + i);
    }
    return 0;
}

// W = U^-1 row by row from the last one (row i needs the rows below it), then U^-1 U^-T as a sum of outer products of
// the columns of W, which `work` holds as rows: every inner loop runs over contiguous memory.
template <class T>
void inverse_from_cholesky(Index n, T* U, T* work) {
    for (Index i = n - 1; i >= 0; --i) {
        T* const row = work + i * n;  // for now a plain row buffer: row i of W
        for (Index j = i; j < n; ++j) row[j] = 0;
        for (Index k = i + 1; k < n; ++k) add_multiple(n - k, -U[i * n + k], U + k * n + k, row + k);
        const T reciprocal = 1 / U[i * n + i];
        U[i * n + i] = reciprocal;
        for (Index j = i + 1; j < n; ++j) U[i * n + j] = row[j] * reciprocal;
    }
    for (Index i = 0; i < n; ++i)
        for (Index j = i; j < n; ++j) {
            work[j * n + i] = U[i * n + j];
            U[i * n + j] = 0;
        }
    for (Index k = 0; k < n; ++k)
        for (Index i = 0; i <= k; ++i) add_multiple(k - i + 1, work[k * n + i], work + k * n + i, U + i * n + i);
}

template <class T>
void product(Index n, const T* A, const double* __restrict x, double* __restrict y) {
    for (Index j = 0; j < n; ++j) y[j] = 0;
    for (Index i = 0; i < n; ++i)  // A is symmetric: its rows are its columns
        for (Index j = 0; j < n; ++j) y[j] += x[i] * static_cast<double>(A[i * n + j]);
}

float from_bits(std::uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

void widen_bfloat16(Index n, const std::uint16_t* x, float* y) {
    for (Index i = 0; i < n; ++i) y[i] = from_bits(static_cast<std::uint32_t>(x[i]) << 16);
}

float widen_one_float16(std::uint16_t h) {
    const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
    const std::uint32_t magnitude = h & 0x7fffu;
    if (magnitude >= 0x7c00u) return from_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);  // Inf, NaN
    // Denormals become normal by the product, normals get their exponent rebased: 2^(127 - 15).
    const float scaled = from_bits(magnitude << 13) * 0x1p112f;
    return sign ? -scaled : scaled;
}

void widen_float16(Index n, const std::uint16_t* x, float* y) {
    Index i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
    for (; i < n; ++i) y[i] = widen_one_float16(x[i]);
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

extern const Micro table;
const Micro table = {
    CURVBLAS_STRING(CURVBLAS_ISA),
    {tile_rows, tile_vectors * lanes<float>, multiply_tile<float>, pack_rows<float>, pack_columns<float>},
    {tile_rows, tile_vectors * lanes<double>, multiply_tile<double>, pack_rows<double>, pack_columns<double>},
    {cholesky<float>, inverse_from_cholesky<float>, product<float>},
    {cholesky<double>, inverse_from_cholesky<double>, product<double>},
    widen_float16,
    widen_bfloat16,
    finite_16,
    finite_32,
    finite_64,
};

}  // namespace curvblas::cpu::CURVBLAS_ISA
