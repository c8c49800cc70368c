#include "airgap-bundle/tests/fake_registry.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::bundle_test {
namespace {

FakeRegistry::Reply error(int status, const std::string& code) {
  return {status,
          {{"Content-Type", "application/json"}},
          Json{{"errors", {{{"code", code}, {"message", "says " + code}}}}}.dump()};
}

/// Nothing when the connection ended before.
std::optional<std::string> receive_until(int fd, std::string& buffer, std::size_t length) {
  while (buffer.size() < length) {
    std::string block(64 << 10, '\0');
    const auto n = ::recv(fd, block.data(), block.size(), 0);
    if (n <= 0) return std::nullopt;
    buffer.append(block, 0, static_cast<std::size_t>(n));
  }
  auto out = buffer.substr(0, length);
  buffer.erase(0, length);
  return out;
}

FakeRegistry::Request parse_head(const std::string& head) {
  FakeRegistry::Request out;
  const auto line = head.substr(0, head.find("\r\n"));
  out.method = line.substr(0, line.find(' '));
  auto target = line.substr(out.method.size() + 1);
  target = target.substr(0, target.find(' '));
  out.path = target.substr(0, target.find('?'));
  if (out.path.size() < target.size()) out.query = target.substr(out.path.size() + 1);
  for (auto at = head.find("\r\n"); at != std::string::npos && at + 2 < head.size();) {
    const auto end = std::min(head.find("\r\n", at + 2), head.size());
    const auto field = head.substr(at + 2, end - at - 2);
    const auto colon = field.find(':');
    if (colon != std::string::npos) {
      out.headers[lower(field.substr(0, colon))] = trimmed(field.substr(colon + 1));
    }
    at = end;
  }
  return out;
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string FakeRegistry::Request::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::string FakeRegistry::Request::parameter(const std::string& name) const {
  const auto text = "&" + query;
  const auto at = text.find("&" + name + "=");
  if (at == std::string::npos) return {};
  const auto value = text.substr(at + name.size() + 2);
  return value.substr(0, value.find('&'));
}

FakeRegistry::FakeRegistry()
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof where;
  auto* raw = reinterpret_cast<sockaddr*>(&where);
  if (::bind(listener_.get(), raw, length) != 0 || ::listen(listener_.get(), 64) != 0) return;
  ::getsockname(listener_.get(), raw, &length);
  port_ = ntohs(where.sin_port);
  acceptor_ = std::jthread([this] { accept(); });
}

FakeRegistry::~FakeRegistry() {
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : connections_) ::shutdown(fd, SHUT_RDWR);
  }
  threads_.clear();
}

std::string FakeRegistry::host() const {
  return fmt::format("127.0.0.1:{}", port_);
}

void FakeRegistry::accept() {
  while (true) {
    std::array<pollfd, 2> wait{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    ::poll(wait.data(), wait.size(), -1);
    if (wait[1].revents != 0) return;
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const std::lock_guard lock(mutex_);
    connections_.push_back(fd);
    threads_.emplace_back([this, fd] {
      serve(fd);
      const std::lock_guard again(mutex_);
      connections_.remove(fd);
      ::close(fd);
    });
  }
}

void FakeRegistry::serve(int fd) {
  std::string buffer;
  while (true) {
    auto end = buffer.find("\r\n\r\n");
    while (end == std::string::npos) {
      std::string block(16 << 10, '\0');
      const auto n = ::recv(fd, block.data(), block.size(), 0);
      if (n <= 0) return;
      buffer.append(block, 0, static_cast<std::size_t>(n));
      end = buffer.find("\r\n\r\n");
    }
    auto request = parse_head(buffer.substr(0, end));
    buffer.erase(0, end + 4);
    const auto length_text = request.header("content-length");
    const std::size_t length = length_text.empty() ? 0 : std::stoull(length_text);
    if (cut) {
      if (const auto after = cut(request); after && *after < length) {
        const auto part = receive_until(fd, buffer, *after);
        const std::lock_guard lock(mutex_);
        if (part) take_part(request, *part);
        return;
      }
    }
    auto body = receive_until(fd, buffer, length);
    if (!body) return;
    request.body = std::move(*body);
    Reply reply;
    {
      const std::lock_guard lock(mutex_);
      auto noted = request;
      noted.body.clear();
      requests_.push_back(std::move(noted));
      auto scripted = script ? script(request) : std::nullopt;
      reply = scripted ? std::move(*scripted) : answer(request);
    }
    if (lose_answer && lose_answer(request)) return;
    auto text = fmt::format("HTTP/1.1 {} Status\r\n", reply.status);
    for (const auto& [name, value] : reply.headers) text += fmt::format("{}: {}\r\n", name, value);
    if (!reply.headers.contains("Content-Length") && reply.status != 204) {
      text += fmt::format("Content-Length: {}\r\n", reply.body.size());
    }
    text += "\r\n";
    if (request.method != "HEAD") text += reply.body;
    send_all(fd, text);
  }
}

/// What arrived before the connection was lost is kept, as registries keep it.
void FakeRegistry::take_part(const Request& head, const std::string& part) {
  const auto id = head.path.substr(head.path.rfind('/') + 1);
  if (head.method != "PATCH" && head.method != "PUT") return;
  if (const auto upload = uploads_.find(id); upload != uploads_.end()) {
    upload->second.content += part;
  }
}

FakeRegistry::Reply FakeRegistry::answer(const Request& request) {
  if (request.path == "/token") return token(request);
  if (token_uses > 0) {
    const bool good =
        uses_ > 0 && request.header("authorization") == fmt::format("Bearer t{}", tokens_);
    if (!good) {
      auto reply = error(401, "UNAUTHORIZED");
      reply.headers["WWW-Authenticate"] =
          fmt::format("Bearer realm=\"http://{}/token\",service=\"fake\"", host());
      return reply;
    }
    --uses_;
  }
  if (request.path == "/v2/") return {};
  for (const std::string kind : {"/blobs/uploads/", "/blobs/", "/manifests/", "/referrers/"}) {
    const auto at = request.path.rfind(kind);
    if (at == std::string::npos || at < 3) continue;
    const auto repository = request.path.substr(4, at - 4);
    const auto rest = request.path.substr(at + kind.size());
    if (kind != "/blobs/uploads/") {
      if (request.method == "PUT") return keep_manifest(request, repository, rest);
      return read(request, repository, kind, rest);
    }
    if (request.method == "POST") return start(request, repository);
    const auto upload = uploads_.find(rest);
    if (upload == uploads_.end()) return error(404, "BLOB_UPLOAD_UNKNOWN");
    if (request.method == "GET") return position(rest, 204);
    if (request.parameter("state") != std::to_string(upload->second.state)) {
      return error(400, "BLOB_UPLOAD_INVALID");  // its address was not used as it was given
    }
    return request.method == "PATCH" ? write(request, rest) : finish(request, rest);
  }
  return error(404, "NAME_UNKNOWN");
}

FakeRegistry::Reply FakeRegistry::token(const Request& request) {
  scopes_.push_back(request.query);
  uses_ = token_uses;
  return {200, {}, Json{{"token", fmt::format("t{}", ++tokens_)}}.dump()};
}

FakeRegistry::Reply FakeRegistry::read(const Request& request, const std::string& repository,
                                       const std::string& kind, const std::string& reference) {
  auto digest = reference;
  if (kind == "/referrers/") {
    if (!lists_referrers) return error(404, "NOT_FOUND");
    Json found = Json::array();
    for (const auto& [name, manifest] : manifests_[repository]) {
      const auto value = parse_json(content_[manifest], "manifest");
      if (value && value->contains("subject") && (*value)["subject"]["digest"] == reference) {
        found.push_back({{"digest", manifest}});
      }
    }
    return {200, {}, Json{{"manifests", found}}.dump()};
  }
  if (kind == "/manifests/") {
    const auto& known = manifests_[repository];
    if (!known.contains(reference)) return error(404, "MANIFEST_UNKNOWN");
    digest = known.at(reference);
  } else if (!blobs_[repository].contains(reference)) {
    return error(404, "BLOB_UNKNOWN");
  }
  const auto& content = content_[digest];
  Reply reply{200, {{"Docker-Content-Digest", digest}, {"Content-Type", types_[digest]}}, content};
  if (request.method == "HEAD") reply.headers["Content-Length"] = std::to_string(content.size());
  return reply;
}

std::string FakeRegistry::location(const std::string& id) {
  auto& upload = uploads_[id];
  ++upload.state;
  return fmt::format("{}/v2/{}/blobs/uploads/{}?for=us&state={}",
                     relative ? "" : "http://" + host(), upload.repository, id, upload.state);
}

FakeRegistry::Reply FakeRegistry::position(const std::string& id, int status) {
  const auto size = uploads_[id].content.size();
  return {status,
          {{"Location", location(id)}, {"Range", fmt::format("0-{}", size == 0 ? 0 : size - 1)}},
          ""};
}

FakeRegistry::Reply FakeRegistry::start(const Request& request, const std::string& repository) {
  const auto mount = request.parameter("mount");
  if (mounts && !mount.empty() && blobs_[request.parameter("from")].contains(mount)) {
    blobs_[repository].insert(mount);
    return {201, {{"Docker-Content-Digest", mount}}, ""};
  }
  const auto id = fmt::format("u{}", uploads_.size());
  uploads_[id].repository = repository;
  auto reply = position(id, 202);
  if (shortest_chunk > 0) reply.headers["OCI-Chunk-Min-Length"] = std::to_string(shortest_chunk);
  return reply;
}

FakeRegistry::Reply FakeRegistry::write(const Request& request, const std::string& id) {
  auto& upload = uploads_[id];
  const auto range = request.header("content-range");
  const auto expected =
      fmt::format("{}-{}", upload.content.size(), upload.content.size() + request.body.size() - 1);
  if (range != expected) return position(id, 416);
  upload.content += request.body;
  return position(id, 202);
}

FakeRegistry::Reply FakeRegistry::finish(const Request& request, const std::string& id) {
  auto& upload = uploads_[id];
  upload.content += request.body;
  const auto digest = Digest::of(upload.content).str();
  if (digest != request.parameter("digest")) {
    uploads_.erase(id);
    return error(400, "DIGEST_INVALID");
  }
  content_[digest] = upload.content;
  blobs_[upload.repository].insert(digest);
  uploads_.erase(id);
  uploads_["gone" + id];  // keeps the next one's name another
  return {201, {{"Docker-Content-Digest", digest}}, ""};
}

FakeRegistry::Reply FakeRegistry::keep_manifest(const Request& request,
                                                const std::string& repository,
                                                const std::string& reference) {
  const auto value = parse_json(request.body, "manifest");
  if (!value) return error(400, "MANIFEST_INVALID");
  auto& known = manifests_[repository];
  const auto digest = Digest::of(request.body).str();
  if (immutable.contains(repository + ":" + reference)) return error(412, "PRECONDITION");
  std::vector<Json> blobs;
  if (value->contains("config")) blobs.push_back((*value)["config"]);
  for (const auto& layer : value->value("layers", Json::array())) blobs.push_back(layer);
  for (const auto& blob : blobs) {
    if (!blobs_[repository].contains(blob["digest"])) return error(400, "MANIFEST_BLOB_UNKNOWN");
  }
  for (const auto& child : value->value("manifests", Json::array())) {
    if (refuses_sparse && !known.contains(child["digest"])) return error(404, "MANIFEST_UNKNOWN");
  }
  content_[digest] = request.body;
  types_[digest] = request.header("content-type");
  known[digest] = digest;
  known[reference] = digest;
  Reply reply{201, {{"Docker-Content-Digest", digest}}, ""};
  if (lists_referrers && value->contains("subject")) {
    reply.headers["OCI-Subject"] = (*value)["subject"]["digest"].get<std::string>();
  }
  return reply;
}

std::vector<FakeRegistry::Request> FakeRegistry::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t FakeRegistry::count(const std::string& method, const std::string& part) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(requests_, [&](const Request& request) {
    return request.method == method &&
           (request.path + "?" + request.query).find(part) != std::string::npos;
  }));
}

std::optional<std::string> FakeRegistry::blob(const std::string& repository,
                                              const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = blobs_.find(repository);
  if (found == blobs_.end() || !found->second.contains(digest)) return std::nullopt;
  return content_.at(digest);
}

std::optional<std::string> FakeRegistry::manifest(const std::string& repository,
                                                  const std::string& reference) const {
  const std::lock_guard lock(mutex_);
  const auto found = manifests_.find(repository);
  if (found == manifests_.end() || !found->second.contains(reference)) return std::nullopt;
  return content_.at(found->second.at(reference));
}

void FakeRegistry::put_manifest(const std::string& repository, const std::string& reference,
                                const std::string& content) {
  const std::lock_guard lock(mutex_);
  const auto digest = Digest::of(content).str();
  content_[digest] = content;
  manifests_[repository][digest] = digest;
  manifests_[repository][reference] = digest;
}

void FakeRegistry::put_blob(const std::string& repository, const std::string& content) {
  const std::lock_guard lock(mutex_);
  const auto digest = Digest::of(content).str();
  content_[digest] = content;
  blobs_[repository].insert(digest);
}

std::vector<std::string> FakeRegistry::scopes() const {
  const std::lock_guard lock(mutex_);
  return scopes_;
}

}  // namespace bedplate::bundle_test
