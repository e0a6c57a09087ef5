#include "kernels/precondition.h"

#include "cpu/two_sided.h"

namespace curvblas::cpu {
namespace {

/// sum V o P in float64. Eight sums, so that additions do not wait for each other; the order is that of the elements.
template <class T>
double inner_product(const Matrix<const T>& V, const Matrix<T>& P) {
    double sum[8] = {};
    for (Index i = 0; i < P.rows; ++i) {
        Index j = 0;
        if (V.column_stride == 1 && P.column_stride == 1)
            for (; j + 8 <= P.columns; j += 8)
                for (int k = 0; k < 8; ++k)
                    sum[k] += static_cast<double>(V.row(i)[j + k]) * static_cast<double>(P.row(i)[j + k]);
        for (; j < P.columns; ++j) sum[j % 8] += static_cast<double>(V(i, j)) * static_cast<double>(P(i, j));
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/// The sums of the blocks, of which those of one matrix are neighbours.
class BlockSums {
  public:
    template <class T>
    explicit BlockSums(std::span<const Precondition<T>> group) {
        for (const auto& task : group) {
            begins_.push_back(static_cast<Index>(sums_.size()));
            if (task.inner) sums_.resize(sums_.size() + task.V.batch * TwoSided(task.V.rows, task.V.columns).blocks());
        }
    }
    double& sum(Index task, Index b, Index block, const TwoSided& product) {
        return sums_[begins_[task] + b * product.blocks() + block];
    }

  private:
    std::vector<Index> begins_;
    std::vector<double> sums_;
};

}  // namespace

template <class T>
void precondition(const Queue& queue, std::span<const Precondition<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const TwoSided product(group[t].V.rows, group[t].V.columns);
        product.append_items(items, t, group[t].V.batch, product.template cost<T>());
    }
    BlockSums sums(group);
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        const TwoSided product(task.V.rows, task.V.columns);
        const Micro& micro = queue.micro();
        if (product.blocks() == 1)
            product.multiply_stretch(micro, task.G_inv, task.V, task.A_inv, item.first, item.count, task.P);
        for (Index b = item.first; b < item.first + item.count; ++b) {
            const Matrix<const T> V = task.V[b];
            const Matrix<T> P = product.part(task.P[b], item.part);
            if (product.blocks() > 1) product.multiply(micro, task.G_inv[b], V, task.A_inv[b], item.part, P);
            if (task.inner) sums.sum(item.task, b, item.part, product) = inner_product(product.part(V, item.part), P);
        }
    });
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& task = group[t];
        const TwoSided product(task.V.rows, task.V.columns);
        for (Index b = 0; task.inner && b < task.V.batch; ++b) {
            double inner = 0;
            for (Index block = 0; block < product.blocks(); ++block) inner += sums.sum(t, b, block, product);
            task.inner[b] = inner;
        }
    }
}

template void precondition(const Queue&, std::span<const Precondition<float>>);
template void precondition(const Queue&, std::span<const Precondition<double>>);

}  // namespace curvblas::cpu
