#include "airgap-bundle/registry/uploader.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::registry {
namespace {

constexpr std::uint64_t smallest_chunk = 512ULL << 10;
/// However it goes on between them, a blob that fails so often will not arrive.
constexpr int most_failures = 100;

/// How many bytes a registry has, from "0-<last>" (distribution-spec, "Pushing a blob in chunks").
/// "0-0" is what registries say of an upload without a byte.
std::optional<std::uint64_t> received(const HttpResponse& response) {
  std::string_view text;
  const auto value = header_of(response, "range");
  text = value;
  if (text.starts_with("bytes=")) text.remove_prefix(6);
  const auto dash = text.find('-');
  if (dash == std::string_view::npos || text.substr(0, dash) != "0") return std::nullopt;
  const auto last = parse_unsigned(text.substr(dash + 1));
  if (!last) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

bool has_other_digest(const HttpResponse& response, const Digest& digest) {
  const auto given = header_of(response, "docker-content-digest");
  return given.starts_with("sha256:") && given != digest.str();
}

void accept_manifests(HttpRequest& request) {
  for (const auto type : {oci::media::index, oci::media::manifest, oci::media::docker_list,
                          oci::media::docker_manifest}) {
    request.headers.emplace_back("Accept", std::string(type));
  }
}

}  // namespace

/// One blob on its way.
struct Uploader::Upload {
  Digest digest;
  FilePart content;
  std::string location;      ///< empty: not begun
  std::uint64_t offset = 0;  ///< what the registry has
  std::uint64_t best = 0;    ///< the most that it ever had
  std::uint64_t sent = 0;    ///< the most that was ever read to be sent
  std::uint64_t shortest_chunk = 0;
  int failures = 0;  ///< since it last got further
  int all_failures = 0;
  bool refused = false;      ///< begun again once because the registry did not want it
  bool maybe_there = false;  ///< its last request may have been obeyed
  bool found = false;        ///< begun by an earlier run
};

/// How a request of an upload went.
struct Uploader::Step {
  enum class Kind { done, further, look, again, refused } kind = Kind::further;
  std::optional<Error> error;
  std::optional<HttpResponse> busy;  ///< says how long to wait
};

Uploader::Uploader(HttpClient& http, oci::Reference repository, ClientOptions options,
                   UploadSettings& settings)
    : session_(http, std::move(repository), std::move(options), Session::Purpose::push,
               &settings.logins),
      settings_(settings) {}

HttpRequest Uploader::request(std::string method, std::string url) const {
  HttpRequest out;
  out.method = std::move(method);
  out.url = std::move(url);
  out.response_limit = 1 << 20;
  return out;
}

Result<void> Uploader::check() {
  const auto base = session_.base();
  const auto url = base.substr(0, base.find("/v2/") + 4);
  BP_TRY_DURING(const auto response, "asking for " + url, session_.send(request("GET", url)));
  if (response.status == 200) return {};
  if (response.status != 401 && response.status != 403) {
    return fail(ErrorKind::not_found,
                fmt::format("{} answered {}, which no registry does", url, response.status),
                "name the registry with its port: HOST[:PORT]");
  }
  return fail(session_.refusal(response, "to be written to"));
}

Result<bool> Uploader::has_blob(const Digest& digest, std::uint64_t size) {
  BP_TRY(const auto response,
         session_.send(request("HEAD", session_.base() + "/blobs/" + digest.str())));
  if (response.status == 404) return false;
  if (response.status != 200) return fail(session_.refusal(response, "blob " + digest.str()));
  const auto length = parse_unsigned(header_of(response, "content-length"));
  return (!length || *length == size) && !has_other_digest(response, digest);
}

Result<std::optional<std::string>> Uploader::read_manifest(const std::string& reference) {
  auto get = request("GET", session_.base() + "/manifests/" + reference);
  accept_manifests(get);
  get.response_limit = oci::longest_manifest;
  BP_TRY(auto response, session_.send(std::move(get)));
  if (response.status == 404) return std::nullopt;
  if (response.status != 200) return fail(session_.refusal(response, "manifest " + reference));
  return std::move(response.body);
}

Result<std::optional<Digest>> Uploader::find_manifest(const std::string& reference) {
  auto head = request("HEAD", session_.base() + "/manifests/" + reference);
  accept_manifests(head);
  BP_TRY(const auto response, session_.send(std::move(head)));
  if (response.status == 404) return std::nullopt;
  if (response.status != 200) return fail(session_.refusal(response, "manifest " + reference));
  if (const auto digest = Digest::parse(header_of(response, "docker-content-digest"))) {
    return *digest;
  }
  BP_TRY(const auto content, read_manifest(reference));
  if (!content) return std::nullopt;
  return Digest::of(*content);
}

Result<std::optional<bool>> Uploader::lists_referrer(const Digest& subject,
                                                     const Digest& referrer) {
  auto get = request("GET", session_.base() + "/referrers/" + subject.str());
  get.response_limit = oci::longest_manifest;
  BP_TRY(const auto response, session_.send(std::move(get)));
  if (response.status != 200) return std::nullopt;
  const auto value = parse_json(response.body, "referrers");
  if (!value || !value->is_object() || !value->contains("manifests")) return std::nullopt;
  for (const auto& item : (*value)["manifests"]) {
    if (item.is_object() && json_string_or(item, "digest", "") == referrer.str()) return true;
  }
  return false;
}

/// The upload's address; empty when the blob was taken over instead.
Result<std::string> Uploader::begin(Upload& upload, const std::string& from) {
  auto url = session_.base() + "/blobs/uploads/";
  if (!from.empty()) url += fmt::format("?mount={}&from={}", upload.digest.str(), from);
  BP_TRY(const auto response, session_.send(request("POST", std::move(url))));
  if (response.status == 201 && !from.empty()) return std::string();
  if (response.status != 202) {
    // To take over is an offer: a registry that does not want to can still be sent the blob.
    if (!from.empty() && response.status < 500) return begin(upload, {});
    return fail(session_.refusal(response, "blob " + upload.digest.str()));
  }
  if (const auto least = parse_unsigned(header_of(response, "oci-chunk-min-length"))) {
    upload.shortest_chunk = *least;
  }
  return session_.locate(header_of(response, "location"));
}

void Uploader::remember(const Upload& upload) const {
  if (settings_.store == nullptr || upload.content.length <= settings_.chunk) return;
  settings_.store->keep(session_.repository().repository, upload.digest, upload.location);
}

/// Asks where the upload stands. False when the registry does not know it any more.
Result<bool> Uploader::find_position(Upload& upload) {
  if (upload.maybe_there) {
    upload.maybe_there = false;
    BP_TRY(const bool there, has_blob(upload.digest, upload.content.length));
    if (there) {
      upload.offset = upload.content.length;
      upload.location.clear();
      return true;
    }
  }
  if (upload.location.empty()) return false;
  BP_TRY(const auto response, session_.send(request("GET", upload.location)));
  const auto position = received(response);
  if (response.status != 204 || !position || *position > upload.content.length) return false;
  upload.offset = *position;
  if (const auto moved = header_of(response, "location"); !moved.empty()) {
    BP_TRY(upload.location, session_.locate(moved));
  }
  return true;
}

Uploader::Step Uploader::settle_refusal(Upload& upload, const HttpResponse& response) {
  const auto what = "blob " + upload.digest.str();
  if (response.status == 413) {
    const auto now = settings_.chunk.load();
    auto smaller = std::max(smallest_chunk, std::min(now, upload.content.length) / 4);
    if (smaller >= now || smaller < upload.shortest_chunk) {
      auto error = session_.refusal(response, what);
      error.hint =
          "let larger requests pass in front of the registry (nginx: client_max_body_size 0)";
      return {Step::Kind::refused, std::move(error), {}};
    }
    settings_.chunk = smaller;
    return {Step::Kind::look, session_.refusal(response, what), {}};
  }
  if (response.status == 416) return {Step::Kind::look, session_.refusal(response, what), {}};
  const bool unknown = response.status == 404 || response.status == 400;
  if (unknown && !upload.refused) {
    upload.refused = true;
    upload.location.clear();
    return {Step::Kind::look, session_.refusal(response, what), {}};
  }
  auto error = session_.refusal(response, what);
  if (response.status == 400 && response.body.find("DIGEST_INVALID") != std::string::npos) {
    error.kind = ErrorKind::corrupt;
    error.hint = "check the bundle: bedplate bundle verify";
  }
  return {Step::Kind::refused, std::move(error), {}};
}

Uploader::Step Uploader::settle_finish(Upload& upload, const HttpResponse& response) {
  if (response.status != 201 && response.status != 204) return settle_refusal(upload, response);
  if (has_other_digest(response, upload.digest)) {
    return {Step::Kind::refused,
            Error(ErrorKind::corrupt,
                  fmt::format("{} stored blob {} as {}", session_.repository().registry,
                              upload.digest.str(), header_of(response, "docker-content-digest")))
                .with_hint("check the bundle (bedplate bundle verify) and the registry's storage"),
            {}};
  }
  return {Step::Kind::done, {}, {}};
}

Uploader::Step Uploader::settle_chunk(Upload& upload, const HttpResponse& response,
                                      std::uint64_t length) {
  if (response.status != 202) return settle_refusal(upload, response);
  const auto wrong = [&](std::string why) {
    return Step{Step::Kind::look,
                Error(ErrorKind::invalid, session_.repository().registry + std::move(why)),
                {}};
  };
  if (const auto moved = header_of(response, "location"); !moved.empty()) {
    auto located = session_.locate(moved);
    if (!located) return {Step::Kind::refused, std::move(located).error(), {}};
    upload.location = std::move(*located);
  }
  const auto before = upload.offset;
  // It may have taken less than it was given; that it has more than that is nonsense.
  upload.offset = received(response).value_or(before + length);
  if (upload.offset > before + length) return wrong(" has more of a blob than it was sent");
  remember(upload);
  if (upload.offset <= before) return wrong(" took nothing of a blob");
  return {Step::Kind::further, {}, {}};
}

/// The next request of an upload.
Result<Uploader::Step> Uploader::advance(Upload& upload) {
  const auto size = upload.content.length;
  const auto chunk = std::max(settings_.chunk.load(), upload.shortest_chunk);
  const bool whole = upload.offset == 0 && size <= chunk;
  const bool finish = whole || upload.offset == size;
  auto put = request(finish ? "PUT" : "PATCH", upload.location);
  const auto length = finish && !whole ? 0 : std::min(chunk, size - upload.offset);
  if (finish) {
    put.url += put.url.find('?') == std::string::npos ? '?' : '&';
    put.url += "digest=" + upload.digest.str();
    upload.maybe_there = true;
  } else {
    put.headers.emplace_back("Content-Range",
                             fmt::format("{}-{}", upload.offset, upload.offset + length - 1));
  }
  if (length > 0) {
    put.headers.emplace_back("Content-Type", "application/octet-stream");
    put.body_file = FilePart{upload.content.fd, upload.content.offset + upload.offset, length};
    put.on_send = [&, at = upload.offset](std::uint64_t bytes) mutable {
      if (settings_.on_send) settings_.on_send(bytes);
      at = std::min(at + bytes, upload.content.length);
      if (at <= upload.sent) return;
      if (settings_.on_progress) settings_.on_progress(at - upload.sent);
      upload.sent = at;
    };
  }
  auto response = session_.send_once(std::move(put));
  if (!response) {
    if (response.error().kind != ErrorKind::network) return fail(std::move(response).error());
    return Step{Step::Kind::again, std::move(response).error(), {}};
  }
  if (session_.is_busy(*response) || response->status >= 500) {
    auto error = session_.refusal(*response, "blob " + upload.digest.str());
    return Step{Step::Kind::again, std::move(error), std::move(*response)};
  }
  return finish ? settle_finish(upload, *response) : settle_chunk(upload, *response, length);
}

/// Nothing while there is hope.
std::optional<Error> Uploader::count_failure(Upload& upload, const Step& step) {
  ++upload.failures;
  const bool pause = step.kind == Step::Kind::again;
  const bool hopeless =
      ++upload.all_failures >= most_failures || upload.failures >= Session::most_attempts;
  if (hopeless || (pause && !session_.wait(upload.failures, step.busy ? &*step.busy : nullptr))) {
    return step.error;
  }
  return std::nullopt;
}

Result<BlobOutcome> Uploader::run(Upload& upload) {
  if (upload.found && !find_position(upload).value_or(false)) upload.location.clear();
  bool look = false;
  while (true) {
    if (look) {
      BP_TRY(const bool known, find_position(upload));
      if (known && upload.location.empty()) return BlobOutcome::sent;
      if (!known) upload.location.clear();
    }
    look = false;
    if (upload.location.empty()) {
      BP_TRY(upload.location, begin(upload, {}));
      upload.offset = 0;
      remember(upload);
    }
    if (upload.offset > upload.best) {
      upload.best = upload.offset;
      upload.failures = 0;
    }
    BP_TRY(auto step, advance(upload));
    if (step.kind == Step::Kind::done) return BlobOutcome::sent;
    if (step.kind == Step::Kind::further) continue;
    if (step.kind == Step::Kind::refused) return fail(std::move(*step.error));
    if (auto error = count_failure(upload, step)) return fail(std::move(*error));
    look = true;
  }
}

Result<BlobOutcome> Uploader::push_blob(const Digest& digest, const FilePart& content,
                                        const std::string& from) {
  Upload upload;
  upload.digest = digest;
  upload.content = content;
  const auto& repository = session_.repository().repository;
  const auto doing = fmt::format("pushing blob {} to {}", digest.str(), repository);
  if (settings_.store != nullptr && content.length > settings_.chunk) {
    upload.location = settings_.store->find(repository, digest).value_or("");
    upload.found = !upload.location.empty();
  }
  if (!from.empty() && upload.found) {
    // A registry that does not take it over begins an upload instead; ours is further.
    if (mount_blob(digest, from)) {
      settings_.store->forget(repository, digest);
      return BlobOutcome::mounted;
    }
  } else if (!from.empty()) {
    session_.also_read(from);
    BP_TRY_DURING(upload.location, doing, begin(upload, from));
    if (upload.location.empty()) return BlobOutcome::mounted;
    remember(upload);
  }
  BP_TRY_DURING(const auto outcome, doing, run(upload));
  if (settings_.store != nullptr) settings_.store->forget(repository, digest);
  return outcome;
}

Result<void> Uploader::mount_blob(const Digest& digest, const std::string& from) {
  session_.also_read(from);
  const auto url =
      fmt::format("{}/blobs/uploads/?mount={}&from={}", session_.base(), digest.str(), from);
  BP_TRY(const auto response, session_.send(request("POST", url)));
  if (response.status == 201) return {};
  if (response.status != 202 && response.status != 404) {
    return fail(session_.refusal(response, "blob " + digest.str() + " from " + from));
  }
  return fail(ErrorKind::not_found, fmt::format("{} does not take over blob {}",
                                                session_.repository().registry, digest.str()));
}

Result<ManifestAnswer> Uploader::push_manifest(const std::string& reference,
                                               const std::string& media_type,
                                               const std::string& content) {
  auto put = request("PUT", session_.base() + "/manifests/" + reference);
  put.headers.emplace_back("Content-Type", media_type);
  put.body = content;
  BP_TRY_DURING(const auto response, "pushing manifest " + reference, session_.send(put));
  ManifestAnswer answer;
  answer.status = response.status;
  answer.lists_referrer = !header_of(response, "oci-subject").empty();
  if (response.status < 200 || response.status > 299) {
    answer.refused = session_.refusal(response, "manifest " + reference);
  } else if (has_other_digest(response, Digest::of(content))) {
    answer.refused =
        Error(ErrorKind::corrupt,
              fmt::format("{} stored manifest {} as {}", session_.repository().registry,
                          Digest::of(content).str(), header_of(response, "docker-content-digest")));
  }
  return answer;
}

}  // namespace bedplate::registry
