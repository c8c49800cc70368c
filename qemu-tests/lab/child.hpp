#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "core/result.hpp"

namespace bedplate::lab {

/// A process by number and start time, so that a number that was given to another process since is
/// not mistaken for it (proc(5), /proc/<pid>/stat field 22).
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< clock ticks since boot

  bool alive() const;
  /// SIGKILL to its process group if it is still the same process; waits up to 5 s for its end.
  void kill_group() const;
};

struct ChildOptions {
  std::vector<std::string> argv;
  std::filesystem::path log;  ///< its stdout and stderr, appended
  int nice = 0;
  bool outlives_us = false;  ///< else the kernel kills it when we end, however we end
};

/// A program that runs beside us in its own process group. Killed with its group when the object
/// goes, unless it was released. Start children from the main thread only: the kernel ties their
/// life to the thread that made them.
class Child {
 public:
  static Result<Child> start(const ChildOptions& options);
  Child() = default;
  Child(Child&& other) noexcept : id_(std::exchange(other.id_, {})) {}
  Child& operator=(Child&& other) noexcept;
  ~Child() { kill(); }

  const ProcessId& id() const { return id_; }
  bool running();
  void kill();
  /// Leaves it running when the object goes.
  void release() { id_ = {}; }

 private:
  ProcessId id_;
};

}  // namespace bedplate::lab
