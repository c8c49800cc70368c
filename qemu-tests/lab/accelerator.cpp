#include "qemu-tests/lab/accelerator.hpp"

#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "core/process.hpp"
#include "qemu-tests/lab/console.hpp"

namespace bedplate::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool userland_speaks(std::string_view line) {
  for (const std::string_view mark : {"Run /init", "systemd[1]", "bedplate: "}) {
    if (line.find(mark) != std::string_view::npos) return true;
  }
  return false;
}

Result<Child> start_guest(const std::filesystem::path& medium, const Firmware& firmware,
                          const std::filesystem::path& folder) {
  const auto variables = folder / "probe-vars.fd";
  BP_CHECK(copy_variables(firmware, variables));
  BP_TRY(const auto qemu, find_program("qemu-system-x86_64", "qemu-system-x86"));
  ChildOptions options;
  options.argv = {qemu.string(),
                  "-nodefaults",
                  "-no-user-config",
                  "-machine",
                  "q35",
                  "-accel",
                  "kvm",
                  "-cpu",
                  "host",
                  "-m",
                  "1536",
                  "-display",
                  "none",
                  "-serial",
                  "file:" + (folder / "probe-console.log").string(),
                  "-drive",
                  "if=pflash,unit=0,format=raw,readonly=on,file=" + firmware.code.string(),
                  "-drive",
                  "if=pflash,unit=1,format=raw,file=" + variables.string(),
                  "-drive",
                  "if=none,id=medium,media=cdrom,format=raw,readonly=on,file=" + medium.string(),
                  "-device",
                  "ide-cd,drive=medium,bus=ide.0,bootindex=0"};
  options.log = folder / "probe-qemu.log";
  return Child::start(options);
}

bool guest_runs(const std::filesystem::path& medium, const Firmware& firmware,
                const std::filesystem::path& folder, const std::function<bool()>& cancelled) {
  const auto log = folder / "probe-console.log";
  std::error_code ignored;
  std::filesystem::remove(log, ignored);
  ConsoleReader console(log);
  auto guest = start_guest(medium, firmware, folder);
  if (!guest) return false;
  bool any = false;
  bool runs = false;
  for (milliseconds waited{0}; !runs && !cancelled(); waited += milliseconds(100)) {
    any |= console.poll([&](std::string_view line) { runs |= userland_speaks(line); });
    if (!guest->running() || waited > seconds(60) || (!any && waited > seconds(8))) break;
    std::this_thread::sleep_for(milliseconds(100));
  }
  return runs;
}

}  // namespace

Result<Accelerator> choose_accelerator(const std::filesystem::path& medium,
                                       const Firmware& firmware,
                                       const std::filesystem::path& folder, Progress& progress,
                                       const std::function<bool()>& cancelled) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return Accelerator::tcg;
  BP_TRY(const auto boot, read_file("/proc/sys/kernel/random/boot_id"));
  const auto memory = folder / "accelerator.json";
  const auto known = read_json(memory);
  if (known && json_string_or(*known, "boot", "") == boot) {
    return json_string_or(*known, "accelerator", "") == "kvm" ? Accelerator::kvm : Accelerator::tcg;
  }
  progress.begin("trying whether a guest runs with KVM", 0);
  const auto answer =
      guest_runs(medium, firmware, folder, cancelled) ? Accelerator::kvm : Accelerator::tcg;
  progress.end();
  if (cancelled()) return fail(ErrorKind::cancelled, "stopped");
  if (answer == Accelerator::tcg) {
    progress.note("KVM is there, but no guest starts with it: machines are emulated (slower)");
  }
  const Json json{{"boot", boot}, {"accelerator", to_string(answer)}};
  BP_CHECK(write_file_atomic(memory, json.dump()));
  return answer;
}

}  // namespace bedplate::lab
