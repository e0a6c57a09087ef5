// The eigenbasis of one matrix beyond the lanes, in steps whose parts any number of threads may share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/back_transform.h"
#include "cpu/divide_and_conquer.h"
#include "cpu/eigen_lanes.h"
#include "cpu/micro.h"
#include "cpu/scratch.h"
#include "cpu/tridiagonal.h"

namespace curvblas::cpu {

/// A power of two as two factors, because the one that brings a denormal matrix to 1 is no double.
struct PowerOfTwo {
    double first = 1, second = 1;

    static PowerOfTwo to_one(double largest);
    double operator()(double x) const { return x * first * second; }
    PowerOfTwo inverse() const { return {1 / first, 1 / second}; }
};

/// C is made tridiagonal by one thread; that is decomposed, and the eigenvectors are rotated back, a panel of them a
/// part, and looked at. Parts of one step may be worked on at the same time; `next` is called by one thread.
template <class T>
class EigenJob {
  public:
    EigenJob(const Micro& micro, const EigenLane<T>& one, std::byte* memory)
        : EigenJob(micro, one, Carver(memory, bytes(micro, one.C.rows))) {}
    /// Of the memory, 64-byte aligned and uninitialised.
    static Index bytes(const Micro& micro, Index n);

    /// Begins the next step; false at the end, when the results are written.
    bool next();
    Index parts() const;
    /// As the queue counts it.
    double cost(Index part) const;
    void work(Index part);

  private:
    EigenJob(const Micro& micro, const EigenLane<T>& one, Carver carver);

    enum class Step : std::uint8_t { begin, reduce, decompose, load, rotate, look };

    void reduce();
    void take_values();
    void rotate(Index panel);
    void look(Index panel);
    bool conclude(Status status, double residual);
    Index panels() const { return micro_.tile<T>().panels(n_); }
    Index first(Index panel) const { return panel * back_transform_.panel_columns(); }
    Index count(Index panel) const { return std::min(back_transform_.panel_columns(), n_ - first(panel)); }
    /// The eigenvectors of a panel: row i holds entry i of each.
    T* eigenvectors(Index panel) const { return decomposition_.vectors() + first(panel) * n_; }

    const Micro& micro_;
    const EigenLane<T>& one_;
    const Index n_;
    BackTransform<T> back_transform_;
    Tridiagonal<T> tridiagonal_;
    DivideAndConquer<T> decomposition_;
    /// Of each panel, n each: V z, and V diag(values) z less C y; z is a vector of signs, y = V z.
    double *images_, *residuals_, *y_;
    double *squares_, *deviations_;  ///< of a panel's rows of C, and of V^T y - z
    PowerOfTwo scale_;
    Step step_ = Step::begin;
};

}  // namespace curvblas::cpu
