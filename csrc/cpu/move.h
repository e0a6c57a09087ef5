// Moving memory without computing: copies past the caches, transposes in registers. Vectors of 16 bytes, which every
// processor that we build for has: wider ones move nothing faster where memory is the limit.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/view.h"

namespace curvblas::cpu {

/// The elements of a cache line.
template <class T>
constexpr Index line_size = 64 / static_cast<Index>(sizeof(T));

/// The elements before `to` in its cache line.
template <class T>
Index place_in_line(const T* to) {
    return static_cast<Index>(reinterpret_cast<std::uintptr_t>(to) % 64 / sizeof(T));
}

/// Copies whole lines for memory that nobody reads soon; `to` is where a line begins. Ordinary stores read each line
/// before they overwrite it; these do not, where the processor has such stores. settle() comes before another thread
/// reads `to`.
template <class T>
void copy_lines_past_caches(Index n, const T* from, T* to) {
#if defined(__SSE2__)
    constexpr Index lanes = 16 / static_cast<Index>(sizeof(T));
    for (Index i = 0; i < n; i += lanes)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
#else
    std::copy_n(from, n, to);
#endif
}

/// Puts pieces one after the other past the caches. Whole lines only, for a line that is written in parts goes to
/// memory in parts: the end of a piece waits for the next one.
template <class T>
class LineWriter {
  public:
    explicit LineWriter(T* to) : to_(to - place_in_line(to)), begin_(place_in_line(to)), end_(begin_) {}
    LineWriter(const LineWriter&) = delete;
    LineWriter& operator=(const LineWriter&) = delete;
    ~LineWriter() { std::copy_n(line_ + begin_, end_ - begin_, to_ + begin_); }

    void append(Index n, const T* from) {
        if (end_ > 0) {
            const Index fitting = std::min(n, line_size<T> - end_);
            std::copy_n(from, fitting, line_ + end_);
            end_ += fitting, from += fitting, n -= fitting;
            if (end_ < line_size<T>) return;
            send_line();
        }
        const Index whole = n - n % line_size<T>;
        copy_lines_past_caches(whole, from, to_);
        to_ += whole, end_ = n - whole;
        std::copy_n(from + whole, end_, line_);
    }

  private:
    void send_line() {
        if (begin_ == 0)
            copy_lines_past_caches(line_size<T>, line_, to_);
        else  // what is before belongs to somebody else
            std::copy_n(line_ + begin_, line_size<T> - begin_, to_ + begin_);
        to_ += line_size<T>, begin_ = end_ = 0;
    }

    T line_[line_size<T>];
    T* to_;  ///< where the line begins
    Index begin_, end_;
};

/// Orders what went past the caches before what this thread writes from now on.
inline void settle() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/// How a call writes. Past the caches, unpacking 4 MB or more took 0.6 of the time of ordinary stores; but whoever
/// reads a result next that a cache would hold wants it there.
enum class Writing : std::uint8_t { ordinary, past_caches };

inline Writing writing_of(Index bytes) {
    constexpr Index small = Index{8} << 20;
    return bytes > small ? Writing::past_caches : Writing::ordinary;
}

template <class T>
void write(Index n, const T* from, T* to, Writing writing) {
    if (writing == Writing::past_caches)
        LineWriter<T>(to).append(n, from);
    else
        std::copy_n(from, n, to);
}

template <class T>
struct VectorOf16Bytes {
    typedef T type __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
};

/// The side of the square that transpose_square() turns.
template <class T>
constexpr Index transposed_rows = 16 / static_cast<Index>(sizeof(T));

/// to[j * pitch + i] = rows[i][j] for `transposed_rows` rows i and as many columns j.
template <class T>
void transpose_square(const T* const* rows, T* to, Index pitch) {
    using V = typename VectorOf16Bytes<T>::type;
    const auto load = [&](int i) { return *reinterpret_cast<const V*>(rows[i]); };
    const auto store = [&](int j, V column) { *reinterpret_cast<V*>(to + j * pitch) = column; };
    if constexpr (sizeof(T) == 8) {
        const V a = load(0), b = load(1);
        store(0, __builtin_shufflevector(a, b, 0, 2));
        store(1, __builtin_shufflevector(a, b, 1, 3));
    } else {
        const V a = load(0), b = load(1), c = load(2), d = load(3);
        const V left_ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                left_cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const V right_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const V right_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        store(0, __builtin_shufflevector(left_ab, left_cd, 0, 1, 4, 5));
        store(1, __builtin_shufflevector(left_ab, left_cd, 2, 3, 6, 7));
        store(2, __builtin_shufflevector(right_ab, right_cd, 0, 1, 4, 5));
        store(3, __builtin_shufflevector(right_ab, right_cd, 2, 3, 6, 7));
    }
}

}  // namespace curvblas::cpu
