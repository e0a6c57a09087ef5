// The trust-region problem in the eigenvectors of its matrix.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/view.h"
#include "small/larger.h"
#include "small/rolled.h"

namespace curvblas {

enum class TrustRegionCase : std::int8_t { interior = 0, boundary = 1, hard = 2 };

/// p = -(v + length e) minimises a.p + sum lambda_j p_j^2 / 2 over |p| <= radius: v = a / (lambda + multiplier), and
/// `length`, not 0 in the hard case only, goes along the lowest eigenvector, number `lowest`, with the sign of its a.
/// `inverse`, the weight of a part that is known by its length alone, is 1 / (lambda + multiplier) of the last
/// eigenvalue, without regard to its a.
struct TrustRegionAnswer {
    TrustRegionCase kind;
    Index lowest;
    double multiplier, length, reduction, largest, inverse;
};

namespace trust_region {

/// |v| = largest |v / largest|, which neither overflows nor vanishes; and |v|^2 / sum v^2 / (gap + shift).
struct Norm {
    double norm, ratio;
};

/// With unknown shift = multiplier + the lowest eigenvalue, of which nothing is lost where it is small.
CURVBLAS_DEVICE inline Norm norm_at(Index count, const double* gap, const double* a, double shift, double* v) {
    double largest = 0;
    CURVBLAS_ROLLED
    for (Index j = 0; j < count; ++j) {
        v[j] = a[j] == 0 ? 0 : a[j] / (gap[j] + shift);
        largest = larger(largest, fabs(v[j]));
    }
    if (largest == 0 || largest * 0 != 0) return {largest, 0};
    double squares = 0, weighted = 0;
    const double inverse = 1 / largest;
    CURVBLAS_ROLLED
    for (Index j = 0; j < count; ++j) {
        const double x = v[j] * inverse;
        squares += x * x;
        if (x != 0) weighted += x * x / (gap[j] + shift);
    }
    return {largest * sqrt(squares), squares / weighted};
}

/// The shift in [low, inf) at which |v| = radius, where |v(low)| >= radius. Newton's method for 1 / |v| = 1 / radius,
/// which goes up and never beyond (Conn, Gould and Toint 2000, section 7.3), between bounds; |a| = 1 at most.
CURVBLAS_DEVICE inline double find_shift(Index count, const double* gap, const double* a, double radius, double low,
                                         double* v) {
    constexpr int most_steps = 40;
    constexpr double eps = 2.220446049250313e-16;
    double high = fmax(1 / radius, low) * (1 + 8 * eps);
    CURVBLAS_ROLLED
    for (Index j = 0; j < count; ++j) low = larger(low, (fabs(a[j]) / radius - gap[j]) * (1 - 4 * eps));
    double shift = low;
    for (int step = 0; step < most_steps; ++step) {
        const Norm at = norm_at(count, gap, a, shift, v);
        const double excess = at.norm / radius - 1;
        if (fabs(excess) <= 2 * eps) break;
        (excess > 0 ? low : high) = shift;
        double next = shift + excess * at.ratio;
        if (!(next >= low && next <= high)) next = low + (high - low) / 2;  // not finite, too
        if (next == shift) break;
        shift = next;
    }
    return shift;
}

}  // namespace trust_region

/// `lambda` and `a` of `count` >= 1 eigenvectors in any order. Both become work space: `lambda` the distances from the
/// lowest in units of the largest magnitude, `a` in units of |a|, with zeros for what is too small to count: 2^-43 |a|
/// or less, along eigenvectors within 2^-43 of the lowest eigenvalue, unless that is positive. A lowest eigenvalue
/// that is no more than rounding is 0, unless it is the last one and `last_is_exact`. `reduction` is a sum of terms
/// that are not negative.
CURVBLAS_DEVICE inline TrustRegionAnswer solve_trust_region(Index count, double* lambda, double* a, double radius,
                                                            bool last_is_exact, double* v) {
    constexpr double small = 0x1p-43, eps = 2.220446049250313e-16, shortest = 1e-300, longest = 1e290;
    TrustRegionAnswer answer{TrustRegionCase::boundary, 0, 0, 0, 0, 0, 0};
    double largest = 0, most = 0, squares = 0;
    CURVBLAS_ROLLED
    for (Index j = 0; j < count; ++j) {
        largest = larger(largest, fabs(lambda[j])), most = larger(most, fabs(a[j]));
        if (lambda[j] < lambda[answer.lowest]) answer.lowest = j;
    }
    answer.largest = largest;
    CURVBLAS_ROLLED
    for (Index j = 0; j < count && most > 0; ++j) squares += a[j] / most * (a[j] / most);
    const double unit = largest > 0 ? largest : 1, size = most > 0 ? most * sqrt(squares) : 1;
    const bool is_exact = last_is_exact && answer.lowest == count - 1;
    const double bottom = lambda[answer.lowest] / unit, rounding = is_exact ? 0 : 4 * eps * static_cast<double>(count);
    const double base = fabs(bottom) <= rounding ? 0 : bottom, sign = a[answer.lowest] < 0 ? -1 : 1;
    const double scaled = radius / size * unit, value = lambda[answer.lowest];
    if (scaled < shortest) {  // the matrix is not felt
        CURVBLAS_ROLLED
        for (Index j = 0; j < count; ++j) v[j] = a[j] / size * radius;
        answer.multiplier = most > 0 ? size / radius : 0, answer.reduction = most > 0 ? size * radius : 0;
        answer.inverse = radius / size;
        if (most == 0 && base < 0) answer.kind = TrustRegionCase::hard, answer.length = sign * radius;
        if (most == 0 && base >= 0) answer.kind = TrustRegionCase::interior;
        if (most == 0) answer.multiplier = fmax(-base * unit, 0.0), answer.inverse = 0;
        return answer;
    }
    const double limit = fmin(scaled, longest), low = fmax(base, 0.0);
    CURVBLAS_ROLLED
    for (Index j = 0; j < count; ++j) {
        lambda[j] = (lambda[j] - value) / unit, a[j] /= size;
        if (base <= 0 && lambda[j] <= small && fabs(a[j]) <= small) a[j] = 0;
    }
    double shift = low, step = radius / limit;
    const double norm = trust_region::norm_at(count, lambda, a, low, v).norm;
    if (norm <= limit) {
        answer.kind = base < 0 ? TrustRegionCase::hard : TrustRegionCase::interior;
        const double part = norm / limit;
        answer.length = base < 0 ? sign * sqrt((1 - part) * (1 + part)) * limit : 0;
        if (answer.kind == TrustRegionCase::interior) step = size / unit;
    } else {
        shift = trust_region::find_shift(count, lambda, a, limit, low, v);
        trust_region::norm_at(count, lambda, a, shift, v);
    }
    answer.inverse = step / size / (lambda[count - 1] + shift);
    if (answer.kind == TrustRegionCase::boundary)
        shift *= limit / scaled;  // beyond `longest` only v grows with the radius
    const double multiplier = fmax(shift - base, 0.0);
    answer.length *= step, answer.multiplier = multiplier * unit;
    CURVBLAS_ROLLED
    for (Index j = 0; j < count; ++j) {
        v[j] *= step;
        answer.reduction += v[j] * (v[j] * (lambda[j] + shift + multiplier) * unit) / 2;
    }
    answer.reduction += answer.length * (answer.length * answer.multiplier) / 2;
    return answer;
}

}  // namespace curvblas
