// The machine's limits for the benchmarks: fused multiply-adds a second in registers, bytes a second read from memory,
// and bytes a second copied in it. Usage: limits THREADS BYTES, prints one JSON object. Compiled by limits.py with
// -march=native; not part of the library.
//
// Every start and operand is opaque, so that the compiler can neither fold the loop nor merge its chains (with twelve
// equal starts gcc ran one of the twelve, and the "limit" came out at 1,400 GF); the result is compared with its known
// value; and twice the steps must take more than 1.5 times as long.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

template <class T>
struct Register {
    typedef T type __attribute__((vector_size(register_bytes)));
    static constexpr int lanes = register_bytes / sizeof(T);
};

/// The same value, of which the compiler knows nothing any more.
template <class V>
inline V opaque(V value) {
#if defined(__x86_64__)
    asm volatile("" : "+x"(value));
#else
    asm volatile("" : "+w"(value));
#endif
    return value;
}

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "limits: %s\n", what);
    std::exit(1);
}

/// Seconds that `work(thread)` takes on all threads together, from the first start to the last end. The threads read
/// the clock themselves: on a busy machine the thread that opens the gate may itself go through it late.
template <class Work>
double seconds(int threads, Work work) {
    using Clock = std::chrono::steady_clock;
    std::barrier gate(threads);
    std::vector<Clock::time_point> starts(threads), ends(threads);
    std::vector<std::thread> crew;
    for (int t = 0; t < threads; ++t)
        crew.emplace_back([&, t] {
            gate.arrive_and_wait();
            starts[t] = Clock::now();
            work(t);
            ends[t] = Clock::now();
        });
    for (std::thread& thread : crew) thread.join();
    const auto start = *std::min_element(starts.begin(), starts.end()),
               end = *std::max_element(ends.begin(), ends.end());
    return std::chrono::duration<double>(end - start).count();
}

/// Takes the register by value: an index that is not constant would send the caller's accumulators to memory.
template <class V, class T>
void expect(V value, T expected, const char* complaint) {
    for (std::size_t lane = 0; lane < sizeof(V) / sizeof(T); ++lane)
        if (value[lane] != expected) fail(complaint);
}

constexpr int accumulators = 12;  // latency 4 or 5 cycles times 2 ports needs 10

/// x <- x/2 + 1 from 0 reaches its fixed point 2, exactly. A pack instead of an inner loop: gcc 12 keeps the array of a
/// loop in memory, and then a store and a load go with each multiply-add (70 GF instead of 280).
template <class T, std::size_t... i>
void multiply_add(std::int64_t steps, std::index_sequence<i...>) {
    using V = typename Register<T>::type;
    V x[] = {opaque(V{} + T(i - i))...};
    const V half = opaque(V{} + T(0.5)), one = opaque(V{} + T(1));
    for (std::int64_t step = 0; step < steps; ++step) ((x[i] = x[i] * half + one), ...);
    (expect(x[i], T(2), "wrong sum of multiply-adds"), ...);
}

template <class T>
double fma_flops(int threads) {
    constexpr std::int64_t steps = 5'000'000;
    constexpr auto index = std::make_index_sequence<accumulators>();
    double once = 1e300, twice = 1e300;
    for (int pass = 0; pass < 5; ++pass) {
        once = std::min(once, seconds(threads, [=](int) { multiply_add<T>(steps, index); }));
        twice = std::min(twice, seconds(threads, [=](int) { multiply_add<T>(2 * steps, index); }));
    }
    if (twice < 1.5 * once) fail("twice the multiply-adds took less than 1.5 times as long");
    return 2.0 * accumulators * Register<T>::lanes * 2 * steps * threads / twice;
}

/// Adds up `count` registers that all hold ones.
template <std::size_t... s>
void read(const Register<std::int64_t>::type* data, std::int64_t count, std::index_sequence<s...>) {
    Register<std::int64_t>::type sum[sizeof...(s)] = {};
    for (std::int64_t i = 0; i < count; i += sizeof...(s)) ((sum[s] += data[i + s]), ...);
    (expect(sum[s], count / static_cast<std::int64_t>(sizeof...(s)), "wrong sum of the array"), ...);
}

/// Copies past the caches where the processor has such stores: a cached one first reads the line that it overwrites.
void stream(Register<std::int64_t>::type* to, const Register<std::int64_t>::type* from, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
#if defined(__AVX512F__)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), reinterpret_cast<__m512i>(from[i]));
#elif defined(__AVX2__) && defined(__FMA__)
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), reinterpret_cast<__m256i>(from[i]));
#elif defined(__x86_64__)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), reinterpret_cast<__m128i>(from[i]));
#else
        to[i] = from[i];
#endif
    }
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

/// The memory of each thread, all ones.
struct Memory {
    using V = Register<std::int64_t>::type;
    std::int64_t each, count;
    std::vector<std::unique_ptr<V[]>> parts;

    Memory(int threads, std::int64_t bytes)
        : each(bytes / threads / 8192 * 8192), count(each / register_bytes), parts(threads) {
        seconds(threads, [&](int t) {  // each thread touches its own part first, as NUMA wants it
            parts[t] = std::make_unique_for_overwrite<V[]>(count);
            std::fill_n(parts[t].get(), count, V{} + 1);
        });
    }

    /// The bytes of all threads over the shortest time of `work(part)` on all of them.
    template <class Work>
    double bandwidth(Work work) const {
        const int threads = static_cast<int>(parts.size());
        double best = 1e300;
        for (int pass = 0; pass < 5; ++pass)
            best = std::min(best, seconds(threads, [&](int t) { work(parts[t].get()); }));
        return static_cast<double>(each) * threads / best;
    }
};

double read_bandwidth(const Memory& memory) {
    return memory.bandwidth([&](const Memory::V* part) { read(part, memory.count, std::make_index_sequence<8>()); });
}

/// Bytes read and bytes written, both counted, of the better of two ways: memcpy, and stores past the caches.
double copy_bandwidth(const Memory& memory) {
    const std::int64_t half = memory.count / 2;
    const auto plain = [=](Memory::V* part) { std::memcpy(part + half, part, half * register_bytes); };
    const auto streamed = [=](Memory::V* part) { stream(part + half, part, half); };
    return std::max(memory.bandwidth(plain), memory.bandwidth(streamed));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) fail("usage: limits THREADS BYTES");
    const int threads = std::atoi(argv[1]);
    const std::int64_t bytes = std::atoll(argv[2]);
    if (threads < 1 || bytes < 8192 * threads) fail("needs a thread and two pages for each");
    const double fma_float32 = fma_flops<float>(threads), fma_float64 = fma_flops<double>(threads);
    const Memory memory(threads, bytes);
    std::printf("{\"fma_float32\": %.4g, \"fma_float64\": %.4g, \"read\": %.4g, \"copy\": %.4g}\n", fma_float32,
                fma_float64, read_bandwidth(memory), copy_bandwidth(memory));
}
