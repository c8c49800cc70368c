#include "installer/apply/disk.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>

#include "core/file.hpp"
#include "core/log.hpp"

namespace bedplate::installer {
namespace fs = std::filesystem;
namespace {

struct Extent {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

std::uint64_t sysfs_number(const fs::path& path) {
  auto text = read_file(path, 4096);
  return text ? std::strtoull(text->c_str(), nullptr, 10) : 0;
}

class KernelDisk final : public Disk {
 public:
  KernelDisk(std::string_view name, ProcessRunner& runner, Clock& clock)
      : name_(name), runner_(runner), clock_(clock) {}

  fs::path node() const override { return fs::path("/dev") / name_; }

  fs::path partition(int number) const override {
    const bool digit = std::isdigit(static_cast<unsigned char>(name_.back())) != 0;
    return fs::path("/dev") / fmt::format("{}{}{}", name_, digit ? "p" : "", number);
  }

  bool shows(const std::vector<PlannedPartition>& wanted) const override {
    const auto known = known_partitions();
    return known.size() == wanted.size() &&
           std::ranges::all_of(wanted, [&](const PlannedPartition& part) {
             const auto found = known.find(part.number);
             std::error_code code;
             return found != known.end() && found->second == Extent{part.start, part.size} &&
                    fs::is_block_file(partition(part.number), code);
           });
  }

  Result<void> show(const std::vector<PlannedPartition>& wanted) override {
    settle();
    BP_TRY(const auto fd, open_file(node(), O_RDONLY));
    for (const auto& [number, extent] : known_partitions()) {
      const auto same = std::ranges::any_of(wanted, [&](const PlannedPartition& part) {
        return part.number == number && Extent{part.start, part.size} == extent;
      });
      if (!same) BP_CHECK(blkpg(fd.get(), BLKPG_DEL_PARTITION, number, {}));
    }
    const auto known = known_partitions();
    for (const auto& part : wanted) {
      if (known.contains(part.number)) continue;
      BP_CHECK(blkpg(fd.get(), BLKPG_ADD_PARTITION, part.number, {part.start, part.size}));
    }
    return wait_for(wanted);
  }

  void settle() override {
    std::error_code code;
    if (!fs::exists("/run/udev/control", code)) return;
    if (auto done = runner_.check({"udevadm", "settle", "--timeout=60"}); !done) {
      log::warning("udevadm settle: {}, ignoring", done.error().what);
    }
  }

  Result<void> release() override {
    for (int round = 0; round < 8; ++round) {  // volumes stand on arrays stand on disks
      const auto holders = leaf_holders();
      if (holders.empty()) return {};
      for (const auto& holder : holders) BP_CHECK(stop(holder));
      settle();
    }
    return fail(ErrorKind::conflict, fmt::format("{} stays in use", node().string()),
                "boot the medium again; if it stays, erase the disk with another system");
  }

 private:
  std::map<int, Extent> known_partitions() const {
    std::map<int, Extent> out;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(fs::path("/sys/class/block") / name_, code)) {
      const auto number = sysfs_number(entry.path() / "partition");
      if (number == 0) continue;
      // sysfs counts in 512 bytes, whatever the sector size is.
      out[static_cast<int>(number)] = {sysfs_number(entry.path() / "start") * 512,
                                       sysfs_number(entry.path() / "size") * 512};
    }
    return out;
  }

  Result<void> blkpg(int fd, int operation, int number, Extent extent) {
    blkpg_partition part{};
    part.start = static_cast<long long>(extent.start);
    part.length = static_cast<long long>(extent.size);
    part.pno = number;
    blkpg_ioctl_arg argument{};
    argument.op = operation;
    argument.datalen = sizeof part;
    argument.data = &part;
    for (int tries = 0;; ++tries) {
      if (::ioctl(fd, BLKPG, &argument) == 0) return {};
      if (operation == BLKPG_DEL_PARTITION && errno == ENXIO) return {};
      // udev may hold a partition for a moment, or have added it itself.
      if (errno != EBUSY || tries == 20) break;
      if (operation == BLKPG_ADD_PARTITION && known_partitions().contains(number)) return {};
      clock_.sleep(std::chrono::milliseconds{200});
    }
    return fail(
        system_error(errno, fmt::format("the kernel does not {} partition {} of {}",
                                        operation == BLKPG_ADD_PARTITION ? "take" : "let go of",
                                        number, node().string())));
  }

  Result<void> wait_for(const std::vector<PlannedPartition>& wanted) {
    settle();
    for (int tries = 0; tries < 100; ++tries) {
      if (shows(wanted)) return {};
      clock_.sleep(std::chrono::milliseconds{100});
    }
    return fail(ErrorKind::timeout,
                fmt::format("the partitions of {} do not appear in /dev", node().string()));
  }

  /// Holders that nothing stands on themselves.
  std::set<std::string> leaf_holders() const {
    std::set<std::string> out;
    collect_holders(fs::path("/sys/class/block") / name_, out);
    for (const auto& [number, extent] : known_partitions()) {
      collect_holders(fs::path("/sys/class/block") / partition(number).filename(), out);
    }
    return out;
  }

  static void collect_holders(const fs::path& device, std::set<std::string>& out) {
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(device / "holders", code)) {
      const auto name = entry.path().filename().string();
      const auto above = out.size();
      collect_holders(fs::path("/sys/class/block") / name, out);
      if (out.size() == above) out.insert(name);
    }
  }

  Result<void> stop(const std::string& holder) {
    if (holder.starts_with("md")) {
      BP_CHECK(runner_.check({"mdadm", "--stop", "/dev/" + holder}));
      return {};
    }
    BP_CHECK(runner_.check({"dmsetup", "remove", "--retry", "/dev/" + holder}));
    return {};
  }

  std::string name_;
  ProcessRunner& runner_;
  Clock& clock_;
};

}  // namespace

std::unique_ptr<Disk> make_kernel_disk(std::string_view name, ProcessRunner& runner, Clock& clock) {
  return std::make_unique<KernelDisk>(name, runner, clock);
}

}  // namespace bedplate::installer
