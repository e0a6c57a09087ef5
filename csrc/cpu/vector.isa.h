// Vectors of the instruction set that a file is compiled for. Included by *.isa.cpp only: all of it has internal
// linkage.
#pragma once

#if defined(__F16C__)
#include <immintrin.h>
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

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
