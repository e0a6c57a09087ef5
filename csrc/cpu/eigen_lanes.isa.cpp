// Small symmetric eigenproblems, a lane a matrix: Householder tridiagonalisation and implicit QL (Golub and Van Loan
// 2013, sections 8.3.1 and 8.3.3; EISPACK tred2 and tql2). All lanes go through the steps of the slowest; one that has
// nothing to do takes rotations by zero, which change nothing but the sign of zeros. Compiled once per instruction set;
// see micro.isa.cpp.
#include "cpu/eigen_lanes.h"

#include "cpu/householder_lanes.isa.h"
#include "cpu/lane_pack.isa.h"
#include "cpu/ql_lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// A power of two as two factors, because the one that brings a denormal matrix to 1 is no T.
template <class T>
struct Scale {
    T first, second;
    static Scale to_one(T largest) {
        const int exponent = largest > 0 ? -__builtin_ilogb(static_cast<double>(largest)) : 0;
        return {static_cast<T>(__builtin_ldexp(1.0, exponent / 2)),
                static_cast<T>(__builtin_ldexp(1.0, exponent - exponent / 2))};
    }
    T operator()(T x) const { return x * first * second; }
    T back(T x) const { return x / first / second; }
};

/// +1 or -1, the same for all sizes.
inline int sign(Index i) {
    std::uint64_t h = (static_cast<std::uint64_t>(i) + 1) * 0x9e3779b97f4a7c15u ^ 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 31) * 0x94d049bb133111ebu;
    return h >> 63 ? 1 : -1;
}

/// As many matrices of order n as there are lanes.
template <class T, int U>
class Solver {
    using L = Lanes<T, U>;
    using M = Mask<T, U>;
    using QL = ImplicitQL<T, U>;

  public:
    static Index bytes(Index n) {
        return (2 * n * row_length(n) + (8 + 2 * QL::most_steps) * n) * static_cast<Index>(sizeof(L));
    }

    Solver(Index n, void* work) : n_(n), A_(static_cast<L*>(work)), Vt_(A_ + n * row_length(n)) {
        L* next = Vt_ + n * row_length(n);
        L** const vectors[] = {&diagonal_, &d_, &e_, &tau_, &v_, &p_, &rank_, &r_};
        for (L** const vector : vectors) *vector = next, next += n;
        cosine_ = next, sine_ = next + QL::most_steps * n;
    }

    void solve(Index count, const EigenLane<T>* lane) {
        load(static_cast<int>(count), lane);
        const Householder<T, U> householder{n_, A_, Vt_, d_, e_, tau_, v_, p_};
        householder.tridiagonalise();
        householder.form_vectors();
        converged_ = QL{n_, d_, e_, cosine_, sine_, Vt_}.iterate();
        order();
        make_signs_canonical();
        for (int l = 0; l < count; ++l) write_values(l, lane[l]);
        assess();
        write(static_cast<int>(count), lane);
    }

  private:
    L& A(Index i, Index j) const { return A_[i * ld_ + j]; }

    /// A row of every lane; a few elements more than needed, so that they begin in different cache sets. Matrices of n
    /// = 32 lie 4 kB apart, where the rows of all of them share one.
    using Rows = T[L::count][EigenLanes<T>::most_order + 4];

    /// The lower triangle of A, scaled; above the diagonal, and in diagonal_, what it was, for assess(). Zeros where
    /// there is no matrix, or one that is not finite.
    void load(int count, const EigenLane<T>* lane) {
        const L zero = L::all(0);
        L largest = zero;
        M finite = zero <= zero;
        Rows rows = {};
        for (Index i = 0; i < n_; ++i) {
            for (int l = 0; l < count; ++l) {
                const Matrix<const T>& C = lane[l].C;
                if (C.column_stride == 1)
                    __builtin_memcpy(rows[l], C.row(i), static_cast<std::size_t>(i + 1) * sizeof(T));
                else
                    for (Index j = 0; j <= i; ++j) rows[l][j] = C(i, j);
            }
            take_row(i, rows);
            for (Index j = 0; j <= i; ++j) {
                const L element = A(i, j), size = absolute(element);
                largest = select(largest < size, size, largest);
                finite = finite & (element - element == zero);
            }
        }
        T first[L::count], second[L::count];
        for (int l = 0; l < L::count; ++l) {
            finite_[l] = l < count && finite[l];
            scale_[l] = Scale<T>::to_one(finite_[l] ? largest[l] : T(0));
            first[l] = scale_[l].first, second[l] = scale_[l].second;
        }
        const L by_first = L::from(first), by_second = L::from(second);
        for (Index i = 0; i < n_; ++i) {
            for (Index j = 0; j <= i; ++j) A(i, j) = A(j, i) = select(finite, A(i, j) * by_first * by_second, zero);
            diagonal_[i] = A(i, i);
        }
    }

    /// Row i of A, up to the diagonal.
    void take_row(Index i, const Rows& rows) const {
        for (int u = 0; u < U; ++u) {
            const T* from[lanes<T>];
            for (int l = 0; l < lanes<T>; ++l) from[l] = rows[u * lanes<T> + l];
            for (Index j = 0; j <= i; j += 4 * fours) {
                const Index left = i / 4 + 1 - j / 4, groups = left < fours ? left : fours;
                Vector<T> x[fours][4];
                gather<T, T>(from, j, groups, x);
                for (Index k = 0; k < 4 * groups && j + k <= i; ++k) A(i, j + k).part[u] = x[k / 4][k % 4];
            }
        }
    }

    /// rank_[j]: the place of d[j] in ascending order.
    void order() {
        const L zero = L::all(0), one = L::all(1);
        for (Index j = 0; j < n_; ++j) {
            L rank = zero;
            for (Index k = 0; k < n_; ++k) {
                const M before = k < j ? d_[k] <= d_[j] : d_[k] < d_[j];
                rank = rank + select(before, one, zero);
            }
            rank_[j] = rank;
        }
    }

    void make_signs_canonical() {
        const L zero = L::all(0), one = L::all(1);
        for (Index j = 0; j < n_; ++j) {
            L* const v = Vt_ + j * ld_;
            L size = zero, entry = zero;
            for (Index i = 0; i < n_; ++i) {
                const M larger = absolute(v[i]) > size;
                size = select(larger, absolute(v[i]), size), entry = select(larger, v[i], entry);
            }
            const L factor = select(entry < zero, zero - one, one);
            for (Index i = 0; i < n_; ++i) v[i] = v[i] * factor + zero;  // no negative zeros
        }
    }

    /// Values as T has them; d becomes what these are when scaled again.
    void write_values(int l, const EigenLane<T>& lane) {
        for (Index j = 0; j < n_; ++j) {
            const T value = scale_[l].back(d_[j][l]) + T(0);
            lane.values[static_cast<Index>(rank_[j][l])] = value;
            d_[j].set(l, scale_[l](value));
        }
    }

    /// The errors that the contract speaks of, squared.
    void assess() {
        const L zero = L::all(0);
        L* const y = p_;
        for (Index i = 0; i < n_; ++i) y[i] = r_[i] = zero;
        for (Index j = 0; j < n_; ++j) {  // y = V z, r = -V diag(values) z; z goes with the rank, so that it is V's own
            L z = zero;
            for (int l = 0; l < L::count; ++l) z.set(l, static_cast<T>(sign(static_cast<Index>(rank_[j][l]))));
            cosine_[j] = z;
            const L value = d_[j] * z;
            const L* const v = Vt_ + j * ld_;
            for (Index i = 0; i < n_; ++i) y[i] = y[i] + z * v[i], r_[i] = r_[i] - value * v[i];
        }
        L squares = zero;
        for (Index i = 0; i < n_; ++i) {  // r <- r + C y
            L sum = diagonal_[i] * y[i], above = zero;
            for (Index j = i + 1; j < n_; ++j) {
                const L c = A(i, j);
                sum = sum + c * y[j], above = above + c * c, r_[j] = r_[j] + c * y[i];
            }
            r_[i] = r_[i] + sum;
            squares = squares + diagonal_[i] * diagonal_[i] + above + above;
        }
        residual_ = departure_ = zero;
        for (Index i = 0; i < n_; ++i) residual_ = residual_ + r_[i] * r_[i];
        residual_ = square_root(residual_ / select(squares > zero, squares, L::all(1)));
        for (Index j = 0; j < n_; ++j) {
            L dot = zero - cosine_[j];
            for (Index i = 0; i < n_; ++i) dot = dot + Vt_[j * ld_ + i] * y[i];
            departure_ = departure_ + dot * dot;
        }
        departure_ = square_root(departure_ / L::all(static_cast<T>(n_)));
    }

    /// Statuses and vectors.
    void write(int count, const EigenLane<T>* lane) const {
        const T nan = static_cast<T>(__builtin_nan(""));
        int usable[L::count], used = 0;
        for (int l = 0; l < count; ++l) {
            const EigenLane<T>& one = lane[l];
            const T residual = residual_[l];
            // Written as not(<=) so that NaN is inaccurate too.
            const bool inaccurate = !(residual <= T(residual_bound) && departure_[l] <= T(residual_bound));
            *one.status = !finite_[l]      ? Status::not_finite
                          : !converged_[l] ? Status::no_convergence
                          : inaccurate     ? Status::inaccurate
                                           : Status::ok;
            *one.residual = finite_[l] && converged_[l] ? static_cast<double>(residual) : __builtin_nan("");
            if (*one.status == Status::ok) {
                usable[used++] = l;
                continue;
            }
            for (Index j = 0; j < n_; ++j) one.values[j] = nan;
            for (Index i = 0; i < n_; ++i)
                for (Index j = 0; j < n_; ++j) one.V(i, j) = nan;
        }
        std::int32_t place[EigenLanes<T>::most_order][L::count];
        for (Index j = 0; j < n_; ++j)
            for (int l = 0; l < L::count; ++l) place[j][l] = static_cast<std::int32_t>(rank_[j][l]);
        Rows rows;
        for (Index i = 0; i < n_; ++i) {
            for (Index j = 0; j < n_; ++j) {
                const T* const v = reinterpret_cast<const T*>(Vt_ + j * ld_ + i);
                for (int l = 0; l < L::count; ++l) rows[l][place[j][l]] = v[l];
            }
            for (int k = 0; k < used; ++k) {
                const Matrix<T>& V = lane[usable[k]].V;
                for (Index j = 0; j < n_; ++j) V(i, j) = rows[usable[k]][j];
            }
        }
    }

    const Index n_, ld_ = row_length(n_);
    L *A_, *Vt_, *diagonal_, *d_, *e_, *cosine_, *sine_, *tau_, *v_, *p_, *rank_, *r_;
    L residual_, departure_;
    M converged_;
    Scale<T> scale_[L::count];
    bool finite_[L::count];
};

constexpr int most_vectors = 2;

template <class T>
void solve(Index n, Index count, const EigenLane<T>* lane, void* work) {
    if (count > lanes<T>)
        Solver<T, most_vectors>(n, work).solve(count, lane);
    else
        Solver<T, 1>(n, work).solve(count, lane);
}

}  // namespace

extern const EigenLanes<float> eigen_lanes_float32;
extern const EigenLanes<double> eigen_lanes_float64;
const EigenLanes<float> eigen_lanes_float32 = {most_vectors * lanes<float>, Solver<float, most_vectors>::bytes,
                                               solve<float>};
const EigenLanes<double> eigen_lanes_float64 = {most_vectors * lanes<double>, Solver<double, most_vectors>::bytes,
                                                solve<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
