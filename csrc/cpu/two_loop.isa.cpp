// See two_loop.h. Nothing but the two tables leaves this file.
#include "cpu/two_loop.h"

#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

constexpr Index L = lanes<double>;

inline Vector<double>& vector_at(double* q) { return *reinterpret_cast<Vector<double>*>(q); }
inline Vector<double> vector_at(const double* q) { return widened<double, double>(q); }

template <class T>
PairDots multiply(Index n, const T* s, const T* y, const double* q) {
    Vector<double> ss[2] = {}, sy[2] = {}, yy[2] = {}, sq[2] = {};
    Index k = 0;
    const auto add = [&](Index from, int lane) {
        const Vector<double> a = widened<T, double>(s + from), b = widened<T, double>(y + from);
        ss[lane] += a * a, sy[lane] += a * b, yy[lane] += b * b, sq[lane] += a * vector_at(q + from);
    };
    for (; k + 2 * L <= n; k += 2 * L) add(k, 0), add(k + L, 1);
    if (k + L <= n) add(k, 0), k += L;
    PairDots dots{sum_of<double>(ss[0] + ss[1]), sum_of<double>(sy[0] + sy[1]), sum_of<double>(yy[0] + yy[1]),
                  sum_of<double>(sq[0] + sq[1])};
    for (; k < n; ++k) {
        const auto a = static_cast<double>(s[k]), b = static_cast<double>(y[k]);
        dots.ss += a * a, dots.sy += a * b, dots.yy += b * b, dots.sq += a * q[k];
    }
    return dots;
}

template <class T>
double dot(Index n, const T* y, const double* q) {
    Vector<double> sums[4] = {};
    Index k = 0;
    for (; k + 4 * L <= n; k += 4 * L)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) sums[u] += widened<T, double>(y + k + u * L) * vector_at(q + k + u * L);
    for (; k + L <= n; k += L) sums[0] += widened<T, double>(y + k) * vector_at(q + k);
    double sum = sum_of<double>((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; k < n; ++k) sum += static_cast<double>(y[k]) * q[k];
    return sum;
}

template <class T>
void add(Index n, double a, const T* x, double* q) {
    Index k = 0;
    for (; k + L <= n; k += L) vector_at(q + k) += a * widened<T, double>(x + k);
    for (; k < n; ++k) q[k] += a * static_cast<double>(x[k]);
}

}  // namespace

extern const TwoLoop<float> two_loop_float32;
extern const TwoLoop<double> two_loop_float64;
const TwoLoop<float> two_loop_float32 = {multiply<float>, dot<float>, add<float>};
const TwoLoop<double> two_loop_float64 = {multiply<double>, dot<double>, add<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
