// Vectors of the instruction set that a file is compiled for. Included by *.isa.cpp only: all of it has internal
// linkage.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cstdint>

#include "core/view.h"

#define CURVBLAS_STRING_(x) #x
#define CURVBLAS_STRING(x) CURVBLAS_STRING_(x)

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class T, int bytes = vector_bytes>
struct VectorOf {
    typedef T type __attribute__((vector_size(bytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

/// The integers of comparisons and of places in a vector.
template <class T>
struct MaskOf;
template <>
struct MaskOf<float> {
    typedef std::int32_t type;
};
template <>
struct MaskOf<double> {
    typedef std::int64_t type;
};

/// A vector of neighbours, in memory of another precision perhaps.
template <class W, class T>
struct Neighbours {
    typedef T type __attribute__((vector_size(sizeof(T) * lanes<W>), aligned(sizeof(T)), may_alias));
};

#if defined(__AVX512F__)  // the masked ones, because gcc 12 warns of the others' undefined operand
inline Vector<float> square_root(Vector<float> x) { return _mm512_mask_sqrt_ps(x, 0xffff, x); }
inline Vector<double> square_root(Vector<double> x) { return _mm512_mask_sqrt_pd(x, 0xff, x); }
#elif defined(__AVX2__)
inline Vector<float> square_root(Vector<float> x) { return _mm256_sqrt_ps(x); }
inline Vector<double> square_root(Vector<double> x) { return _mm256_sqrt_pd(x); }
#elif defined(__x86_64__)
inline Vector<float> square_root(Vector<float> x) { return _mm_sqrt_ps(x); }
inline Vector<double> square_root(Vector<double> x) { return _mm_sqrt_pd(x); }
#elif defined(__aarch64__)
inline Vector<float> square_root(Vector<float> x) { return vsqrtq_f32(x); }
inline Vector<double> square_root(Vector<double> x) { return vsqrtq_f64(x); }
#endif

/// Neighbours in memory, as W.
template <class T, class W>
inline Vector<W> widened(const T* x) {
#if defined(__AVX512F__)  // gcc 12 converts each half apart
    if constexpr (sizeof(T) < sizeof(W)) return _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(x));
#endif
    return __builtin_convertvector(*reinterpret_cast<const typename Neighbours<W, T>::type*>(x), Vector<W>);
}

/// The same of `count` elements, fewer than there are lanes, and zeros behind them; no others are read.
template <class T, class W>
inline Vector<W> widened_rest(const T* x, Index count) {
#if defined(__AVX512F__)
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    if constexpr (sizeof(T) < sizeof(W))
        return _mm512_maskz_cvtps_pd(0xff, _mm256_maskz_loadu_ps(static_cast<__mmask8>(mask), x));
    else if constexpr (sizeof(T) == 4)
        return _mm512_maskz_loadu_ps(mask, x);
    else
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), x);
#elif defined(__AVX2__)
    constexpr std::int64_t all = -1;
    const auto bits = [&](Index l) { return l < count ? all : 0; };
    if constexpr (sizeof(T) == 8) return _mm256_maskload_pd(x, _mm256_setr_epi64x(bits(0), bits(1), bits(2), bits(3)));
#endif
    T some[lanes<W>] = {};
    for (Index l = 0; l < count; ++l) some[l] = x[l];
    return widened<T, W>(some);
}

template <class T>
inline T sum_of(Vector<T> x) {
    T sum = 0;
    for (int l = 0; l < lanes<T>; ++l) sum += x[l];
    return sum;
}

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }

/// Of matrices scaled to 1: squares below it are taken for zero, so that no rotation or reflection is made of numbers
/// whose squares underflow. Their roots are far below eps.
template <class T>
constexpr T negligible_square = sizeof(T) == 4 ? T(1e-30) : T(1e-280);

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
