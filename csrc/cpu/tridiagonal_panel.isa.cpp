// Householder tridiagonalisation by panels (Dongarra, Sorensen and Hammarling 1989): half of the flops read the rest of
// the matrix once for each reflection. Compiled once per instruction set; see micro.isa.cpp.
#include "cpu/tridiagonal_panel.h"

#include "cpu/vector.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

template <class T>
inline Vector<T>& at(T* x) {
    return *reinterpret_cast<Vector<T>*>(x);
}
template <class T>
inline const Vector<T>& at(const T* x) {
    return *reinterpret_cast<const Vector<T>*>(x);
}

constexpr Index round_down(Index i) { return i / diagonal_block * diagonal_block; }

template <class T>
class Panel {
  public:
    Panel(Index n, Index first, T* A, Index ld, T* V, T* W) : n_(n), first_(first), ld_(ld), A_(A), V_(V), W_(W) {}

    void reduce(Index width, T* tau, double* diagonal, double* off_diagonal) {
        for (Index p = 0; p < width; ++p) {
            const Index j = first_ + p;
            T* const row = A_ + j * ld_;
            update(p, row);
            diagonal[j] = static_cast<double>(row[j]);
            T *const v = V_ + p * ld_, *const w = W_ + p * ld_;
            for (Index k = 0; k < ld_; ++k) v[k] = w[k] = 0;
            if (j + 1 == n_) break;
            tau[j] = reflect(j, row, v, off_diagonal);
            if (tau[j] == 0) continue;
            multiply(j + 1, v, w);
            subtract(p, v, w);
            scale(tau[j], v, w, round_down(j + 1));
        }
    }

  private:
    /// What the reflections before p leave of their row p.
    void update(Index p, T* row) const {
        const Index j = first_ + p, begin = round_down(j);
        for (Index q = 0; q < p; ++q) {
            const T *const v = V_ + q * ld_, *const w = W_ + q * ld_;
            const T v_j = v[j], w_j = w[j];
            for (Index k = begin; k < n_; k += lanes<T>) at(row + k) -= v_j * at(w + k) + w_j * at(v + k);
        }
    }

    /// The reflection that leaves (beta, 0, ..., 0) of what is right of the diagonal in row j. Returns its factor.
    T reflect(Index j, T* row, T* v, double* off_diagonal) const {
        const T alpha = row[j + 1];
        off_diagonal[j] = static_cast<double>(alpha);
        for (Index k = j + 2; k < n_; ++k) v[k] = row[k];
        Vector<T> squares = {};
        for (Index k = round_down(j + 2); k < n_; k += lanes<T>) squares += at(v + k) * at(v + k);
        v[j + 1] = 1;
        const T below = sum_of<T>(squares);
        if (!(below > negligible_square<T>)) {
            for (Index k = j + 2; k < n_; ++k) row[k] = v[k] = 0;
            return 0;
        }
        const T length = square_root(alpha * alpha + below);
        const T beta = alpha > 0 ? -length : length, factor = 1 / (alpha - beta);
        for (Index k = j + 2; k < n_; ++k) row[k] = v[k] *= factor;
        off_diagonal[j] = static_cast<double>(beta);
        return (beta - alpha) / beta;
    }

    /// w = A v over rows and columns from `begin` on, as A is without the updates of this panel; v is 0 before.
    void multiply(Index begin, const T* v, T* w) const {
        for (Index block = round_down(begin); block < n_; block += diagonal_block) {
            const Index end = block + diagonal_block < n_ ? block + diagonal_block : n_;
            Index i = block < begin ? begin : block;
            for (; i + 4 <= end; i += 4) multiply_rows<4>(i, block, v, w);
            for (; i < end; ++i) multiply_rows<1>(i, block, v, w);
        }
    }
    /// The square on the diagonal is whole; right of it a row is also its column.
    template <int rows>
    void multiply_rows(Index i, Index block, const T* v, T* w) const {
        using V = Vector<T>;
        const T* const a = A_ + i * ld_;
        V sum[rows] = {};
        T factor[rows];  // not v[i + r] each time: the compiler cannot know that w is elsewhere
        for (int r = 0; r < rows; ++r) factor[r] = v[i + r];
        Index k = block;
        for (; k < block + diagonal_block; k += lanes<T>)
#pragma GCC unroll 4
            for (int r = 0; r < rows; ++r) sum[r] += at(a + r * ld_ + k) * at(v + k);
        for (; k < n_; k += lanes<T>) {
            const V v_k = at(v + k);
            V w_k = at(w + k);
#pragma GCC unroll 4
            for (int r = 0; r < rows; ++r) {
                const V element = at(a + r * ld_ + k);
                sum[r] += element * v_k, w_k += element * factor[r];
            }
            at(w + k) = w_k;
        }
        for (int r = 0; r < rows; ++r) w[i + r] += sum_of<T>(sum[r]);
    }

    /// w less what the reflections before p have not yet subtracted from A, times v.
    void subtract(Index p, const T* v, T* w) const {
        const Index begin = round_down(first_ + p + 1);
        Index q = 0;
        for (; q + 4 <= p; q += 4) subtract_some<4>(q, begin, v, w);
        for (; q < p; ++q) subtract_some<1>(q, begin, v, w);
    }
    template <int count>
    void subtract_some(Index q, Index begin, const T* v, T* w) const {
        using V = Vector<T>;
        const T *const before_v = V_ + q * ld_, *const before_w = W_ + q * ld_;
        V by_v[count] = {}, by_w[count] = {};
        for (Index k = begin; k < n_; k += lanes<T>) {
            const V v_k = at(v + k);
#pragma GCC unroll 4
            for (int c = 0; c < count; ++c)
                by_v[c] += at(before_v + c * ld_ + k) * v_k, by_w[c] += at(before_w + c * ld_ + k) * v_k;
        }
        T of_v[count], of_w[count];
        for (int c = 0; c < count; ++c) of_v[c] = sum_of<T>(by_v[c]), of_w[c] = sum_of<T>(by_w[c]);
        for (Index k = begin; k < n_; k += lanes<T>) {
            V w_k = at(w + k);
#pragma GCC unroll 4
            for (int c = 0; c < count; ++c)
                w_k -= at(before_v + c * ld_ + k) * of_w[c] + at(before_w + c * ld_ + k) * of_v[c];
            at(w + k) = w_k;
        }
    }

    /// w <- tau (w - tau / 2 (w^T v) v)
    void scale(T tau, const T* v, T* w, Index begin) const {
        Vector<T> dot = {};
        for (Index k = begin; k < n_; k += lanes<T>) dot += at(w + k) * at(v + k);
        const T share = tau / 2 * sum_of<T>(dot);
        for (Index k = begin; k < n_; k += lanes<T>) at(w + k) = tau * (at(w + k) - share * at(v + k));
    }

    const Index n_, first_, ld_;
    T *const A_, *const V_, *const W_;
};

template <class T>
void reduce(Index n, Index first, Index width, T* A, Index ld, T* V, T* W, T* tau, double* diagonal,
            double* off_diagonal) {
    Panel<T>(n, first, A, ld, V, W).reduce(width, tau, diagonal, off_diagonal);
}

}  // namespace

extern const TridiagonalPanel<float> tridiagonal_panel_float32;
extern const TridiagonalPanel<double> tridiagonal_panel_float64;
const TridiagonalPanel<float> tridiagonal_panel_float32 = {reduce<float>};
const TridiagonalPanel<double> tridiagonal_panel_float64 = {reduce<double>};

}  // namespace curvblas::cpu::CURVBLAS_ISA
