// Products of three matrices, and how they are split between threads.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/product.h"
#include "cpu/queue.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

/// P = L V R in blocks of the longer side of V (m, n): blocks of rows as (L[rows, :] V) R, of columns as
/// L (V R[:, columns]), so that of the larger of L and R each element is read by one block only. Depends on the shape
/// alone.
class TwoSided {
  public:
    TwoSided(Index m, Index n) : m_(m), n_(n), blocks_(std::max<Index>(1, (longer() + most - 1) / most)) {}

    Index blocks() const { return blocks_; }
    bool by_rows() const { return m_ >= n_; }

    /// Rows or columns [first, first + size) of P.
    struct Range {
        Index first, size;
    };
    Range range(Index block) const {
        if (blocks_ == 1) return {0, longer()};  // without the divisions
        const Index size = (longer() + blocks_ - 1) / blocks_, first = std::min(block * size, longer());
        return {first, std::min(size, longer() - first)};
    }
    template <class T>
    Matrix<T> part(const Matrix<T>& P, Index block) const {
        const auto [first, size] = range(block);
        return by_rows() ? Matrix<T>{P.row(first), size, P.columns, P.row_stride, P.column_stride}
                         : Matrix<T>{P.data + first * P.column_stride, P.rows, size, P.row_stride, P.column_stride};
    }

    /// One block of P, which is part(P, block).
    template <class T>
    void multiply(const Micro& micro, const Matrix<const T>& L, const Matrix<const T>& V, const Matrix<const T>& R,
                  Index block, const Matrix<T>& P) const {
        const auto [first, size] = range(block);
        const Index rows = by_rows() ? size : m_, columns = by_rows() ? n_ : size;
        Scratch<TwoSided> scratch(bytes<T>(rows * columns));
        const Matrix<T> half{scratch.template take<T>(rows * columns), rows, columns, columns, 1};
        if (by_rows()) {
            cpu::multiply(micro, {L.row(first), size, m_, L.row_stride, L.column_stride}, V, half);
            cpu::multiply(micro, read_only(half), R, P);
        } else {
            const Matrix<const T> right{R.data + first * R.column_stride, n_, size, R.row_stride, R.column_stride};
            cpu::multiply(micro, V, right, half);
            cpu::multiply(micro, L, read_only(half), P);
        }
    }

    /// P_b for b in [first, first + count), where there is one block; the same bits as one by one.
    template <class T>
    void multiply_stretch(const Micro& micro, const Stack<const T>& L, const Stack<const T>& V, const Stack<const T>& R,
                          Index first, Index count, const Stack<T>& P) const {
        const bool in_registers = is_for_registers<T>(micro, m_, n_) && is_for_registers<T>(micro, n_, n_);
        if (in_registers && V.column_stride == 1 && R.column_stride == 1 && P.column_stride == 1) {
            Scratch<TwoSided> scratch(bytes<T>(m_ * n_));
            return micro.small_product<T>().multiply_two_sided(first, count, by_rows(), L, V, R, P,
                                                               scratch.template take<T>(m_ * n_));
        }
        for (Index b = first; b < first + count; ++b) multiply(micro, L[b], V[b], R[b], 0, P[b]);
    }

    /// Of all of P: 2 m n (m + n) flops.
    template <class T>
    double cost() const {
        return cost_of_products<T>(1, m_, m_, n_) + cost_of_products<T>(1, m_, n_, n_);
    }

    /// The items for `batch` matrices of task `task`, of that cost each: many matrices an item, or one block of one.
    void append_items(std::vector<Item>& items, Index task, Index batch, double cost) const {
        if (m_ == 0 || n_ == 0) return;
        if (blocks_ == 1) return Queue::append_batches(items, task, batch, cost);
        for (Index b = 0; b < batch; ++b)
            for (Index block = 0; block < blocks_; ++block)
                items.push_back({task, b, 1, block, cost / static_cast<double>(blocks_)});
    }

  private:
    static constexpr Index most = 384;  // the smaller of L and R, and V, are packed anew for each block
    Index longer() const { return std::max(m_, n_); }

    Index m_, n_, blocks_;
};

}  // namespace curvblas::cpu
