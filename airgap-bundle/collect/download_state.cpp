#include "airgap-bundle/collect/download_state.hpp"

#include <system_error>

#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate::collect {

std::string DownloadState::validator() const {
  if (!etag.empty() && !etag.starts_with("W/")) return etag;
  return modified;
}

DownloadFiles::DownloadFiles(const std::filesystem::path& folder, std::string_view url) {
  const auto base = "url-" + Digest::of(url).hex().substr(0, 32);
  part_ = folder / (base + ".part");
  state_ = folder / (base + ".state");
  lock_ = folder / (base + ".lock");
}

DownloadState DownloadFiles::read() const {
  DownloadState state;
  const auto text = read_file(state_, 64U << 10);
  if (!text) return state;
  const auto value = parse_json(*text, state_.string());
  if (!value || !value->is_object()) return state;
  state.etag = json_string_or(*value, "etag", "");
  state.modified = json_string_or(*value, "modified", "");
  state.synced = json_uint(*value, "synced").value_or(0);
  state.size = json_uint(*value, "size").value_or(0);
  if (auto digest = Digest::parse(json_string_or(*value, "digest", ""))) state.digest = *digest;
  return state;
}

Result<void> DownloadFiles::write(const DownloadState& state) const {
  Json value{{"etag", state.etag}, {"modified", state.modified}, {"synced", state.synced}};
  if (state.digest) {
    value["digest"] = state.digest->str();
    value["size"] = state.size;
  }
  return write_file_atomic(state_, value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void DownloadFiles::remove() const {
  std::error_code ignored;
  for (const auto& path : {part_, state_}) std::filesystem::remove(path, ignored);
}

void DownloadFiles::remove_part() const {
  std::error_code ignored;
  std::filesystem::remove(part_, ignored);
}

void DownloadFiles::remove_lock() const {
  std::error_code ignored;
  std::filesystem::remove(lock_, ignored);
}

}  // namespace bedplate::collect
