#include "airgap-bundle/registry/access.hpp"

#include "core/file.hpp"

namespace bedplate::registry {
namespace {

SystemClock& system_clock() {
  static SystemClock clock;
  return clock;
}

}  // namespace

Result<TlsSettings> read_tls(const TlsFiles& files) {
  const auto read = [](const std::filesystem::path& path) -> Result<std::string> {
    if (path.empty()) return std::string();
    return read_file(path, 1U << 20);
  };
  TlsSettings out;
  BP_TRY(out.ca_pem, read(files.ca));
  BP_TRY(out.certificate_pem, read(files.certificate));
  BP_TRY(out.private_key_pem, read(files.key));
  return out;
}

Result<Endpoint> Access::endpoint(const oci::Reference& reference) const {
  Endpoint out{reference, {}};
  out.options.clock = &system_clock();
  if (patience_) {
    out.options.clock = patience_->clock;
    out.options.stall_timeout = patience_->stall_timeout;
    out.options.push_stall_timeout = patience_->stall_timeout;
    out.options.document_timeout = patience_->document_timeout;
  }
  if (const auto found = hosts_.find(reference.registry); found != hosts_.end()) {
    out.options.plain_http = found->second.plain_http;
    out.options.tls = found->second.tls;
  }
  const std::lock_guard lock(mutex_);
  const auto key = reference.registry + "/" + reference.repository;
  if (const auto known = logins_.find(key); known != logins_.end()) {
    out.options.credential = known->second;
    return out;
  }
  if (!files_) {
    BP_TRY(files_, Credentials::read(Credentials::usual_files(), *runner_));
  }
  BP_TRY(out.options.credential, files_->find(reference.registry, reference.repository));
  logins_[key] = out.options.credential;
  return out;
}

Result<std::vector<Endpoint>> Access::endpoints(const oci::Reference& reference) const {
  std::vector<Endpoint> out;
  if (const auto found = hosts_.find(reference.registry); found != hosts_.end()) {
    for (const auto& mirror : found->second.mirrors) {
      auto there = reference;
      const auto slash = mirror.find('/');
      there.registry = mirror.substr(0, slash);
      if (slash != std::string::npos) {
        there.repository = mirror.substr(slash + 1) + "/" + there.repository;
      }
      BP_TRY(auto endpoint_there, endpoint(there));
      out.push_back(std::move(endpoint_there));
    }
  }
  BP_TRY(auto itself, endpoint(reference));
  out.push_back(std::move(itself));
  return out;
}

}  // namespace bedplate::registry
