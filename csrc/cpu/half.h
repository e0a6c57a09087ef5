// The 2-byte floats, one at a time. Internal linkage, because files for all instruction sets include this.
#pragma once

#include <cstdint>

namespace curvblas::cpu {
namespace {

[[maybe_unused]] inline float from_bits(std::uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

struct BFloat16 {
    std::uint16_t bits;
    operator float() const { return from_bits(static_cast<std::uint32_t>(bits) << 16); }
};

struct Float16 {
    std::uint16_t bits;
    operator float() const {
        const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
        const std::uint32_t magnitude = bits & 0x7fffu;
        if (magnitude >= 0x7c00u) return from_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);  // Inf, NaN
        // Denormals become normal by the product, normals get their exponent rebased: 2^(127 - 15).
        const float scaled = from_bits(magnitude << 13) * 0x1p112f;
        return sign ? -scaled : scaled;
    }
};

}  // namespace
}  // namespace curvblas::cpu
