// Several vectors of the instruction set that are computed with as one: lane l of all of them is matrix l. Two at a
// time hide the latencies of square roots and divisions. Included by *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/vector.isa.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

#define CURVBLAS_EACH(u) _Pragma("GCC unroll 4") for (int u = 0; u < U; ++u)

/// What a comparison gives: all bits of a lane, or none.
template <class T, int U>
struct Mask {
    using Part = decltype(Vector<T>{} < Vector<T>{});
    Part part[U];

    bool any() const {
        Part found = part[0];
        for (int u = 1; u < U; ++u) found |= part[u];
        return any_bit(found);
    }
    bool operator[](int l) const { return part[l / lanes<T>][l % lanes<T>] != 0; }

  private:
    static bool any_bit(const Part& x) {
#if defined(__AVX512F__)
        return _mm512_test_epi64_mask((__m512i)x, (__m512i)x) != 0;
#elif defined(__AVX2__)
        return _mm256_movemask_epi8((__m256i)x) != 0;
#elif defined(__SSE2__)
        return _mm_movemask_epi8((__m128i)x) != 0;
#else
        for (int k = 0; k < lanes<T>; ++k)
            if (x[k]) return true;
        return false;
#endif
    }
};

template <class T, int U>
struct Lanes {
    static constexpr int count = U * lanes<T>;
    Vector<T> part[U];

    static inline Lanes all(T x) {
        Lanes y;
        CURVBLAS_EACH(u) y.part[u] = x - Vector<T>{};
        return y;
    }
    static inline Lanes from(const T* x) {
        Lanes y;
        CURVBLAS_EACH(u) y.part[u] = *reinterpret_cast<const Vector<T>*>(x + u * lanes<T>);
        return y;
    }
    T operator[](int l) const { return part[l / lanes<T>][l % lanes<T>]; }
    void set(int l, T x) { part[l / lanes<T>][l % lanes<T>] = x; }
};

#define CURVBLAS_LANEWISE(op)                                                    \
    template <class T, int U>                                                    \
    inline Lanes<T, U> operator op(const Lanes<T, U>& a, const Lanes<T, U>& b) { \
        Lanes<T, U> c;                                                           \
        CURVBLAS_EACH(u) c.part[u] = a.part[u] op b.part[u];                     \
        return c;                                                                \
    }
CURVBLAS_LANEWISE(+)
CURVBLAS_LANEWISE(-)
CURVBLAS_LANEWISE(*)
CURVBLAS_LANEWISE(/)
#undef CURVBLAS_LANEWISE

#define CURVBLAS_COMPARE(op)                                                    \
    template <class T, int U>                                                   \
    inline Mask<T, U> operator op(const Lanes<T, U>& a, const Lanes<T, U>& b) { \
        Mask<T, U> c;                                                           \
        CURVBLAS_EACH(u) c.part[u] = a.part[u] op b.part[u];                    \
        return c;                                                               \
    }
CURVBLAS_COMPARE(<)
CURVBLAS_COMPARE(<=)
CURVBLAS_COMPARE(>)
CURVBLAS_COMPARE(==)
#undef CURVBLAS_COMPARE

template <class T, int U>
inline Mask<T, U> operator&(const Mask<T, U>& a, const Mask<T, U>& b) {
    Mask<T, U> c;
    CURVBLAS_EACH(u) c.part[u] = a.part[u] & b.part[u];
    return c;
}
template <class T, int U>
inline Mask<T, U> operator|(const Mask<T, U>& a, const Mask<T, U>& b) {
    Mask<T, U> c;
    CURVBLAS_EACH(u) c.part[u] = a.part[u] | b.part[u];
    return c;
}

template <class T, int U>
inline Mask<T, U> operator!(const Mask<T, U>& a) {
    Mask<T, U> c;
    CURVBLAS_EACH(u) c.part[u] = ~a.part[u];
    return c;
}

/// mask ? a : b
template <class T, int U>
inline Lanes<T, U> select(const Mask<T, U>& mask, const Lanes<T, U>& a, const Lanes<T, U>& b) {
    Lanes<T, U> c;
    CURVBLAS_EACH(u) c.part[u] = mask.part[u] ? a.part[u] : b.part[u];
    return c;
}

template <class T, int U>
inline Lanes<T, U> absolute(const Lanes<T, U>& a) {
    Lanes<T, U> c;
    CURVBLAS_EACH(u) c.part[u] = a.part[u] < 0 ? -a.part[u] : a.part[u];
    return c;
}

/// b > a ? b : a, which passes over a NaN in b.
template <class T, int U>
inline Lanes<T, U> larger(const Lanes<T, U>& a, const Lanes<T, U>& b) {
    return select(b > a, b, a);
}

template <class T>
inline Vector<T> root(Vector<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_mask_sqrt_ps((__m512)x, -1, (__m512)x);
    else
        return (Vector<T>)_mm512_mask_sqrt_pd((__m512d)x, -1, (__m512d)x);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm256_sqrt_ps((__m256)x);
    else
        return (Vector<T>)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm_sqrt_ps((__m128)x);
    else
        return (Vector<T>)_mm_sqrt_pd((__m128d)x);
#else
    for (int k = 0; k < lanes<T>; ++k) x[k] = square_root(x[k]);
    return x;
#endif
}
template <class T, int U>
inline Lanes<T, U> square_root(const Lanes<T, U>& a) {
    Lanes<T, U> c;
    CURVBLAS_EACH(u) c.part[u] = root<T>(a.part[u]);
    return c;
}

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
