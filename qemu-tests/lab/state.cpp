#include "qemu-tests/lab/state.hpp"

#include <algorithm>

#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate::lab {
namespace {

Json process_json(const ProcessId& id) {
  return {{"pid", id.pid}, {"started", id.start_time}};
}

ProcessId read_process(const Json& json) {
  return {json.at("pid").get<pid_t>(), json.at("started").get<std::uint64_t>()};
}

}  // namespace

RehearsalState read_state(const std::filesystem::path& file) {
  RehearsalState state;
  const auto json = read_json(file);
  if (!json) return state;
  for (const auto& name : json->value("installed", Json::array())) {
    if (name.is_string()) state.installed.insert(name.get<std::string>());
  }
  state.decoy_digest = json_string_or(*json, "decoy", "");
  return state;
}

Result<void> write_state(const std::filesystem::path& file, const RehearsalState& state) {
  const Json json{{"installed", state.installed}, {"decoy", state.decoy_digest}};
  return write_file_atomic(file, json.dump(2));
}

bool is_of_a_rehearsal(const std::filesystem::path& folder) {
  const auto name = folder.filename().string();
  const bool named = name.size() == 12 && std::ranges::all_of(name, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  std::error_code ignored;
  return named && std::filesystem::is_directory(folder, ignored) &&
         std::filesystem::exists(folder / "state.json", ignored);
}

Result<void> write_kept(const std::filesystem::path& file, const KeptLab& kept) {
  Json json{{"network", process_json(kept.network)},
            {"machines", Json::array()},
            {"sockets", kept.sockets.string()},
            {"folder", kept.folder.string()}};
  for (const auto& machine : kept.machines) json["machines"].push_back(process_json(machine));
  return write_file_atomic(file, json.dump(2));
}

Result<KeptLab> read_kept(const std::filesystem::path& file) {
  BP_TRY(const auto json, read_json(file));
  try {
    KeptLab kept;
    kept.network = read_process(json.at("network"));
    for (const auto& machine : json.at("machines")) kept.machines.push_back(read_process(machine));
    kept.sockets = json.at("sockets").get<std::string>();
    kept.folder = json.at("folder").get<std::string>();
    return kept;
  } catch (const Json::exception& error) {
    return fail(ErrorKind::invalid, file.string() + ": " + error.what());
  }
}

bool any_alive(const KeptLab& kept) {
  return kept.network.alive() ||
         std::ranges::any_of(kept.machines, [](const ProcessId& id) { return id.alive(); });
}

}  // namespace bedplate::lab
