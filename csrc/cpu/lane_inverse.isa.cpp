// Damped inverses of small matrices, one in each lane (see lane_inverse.h). Nothing but the tables leaves this file.
#include "cpu/lane_inverse.h"
#include "cpu/lane_cholesky.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

constexpr Index most_rows = largest_in_lanes;
constexpr double solved_below = 1e-3, surely_below = 2.5e-3;
template <class T>
constexpr double half_unit = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;

/// Bit l: whether lane l of a comparison is true.
template <class W>
inline std::uint32_t bits_of(Vector<typename MaskOf<W>::type> is) {
#if defined(__AVX512F__)
    return sizeof(W) == 4 ? _mm512_movepi32_mask((__m512i)is) : _mm512_movepi64_mask((__m512i)is);
#else
    std::uint32_t bits = 0;
    for (int l = 0; l < lanes<W>; ++l) bits |= static_cast<std::uint32_t>(is[l] & 1) << l;
    return bits;
#endif
}

/// As many matrices as there are lanes.
template <class T, class W>
class Lanes {
  public:
    using V = Vector<W>;
    using Doubles = typename Neighbours<W, double>::type;

    Lanes(Index order, LaneProblems<T>& problems, const double* signs, W* scratch)
        : blocks_(order / 4),
          count_(problems.count),
          problems_(problems),
          signs_(signs),
          A_{scratch},
          X_{scratch + order * (order + 4) / 2 * lanes<W>} {
        Index padding = 0, gaps = 0;
        for (int l = 0; l < count_; ++l) {
            order_[l] = problems.n[l], padding |= problems.n[l] ^ order;
            gaps |= (problems.C_stride[l] ^ order) | (problems.X_stride[l] ^ order);
        }
        is_full_ = count_ == lanes<W> && padding == 0;
        is_flat_ = is_full_ && gaps == 0 && order <= 8;
        if (padding == 0) return;
        for (int l = 0; l < count_; ++l)
            if (order_[l] % 4) cut_blocks_ |= 1u << order_[l] / 4;
    }

    // The steps, in this order.

    /// Reads the matrices, and sets `inside_`.
    void pack() {
        static const T nothing[most_rows] = {};
        const T* next[lanes<W>] = {};
        Index stride[lanes<W>] = {};
        for (int l = 0; l < count_; ++l) next[l] = problems_.C[l], stride[l] = problems_.C_stride[l];
        const V shift = __builtin_convertvector(*reinterpret_cast<const Doubles*>(problems_.shift), V);
        if (is_flat_) pack_flat(next);
        for (Index i = 0; i < 4 * blocks_; ++i) {
            if (is_flat_) {
                inside_[i] = V{} + 1;
            } else if (is_full_) {
                inside_[i] = V{} + 1;
                pack_row(i, next, false);
            } else {
                const T* rows[lanes<W>];
                W inside[lanes<W>];
                for (int l = 0; l < lanes<W>; ++l) {
                    rows[l] = i < order_[l] ? next[l] : nothing;
                    inside[l] = i < order_[l] ? W(1) : W(0);
                }
                inside_[i] = *reinterpret_cast<const V*>(inside);
                pack_row(i, rows, cut_blocks_ >> i / 4 & 1);
            }
            A_(i / 4, i / 4)[5 * (i % 4)] += inside_[i] * shift + (1 - inside_[i]);
            for (int l = 0; l < lanes<W>; ++l) next[l] += stride[l];
        }
    }

    void invert() {
        Determinant<W> determinant;
        factor<W>(blocks_, A_, X_, determinant);
        invert_triangle<W>(blocks_, X_);
        multiply_by_transpose<T, W>(blocks_, X_);
        determinant.logarithms(problems_.log_det);
    }

    void assess() {
        V z[most_rows], y[most_rows];
        set_signs(0, z);
        const V first = probe<true>(z, y);
        V squares = {};
        for (Index i = 0; i < 4 * blocks_; ++i) squares += y[i] * y[i];
        const V reciprocal = W(1) / square_root(squares);
        for (Index i = 0; i < 4 * blocks_; ++i) z[i] = y[i] * reciprocal;
        const V second = probe<false>(z, y), norms = square_root(squares_of_A_) * square_root(squares_of_X_);

        const V worst = (first > second ? first : second) + static_cast<W>(half_unit<W>) * norms;
        constexpr W below = static_cast<W>(__is_same(T, W) ? solved_below : surely_below);
        // Written so that NaN is not solved: where the larger one is not NaN, the other may be.
        const auto is_small = (first <= below) & (second <= below) & (worst <= below);
        const auto is_rounded_little = static_cast<W>(half_unit<T>) * norms <= static_cast<W>(surely_below);
        const std::uint32_t in_use = (1u << count_) - 1;
        problems_.solved = bits_of<W>(__is_same(T, W) ? is_small & is_rounded_little : is_small) & in_use;
        *reinterpret_cast<Doubles*>(problems_.residual) = __builtin_convertvector(worst, Doubles);
        if (problems_.solved & ~bits_of<W>(is_rounded_little)) probe_more(norms);
    }

    /// X of the lanes that are solved, full; what belongs to no matrix goes where nobody reads it.
    void unpack() {
        T* row[lanes<W>] = {};
        Index stride[lanes<W>] = {};
        for (int l = 0; l < count_; ++l) {
            row[l] = problems_.X[l], stride[l] = problems_.X_stride[l];
            if (!(problems_.solved >> l & 1)) order_[l] = 0;
        }
        are_all_solved_ = problems_.solved == (1u << count_) - 1;
        if (is_flat_ && are_all_solved_) return unpack_flat(row);
        for (Index i = 0; i < 4 * blocks_; ++i) {
            for (Index j = 0; j < blocks_; j += fours) {
                const Index groups = blocks_ - j < fours ? blocks_ - j : fours;
                V x[fours][4];
                for (Index g = 0; g < groups; ++g) get(i, j + g, x[g]);
                unpack_fours(i, 4 * j, groups, row, x);
            }
            for (int l = 0; l < lanes<W>; ++l) row[l] += stride[l];
        }
    }

  private:
    /// The lower triangle of row i; `is_cut`: the last four columns are not there in all matrices.
    void pack_row(Index i, const T* const* rows, bool is_cut) const {
        const Index last = i / 4, a = i % 4;
        V x[fours][4];
        for (Index j = 0; j <= last; j += fours) {
            const Index groups = last + 1 - j < fours ? last + 1 - j : fours;
            const Index whole = is_cut && j + groups > last ? groups - 1 : groups;
            gather<W, T>(rows, 4 * j, whole, x);
            if (whole < groups)
                for (int l = 0; l < lanes<W>; ++l)
                    for (Index b = 0; b <= a; ++b) x[whole][b][l] = static_cast<W>(rows[l][4 * (j + whole) + b]);
            for (Index g = 0; g < groups; ++g) put(i, j + g, x[g]);
        }
    }

    /// Four columns of row i of A, from column 4 j on.
    void put(Index i, Index j, const V (&x)[4]) const {
        const Index a = i % 4;
        V* const block = A_(i / 4, j);
        if (j < i / 4)
            for (int b = 0; b < 4; ++b) block[4 * a + b] = x[b];
        else
            for (Index b = 0; b <= a; ++b) block[4 * a + b] = block[4 * b + a] = x[b];
    }
    /// The same of X, which is symmetric.
    void get(Index i, Index j, V (&x)[4]) const {
        const V* const block = j <= i / 4 ? X_(i / 4, j) + 4 * (i % 4) : X_(j, i / 4) + i % 4;
        const int step = j <= i / 4 ? 1 : 4;
        for (int b = 0; b < 4; ++b) x[b] = block[step * b];
    }

    /// Rows without gaps are one row: where they are short, more of it is read at a time, and above the diagonal too.
    void pack_flat(const T* const* matrices) const {
        V x[fours][4];
        for (Index f = 0; f < 4 * blocks_ * blocks_; f += fours) {
            gather<W, T>(matrices, 4 * f, fours, x);
            for (Index g = 0; g < fours; ++g)
                if ((f + g) % blocks_ <= (f + g) / blocks_ / 4) put((f + g) / blocks_, (f + g) % blocks_, x[g]);
        }
    }
    void unpack_flat(T* const* matrices) const {
        V x[fours][4];
        for (Index f = 0; f < 4 * blocks_ * blocks_; f += fours) {
            for (Index g = 0; g < fours; ++g) get((f + g) / blocks_, (f + g) % blocks_, x[g]);
            scatter<W, T>(x, fours, matrices, 4 * f);
        }
    }

    /// ||A X z - z||; leaves X z in `y`. The first probe finds the norms too.
    template <bool is_first>
    V probe(const V* z, V* y) {
        V r[most_rows];
        multiply_symmetric<W, is_first>(blocks_, X_, inside_, z, y, squares_of_X_);
        multiply_symmetric<W, is_first>(blocks_, A_, inside_, y, r, squares_of_A_);
        V sum = {};
        for (Index i = 0; i < 4 * blocks_; ++i) {
            const V difference = (r[i] - z[i]) * inside_[i];
            sum += difference * difference;
        }
        return square_root(sum);
    }

    void set_signs(int vector, V* z) const {
        for (Index i = 0; i < 4 * blocks_; ++i) z[i] = static_cast<W>(signs_[vector * most_rows + i]) * inside_[i];
    }

    /// Sixteen more probes for the lanes whose rounding to T may be large in a direction that was missed.
    void probe_more(V norms) {
        V z[most_rows], y[most_rows];
        for (int vector = 1; vector <= 16; ++vector) {
            set_signs(vector, z);
            const V size = probe<false>(z, y);
            for (int l = 0; l < count_; ++l) {
                const double bound = static_cast<double>(norms[l]);
                const double found = static_cast<double>(size[l]) + half_unit<W> * bound;
                if (half_unit<T> * bound <= surely_below) continue;
                if (!(found <= surely_below)) problems_.solved &= ~(1u << l);
                if (found > problems_.residual[l]) problems_.residual[l] = found;
            }
        }
    }

    /// So many fours of row i, from column `first` on.
    void unpack_fours(Index i, Index first, Index groups, T* const* row, V (&x)[fours][4]) const {
        if (is_full_ && are_all_solved_) return scatter<W, T>(x, groups, row, first);
        T unread[lanes<W>][4 * fours], *to[lanes<W>];
        Index some_are_cut = 0;
        for (int l = 0; l < lanes<W>; ++l) {
            const bool is_inside = i < order_[l], is_whole = first + 4 * groups <= order_[l];
            to[l] = is_inside && is_whole ? row[l] + first : unread[l];
            some_are_cut |= is_inside && !is_whole;
        }
        scatter<W, T>(x, groups, to, 0);
        if (!some_are_cut) return;
        for (int l = 0; l < count_; ++l)
            if (to[l] == unread[l] && i < order_[l])
                for (Index k = first; k < order_[l]; ++k) row[l][k] = unread[l][k - first];
    }

    const Index blocks_;
    const int count_;
    LaneProblems<T>& problems_;
    const double* const signs_;
    const Blocks<W> A_, X_;
    Index order_[lanes<W>] = {};                      ///< of the lanes' matrices, 0 where there is none
    bool is_full_, is_flat_, are_all_solved_ = true;  ///< `is_full_`: no lane is padded or idle
    std::uint32_t cut_blocks_ = 0;                    ///< bit b: some matrix ends within the rows of block b
    V squares_of_A_ = {}, squares_of_X_ = {};
    V inside_[most_rows];  ///< 1 for the rows of a lane's matrix, 0 for its padding
};

/// Step by step: what one block waits for passes behind the arithmetic of the next.
template <class... Block>
void solve(Block&&... block) {
    (block.pack(), ...);
    (block.invert(), ...);
    (block.assess(), ...);
    (block.unpack(), ...);
}

template <class T, class W>
void invert(Index order, LaneProblems<T>* problems, Index count, const double* signs, W* scratch) {
    const Index words = order * (order + 4) * lanes<W>;
    const auto block = [&](Index b) { return Lanes<T, W>(order, problems[b], signs, scratch + b * words); };
    Index b = 0;
    for (; b + 1 < count; b += 2) solve(block(b), block(b + 1));
    if (b < count) solve(block(b));
}

}  // namespace

extern const LaneInverse<float, float> lane_inverse_float32;
extern const LaneInverse<float, double> lane_inverse_mixed;
extern const LaneInverse<double, double> lane_inverse_float64;
const LaneInverse<float, float> lane_inverse_float32 = {lanes<float>, invert<float, float>};
const LaneInverse<float, double> lane_inverse_mixed = {lanes<double>, invert<float, double>};
const LaneInverse<double, double> lane_inverse_float64 = {lanes<double>, invert<double, double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
