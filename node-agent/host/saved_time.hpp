#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "core/clock.hpp"
#include "core/result.hpp"

namespace bedplate::agent {

/// The time that has certainly passed, for the next start of a machine whose clock has no battery:
/// the modification time of a file. Containers of the last minutes would otherwise seem to be of
/// the future after a power cut; a kubelet then takes them for the newest and starts what runs
/// already, until the clock has caught up.
std::optional<WallTime> saved_time(const std::filesystem::path& root);

/// How much later than the saved time the power may have failed: it is saved every ten seconds, and
/// ext4 writes it within five more.
inline constexpr std::chrono::seconds unsaved_time{15};

/// Saves that it is `now`; never an earlier time than is saved already. Not synced, as it is done
/// all the time.
Result<void> save_time(const std::filesystem::path& root, WallTime now);

/// Saves the time every ten seconds for as long as it lives, also while a step takes long.
class TimeSaver {
 public:
  /// `clock` must outlive it. One that is still to be set does no harm.
  TimeSaver(std::filesystem::path root, Clock& clock);

 private:
  std::jthread thread_;
};

}  // namespace bedplate::agent
