// Zeros of the secular equation, a lane a zero, by the "middle way" of Li (1993, LAPACK working note 89): at each
// iterate the poles on either side of the zero are summed up by one of them, with the value and slope that they have
// together. Compiled once per instruction set; see micro.isa.cpp.
#include "cpu/secular.h"

#include "cpu/lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

constexpr int vectors = 2;
constexpr int most_iterations = 80;  // three to six are usual
using L = Lanes<double, vectors>;
using M = Mask<double, vectors>;

/// As many zeros as there are lanes, from zero `first` on; lanes beyond zero `last` - 1 repeat that.
class Zeros {
  public:
    Zeros(const RankOneUpdate& of, Index first, Index last, double unit)
        : of_(of), first_(first), last_(last - first < L::count ? last : first + L::count), unit_(unit) {
        double sum = 0;
        for (Index j = 0; j < of.count && last_ == of.count; ++j) sum += of.squares[j];
        for (int l = 0; l < L::count; ++l) {
            const Index i = first + l < last_ ? first + l : last_ - 1;
            const bool is_last = i + 1 == of.count;
            index_.set(l, static_cast<double>(i));
            below_.set(l, of.poles[i]), square_below_.set(l, of.squares[i]);
            // The last zero has no pole above, but is no farther than the trace of the change.
            above_.set(l, is_last ? of.poles[i] + of.weight * sum * (1 + 1e-12) : of.poles[i + 1]);
            square_above_.set(l, is_last ? 0 : of.squares[i + 1]);
        }
        is_last_ = L::all(static_cast<double>(of.count - 1)) == index_;
    }

    bool find(double* origin, double* offset) {
        begin();
        M done = L::all(1) < L::all(0);
        for (int iteration = 0; iteration < most_iterations; ++iteration) {
            const Sums at = sums();
            done = done | (absolute(at.value) <= L::all(unit_) * at.error);
            if (are_all(done)) break;
            const L next = step(at);
            done = done | (next == offset_);
            offset_ = select(done, offset_, next);
        }
        for (Index i = first_; i < last_; ++i) {
            origin[i] = origin_[static_cast<int>(i - first_)];
            offset[i] = offset_[static_cast<int>(i - first_)];
        }
        return are_all(done);
    }

  private:
    static bool are_all(const M& mask) {
        for (int l = 0; l < L::count; ++l)
            if (!mask[l]) return false;
        return true;
    }

    struct Sums {
        L value, error;                    ///< of the function, and a bound of its rounding errors over the unit's
        L slope_of_lower, slope_of_upper;  ///< of the sums over the poles below and above the zero
    };

    /// Of the poles up to each lane's own, and of those beyond.
    Sums sums() const {
        L lower = L::all(0), upper = lower, lower_slope = lower, upper_slope = lower;
        const auto add = [&](Index j, L& sum, L& slope) {
            const L reciprocal = L::all(1) / (L::all(of_.poles[j]) - origin_ - offset_);
            const L term = L::all(of_.squares[j]) * reciprocal;
            sum = sum + term, slope = slope + term * reciprocal;
        };
        for (Index j = 0; j <= first_; ++j) add(j, lower, lower_slope);
        for (Index j = first_ + 1; j < last_; ++j) {
            L sum = L::all(0), slope = sum;
            const L zero = sum;
            add(j, sum, slope);
            const M is_above = L::all(static_cast<double>(j)) > index_;
            lower = lower + select(is_above, zero, sum), lower_slope = lower_slope + select(is_above, zero, slope);
            upper = upper + select(is_above, sum, zero), upper_slope = upper_slope + select(is_above, slope, zero);
        }
        for (Index j = last_; j < of_.count; ++j) add(j, upper, upper_slope);
        const L constant = L::all(1 / of_.weight), terms = L::all(8 + static_cast<double>(of_.count) / 16);
        const L error = terms * (upper - lower) + constant + absolute(offset_) * (lower_slope + upper_slope);
        return {constant + lower + upper, error, lower_slope, upper_slope};
    }

    /// The nearest pole becomes the origin; a first offset is the zero that two poles give with the others constant.
    void begin() {
        const L zero = L::all(0), two = L::all(2), gap = above_ - below_, half = gap / two;
        origin_ = below_, offset_ = half;
        const L value = sums().value;
        const M is_low = (value > zero) | is_last_, is_beyond = is_last_ & (value <= zero);
        const L others = value + (square_below_ - square_above_) / half;
        const L both = select(is_low, square_below_ + square_above_, zero - square_below_ - square_above_);
        const L a = select(is_low, both + others * gap, zero - both - others * gap);
        const L b = select(is_low, square_below_, zero - square_above_) * gap;
        origin_ = select(is_low, below_, above_);
        low_ = select(is_low, select(is_beyond, half, zero), zero - half);
        high_ = select(is_low, select(is_beyond, gap, half), zero);
        offset_ = inside(smaller_zero(others, a, b));
    }

    /// Of c x^2 - a x + b, that of smaller magnitude where a > 0.
    static L smaller_zero(const L& c, const L& a, const L& b) {
        const L zero = L::all(0), two = L::all(2);
        const L root = square_root(absolute(a * a - L::all(4) * b * c));
        return select(a <= zero, (a - root) / (two * c), two * b / (a + root));
    }

    /// x where it is between the bounds, else the middle of them; also where it is NaN.
    L inside(const L& x) const { return select((x > low_) & (x < high_), x, low_ + (high_ - low_) / L::all(2)); }

    L step(const Sums& at) {
        const L zero = L::all(0);
        const M is_left = at.value < zero;  // of the zero: the function rises
        low_ = select(is_left, offset_, low_), high_ = select(is_left, high_, offset_);
        const L below = below_ - origin_ - offset_, above = above_ - origin_ - offset_;
        const L slope = at.slope_of_lower + at.slope_of_upper;
        const L c = at.value - below * at.slope_of_lower - above * at.slope_of_upper;
        const L a = (below + above) * at.value - below * above * slope, b = below * above * at.value;
        const L by_poles = smaller_zero(c, a, b);
        const L change = select(at.value * by_poles < zero, by_poles, zero - at.value / slope);
        return inside(offset_ + change);
    }

    const RankOneUpdate& of_;
    const Index first_, last_;
    const double unit_;
    L index_, below_, above_, square_below_, square_above_;  ///< of each lane: its zero, the poles beside it
    M is_last_;
    L origin_, offset_, low_, high_;
};

bool find_zeros(const RankOneUpdate& of, Index first, Index last, double unit, double* origin, double* offset) {
    bool have_converged = true;
    for (Index i = first; i < last; i += L::count) have_converged &= Zeros(of, i, last, unit).find(origin, offset);
    return have_converged;
}

void recompute_z(const RankOneUpdate& of, Index first, Index last, const double* origin, const double* offset,
                 double* z) {
    for (Index j = first; j < last; j += L::count) {
        const L pole = L::from(of.poles + j), zero = L::all(0), one = L::all(1);
        L product = one;
        for (Index i = 0; i < of.count; ++i) {
            const L distance = pole - L::all(origin[i]) - L::all(offset[i]), gap = pole - L::all(of.poles[i]);
            product = product * (distance / select(gap == zero, one, gap));
        }
        const L root = square_root(absolute(product));
        for (int l = 0; l < L::count && j + l < last; ++l) z[j + l] = root[l];
    }
}

template <class T>
void eigenvector(Index count, const double* poles, const double* z, double origin, double offset, double* work, T* to) {
    using V = Vector<double>;
    typedef T Narrow __attribute__((vector_size(sizeof(T) * lanes<double>), aligned(sizeof(T)), may_alias));
    V squares = {};
    for (Index j = 0; j < count; j += lanes<double>) {
        V entry = *reinterpret_cast<const V*>(z + j) / (*reinterpret_cast<const V*>(poles + j) - origin - offset);
        for (int l = 0; l < lanes<double> && j + lanes<double> > count; ++l)
            if (j + l >= count) entry[l] = 0;
        *reinterpret_cast<V*>(work + j) = entry;
        squares += entry * entry;
    }
    double sum = 0;
    for (int l = 0; l < lanes<double>; ++l) sum += squares[l];
    const double scale = 1 / square_root(sum);
    for (Index j = 0; j < count; j += lanes<double>)
        *reinterpret_cast<Narrow*>(to + j) =
            __builtin_convertvector(*reinterpret_cast<const V*>(work + j) * scale, Narrow);
}

}  // namespace

extern const Secular<float> secular_float32;
extern const Secular<double> secular_float64;
const Secular<float> secular_float32 = {find_zeros, recompute_z, eigenvector<float>};
const Secular<double> secular_float64 = {find_zeros, recompute_z, eigenvector<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
