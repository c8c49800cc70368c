#include "qemu-tests/lab/report.hpp"

#include <fmt/format.h>

#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::lab {
namespace {

double seconds(Milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

std::string_view to_string(Stage::State state) {
  switch (state) {
    case Stage::State::running:
      return "running";
    case Stage::State::done:
      return "done";
    case Stage::State::failed:
      return "failed";
    case Stage::State::interrupted:
      return "interrupted";
  }
  return "running";
}

Json stage_json(const Stage& stage) {
  const bool ended = stage.state != Stage::State::running;
  return {{"start", stage.start},
          {"stage", stage.name},
          {"state", to_string(stage.state)},
          {"began", seconds(stage.began)},
          {"seconds", ended ? Json(seconds(stage.ended - stage.began)) : Json()},
          {"detail", stage.detail}};
}

Json machine_json(const MachineReport& machine) {
  Json out{{"name", machine.name},
           {"stages", Json::array()},
           {"systemRoot", nullptr},
           {"labSettings", nullptr},
           {"crashes", Json::array()}};
  for (const auto& stage : machine.stages) out["stages"].push_back(stage_json(stage));
  for (const auto& crash : machine.crashes) {
    out["crashes"].push_back({{"start", crash.start},
                              {"stage", crash.stage},
                              {"at", seconds(crash.when)},
                              {"what", crash.what}});
  }
  if (machine.verity) out["systemRoot"] = *machine.verity;
  if (machine.lab_settings) out["labSettings"] = *machine.lab_settings;
  return out;
}

Json node_json(const NodeView& node) {
  return {{"name", node.name},       {"ready", node.ready},     {"bootId", node.boot_id},
          {"kubelet", node.kubelet}, {"runtime", node.runtime}, {"address", node.address},
          {"images", node.images}};
}

Json pod_json(const PodView& pod) {
  return {{"namespace", pod.space},  {"name", pod.name},   {"node", pod.node},
          {"phase", pod.phase},      {"ready", pod.ready}, {"containers", pod.containers},
          {"restarts", pod.restarts}};
}

Json time_json(const std::optional<WallTime>& time) {
  return time ? Json(format_rfc3339(*time)) : Json();
}

template <class T>
Json list(const std::vector<T>& items, Json (*to_json)(const T&)) {
  auto out = Json::array();
  for (const auto& item : items) out.push_back(to_json(item));
  return out;
}

/// What a kubelet takes from containerd's store into its node's status (`nodeStatusMaxImages`).
constexpr std::size_t most_images_told = 50;

}  // namespace

bool emulation_is_faulty(std::string_view accelerator, std::string_view emulator) {
  if (accelerator != "tcg") return false;
  const auto dot = emulator.find('.');
  if (dot == std::string_view::npos) return false;
  const auto rest = emulator.substr(dot + 1);
  const auto major = parse_unsigned<unsigned>(emulator.substr(0, dot));
  const auto minor = parse_unsigned<unsigned>(rest.substr(0, rest.find('.')));
  return major && minor && std::pair(*major, *minor) < std::pair(8U, 1U);
}

bool is_fault_of_emulation(const Crash& crash, const RehearsalReport& report) {
  return emulation_is_faulty(report.accelerator, report.emulator) &&
         crash.what.starts_with("Oops: int3:");
}

std::vector<std::string> findings_of(const RehearsalReport& report) {
  std::vector<std::string> findings;
  if (report.network.frames == 0) findings.push_back("the network gave no account of itself");
  if (report.network.elsewhere != 0) {
    findings.push_back(fmt::format("{} frames were for elsewhere", report.network.elsewhere));
  }
  for (const auto& node : report.nodes) {
    if (node.images.empty()) findings.push_back(node.name + ": says nothing of its images");
    if (node.images.size() >= most_images_told) {
      findings.push_back(fmt::format("{}: a kubelet tells of {} images, and there may be more",
                                     node.name, node.images.size()));
    }
  }
  for (const auto& image : report.foreign_images) {
    findings.push_back("an image that the bundle does not have: " + image);
  }
  if (report.decoy_unchanged && !*report.decoy_unchanged) {
    findings.push_back("the disk with someone's data was changed");
  }
  if (!report.before_power_cut || !report.after_power_cut) {
    findings.push_back("no proof that time did not go back over the power cut");
  } else if (*report.after_power_cut < *report.before_power_cut) {
    findings.push_back(fmt::format("time went back over the power cut, from {} to {}",
                                   format_rfc3339(*report.before_power_cut),
                                   format_rfc3339(*report.after_power_cut)));
  }
  for (const auto& machine : report.machines) {
    if (!machine.verity || !machine.verity->starts_with("verity, intact")) {
      findings.push_back(machine.name + ": no proof that dm-verity guards the running system");
    }
    if (machine.lab_settings != "none") {
      findings.push_back(fmt::format("{}: settings of test hosts: {}", machine.name,
                                     machine.lab_settings.value_or("unknown")));
    }
    for (const auto& crash : machine.crashes) {
      if (is_fault_of_emulation(crash, report)) continue;
      findings.push_back(
          fmt::format("{}: crashed at '{}': {}", machine.name, crash.stage, crash.what));
    }
  }
  return findings;
}

std::string report_to_json(const RehearsalReport& report) {
  Json json{{"site", report.site},
            {"accelerator", report.accelerator},
            {"emulator", report.emulator},
            {"bundle", report.bundle},
            {"resumed", report.resumed},
            {"passed", report.findings.empty()},
            {"findings", report.findings},
            {"phases", Json::array()},
            {"machines", list(report.machines, machine_json)},
            {"nodes", list(report.nodes, node_json)},
            {"pods", list(report.pods, pod_json)},
            {"serviceAnswers", report.service_answers},
            {"beforePowerCut", time_json(report.before_power_cut)},
            {"afterPowerCut", time_json(report.after_power_cut)},
            {"foreignImages", report.foreign_images},
            {"decoyUnchanged", nullptr},
            {"network",
             {{"frames", report.network.frames},
              {"forElsewhere", report.network.elsewhere},
              {"kinds", report.network.elsewhere_kinds}}}};
  for (const auto& phase : report.phases) {
    json["phases"].push_back({{"phase", phase.name}, {"seconds", seconds(phase.took)}});
  }
  if (report.decoy_unchanged) json["decoyUnchanged"] = *report.decoy_unchanged;
  return json.dump(2) + "\n";
}

}  // namespace bedplate::lab
