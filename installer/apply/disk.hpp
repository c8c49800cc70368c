#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/process.hpp"
#include "core/result.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

/// The disk that is being installed, as device nodes; a seam for tests.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual std::filesystem::path node() const = 0;
  virtual std::filesystem::path partition(int number) const = 0;
  /// True when the kernel shows exactly these partitions.
  virtual bool shows(const std::vector<PlannedPartition>& wanted) const = 0;
  /// Makes the kernel show exactly these partitions and waits for their device nodes.
  virtual Result<void> show(const std::vector<PlannedPartition>& wanted) = 0;
  /// Waits until nobody else looks at the disk (udev reads a table again after each write).
  virtual void settle() = 0;
  /// Stops device-mapper and md devices that stand on the disk.
  virtual Result<void> release() = 0;
};

/// A disk of this machine by its kernel name. Partitions are told to the kernel one by one (BLKPG):
/// that works with any kernel, and while another partition of the disk is in use.
std::unique_ptr<Disk> make_kernel_disk(std::string_view name, ProcessRunner& runner, Clock& clock);

}  // namespace bedplate::installer
