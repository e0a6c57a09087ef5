// The part of the DLPack ABI that a consumer reads (https://dmlc.github.io/dlpack, versions 0.8 and 1.x).
#pragma once

#include <cstdint>

namespace curvblas::dlpack {

constexpr std::int32_t cpu = 1, cuda = 2, cuda_host = 3, cuda_managed = 13;
constexpr std::uint8_t code_float = 2, code_bfloat = 4;
constexpr std::uint64_t flag_read_only = 1;

struct Device {
    std::int32_t type, id;
};

struct DataType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};

struct Tensor {
    void* data;
    Device device;
    std::int32_t ndim;
    DataType dtype;
    std::int64_t* shape;
    std::int64_t* strides;  // in elements; null: contiguous
    std::uint64_t byte_offset;
};

/// Capsule "dltensor". It begins with the tensor.
struct Managed {
    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};

/// Capsule "dltensor_versioned".
struct ManagedVersioned {
    std::uint32_t major, minor;
    void* context;
    void (*deleter)(ManagedVersioned*);
    std::uint64_t flags;
    Tensor tensor;
};

}  // namespace curvblas::dlpack
