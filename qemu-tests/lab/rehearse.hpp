#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "core/progress.hpp"
#include "core/result.hpp"
#include "qemu-tests/lab/medium.hpp"
#include "qemu-tests/lab/report.hpp"

namespace bedplate::lab {

struct RehearseOptions {
  MediumSource source;
  std::optional<std::filesystem::path> work;  ///< default: the cache's rehearse/<site>
  std::size_t nodes = 0;                      ///< only the first so many machines; 0: all
  bool keep = false;                          ///< leave the machines running at the end
  bool fresh = false;                         ///< forget what an interrupted run has done
  bool decoy = false;                         ///< a disk with data beside the first machine's own
  bool capture = false;                       ///< record all frames
  std::function<bool()> cancelled;
};

/// Builds the site out of QEMU machines, from empty disks and the medium to a cluster that serves,
/// cuts the power of all, and sees it come back. Interrupted and run again, it starts machines that
/// are installed from their disks; a finished rehearsal starts anew.
class Rehearsal {
 public:
  Rehearsal(RehearseOptions options, ProcessRunner& runner, Progress& progress);
  ~Rehearsal();
  /// An error is something that kept the rehearsal from going on; what it found wrong with the site
  /// stands in the report's findings.
  Result<void> run();
  /// Also after a failure: what was seen until then.
  const RehearsalReport& report() const;
  /// For people, after run(): where the kubeconfig and the consoles are, how to stop it.
  std::string directions() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Switches off what --keep left running: of the site that is named, in the work folder that is
/// named, or else of every site. ErrorKind::not_found when there is nothing.
Result<void> stop_kept(const RehearseOptions& options);

}  // namespace bedplate::lab
