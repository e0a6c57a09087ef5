// The trust-region problem of small/trust_region.h, a lane a problem. Included by *.isa.cpp only: all of it has
// internal linkage.
#pragma once

#include "cpu/lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// As TrustRegionAnswer, numbers for `kind` and `lowest`. Lanes that are not `felt` have none: their radius is too
/// small for the matrix to matter.
template <int U>
struct TrustRegionLanes {
    using L = Lanes<double, U>;
    using M = Mask<double, U>;
    M felt;
    L kind, lowest, multiplier, length, reduction, largest, inverse;
};

template <int U>
class TrustRegionSolver {
    using L = Lanes<double, U>;
    using M = Mask<double, U>;

  public:
    /// `lambda` and `a` of `rows` eigenvectors, of which `count` of a lane count; the others have an a of 0, and a
    /// `lambda` between those that count, or of the magnitude of one. `last_is_exact` where the last of the rows is.
    /// `inverse` is that of the last row, and says nothing where it does not count. The arrays are work space.
    TrustRegionSolver(Index rows, L* lambda, L* a, L* v) : rows_(rows), lambda_(lambda), a_(a), v_(v) {}

    TrustRegionLanes<U> solve(const L& count, const L& radius, const M& last_is_exact) const {
        const L zero = L::all(0), one = L::all(1);
        const L shortest = L::all(1e-300), longest = L::all(1e290);
        TrustRegionLanes<U> answer;
        L largest = zero, most = zero, value = lambda_[0], along = a_[0];
        answer.lowest = zero;
        for (Index j = 0; j < rows_; ++j) {
            largest = larger(largest, absolute(lambda_[j])), most = larger(most, absolute(a_[j]));
            const M is_lower = lambda_[j] < value;
            value = select(is_lower, lambda_[j], value), along = select(is_lower, a_[j], along);
            answer.lowest = select(is_lower, L::all(static_cast<double>(j)), answer.lowest);
        }
        answer.largest = largest;
        const M is_sloped = most > zero;
        const L scale = one / select(is_sloped, most, one);
        L squares = zero;
        for (Index j = 0; j < rows_; ++j) squares = squares + a_[j] * scale * (a_[j] * scale);
        const L unit = select(largest > zero, largest, one);
        const L size = select(is_sloped, most * square_root(squares), one);
        const M is_exact = last_is_exact & (answer.lowest == L::all(static_cast<double>(rows_ - 1)));
        const L bottom = value / unit, rounding = select(is_exact, zero, L::all(4 * eps) * count);
        const L base = select(absolute(bottom) <= rounding, zero, bottom);
        const L scaled = radius / size * unit;
        answer.felt = shortest <= scaled;
        const L limit = select(scaled < longest, scaled, longest), low = larger(base, zero);
        shift_and_scale(value, unit, size, base <= zero);

        L step = radius / limit;
        const L norm = norm_at(low).norm;
        const M is_inside = norm <= limit, is_hard = is_inside & (base < zero), is_interior = is_inside & !is_hard;
        const L part = norm / limit, sign = select(along < zero, zero - one, one);
        answer.length = select(is_hard, sign * square_root((one - part) * (one + part)) * limit, zero);
        step = select(is_interior, size / unit, step);
        L shift = low;
        if ((!is_inside).any()) {
            shift = select(is_inside, low, find_shift(!is_inside, limit, low));
            norm_at(shift);
        }
        answer.kind = select(is_hard, L::all(2), select(is_inside, zero, one));
        answer.inverse = step / size / (lambda_[rows_ - 1] + shift);
        shift = select(is_inside, shift, shift * (limit / scaled));
        const L multiplier = larger(zero, shift - base);
        answer.length = answer.length * step, answer.multiplier = multiplier * unit;
        const L half = L::all(0.5);
        answer.reduction = answer.length * (answer.length * answer.multiplier) * half;
        for (Index j = 0; j < rows_; ++j) {
            v_[j] = v_[j] * step;
            answer.reduction = answer.reduction + v_[j] * (v_[j] * (lambda_[j] + shift + multiplier) * unit) * half;
        }
        return answer;
    }

  private:
    static constexpr double eps = 0x1p-52;

    struct Norm {
        L norm, ratio;
    };

    /// Eigenvalues to their distances from the lowest, a to units of |a|, with zeros for what is too small to count.
    void shift_and_scale(const L& value, const L& unit, const L& size, const M& is_flat) const {
        const L small = L::all(0x1p-43), zero = L::all(0);
        for (Index j = 0; j < rows_; ++j) {
            lambda_[j] = (lambda_[j] - value) / unit, a_[j] = a_[j] / size;
            const M is_small = is_flat & (lambda_[j] <= small) & (absolute(a_[j]) <= small);
            a_[j] = select(is_small, zero, a_[j]);
        }
    }

    Norm norm_at(const L& shift) const {
        const L zero = L::all(0), one = L::all(1);
        L largest = zero;
        for (Index j = 0; j < rows_; ++j) {
            v_[j] = select(a_[j] == zero, zero, a_[j] / (lambda_[j] + shift));
            largest = larger(largest, absolute(v_[j]));
        }
        const M is_plain = (zero < largest) & (largest * zero == zero);
        const L inverse = one / select(is_plain, largest, one);
        L squares = zero, weighted = zero;
        for (Index j = 0; j < rows_; ++j) {
            const L x = v_[j] * inverse, square = x * x;
            squares = squares + square;
            weighted = weighted + select(x == zero, zero, square / (lambda_[j] + shift));
        }
        return {select(is_plain, largest * square_root(squares), largest), select(is_plain, squares / weighted, zero)};
    }

    /// For the lanes that are `wanted`.
    L find_shift(const M& wanted, const L& radius, L low) const {
        constexpr int most_steps = 40;
        const L one = L::all(1), half = L::all(0.5);
        L high = larger(low, one / radius) * L::all(1 + 8 * eps);
        for (Index j = 0; j < rows_; ++j)
            low = larger(low, (absolute(a_[j]) / radius - lambda_[j]) * L::all(1 - 4 * eps));
        L shift = low;
        M is_open = wanted;
        for (int step = 0; step < most_steps && is_open.any(); ++step) {
            const Norm at = norm_at(shift);
            const L excess = at.norm / radius - one;
            is_open = is_open & (absolute(excess) > L::all(2 * eps));  // not NaN
            const M is_long = L::all(0) < excess;
            low = select(is_long & is_open, shift, low), high = select(is_open & !is_long, shift, high);
            const L newton = shift + excess * at.ratio;
            const M is_between = (low <= newton) & (newton <= high);
            const L next = select(is_between, newton, low + (high - low) * half);
            is_open = is_open & !(next == shift);
            shift = select(is_open, next, shift);
        }
        return shift;
    }

    const Index rows_;
    L *const lambda_, *const a_, *const v_;
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
