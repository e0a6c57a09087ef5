// What seeded_bugs.cu offers: kernels by name, all with the same arguments.
#pragma once

#include <string>
#include <vector>

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {

/// The arguments of a seeded kernel: 4 x 64 numbers to read, 4 x 64 to write, all on the device.
struct Bench {
    std::size_t shared;
    const float* x;
    float* sums;
};

struct Seed {
    std::string name;
    void (*run)(const Bench& bench);
};

const std::vector<Seed>& seeded_bugs(bool fixed);

/// `count` barriers in blocks of 256 threads, and nothing else.
void run_barriers(int blocks, int count);

}  // namespace curvblas::CURVBLAS_BACKEND
