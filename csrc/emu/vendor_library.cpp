// Stand-ins for cuBLAS and cuSOLVER: plain loops that do what their manuals say, column-major, on the emulated device.
#include "cuda/vendor_library.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "emu/check.h"
#include "emu/memory.h"

namespace curvblas::CURVBLAS_BACKEND::vendor_blas {
namespace {

using emulator::Memory;

template <class T>
int gemm(Handle, int transpose_a, int transpose_b, int m, int n, int k, const T* alpha, const T* A, int lda, const T* B,
         int ldb, const T* beta, T* C, int ldc) {
    const Memory::Open open(Memory::instance());
    const auto at = [](const T* x, int transpose, int ld, int i, int j) {
        return transpose ? x[static_cast<std::ptrdiff_t>(i) * ld + j] : x[i + static_cast<std::ptrdiff_t>(j) * ld];
    };
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            double sum = 0;
            for (int t = 0; t < k; ++t)
                sum += static_cast<double>(at(A, transpose_a, lda, i, t)) * at(B, transpose_b, ldb, t, j);
            T& c = C[i + static_cast<std::ptrdiff_t>(j) * ldc];
            c = static_cast<T>(*alpha * sum + (*beta == 0 ? 0 : *beta * c));
            emulator::written_by_host(&c, sizeof c);
        }
    return 0;
}

/// Element (i, j) of the triangle that is stored, wherever it is.
template <class T>
struct Symmetric {
    T* A;
    int triangle, ld;
    T& operator()(int i, int j) const {
        const bool swap = triangle == lower ? i < j : i > j;
        return swap ? A[j + static_cast<std::ptrdiff_t>(i) * ld] : A[i + static_cast<std::ptrdiff_t>(j) * ld];
    }
};

template <class T>
int no_buffer(Handle, int, int, T*, int, int* words) {
    *words = 1;
    return 0;
}

template <class T>
int potrf(Handle, int triangle, int n, T* A, int lda, T*, int, int* info) {
    const Memory::Open open(Memory::instance());
    const Symmetric<T> L{A, triangle, lda};  // as if the lower triangle were stored
    *info = 0;
    emulator::written_by_host(info, sizeof *info);
    for (int j = 0; j < n; ++j) {
        double pivot = L(j, j);
        for (int t = 0; t < j; ++t) pivot -= static_cast<double>(L(j, t)) * L(j, t);
        if (!(pivot > 0)) {
            *info = j + 1;
            return 0;
        }
        L(j, j) = static_cast<T>(std::sqrt(pivot));
        for (int i = j + 1; i < n; ++i) {
            double sum = L(i, j);
            for (int t = 0; t < j; ++t) sum -= static_cast<double>(L(i, t)) * L(j, t);
            L(i, j) = static_cast<T>(sum / L(j, j));
        }
    }
    return 0;
}

template <class T>
int potri(Handle, int triangle, int n, T* A, int lda, T*, int, int* info) {
    const Memory::Open open(Memory::instance());
    const Symmetric<T> L{A, triangle, lda};
    *info = 0;
    emulator::written_by_host(info, sizeof *info);
    for (int j = 0; j < n; ++j) {  // L <- L^-1
        if (L(j, j) == 0) {
            *info = j + 1;
            return 0;
        }
        L(j, j) = 1 / L(j, j);
        for (int i = j + 1; i < n; ++i) {
            double sum = 0;
            for (int t = j; t < i; ++t) sum += static_cast<double>(L(i, t)) * L(t, j);
            L(i, j) = static_cast<T>(-sum / L(i, i));
        }
    }
    for (int i = 0; i < n; ++i)  // L <- L^T L
        for (int j = 0; j <= i; ++j) {
            double sum = 0;
            for (int t = i; t < n; ++t) sum += static_cast<double>(L(t, i)) * L(t, j);
            L(i, j) = static_cast<T>(sum);
        }
    return 0;
}

template <class T>
int no_eigen_buffer(Handle, int, int, int, const T*, int, const T*, int* words) {
    *words = 1;
    return 0;
}

/// One Jacobi rotation of rows and columns p and q of A, and of rows p and q of Vt, all n x n.
void rotate(int n, std::vector<double>& A, std::vector<double>& Vt, int p, int q) {
    const auto at = [n](int i, int j) { return static_cast<std::size_t>(i) * n + j; };
    const double off = A[at(p, q)];
    if (off == 0) return;
    const double theta = (A[at(q, q)] - A[at(p, p)]) / (2 * off);
    const double t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::hypot(theta, 1));
    const double sine = t / std::hypot(t, 1), tau = t / (1 + std::hypot(t, 1));
    const auto turn = [sine, tau](double& x, double& y) {  // in Rutishauser's form, which errs less
        const double old = x;
        x -= sine * (tau * old + y), y += sine * (old - tau * y);
    };
    for (int i = 0; i < n; ++i) turn(A[at(i, p)], A[at(i, q)]);
    for (int i = 0; i < n; ++i) turn(A[at(p, i)], A[at(q, i)]), turn(Vt[at(p, i)], Vt[at(q, i)]);
    A[at(p, q)] = A[at(q, p)] = 0;
}

template <class T>
int syevd(Handle, int, int triangle, int n, T* A, int lda, T* values, T*, int, int* info) {
    const Memory::Open open(Memory::instance());
    const auto size = static_cast<std::size_t>(n);
    const Symmetric<T> given{A, triangle, lda};
    std::vector<double> a(size * size), Vt(size * size);
    for (int i = 0; i < n; ++i) {
        Vt[i * size + i] = 1;
        for (int j = 0; j < n; ++j) a[i * size + j] = i < j ? given(j, i) : given(i, j);
    }
    double largest = 0;
    for (const double x : a) largest = std::max(largest, std::abs(x));
    for (int sweep = 0; sweep < 15; ++sweep)
        for (int q = 1; q < n; ++q)
            for (int p = 0; p < q; ++p)
                if (std::abs(a[p * size + q]) > 1e-18 * largest) rotate(n, a, Vt, p, q);
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t x, std::size_t y) { return a[x * (size + 1)] < a[y * (size + 1)]; });
    for (std::size_t j = 0; j < size; ++j) {
        values[j] = static_cast<T>(a[order[j] * (size + 1)]);
        for (std::size_t i = 0; i < size; ++i) A[j * lda + i] = static_cast<T>(Vt[order[j] * size + i]);
    }
    *info = 0;
    emulator::written_by_host(values, size * sizeof(T));
    emulator::written_by_host(info, sizeof *info);
    return 0;
}

int create(Handle*) { return 0; }
int set_stream(Handle, void*) { return 0; }

template <class T>
constexpr Functions<T> stand_ins{&gemm<T>,  &no_buffer<T>,       &potrf<T>, &no_buffer<T>,
                                 &potri<T>, &no_eigen_buffer<T>, &syevd<T>};

}  // namespace

const Library* library() {
    static constexpr Library found{&create, &set_stream, &create, &set_stream, stand_ins<float>, stand_ins<double>};
    return &found;
}

}  // namespace curvblas::CURVBLAS_BACKEND::vendor_blas
