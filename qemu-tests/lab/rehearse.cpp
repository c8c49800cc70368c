#include "qemu-tests/lab/rehearse.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <stdlib.h>

#include "core/file.hpp"
#include "core/site.hpp"
#include "qemu-tests/lab/accelerator.hpp"
#include "qemu-tests/lab/disk.hpp"
#include "qemu-tests/lab/lab.hpp"
#include "qemu-tests/lab/service_check.hpp"
#include "qemu-tests/lab/state.hpp"
#include "qemu-tests/lab/workstation.hpp"

namespace bedplate::lab {
namespace {

namespace fs = std::filesystem;
using std::chrono::minutes;

fs::path work_folder(const RehearseOptions& options, const Site& site) {
  if (options.work) return fs::absolute(*options.work);
  return cache_directory() / "rehearse" / site.name;
}

/// Positions in site.nodes: the bootstrap node first, then the others as the file has them.
std::vector<std::size_t> chosen_nodes(const Site& site, std::size_t count) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < site.nodes.size(); ++i) order.push_back(i);
  std::ranges::stable_partition(
      order, [&](std::size_t i) { return site.nodes[i].name == site.bootstrap_node().name; });
  if (count != 0 && count < order.size()) order.resize(count);
  return order;
}

Result<fs::path> make_socket_folder() {
  std::string pattern = "/tmp/bedplate-lab-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    return fail(system_error(errno, "cannot make a folder in /tmp"));
  }
  return fs::path(pattern);
}

}  // namespace

struct Rehearsal::Impl {
  Impl(RehearseOptions o, ProcessRunner& r, Progress& p)
      : options(std::move(o)), runner(r), progress(p) {}
  ~Impl() {
    lab.reset();
    network.reset();
    std::error_code ignored;
    if (!kept && !sockets.empty()) fs::remove_all(sockets, ignored);
  }

  Result<void> run();
  Result<void> phase(std::string name, const std::function<Result<void>()>& work);
  Result<void> read_inputs();
  Result<void> open_folder();
  Result<void> prepare_machines();
  Result<void> prepare_disks(const MachineSpec& spec);
  MachineSpec spec_of(std::size_t node) const;
  Result<void> start_network();
  Result<void> first_start();
  Result<void> operate();
  Result<void> nodes_ready(const std::vector<NodeView>& before);
  Result<void> check_service(int round);
  Result<void> cut_and_return();
  Result<void> look_around();
  void collect();
  void judge();
  Result<void> finish();
  Result<void> keep_running();

  RehearseOptions options;
  ProcessRunner& runner;
  Progress& progress;
  Site site;
  Medium medium;
  fs::path work;
  fs::path folder;
  fs::path sockets;
  RehearsalState state;
  Firmware firmware;
  Accelerator accelerator = Accelerator::tcg;
  std::optional<FileLock> lock;
  std::vector<MachineSpec> specs;
  std::optional<Network> network;
  std::unique_ptr<Lab> lab;
  std::optional<Workstation> workstation;
  RehearsalReport report;
  bool kept = false;
};

Result<void> Rehearsal::Impl::phase(std::string name, const std::function<Result<void>()>& work_) {
  const auto began = std::chrono::steady_clock::now();
  auto result = work_();
  report.phases.push_back({std::move(name), std::chrono::duration_cast<Milliseconds>(
                                                std::chrono::steady_clock::now() - began)});
  return result;
}

Result<void> Rehearsal::Impl::read_inputs() {
  auto& source = options.source;
  source.site = fs::absolute(source.site);
  BP_TRY(auto parsed, read_site(source.site));
  if (source.secrets.empty()) source.secrets = default_secrets_path(source.site);
  source.secrets = fs::absolute(source.secrets);
  BP_TRY(const auto secrets, read_secrets(source.secrets));
  BP_TRY(site, seal_site(std::move(parsed), secrets));
  report.site = site.name;
  BP_CHECK(check_installable(site));
  BP_TRY(firmware, find_firmware());
  return {};
}

Result<void> Rehearsal::Impl::open_folder() {
  work = work_folder(options, site);
  BP_CHECK(make_directories(work, 0700));
  auto locked = FileLock::acquire(work / "lock", false);
  if (!locked)
    return fail(std::move(locked).error().during("starting a rehearsal in " + work.string()));
  lock = std::move(*locked);
  if (const auto running = read_kept(work / "running.json"); running && any_alive(*running)) {
    return fail(ErrorKind::conflict, "machines of an earlier rehearsal are running",
                fmt::format("bedplate rehearse {} --stop", options.source.site.string()));
  }
  BP_TRY(const auto iso, find_iso(options.source, work, runner, progress));
  progress.begin("reading the medium", 0);
  BP_TRY(const auto digest, digest_file(iso));
  const auto key = Digest::of(site_to_yaml(site) + digest.str()).hex().substr(0, 12);
  folder = work / key;
  if (options.fresh) BP_CHECK(remove_tree(folder));
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(work, ignored)) {
    // Disks of another medium are of no use any more, and big.
    if (entry.path() != folder && is_of_a_rehearsal(entry.path())) {
      BP_CHECK(remove_tree(entry.path()));
    }
  }
  BP_CHECK(make_directories(folder, 0700));
  state = read_state(folder / "state.json");
  BP_CHECK(write_state(folder / "state.json", state));  // says whose folder this is
  BP_TRY(medium,
         open_medium(iso, options.source, site.trust.bundle_keys, folder, runner, progress));
  report.bundle = medium.bundle;
  return {};
}

MachineSpec Rehearsal::Impl::spec_of(std::size_t node) const {
  const auto& wanted = site.nodes[node];
  MachineSpec spec;
  spec.name = wanted.name;
  spec.folder = folder / wanted.name;
  spec.accelerator = accelerator;
  const bool control_plane = wanted.role == Role::control_plane;
  spec.memory_mib = control_plane ? 4096 : 3072;
  // Everyone waits for the control plane: it goes first where processors are few.
  spec.nice = control_plane ? 0 : 5;
  spec.mac = station_of(site, node);
  spec.network_socket = sockets / fmt::format("{}.sock", node + 1);
  spec.control_socket = sockets / fmt::format("{}.qmp", node + 1);
  spec.medium = medium.iso;
  spec.disk = wanted.disk;
  spec.serial = wanted.match.serial;
  spec.uuid = wanted.match.uuid;
  spec.firmware_code = firmware.code;
  spec.firmware_variables = spec.folder / "firmware.fd";
  return spec;
}

Result<void> Rehearsal::Impl::prepare_disks(const MachineSpec& spec) {
  const bool old = state.installed.contains(spec.name) && fs::exists(spec.disk_path());
  if (!old) {
    state.installed.erase(spec.name);
    BP_CHECK(remove_tree(spec.folder));
  }
  BP_CHECK(make_directories(spec.folder));
  BP_CHECK(copy_variables(firmware, spec.firmware_variables));
  if (old) {
    report.resumed = true;
    progress.note(spec.name + ": installed by an earlier run, starts from its disk");
  } else {
    BP_CHECK(make_disk(spec.disk_path(), disk_size(spec.disk)));
  }
  const bool has_decoy = fs::exists(spec.decoy_path()) && !state.decoy_digest.empty();
  if (!spec.decoy || has_decoy) return {};
  BP_CHECK(make_decoy(spec.decoy_path(), disk_size(spec.disk), runner));
  BP_TRY(const auto digest, digest_of_data(spec.decoy_path()));
  state.decoy_digest = digest.str();
  return {};
}

Result<void> Rehearsal::Impl::prepare_machines() {
  BP_TRY(accelerator, choose_accelerator(medium.iso, firmware, work, progress, options.cancelled));
  report.accelerator = to_string(accelerator);
  BP_TRY(report.emulator, emulator_version(runner));
  if (emulation_is_faulty(report.accelerator, report.emulator)) {
    progress.note(fmt::format(
        "QEMU {} without KVM now and then stops a machine's kernel (Oops: int3), and the machine "
        "starts again; QEMU 8.1 and later does not (Debian 12: tools/newer-qemu)",
        report.emulator));
  }
  BP_TRY(sockets, make_socket_folder());
  for (const auto node : chosen_nodes(site, options.nodes)) {
    auto spec = spec_of(node);
    spec.decoy = options.decoy && specs.empty();
    BP_CHECK(prepare_disks(spec));
    specs.push_back(std::move(spec));
  }
  return write_state(folder / "state.json", state);
}

Result<void> Rehearsal::Impl::start_network() {
  const auto plan = plan_network(site, sockets, folder, options.capture);
  BP_TRY(network, Network::start(plan, folder, options.keep));
  Lab::Settings settings;
  settings.outlives_us = options.keep;
  settings.cancelled = options.cancelled;
  settings.stage_limit = accelerator == Accelerator::tcg ? minutes(15) : minutes(5);
  lab = std::make_unique<Lab>(specs, settings, progress);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (state.installed.contains(specs[i].name)) lab->assume_installed(i);
  }
  std::error_code ignored;
  Workstation::Tools tools{network->workstation_prefix(),
                           fs::read_symlink("/proc/self/exe", ignored),
                           medium.kubectl,
                           options.source.site,
                           options.source.secrets,
                           folder / "kubeconfig"};
  workstation.emplace(std::move(tools), runner);
  progress.note(fmt::format("consoles: tail -f {}/*/console.log", folder.string()));
  return {};
}

Result<void> Rehearsal::Impl::first_start() {
  const auto limit = accelerator == Accelerator::tcg ? minutes(60) : minutes(20);
  BP_CHECK(lab->power_on("first start"));
  BP_CHECK(lab->wait("the installation", limit,
                     [](const StageTracker& machine) { return machine.installed(); }));
  for (const auto& spec : specs) state.installed.insert(spec.name);
  BP_CHECK(write_state(folder / "state.json", state));
  return lab->wait("the first convergence", limit,
                   [](const StageTracker& machine) { return machine.ready(); });
}

Result<void> Rehearsal::Impl::nodes_ready(const std::vector<NodeView>& before) {
  const auto attempt = [&]() -> Result<void> {
    BP_TRY(report.nodes, workstation->nodes());
    for (const auto& spec : specs) {
      const auto node = std::ranges::find(report.nodes, spec.name, &NodeView::name);
      if (node == report.nodes.end()) {
        return fail(ErrorKind::not_found, "the cluster does not know the node " + spec.name);
      }
      // What the API server remembers from before the cut is no proof.
      const auto old = std::ranges::find(before, spec.name, &NodeView::name);
      const bool back = old == before.end() || old->boot_id != node->boot_id;
      if (!node->ready || !back) {
        return fail(ErrorKind::conflict, fmt::format("the node {} is not Ready", spec.name));
      }
    }
    return {};
  };
  progress.begin("kubectl: waiting for every node to be Ready", 0);
  return retry("every node Ready, as kubectl sees it", minutes(15), attempt,
               [this] { return lab->look(); });
}

Result<void> Rehearsal::Impl::operate() {
  progress.begin("the operator fetches a kubeconfig", 0);
  BP_CHECK(retry(
      "a kubeconfig for the operator", minutes(5),
      [this] { return workstation->fetch_kubeconfig(site.bootstrap_node().address.address); },
      [this] { return lab->look(); }));
  return nodes_ready({});
}

Result<void> Rehearsal::Impl::check_service(int round) {
  progress.begin("a service across the cluster: deploy, resolve, fetch", 0);
  ServiceCheck check;
  check.image = medium.check_image;
  check.server = specs.back().name;
  check.client = specs.front().name;
  check.round = round;
  BP_TRY(auto answer, run_service_check(*workstation, check, [this] { return lab->look(); }));
  progress.note(fmt::format("the pod on {} got the page of the pod on {} by name", check.client,
                            check.server));
  report.service_answers.push_back(std::move(answer));
  return {};
}

Result<void> Rehearsal::Impl::cut_and_return() {
  const auto before = report.nodes;
  BP_TRY(report.before_power_cut, completion_time(*workstation, 1));
  progress.note("cutting the power of every machine");
  lab->cut_power();
  BP_CHECK(lab->power_on("after the power cut"));
  const auto limit = accelerator == Accelerator::tcg ? minutes(30) : minutes(10);
  BP_CHECK(lab->wait("the return after the power cut", limit,
                     [](const StageTracker& machine) { return machine.ready(); }));
  // The bootstrap node comes first; the time before was that of its control plane.
  const auto clock = lab->trackers().front().detail_of("agent/clock");
  if (const auto time = parse_rfc3339(clock.value_or(""))) report.after_power_cut = *time;
  return nodes_ready(before);
}

/// The system's pods need not all be up when nodes are Ready, but soon after.
Result<void> Rehearsal::Impl::look_around() {
  const auto attempt = [this]() -> Result<void> {
    BP_TRY(report.pods, workstation->pods());
    for (const auto& pod : report.pods) {
      if (!is_well(pod, report.pods)) {
        return fail(ErrorKind::conflict,
                    fmt::format("the pod {}/{} is {}, {} of {} ready", pod.space, pod.name,
                                pod.phase, pod.ready, pod.containers));
      }
    }
    return {};
  };
  progress.begin("kubectl: waiting for every pod to be well", 0);
  BP_CHECK(
      retry("every pod Running and ready", minutes(10), attempt, [this] { return lab->look(); }));
  BP_TRY(report.nodes, workstation->nodes());
  return {};
}

void Rehearsal::Impl::collect() {
  report.machines.clear();
  if (lab) {
    const auto trackers = lab->trackers();
    for (std::size_t i = 0; i < specs.size(); ++i) {
      report.machines.push_back(
          {specs[i].name, trackers[i].stages(), trackers[i].detail_of("agent/system-root"),
           trackers[i].detail_of("agent/lab-settings"), trackers[i].crashes()});
    }
  }
  if (network) {
    if (auto seen = network->report()) report.network = std::move(*seen);
  }
  report.foreign_images = foreign_images(report.nodes, medium.digests);
}

void Rehearsal::Impl::judge() {
  auto found = findings_of(report);
  report.findings.insert(report.findings.end(), found.begin(), found.end());
}

Result<void> Rehearsal::Impl::keep_running() {
  KeptLab running{network->id(), lab->processes(), sockets, folder};
  BP_CHECK(write_kept(work / "running.json", running));
  lab->release();
  network->release();
  kept = true;
  return {};
}

Result<void> Rehearsal::Impl::finish() {
  if (options.keep) return keep_running();
  lab->cut_power();
  // The next rehearsal begins anew, so the disks have served; logs and reports stay.
  BP_CHECK(write_state(folder / "state.json", {}));
  for (const auto& spec : specs) {
    std::error_code ignored;
    fs::remove(spec.disk_path(), ignored);
    // A disk that was changed although nobody may is the evidence.
    if (report.decoy_unchanged.value_or(true)) fs::remove(spec.decoy_path(), ignored);
  }
  return {};
}

Result<void> Rehearsal::Impl::run() {
  BP_CHECK(read_inputs());
  BP_CHECK(phase("medium and bundle opened", [this] { return open_folder(); }));
  BP_CHECK(phase("machines and network prepared", [this]() -> Result<void> {
    BP_CHECK(prepare_machines());
    return start_network();
  }));
  BP_CHECK(phase("power-on to every agent ready", [this] { return first_start(); }));
  BP_CHECK(phase("every node Ready by kubectl", [this] { return operate(); }));
  BP_CHECK(phase("a service resolved and fetched", [this] { return check_service(1); }));
  BP_CHECK(phase("power cut to every node Ready", [this] { return cut_and_return(); }));
  BP_CHECK(phase("the service again", [this] { return check_service(2); }));
  BP_CHECK(phase("every pod well", [this] { return look_around(); }));
  if (specs.front().decoy) {
    BP_TRY(const auto digest, digest_of_data(specs.front().decoy_path()));
    report.decoy_unchanged = digest.str() == state.decoy_digest;
  }
  collect();
  judge();
  return finish();
}

Rehearsal::Rehearsal(RehearseOptions options, ProcessRunner& runner, Progress& progress)
    : impl_(std::make_unique<Impl>(std::move(options), runner, progress)) {}

Rehearsal::~Rehearsal() = default;

Result<void> Rehearsal::run() {
  auto result = impl_->run();
  if (!result) {
    impl_->collect();
    impl_->report.findings.push_back(result.error().what);
  }
  return result;
}

const RehearsalReport& Rehearsal::report() const {
  return impl_->report;
}

std::string Rehearsal::directions() const {
  if (impl_->folder.empty()) return {};
  auto out = fmt::format("consoles:    less -R {}/*/console.log\n", impl_->folder.string());
  out += fmt::format("kubeconfig:  {}\n", (impl_->folder / "kubeconfig").string());
  if (!impl_->kept) {
    return out + "machines:    switched off; with --keep they stay\n";
  }
  out += fmt::format("try it:      {} get nodes -o wide\n", impl_->workstation->command_line());
  return out + std::string("stop it:     bedplate rehearse --stop\n");
}

Result<void> stop_kept(const RehearseOptions& options) {
  std::vector<fs::path> folders;
  if (options.work) {
    folders.push_back(*options.work);
  } else if (!options.source.site.empty()) {
    BP_TRY(const auto site, read_site(options.source.site));
    folders.push_back(work_folder(options, site));
  } else {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(cache_directory() / "rehearse", ignored)) {
      folders.push_back(entry.path());
    }
  }
  bool any = false;
  for (const auto& folder : folders) {
    const auto file = folder / "running.json";
    const auto running = read_kept(file);
    if (!running) continue;
    any = true;
    for (const auto& machine : running->machines) machine.kill_group();
    running->network.kill_group();
    BP_CHECK(remove_tree(running->sockets));
    BP_CHECK(remove_tree(running->folder));
    BP_CHECK(remove_tree(file));
  }
  if (any) return {};
  return fail(ErrorKind::not_found, "no machines were kept running",
              "machines stay only when a rehearsal was started with --keep");
}

}  // namespace bedplate::lab
