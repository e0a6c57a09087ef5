// Small models of limited-memory SR1 side by side, a lane of the vectors for each: what Lsr1Form and Lsr1Finish of
// lsr1_step.h do where all goes well. They leave the others to these. What becomes of a model depends neither on its
// neighbours nor on their number. Included by *.isa.cpp only: all of it has internal linkage.
#pragma once

#include "cpu/lanes.isa.h"
#include "kernels/lsr1_step.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// Models side by side: eight, in as many vectors as that takes; what is kept of them fits a stack.
constexpr Index side = 8, most_side_pairs = 16;
constexpr int side_vectors = static_cast<int>(side) / lanes<double>;

/// Up to `side` models from the first on; the last one again in lanes that are left. Their pairs in use are first in
/// order(): where others have more, a model goes on with rows of the identity.
class SideModels {
  public:
    using L = Lanes<double, side_vectors>;
    using M = Mask<double, side_vectors>;

    SideModels(const Lsr1Batch& problems, Index first, Index count)
        : m(problems.m), first_(first), count_(static_cast<int>(count)) {
        each([&](int l, Index b) {
            p[l] = problems.at(b);
            if (p[l].pairs() > rows) rows = p[l].pairs();
        });
    }

    /// work(l, b) for lane l, model b.
    template <class Work>
    void each(const Work& work) const {
        for (int l = 0; l < static_cast<int>(side); ++l) work(l, first_ + (l < count_ ? l : count_ - 1));
    }
    /// The same number of each model.
    template <class Number>
    L take(const Number& number) const {
        double x[side];
        each([&](int l, Index b) { x[l] = number(p[l], b); });
        return L::from(x);
    }
    /// Which of the models store(l, b) says that it has stored, a bit each.
    template <class Store>
    unsigned store_each(const Store& store) const {
        unsigned done = 0;
        for (int l = 0; l < count_; ++l) done |= (store(l, first_ + l) ? 1u : 0u) << l;
        return done;
    }

    Lsr1Problem p[side];
    const Index m;
    Index rows = 0;  ///< the most pairs that a model has in use

  private:
    const Index first_;
    const int count_;
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
