// The installer's note of an attempt to start this disk, taken away once the node has come up.

#include "core/file.hpp"
#include "node-agent/context.hpp"
#include "node-agent/host/mounts.hpp"

namespace bedplate::agent {
namespace {

/// Written by the installer (installer/resume.cpp) before it lets the firmware start the disk. If
/// it is still there when the medium starts again, the disk is taken not to start.
constexpr auto note = "::/bedplate/continued";
constexpr std::chrono::hours looked_at{24};

/// The partition of the boot loader on the disk that holds our state; other disks may have one too.
std::optional<std::string> own_esp(const Context& context) {
  return sibling_partition(context.root, mounted_device(context.root, "/var"), "BP-ESP");
}

Command mtools(std::string program, const std::string& esp) {
  Command out;
  out.argv = {std::move(program), "-i", esp, note};
  out.environment = {{"MTOOLSRC", "/dev/null"}, {"MTOOLS_SKIP_CHECK", "1"}};
  return out;
}

}  // namespace

std::unique_ptr<Step> boot_note_step(const Context& context) {
  auto step = make_step(
      "boot-note", "take away the note of an attempt to start this disk",
      [&context]() -> Result<ProbeResult> {
        const auto esp = own_esp(context);
        if (!esp) return ProbeResult::satisfied("not started from a disk of ours");
        // mtype ends with 1 when the file is not there, which is the usual case.
        BP_TRY(const auto seen, context.runner->run(mtools("mtype", *esp)));
        return seen.status == 0 ? ProbeResult::missing(*esp) : ProbeResult::satisfied();
      },
      [&context]() -> Result<void> {
        const auto esp = own_esp(context);
        if (!esp) return {};
        BP_CHECK(context.runner->check(mtools("mdel", *esp)));
        return sync_path(context.at(*esp));
      });
  return make_lasting(std::move(step), looked_at, *context.clock);
}

}  // namespace bedplate::agent
