// STATE and DATA: file system, volume group, and what a node needs to know about itself.

#include <algorithm>
#include <map>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "installer/apply/copy.hpp"
#include "installer/apply/installation.hpp"
#include "installer/apply/mount.hpp"
#include "installer/probe/signatures.hpp"

namespace bedplate::installer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStateLabel = "BP-STATE";

fs::path partition_node(const Installation& in, std::string_view label) {
  return in.disk.partition(in.plan.find(label)->number);
}

std::string text_of(const Plan& plan, std::string_view id) {
  const auto found = std::ranges::find(plan.steps, id, &PlanStep::id);
  return found == plan.steps.end() ? std::string(id) : found->text;
}

// --- format-state -------------------------------------------------------------------------------

Result<ProbeResult> probe_state_format(const Installation& in) {
  const auto* part = in.plan.find("BP-STATE");
  BP_TRY(const auto found, probe_signatures(in.disk.partition(part->number)));
  const bool ours = std::ranges::any_of(found, [&](const Signature& signature) {
    return signature.type == "ext4" && signature.label == kStateLabel &&
           signature.uuid == part->uuid;
  });
  return ours ? ProbeResult::satisfied() : ProbeResult::missing();
}

/// The label comes last, in a write of its own: a file system with it is complete.
Result<void> format_state(const Installation& in) {
  const auto* part = in.plan.find("BP-STATE");
  const auto node = in.disk.partition(part->number).string();
  BP_CHECK(in.runner.check({"mkfs.ext4", "-q", "-F", "-L", "unfinished", "-U", part->uuid, "-m",
                            "1", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", node}));
  BP_CHECK(sync_path(node));
  BP_CHECK(in.runner.check({"e2label", node, std::string(kStateLabel)}));
  return sync_path(node);
}

// --- data ---------------------------------------------------------------------------------------

/// LVM sees this partition only, and keeps no files: the root is read-only, and a group of the same
/// name on another disk is none of our business.
std::vector<std::string> lvm(const fs::path& node, std::vector<std::string> argv) {
  argv.push_back("--config");
  argv.push_back(fmt::format(
      "devices {{ use_devicesfile=0 scan_lvs=0 global_filter=[\"a|^{}$|\",\"r|.*|\"] }} "
      "backup {{ backup=0 archive=0 }} global {{ use_lvmpolld=0 }}",
      node.string()));
  return argv;
}

/// Name of the volume group that the partition belongs to; empty without one.
Result<std::string> group_of(const Installation& in, const fs::path& node) {
  BP_TRY(auto name,
         in.runner.check(lvm(node, {"pvs", "--noheadings", "-o", "vg_name", node.string()})));
  std::erase_if(name, [](char c) { return c == ' ' || c == '\n'; });
  return name;
}

Result<bool> is_physical_volume(const fs::path& node) {
  BP_TRY(const auto found, probe_signatures(node));
  return std::ranges::find(found, "LVM2_member", &Signature::type) != found.end();
}

Result<ProbeResult> probe_data(const Installation& in) {
  const auto node = partition_node(in, "BP-DATA");
  BP_TRY(const auto volume, is_physical_volume(node));
  if (!volume) return ProbeResult::missing();
  BP_TRY(const auto name, group_of(in, node));
  if (name.empty()) return ProbeResult::missing("no volume group yet");
  if (name == "bedplate-data") return ProbeResult::satisfied();
  return ProbeResult::conflict("the DATA partition belongs to volume group " + name);
}

Result<void> make_data(const Installation& in) {
  const auto node = partition_node(in, "BP-DATA");
  BP_TRY(const auto volume, is_physical_volume(node));
  if (!volume) {
    BP_CHECK(in.runner.check(lvm(node, {"pvcreate", "-q", "-ff", "-y", node.string()})));
  }
  BP_CHECK(in.runner.check(lvm(node, {"vgcreate", "-q", "-y", "bedplate-data", node.string()})));
  return sync_path(node);
}

// --- state --------------------------------------------------------------------------------------

struct StateFile {
  std::string content;
  mode_t mode = 0644;
};

Result<std::string> enrolment_text(const Installation& in) {
  BP_TRY(auto secrets, read_enrolment(in.sources.medium / "enrolment.json"));
  const auto* node = in.site.find(in.plan.node);
  if (node->role != Role::control_plane && in.plan.node != in.site.bootstrap) {
    // A worker has no use for the secrets of others.
    std::erase_if(secrets, [&](const auto& entry) { return entry.first != in.plan.node; });
  }
  if (!secrets.contains(in.plan.node)) {
    return fail(ErrorKind::invalid,
                fmt::format("the medium has no enrolment secret for node '{}'", in.plan.node),
                "run bedplate site init with this site file, then bedplate image iso");
  }
  return enrolment_to_json(secrets);
}

Result<std::map<std::string, StateFile>> state_files(const Installation& in) {
  std::map<std::string, StateFile> out;
  out["site.yaml"] = {site_to_yaml(in.site), 0644};
  out["node.json"] = {Json{{"name", in.plan.node}, {"siteId", in.plan.site_id}}.dump() + "\n",
                      0644};
  BP_TRY(auto enrolment, enrolment_text(in));
  out["enrolment.json"] = {std::move(enrolment), 0600};
  return out;
}

bool has_content(const fs::path& path, const StateFile& wanted) {
  const auto have = read_file(path);
  struct stat info{};
  return have && *have == wanted.content && ::stat(path.c_str(), &info) == 0 &&
         (info.st_mode & 07777) == wanted.mode;
}

/// The copy got its name only after it was verified, so its size and signed header tell enough.
Result<bool> has_bundle(const Installation& in, const fs::path& copy) {
  std::error_code code;
  if (fs::file_size(copy, code) != in.plan.bundle.size || code) return false;
  const auto header = [](const fs::path& path, std::uint64_t size) -> Result<std::string> {
    std::string out(std::min<std::uint64_t>(size, 64 << 10), '\0');
    BP_TRY(const auto fd, open_file(path, O_RDONLY));
    BP_CHECK(read_exactly_at(fd.get(), std::as_writable_bytes(std::span(out)), 0));
    return out;
  };
  BP_TRY(const auto have, header(copy, in.plan.bundle.size));
  BP_TRY(const auto wanted, header(in.sources.medium / "site.bundle", in.plan.bundle.size));
  return have == wanted && in.bundles.open(copy).has_value();
}

/// Copies, verifies what is on the disk, then names it.
Result<void> copy_bundle(const Installation& in, const fs::path& to) {
  BP_TRY(auto file, AtomicFile::create(to));
  if (in.progress != nullptr) in.progress->begin("Copying the bundle", in.plan.bundle.size);
  auto copied = copy_to_fd(in.sources.medium / "site.bundle", file.fd(), in.progress);
  if (in.progress != nullptr) in.progress->end();
  BP_CHECK(std::move(copied));
  if (::fsync(file.fd()) != 0) return fail(system_error(errno, "cannot sync the bundle"));
  (void)::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED);
  BP_CHECK_DURING("reading the bundle back from the disk",
                  in.bundles.verify(file.temporary_path(), in.progress));
  return file.commit();
}

/// A killed attempt leaves its temporary files; they would stay for ever.
void remove_temporaries(const fs::path& folder) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().filename().string().find(".tmp.") != std::string::npos) {
      fs::remove(entry.path(), code);
    }
  }
}

Result<ProbeResult> probe_state(const Installation& in) {
  BP_TRY(auto mount, Mount::ext4(partition_node(in, "BP-STATE"), in.state_mount));
  const auto folder = mount.path() / "lib/bedplate";
  BP_TRY(const auto files, state_files(in));
  for (const auto& [name, file] : files) {
    if (!has_content(folder / name, file)) return ProbeResult::missing(name + " differs");
  }
  std::error_code code;
  if (!fs::exists(folder / "clock", code)) return ProbeResult::missing("clock is missing");
  BP_TRY(const auto bundle, has_bundle(in, folder / "site.bundle"));
  BP_CHECK(mount.unmount());
  return bundle ? ProbeResult::satisfied() : ProbeResult::missing("the bundle is missing");
}

Result<void> fill_state(const Installation& in) {
  BP_TRY(auto mount, Mount::ext4(partition_node(in, "BP-STATE"), in.state_mount));
  const auto folder = mount.path() / "lib/bedplate";
  BP_CHECK(make_directories(folder));
  remove_temporaries(folder);
  BP_TRY(const auto files, state_files(in));
  for (const auto& [name, file] : files) {
    BP_CHECK(write_file_atomic(folder / name, file.content, file.mode));
  }
  BP_CHECK(write_file_atomic(folder / "clock", ""));  // its time stamp is what counts
  BP_TRY(const auto bundle, has_bundle(in, folder / "site.bundle"));
  if (!bundle) BP_CHECK(copy_bundle(in, folder / "site.bundle"));
  return mount.unmount();
}

}  // namespace

std::unique_ptr<Step> make_format_state_step(Installation& in) {
  return make_step(
      "format-state", text_of(in.plan, "format-state"), [&in] { return probe_state_format(in); },
      [&in] { return format_state(in); });
}

std::unique_ptr<Step> make_data_step(Installation& in) {
  return make_step(
      "data", text_of(in.plan, "data"), [&in] { return probe_data(in); },
      [&in] { return make_data(in); });
}

std::unique_ptr<Step> make_state_step(Installation& in) {
  return make_step(
      "state", text_of(in.plan, "state"), [&in] { return probe_state(in); },
      [&in] { return fill_state(in); });
}

}  // namespace bedplate::installer
