// See quasi_diagonal.h. Nothing but the two tables leaves this file.
#include "cpu/quasi_diagonal.h"

#include "cpu/lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

using V = Vector<double>;
using Bits = Mask<double, 1>::Part;

/// As many inputs as there are lanes, at a time.
template <class T>
class Inputs {
  public:
    explicit Inputs(const QuasiDiagonalRow<T>& unit)
        : unit_(unit), inverse_(unit.M_00 == 0 ? 0 : 1 / unit.M_00), is_dead_(V{} == V{} + unit.M_00) {}

    using Narrow = typename Neighbours<double, T>::type;

    Narrow solve(V M_0i, V M_ii, V g_i) {
        constexpr double rounding = 1e-3;  // of moments in float32 that were averaged for long
        M_ii += unit_.damping;
        const V mean = M_0i * inverse_, variance = M_ii - mean * M_0i, least = unit_.floor * M_ii;
        const Bits is_finite = M_0i * 0 + M_ii * 0 + g_i * 0 == 0;
        const Bits is_no_metric = is_finite & ((M_ii < 0) | (variance < -rounding * M_ii));
        const V exact = (g_i - mean * unit_.g_0) / (variance > least ? variance : least);
        const V w = (M_ii == 0) | is_dead_ ? V{} : exact;
        const Narrow rounded = __builtin_convertvector(w, Narrow);
        const Bits fits = __builtin_convertvector(rounded, V) * 0 == 0;
        shift_ += mean * w, no_metric_ |= is_no_metric, lost_ |= ~is_finite | ~(is_no_metric | fits);
        return rounded;
    }
    double shift() const { return sum_of<double>(shift_); }
    Status status() const {
        const Mask<double, 1> lost{{lost_}}, no_metric{{no_metric_}};
        return lost.any() ? Status::not_finite : no_metric.any() ? Status::not_positive_definite : Status::ok;
    }

  private:
    const QuasiDiagonalRow<T>& unit_;
    const double inverse_;
    const Bits is_dead_;
    V shift_ = {};
    Bits lost_ = {}, no_metric_ = {};
};

template <class T>
Status solve(const QuasiDiagonalRow<T>& unit, double* shift) {
    constexpr int L = lanes<double>;
    using Narrow = typename Inputs<T>::Narrow;
    Inputs<T> inputs(unit);
    Index i = 0;
    for (; i + L <= unit.inputs; i += L)
        *reinterpret_cast<Narrow*>(unit.w + i) = inputs.solve(
            widened<T, double>(unit.first + i), widened<T, double>(unit.second + i), widened<T, double>(unit.g + i));
    const Index left = unit.inputs - i;
    if (left > 0) {
        const auto rest = [&](const T* x) { return widened_rest<T, double>(x + i, left); };
        const Narrow w = inputs.solve(rest(unit.first), rest(unit.second), rest(unit.g));
        for (Index l = 0; l < left; ++l) unit.w[i + l] = w[l];
    }
    *shift = inputs.shift();
    return inputs.status();
}

}  // namespace

extern const QuasiDiagonal<float> quasi_diagonal_float32;
extern const QuasiDiagonal<double> quasi_diagonal_float64;
const QuasiDiagonal<float> quasi_diagonal_float32 = {solve<float>};
const QuasiDiagonal<double> quasi_diagonal_float64 = {solve<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
