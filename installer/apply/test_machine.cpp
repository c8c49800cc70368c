#include "installer/apply/test_machine.hpp"

#include <cstdlib>
#include <random>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "airgap-bundle/bundle/writer.hpp"
#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/process.hpp"
#include "core/site.hpp"
#include "installer/apply/installation.hpp"
#include "installer/apply/mount.hpp"
#include "installer/apply/table.hpp"
#include "installer/medium.hpp"
#include "installer/probe/markers.hpp"
#include "installer/probe/probe.hpp"
#include "installer/probe/signatures.hpp"
#include "installer/resume.hpp"

namespace bedplate::installer::testing {
namespace fs = std::filesystem;
namespace {

/// Tests have no use for a half-made fixture.
template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "test fixture: {}", result.error().render());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string noise(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (auto& c : out) c = static_cast<char>(random());
  return out;
}

void put(const fs::path& path, std::string_view content) {
  must(make_directories(path.parent_path()));
  must(write_file_atomic(path, content));
}

Site test_site(const PublicKey& key) {
  auto site = must(parse_site(R"(kind: Site
name: loop
domain: loop.example
kubernetes: {version: v1.36.3, podNetwork: 10.244.0.0/16, serviceNetwork: 10.96.0.0/12}
network: {plugin: basic}
nodes:
  - name: node-1
    role: control-plane
    match: {mac: "52:54:00:00:00:01"}
    disk: {minSize: 1GiB}
    address: 192.0.2.11/24
    gateway: none
)",
                              "site.yaml"));
  site.trust.bundle_keys = {key};
  return site;
}

void write_bundle(const fs::path& path, const PrivateKey& key) {
  auto writer = must(bundle::Writer::create(path, 16));
  for (std::uint32_t i = 0; i < 4; ++i) must(writer.add(noise(std::size_t{3} << 20, 100 + i)));
  must(writer.finish(R"({"schemaVersion":2,"manifests":[]})", "loop", "1",
                     WallTime(std::chrono::seconds(1'700'000'000)), key));
}

std::string run(std::vector<std::string> argv) {
  SystemProcessRunner runner;
  return must(runner.check(std::move(argv)));
}

void hash_tree(const fs::path& root, std::map<std::string, std::string>& out) {
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto name = "STATE:" + entry.path().lexically_relative(root).string();
    const auto mode = static_cast<unsigned>(entry.status().permissions());
    out[name] = fmt::format("{:o} {}", mode,
                            entry.is_regular_file() ? must(digest_file(entry.path())).str() : "-");
  }
}

std::string digest_range(const fs::path& device, std::uint64_t start, std::uint64_t size) {
  auto fd = must(open_file(device, O_RDONLY));
  std::string data(size, '\0');
  must(read_exactly_at(fd.get(), std::as_writable_bytes(std::span(data)), start));
  return Digest::of(data).str();
}

}  // namespace

TestMedium make_test_medium(const fs::path& folder) {
  TestMedium medium{folder / "medium", folder / "loader", folder / "bundle-keys"};
  const auto key = PrivateKey::generate();
  const auto site = test_site(key.public_key());
  const auto inside = medium.mount / "bedplate";
  put(inside / "site.yaml", site_to_yaml(site));
  put(inside / "enrolment.json", enrolment_to_json({{"node-1", std::string(32, 'x')}}));
  put(inside / "kernel-args", "quiet\n");
  put(inside / "boot/vmlinuz", noise(std::size_t{4} << 20, 1));
  put(inside / "boot/initrd.img", noise(std::size_t{6} << 20, 2));
  const auto system = noise(std::size_t{24} << 20, 3);
  put(inside / "system.img", system);
  put(inside / "system.json", nlohmann::json{{"version", "1"},
                                             {"rootHash", std::string(64, 'a')},
                                             {"hashOffset", 4096},
                                             {"size", system.size()},
                                             {"sha256", Digest::of(system).hex()}}
                                  .dump());
  write_bundle(inside / "site.bundle", key);
  put(medium.trust, key.public_key().str() + "\n");
  const fs::path templates = fs::path(BEDPLATE_SOURCE_DIR) / "imagebuild/files/boot";
  for (const auto* name : {"slot.cfg.in", "installed.cfg"}) {
    put(medium.loader / name, must(read_file(templates / name)));
  }
  put(medium.loader / "shimx64.efi", noise(900'000, 4));
  put(medium.loader / "grubx64.efi", noise(2'000'000, 5));
  put(medium.loader / "mmx64.efi", noise(800'000, 6));
  put(medium.loader / "bios/boot.img", noise(512, 7));
  put(medium.loader / "bios/core.img", noise(60'000, 8));
  return medium;
}

LoopDisk::LoopDisk(fs::path file, std::uint64_t size) : file_(std::move(file)) {
  put(file_, "");
  fs::resize_file(file_, size);
  auto node = run({"losetup", "--find", "--show", file_.string()});
  node.erase(node.find('\n'));
  name_ = fs::path(node).filename().string();
}

LoopDisk::~LoopDisk() {
  SystemProcessRunner runner;
  SystemClock clock;
  (void)make_kernel_disk(name_, runner, clock)->show({});
  (void)runner.check({"losetup", "-d", "/dev/" + name_});
}

Result<void> install_on(const TestMedium& medium, const std::string& disk_name,
                        const fs::path& state_mount) {
  SystemProcessRunner runner;
  SystemClock clock;
  BP_TRY(const auto keys, read_trusted_keys(medium.trust));
  const auto bundles = make_bundle_checker(keys);
  BP_TRY(const auto content, read_medium(medium.mount, keys, *bundles));
  unmount_leftover(state_mount);
  ProbedHost host;
  host.macs = {"52:54:00:00:00:01"};
  host.uefi = true;
  BP_TRY(auto probed, probe_disk({}, disk_name, runner));
  host.disks.push_back(std::move(probed));
  if (find_installed(content.site, content.site.nodes.front(), host) != nullptr) return {};
  BP_TRY(const auto plan, make_plan(content.site, host, content.system, content.bundle));
  const auto disk = make_kernel_disk(disk_name, runner, clock);
  Installation installation{.site = content.site,
                            .plan = plan,
                            .sources = {medium.loader, content.folder},
                            .disk = *disk,
                            .bundles = *bundles,
                            .runner = runner,
                            .clock = clock,
                            .state_mount = state_mount};
  return run_steps(make_install_steps(installation), {}, clock);
}

std::map<std::string, std::string> fingerprint_of(const std::string& disk,
                                                  const fs::path& scratch) {
  std::map<std::string, std::string> out;
  const fs::path node = "/dev/" + disk;
  const auto contents = must(probe_contents(node));
  std::uint64_t end = 0;
  for (const auto& part : contents.partitions) {
    const auto id =
        fmt::format("{} {} {} {} {}", part.number, part.label, part.uuid, part.start, part.size);
    out["partition " + id] = part.signatures.empty() ? "" : part.signatures.front().text();
    end = std::max(end, part.start + part.size);
  }
  out["head"] = digest_range(node, 0, std::uint64_t{2} << 20);  // table, boot code, core
  out["tail"] = digest_range(node, end, 33ULL * 512);
  const auto esp = node.string() + "p2";
  std::istringstream files(run({"mdir", "-/", "-b", "-i", esp, "::/"}));
  for (std::string name; std::getline(files, name);) {
    if (name.ends_with('/')) continue;
    out["ESP" + name] = Digest::of(run({"mtype", "-i", esp, name})).str();
  }
  run({"fsck.vfat", "-n", esp});
  run({"e2fsck", "-f", "-n", node.string() + "p5"});
  auto mount = must(Mount::ext4(node.string() + "p5", scratch));
  hash_tree(scratch, out);
  must(mount.unmount());
  out["slot A"] = digest_range(node.string() + "p3", 0, std::uint64_t{24} << 20);
  return out;
}

bool can_use_loop_devices() {
  SystemProcessRunner runner;
  return ::geteuid() == 0 && runner.check({"losetup", "--find"}).has_value();
}

}  // namespace bedplate::installer::testing
