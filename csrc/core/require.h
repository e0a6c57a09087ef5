// Wrong calls: exceptions whose text is a sentence with the argument, what was expected and what came.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace curvblas {

/// Becomes Python's TypeError; a std::invalid_argument becomes ValueError.
struct WrongType : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class... Parts>
std::string sentence(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    return text.str();
}

template <class... Parts>
[[noreturn]] void wrong_value(const Parts&... parts) {
    throw std::invalid_argument(sentence(parts...));
}

template <class... Parts>
[[noreturn]] void wrong_type(const Parts&... parts) {
    throw WrongType(sentence(parts...));
}

}  // namespace curvblas
