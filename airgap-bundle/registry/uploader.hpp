#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/registry/session.hpp"
#include "airgap-bundle/registry/upload_store.hpp"
#include "core/http_client.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// What uploads to one registry have in common. Thread-safe.
struct UploadSettings {
  /// Larger blobs are sent in pieces of so many bytes. Becomes smaller when something on the way
  /// does not let such a large request pass (413).
  std::atomic<std::uint64_t> chunk{64ULL << 20};
  const UploadStore* store = nullptr;  ///< remembers where large uploads go on
  Logins logins;
  std::function<void(std::uint64_t bytes)> on_send;      ///< before bytes are sent: to be slower
  std::function<void(std::uint64_t bytes)> on_progress;  ///< bytes further than ever before
};

enum class BlobOutcome { sent, mounted };

/// What a registry made of a manifest.
struct ManifestAnswer {
  int status = 0;
  std::optional<Error> refused;
  /// It lists the manifest as a referrer of its subject (OCI-Subject; distribution-spec 1.1).
  bool lists_referrer = false;
};

/// Writes to one repository of a registry (OCI distribution-spec 1.1, push). Everything may be
/// repeated. Whatever breaks off or is put off (lost connections, 429, 5xx, 416) is looked at and
/// taken up where the registry has it, up to four times without getting further. One object may be
/// used by one thread at a time.
class Uploader {
 public:
  /// `http` and `settings` must outlive the uploader.
  Uploader(HttpClient& http, oci::Reference repository, ClientOptions options,
           UploadSettings& settings);

  /// Whether somebody answers there as a registry does; ErrorKind::not_found otherwise.
  Result<void> check();

  Result<bool> has_blob(const Digest& digest, std::uint64_t size);
  /// Digest of the manifest that a tag or digest means, or nothing when there is none.
  Result<std::optional<Digest>> find_manifest(const std::string& reference);
  /// The manifest itself, or nothing.
  Result<std::optional<std::string>> read_manifest(const std::string& reference);
  /// Whether the registry's own list of referrers has it; nothing when it keeps none (404).
  Result<std::optional<bool>> lists_referrer(const Digest& subject, const Digest& referrer);

  /// Sends a blob that is not there, or takes it over from repository `from` of the same registry
  /// when that is given and allowed. ErrorKind::corrupt when the registry finds another digest.
  Result<BlobOutcome> push_blob(const Digest& digest, const FilePart& content,
                                const std::string& from = {});
  /// The same without the content: ErrorKind::not_found when it cannot be taken over.
  Result<void> mount_blob(const Digest& digest, const std::string& from);

  /// `reference`: a tag, or the digest. A refusal is an answer, not an error.
  Result<ManifestAnswer> push_manifest(const std::string& reference, const std::string& media_type,
                                       const std::string& content);

  const Session& session() const { return session_; }

 private:
  struct Upload;
  struct Step;
  Result<std::string> begin(Upload& upload, const std::string& from);
  Result<Step> advance(Upload& upload);
  Step settle_finish(Upload& upload, const HttpResponse& response);
  Step settle_chunk(Upload& upload, const HttpResponse& response, std::uint64_t length);
  Step settle_refusal(Upload& upload, const HttpResponse& response);
  Result<bool> find_position(Upload& upload);
  Result<BlobOutcome> run(Upload& upload);
  std::optional<Error> count_failure(Upload& upload, const Step& step);
  HttpRequest request(std::string method, std::string url) const;
  void remember(const Upload& upload) const;

  Session session_;
  UploadSettings& settings_;
};

}  // namespace bedplate::registry
