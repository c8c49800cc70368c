#include "qemu-tests/lab/machine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "core/process.hpp"

namespace bedplate::lab {
namespace {

/// QEMU splits option values at commas; a doubled comma is one of the value.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ',') out += ',';
    out += c;
  }
  return out;
}

std::string escaped(const std::filesystem::path& path) {
  return escaped(path.string());
}

using Words = std::vector<std::string>;

void add(Words& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more.begin(), more.end());
}

void add_processor(Words& words, const MachineSpec& spec) {
  if (spec.accelerator == Accelerator::kvm) {
    add(words, {"-accel", "kvm", "-cpu", "host"});
  } else {
    add(words, {"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"});
  }
  add(words, {"-smp", std::to_string(spec.processors), "-m", std::to_string(spec.memory_mib)});
}

void add_firmware(Words& words, const MachineSpec& spec) {
  add(words, {"-drive", fmt::format("if=pflash,unit=0,format=raw,readonly=on,file={}",
                                    escaped(spec.firmware_code))});
  add(words, {"-drive", fmt::format("if=pflash,unit=1,format=raw,file={}",
                                    escaped(spec.firmware_variables))});
  if (spec.serial) {
    add(words, {"-smbios", fmt::format("type=1,serial={}", escaped(*spec.serial))});
  }
  if (spec.uuid) add(words, {"-uuid", *spec.uuid});
}

std::string drive(std::string_view id, const std::filesystem::path& file) {
  // Speed: what the guest flushes stays in our page cache. A power cut by kill(2) loses nothing
  // then; what a real one loses is another test's matter (blklogwrites).
  return fmt::format("if=none,id={},format=raw,cache=unsafe,discard=unmap,file={}", id,
                     escaped(file));
}

/// Only SCSI disks have a model and a WWN that can be chosen.
void add_root_disk(Words& words, const MachineSpec& spec) {
  add(words, {"-drive", drive("root", spec.disk_path())});
  const auto serial =
      spec.disk.serial ? fmt::format(",serial={}", escaped(*spec.disk.serial)) : std::string();
  if (!spec.disk.model && !spec.disk.wwn) {
    add(words, {"-device", fmt::format("virtio-blk-pci,drive=root,bootindex=1{}", serial)});
    return;
  }
  const auto model =
      spec.disk.model ? fmt::format(",product={}", escaped(*spec.disk.model)) : std::string();
  const auto wwn = spec.disk.wwn ? fmt::format(",wwn={}", *spec.disk.wwn) : std::string();
  add(words, {"-device", "virtio-scsi-pci,id=scsi", "-device",
              fmt::format("scsi-hd,bus=scsi.0,drive=root,bootindex=1{}{}{}", serial, model, wwn)});
}

void add_storage(Words& words, const MachineSpec& spec) {
  if (spec.decoy) {
    // First on the bus, so that it is the one an installer that does not look would take.
    add(words, {"-drive", drive("decoy", spec.decoy_path()), "-device",
                "virtio-blk-pci,drive=decoy,serial=SOMEONES-DATA,addr=3"});
  }
  add_root_disk(words, spec);
  add(words, {"-drive",
              fmt::format("if=none,id=medium,media=cdrom,format=raw,readonly=on,file={}",
                          escaped(spec.medium)),
              "-device", "ide-cd,drive=medium,bus=ide.0,bootindex=0"});
}

}  // namespace

std::string_view to_string(Accelerator accelerator) {
  return accelerator == Accelerator::kvm ? "kvm" : "tcg";
}

std::vector<std::string> machine_arguments(const MachineSpec& spec) {
  Words words{"qemu-system-x86_64", "-name", escaped(spec.name), "-nodefaults", "-no-user-config",
              "-machine",           "q35"};
  add_processor(words, spec);
  add(words, {"-rtc", "base=2000-01-01T00:00:00", "-display", "none", "-vga", "none"});
  add(words,
      {"-chardev", fmt::format("file,id=console,append=on,path={}", escaped(spec.console_path())),
       "-serial", "chardev:console"});
  add(words, {"-qmp", fmt::format("unix:{},server=on,wait=off", escaped(spec.control_socket))});
  add_firmware(words, spec);
  add_storage(words, spec);
  add(words,
      {"-netdev",
       fmt::format("stream,id=net,server=off,addr.type=unix,addr.path={}",
                   escaped(spec.network_socket)),
       "-device", fmt::format("virtio-net-pci,netdev=net,romfile=,mac={}", to_string(spec.mac))});
  add(words, {"-device", "virtio-rng-pci"});
  return words;
}

Result<std::string> emulator_version(ProcessRunner& runner) {
  BP_TRY(const auto program, find_program("qemu-system-x86_64", "qemu-system-x86"));
  BP_TRY(const auto said, runner.check({program.string(), "--version"}));
  if (auto version = parse_emulator_version(said)) return *version;
  return fail(ErrorKind::process,
              fmt::format("{} --version says no version: {}", program.string(), said));
}

std::optional<std::string> parse_emulator_version(std::string_view text) {
  constexpr std::string_view kMark = "QEMU emulator version ";
  const auto at = text.find(kMark);
  if (at == std::string_view::npos) return std::nullopt;
  const auto rest = text.substr(at + kMark.size());
  const auto version = rest.substr(0, rest.find_first_not_of("0123456789."));
  if (version.empty()) return std::nullopt;
  return std::string(version);
}

Result<Machine> Machine::power_on(const MachineSpec& spec, bool outlives_us) {
  ChildOptions options;
  options.argv = machine_arguments(spec);
  BP_TRY(const auto program, find_program(options.argv[0], "qemu-system-x86"));
  options.argv[0] = program.string();
  options.log = spec.folder / "qemu.log";
  options.nice = spec.nice;
  options.outlives_us = outlives_us;
  ::unlink(spec.control_socket.c_str());
  Machine machine;
  BP_TRY_DURING(machine.child_, fmt::format("switching on {}", spec.name), Child::start(options));
  return machine;
}

}  // namespace bedplate::lab
