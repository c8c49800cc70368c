#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "core/file.hpp"
#include "core/result.hpp"
#include "installer/probe/host.hpp"

namespace bedplate::installer::testing {

/// For tests only: a medium in a folder and file-backed disks of this machine (loop devices).
struct TestMedium {
  std::filesystem::path mount;   ///< as /run/medium
  std::filesystem::path loader;  ///< as /usr/lib/bedplate/boot
  std::filesystem::path trust;   ///< as …/bundle-keys
};
TestMedium make_test_medium(const std::filesystem::path& folder);

/// A sparse file as /dev/loopN; detached with its partitions at the end.
class LoopDisk {
 public:
  LoopDisk(std::filesystem::path file, std::uint64_t size);
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;
  ~LoopDisk();
  const std::string& name() const { return name_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  std::string name_;
};

/// What `bedplate install` does with one disk: reads the medium, probes, plans, applies.
Result<void> install_on(const TestMedium& medium, const std::string& disk,
                        const std::filesystem::path& state_mount);

/// The state that an installation leaves, as "what → digest"; equal for equal installations.
std::map<std::string, std::string> fingerprint_of(const std::string& disk,
                                                  const std::filesystem::path& scratch);

/// True when this machine lets us use loop devices.
bool can_use_loop_devices();

}  // namespace bedplate::installer::testing
