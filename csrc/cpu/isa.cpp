// Which of the compiled instruction sets this machine can run.
#include "cpu/micro.h"

namespace curvblas::cpu {

namespace baseline {
extern const Micro table;
}
#if defined(__x86_64__)
namespace x86_64_v3 {
extern const Micro table;
}
namespace x86_64_v4 {
extern const Micro table;
}
#endif

IsaLevels usable_isa_levels() {
    IsaLevels levels = {{&baseline::table}, 1};
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (v3) levels.tables[levels.count++] = &x86_64_v3::table;
    if (v4) levels.tables[levels.count++] = &x86_64_v4::table;
#endif
    return levels;
}

}  // namespace curvblas::cpu
