// Four neighbouring elements of a row of as many matrices as a vector has lanes, to four vectors, and back. Included by
// *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

template <class T>
using Four = typename VectorOf<T, 4 * static_cast<int>(sizeof(T))>::type;

#if defined(__AVX2__)
inline Vector<double> joined(const Four<double> (&part)[lanes<double> / 4]) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(part[0], part[1], 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return part[0];
#endif
}
inline Vector<float> joined(const Four<float> (&part)[lanes<float> / 4]) {
    const auto low = __builtin_shufflevector(part[0], part[1], 0, 1, 2, 3, 4, 5, 6, 7);
#if defined(__AVX512F__)
    const auto high = __builtin_shufflevector(part[2], part[3], 0, 1, 2, 3, 4, 5, 6, 7);
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    return low;
#endif
}
template <int part, class V>
inline auto part_of(V v) {
    return __builtin_shufflevector(v, v, 4 * part, 4 * part + 1, 4 * part + 2, 4 * part + 3);
}

/// Elements a, b, c, d of every group of four: 0 ... 3 of x, 4 ... 7 of y.
template <int a, int b, int c, int d, class T>
inline Vector<T> pick(Vector<T> x, Vector<T> y) {
    using I = typename MaskOf<T>::type;
    Vector<I> mask;
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) {
        const int from = l % 4 == 0 ? a : l % 4 == 1 ? b : l % 4 == 2 ? c : d;
        mask[l] = l / 4 * 4 + (from < 4 ? from : from - 4 + lanes<T>);
    }
    return __builtin_shuffle(x, y, mask);
}

/// Every group of four lanes of the four vectors, a 4 x 4 matrix, is transposed.
template <class T>
inline void transpose_fours(Vector<T> (&x)[4]) {
    if constexpr (sizeof(T) == 4) {
        const Vector<T> a = pick<0, 4, 1, 5, T>(x[0], x[1]), b = pick<0, 4, 1, 5, T>(x[2], x[3]);
        const Vector<T> c = pick<2, 6, 3, 7, T>(x[0], x[1]), d = pick<2, 6, 3, 7, T>(x[2], x[3]);
        x[0] = pick<0, 1, 4, 5, T>(a, b), x[1] = pick<2, 3, 6, 7, T>(a, b);
        x[2] = pick<0, 1, 4, 5, T>(c, d), x[3] = pick<2, 3, 6, 7, T>(c, d);
    } else {
        const Vector<T> a = pick<0, 4, 2, 6, T>(x[0], x[1]), b = pick<0, 4, 2, 6, T>(x[2], x[3]);
        const Vector<T> c = pick<1, 5, 3, 7, T>(x[0], x[1]), d = pick<1, 5, 3, 7, T>(x[2], x[3]);
        x[0] = pick<0, 1, 4, 5, T>(a, b), x[1] = pick<0, 1, 4, 5, T>(c, d);
        x[2] = pick<2, 3, 6, 7, T>(a, b), x[3] = pick<2, 3, 6, 7, T>(c, d);
    }
}

/// The elements of a row that are read or written together: four times four, a cache line of float32. Matrices whose
/// size is a power of two share cache sets: a line that was touched once more after those of all other lanes was gone
/// (n = 64, float32: 2.5 of 6.5 ms for 1,000 matrices).
constexpr int fours = 4;

/// Groups of four lanes in a vector, and so the fours of a row that fill one.
template <class T>
constexpr int fours_per_vector = lanes<T> / 4;

/// Fours a and b of x, c and d of y, where they fill a vector; else a of x and b of y.
template <class T, int a, int b, int c, int d>
inline Vector<T> pick_fours(Vector<T> x, Vector<T> y) {
    using I = typename MaskOf<T>::type;
    Vector<I> mask;
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) {
        const int four = l / 4;
        if constexpr (fours_per_vector<T> == 4)
            mask[l] = (four == 0 ? a : four == 1 ? b : four == 2 ? c + 4 : d + 4) * 4 + l % 4;
        else
            mask[l] = (four == 0 ? a : b + 2) * 4 + l % 4;
    }
    return __builtin_shuffle(x, y, mask);
}

/// Four q of vector g becomes four g of vector q.
template <class T>
inline void exchange_fours(Vector<T> (&x)[fours_per_vector<T>]) {
    if constexpr (fours_per_vector<T> == 4) {
        const Vector<T> a = pick_fours<T, 0, 1, 0, 1>(x[0], x[1]), b = pick_fours<T, 2, 3, 2, 3>(x[0], x[1]);
        const Vector<T> c = pick_fours<T, 0, 1, 0, 1>(x[2], x[3]), d = pick_fours<T, 2, 3, 2, 3>(x[2], x[3]);
        x[0] = pick_fours<T, 0, 2, 0, 2>(a, c), x[1] = pick_fours<T, 1, 3, 1, 3>(a, c);
        x[2] = pick_fours<T, 0, 2, 0, 2>(b, d), x[3] = pick_fours<T, 1, 3, 1, 3>(b, d);
    } else if constexpr (fours_per_vector<T> == 2) {
        const Vector<T> a = pick_fours<T, 0, 0, 0, 0>(x[0], x[1]);
        x[1] = pick_fours<T, 1, 1, 1, 1>(x[0], x[1]), x[0] = a;
    }
}

/// x[g][c], lane l, becomes from[l][first + 4 g + c], for g < groups.
template <class W, class T>
inline void gather(const T* const* from, Index first, Index groups, Vector<W> (&x)[fours][4]) {
    constexpr int K = fours_per_vector<W>;
    using Line = typename Neighbours<W, T>::type;
    Index g = 0;
    for (; g + K <= groups; g += K)
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            Vector<W> line[K];
#pragma GCC unroll 4
            for (int q = 0; q < K; ++q)
                line[q] =
                    __builtin_convertvector(*reinterpret_cast<const Line*>(from[4 * q + r] + first + 4 * g), Vector<W>);
            exchange_fours<W>(line);
#pragma GCC unroll 4
            for (int q = 0; q < K; ++q) x[g + q][r] = line[q];
        }
    for (; g < groups; ++g)
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            Four<W> part[K];
#pragma GCC unroll 4
            for (int q = 0; q < K; ++q)
                part[q] = __builtin_convertvector(*reinterpret_cast<const Four<T>*>(from[4 * q + r] + first + 4 * g),
                                                  Four<W>);
            x[g][r] = joined(part);
        }
    for (g = 0; g < groups; ++g) transpose_fours<W>(x[g]);
}

/// to[l][first + 4 g + c] becomes x[g][c], lane l, in the precision of T, for g < groups; x is spoiled.
template <class W, class T>
inline void scatter(Vector<W> (&x)[fours][4], Index groups, T* const* to, Index first) {
    constexpr int K = fours_per_vector<W>;
    using Line = typename Neighbours<W, T>::type;
    Index g = 0;
    for (; g < groups; ++g) transpose_fours<W>(x[g]);
    for (g = 0; g + K <= groups; g += K)
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            Vector<W> line[K];
#pragma GCC unroll 4
            for (int q = 0; q < K; ++q) line[q] = x[g + q][r];
            exchange_fours<W>(line);
#pragma GCC unroll 4
            for (int q = 0; q < K; ++q)
                *reinterpret_cast<Line*>(to[4 * q + r] + first + 4 * g) = __builtin_convertvector(line[q], Line);
        }
    for (; g < groups; ++g)
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            const auto put = [&](auto part, int q) {
                *reinterpret_cast<Four<T>*>(to[4 * q + r] + first + 4 * g) = __builtin_convertvector(part, Four<T>);
            };
            put(part_of<0>(x[g][r]), 0);
            if constexpr (K > 1) put(part_of<1>(x[g][r]), 1);
            if constexpr (K > 2) put(part_of<2>(x[g][r]), 2), put(part_of<3>(x[g][r]), 3);
        }
}

#else  // vectors of four elements at most

constexpr int fours = 4;

template <class W, class T>
inline void gather(const T* const* from, Index first, Index groups, Vector<W> (&x)[fours][4]) {
    for (Index g = 0; g < groups; ++g)
        for (int c = 0; c < 4; ++c)
            for (int l = 0; l < lanes<W>; ++l) x[g][c][l] = static_cast<W>(from[l][first + 4 * g + c]);
}

template <class W, class T>
inline void scatter(Vector<W> (&x)[fours][4], Index groups, T* const* to, Index first) {
    for (Index g = 0; g < groups; ++g)
        for (int c = 0; c < 4; ++c)
            for (int l = 0; l < lanes<W>; ++l) to[l][first + 4 * g + c] = static_cast<T>(x[g][c][l]);
}
#endif

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
