#include <cstddef>
#include <cstdint>

#include "airgap-bundle/fuzz/targets.hpp"

// libFuzzer's own name for it (https://llvm.org/docs/LibFuzzer.html).
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bedplate::fuzz::BEDPLATE_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
