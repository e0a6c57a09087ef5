// Implicit QL on small tridiagonal matrices, a lane a matrix. Compiled once per instruction set; see micro.isa.cpp.
#include "cpu/tridiagonal_lanes.h"

#include "cpu/ql_lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

template <class T, int U>
bool solve_lanes(Index n, Index count, const TridiagonalLane<T>* lane, void* work) {
    using L = Lanes<T, U>;
    L *const d = static_cast<L*>(work), *const e = d + n, *const cosine = e + n;
    L *const sine = cosine + ImplicitQL<T, U>::most_steps * n, *const Vt = sine + ImplicitQL<T, U>::most_steps * n;
    const Index ld = row_length(n);
    for (Index i = 0; i < n; ++i) {
        // A smaller matrix is followed by a zero, which nothing couples to it; so is an idle lane.
        d[i] = e[i] = L::all(0);
        for (int l = 0; l < count; ++l) {
            if (i < lane[l].n) d[i].set(l, static_cast<T>(lane[l].diagonal[i]));
            if (i + 1 < lane[l].n) e[i].set(l, static_cast<T>(lane[l].off_diagonal[i]));
        }
        for (Index j = 0; j < n; ++j) Vt[i * ld + j] = L::all(i == j);
    }
    const Mask<T, U> converged = ImplicitQL<T, U>{n, d, e, cosine, sine, Vt}.iterate();
    bool have_all = true;
    for (int l = 0; l < count; ++l) {
        have_all &= converged[l];
        for (Index j = 0; j < lane[l].n; ++j) {
            lane[l].values[j] = static_cast<double>(d[j][l]);
            for (Index i = 0; i < lane[l].n; ++i) lane[l].vectors[j * lane[l].ld + i] = Vt[j * ld + i][l];
        }
    }
    return have_all;
}

constexpr int most_vectors = 2;

template <class T>
Index bytes(Index n) {
    constexpr Index steps = ImplicitQL<T, most_vectors>::most_steps;
    return (2 * n + 2 * steps * n + n * row_length(n)) * static_cast<Index>(sizeof(Lanes<T, most_vectors>));
}

template <class T>
bool solve(Index n, Index count, const TridiagonalLane<T>* lane, void* work) {
    return count > lanes<T> ? solve_lanes<T, most_vectors>(n, count, lane, work)
                            : solve_lanes<T, 1>(n, count, lane, work);
}

}  // namespace

extern const TridiagonalLanes<float> tridiagonal_lanes_float32;
extern const TridiagonalLanes<double> tridiagonal_lanes_float64;
const TridiagonalLanes<float> tridiagonal_lanes_float32 = {most_vectors * lanes<float>, bytes<float>, solve<float>};
const TridiagonalLanes<double> tridiagonal_lanes_float64 = {most_vectors * lanes<double>, bytes<double>, solve<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
