// Where in the source a kernel did something: taken by the default arguments of the emulated built-ins.
#pragma once

namespace curvblas::emulator {

struct Site {
    const char* file = nullptr;
    int line = 0;

    friend bool operator==(const Site&, const Site&) = default;
};

}  // namespace curvblas::emulator
