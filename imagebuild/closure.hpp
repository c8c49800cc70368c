#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::image {

/// Paths in what `ldd` or `ld.so --list` printed, in its order. ErrorKind::dependency names each
/// library that was "not found".
Result<std::vector<std::filesystem::path>> parse_ldd(std::string_view output);

/// Libraries of the C library and its loader, which must come from the same build: the image's.
bool is_glibc(const std::filesystem::path& library);

/// What must lie beside `program` in the image: its shared libraries and theirs, without glibc.
Result<std::vector<std::filesystem::path>> library_closure(ProcessRunner& runner,
                                                           std::string_view ldd,
                                                           const std::filesystem::path& program);

}  // namespace bedplate::image
