#include "emu/finding.h"

#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include "emu/block.h"

namespace curvblas::emulator {
namespace {

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

/// The lines that addr2line prints for an address of a loaded module: function, file:line, for each inlined level.
std::vector<std::string> symbolised(const void* code) {
    Dl_info info;
    if (!dladdr(code, &info) || !info.dli_fname) return {};
    const auto offset = static_cast<const char*>(code) - static_cast<const char*>(info.dli_fbase);
    const std::string command = sentence("addr2line -f -C -i -e '", info.dli_fname, "' ", std::hex, offset);
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::vector<std::string> lines;
    std::array<char, 4096> buffer;
    while (pipe && std::fgets(buffer.data(), buffer.size(), pipe.get())) {
        std::string line = buffer.data();
        while (!line.empty() && line.back() == '\n') line.pop_back();
        lines.push_back(line);
    }
    return lines;
}

// "void curvblas::emulator::(anonymous namespace)::sum_tiles<float>(...)" is "sum_tiles<float>" to a reader.
std::string short_name(std::string name) {
    int depth = 0;
    std::size_t begin = 0, end = name.size();
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name.compare(i, 21, "(anonymous namespace)") == 0) {
            i += 20;
            continue;
        }
        if (name[i] == '<') ++depth;
        if (name[i] == '>') --depth;
        if (depth > 0) continue;
        if (name[i] == '(') {
            end = i;
            break;
        }
        if (name[i] == ' ' || name[i] == ':') begin = i + 1;
    }
    name = name.substr(begin, end - begin);
    if (name == "operator") return "a lambda";
    constexpr std::size_t readable = 60;  // the types of lambdas are not
    return name.size() > readable ? name.substr(0, name.find('<')) : name;
}

}  // namespace

std::string source_of(const void* code) {
    // The address is that of a return: the call lies before it.
    const std::vector<std::string> lines = symbolised(static_cast<const char*>(code) - 1);
    std::string text;
    for (std::size_t k = 0; k + 1 < lines.size(); k += 2) {
        const std::string where = base_name(lines[k + 1].substr(0, lines[k + 1].find(" (")));
        // The wrappers of the dialect are not what a reader looks for.
        if (where.starts_with("dialect.h:") && k + 3 < lines.size()) continue;
        text += sentence(text.empty() ? "" : ", inlined at ", where, " in ", short_name(lines[k]));
    }
    return text.empty() ? sentence("code at ", code) : text;
}

std::string callers() {
    const std::string kernel = " in " + function_at(running.kernel);
    std::string text;
    bool inside = false;
    // Each frame begins with the address of its caller's, followed by the return address.
    for (auto* frame = static_cast<const void* const*>(__builtin_frame_address(0));
         running.in_own_stack(frame) && running.in_own_stack(frame + 1);) {
        const std::string source = source_of(frame[1]);
        // The first frames are the emulator's.
        const bool own = source.find(".cpp:") != std::string::npos || source.starts_with("dialect.h:");
        if (inside) text += sentence("\n  called at ", source);
        inside = inside || !own;
        const auto* const caller = static_cast<const void* const*>(frame[0]);
        if ((inside && source.ends_with(kernel)) || caller <= frame) break;
        frame = caller;
    }
    return text;
}

std::string function_at(const void* code) {
    const std::vector<std::string> lines = symbolised(code);
    return lines.size() < 2 ? "?" : short_name(lines[lines.size() - 2]);
}

std::string text_of(const Site& site) {
    return site.file ? sentence(base_name(site.file), ":", site.line) : "the start of the kernel";
}

}  // namespace curvblas::emulator
