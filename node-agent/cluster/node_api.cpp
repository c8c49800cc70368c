#include "node-agent/cluster/node_api.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/log.hpp"

namespace bedplate::agent {
namespace {

constexpr std::string_view node_prefix = "node/";

Error refused_proof(const std::string& subject) {
  return Error(ErrorKind::untrusted, fmt::format("the proof of {} is wrong", subject))
      .with_hint(
          "the medium it was installed from is of another site, or older than this site's "
          "secrets: install it from the present one");
}

}  // namespace

/// What one connection has shown so far.
struct NodeApi::Session {
  Transcript transcript;
};

Result<std::unique_ptr<NodeApi>> NodeApi::start(NodeApiOptions options) {
  std::unique_ptr<NodeApi> api(new NodeApi(std::move(options)));
  const auto& own = api->options_;
  if (!own.enrolment.contains(own.node_name)) {
    return fail(ErrorKind::invalid,
                fmt::format("there is no enrolment secret for this node ({})", own.node_name));
  }
  BP_TRY(auto authority, NodeAuthority::ensure(own.state_directory, own.node_name, own.address));
  api->authority_ = std::make_unique<NodeAuthority>(std::move(authority));
  BP_TRY(api->server_,
         TlsServer::start(
             own.address, own.port, api->authority_->server(),
             [raw = api.get()](TlsStream& stream) { raw->serve(stream); }, own.longest_connection));
  return api;
}

NodeApi::~NodeApi() {
  server_.reset();
}

std::uint16_t NodeApi::port() const {
  return server_->port();
}

void NodeApi::serve(TlsStream& stream) {
  Session session;
  while (true) {
    auto request = read_request(stream);
    if (!request || request->method.empty()) return;
    auto answer = handle(*request, session, stream);
    const auto response = answer ? ApiResponse{200, std::move(*answer)} : refusal(answer.error());
    if (!answer) {
      log::write(log::Level::warning,
                 fmt::format("node API refused {}: {}", request->target, answer.error().what),
                 {{"BEDPLATE_SUBJECT", session.transcript.subject}});
    }
    if (!write_response(stream, response)) return;
  }
}

Result<Json> NodeApi::handle(const ApiRequest& request, Session& session, const TlsStream& stream) {
  if (request.method != "POST") {
    return fail(ErrorKind::unsupported, "the node API takes POST requests only");
  }
  BP_TRY(const auto body, parse_json(request.body, "request"));
  if (request.target == "/v1/enrol") {
    BP_TRY(const auto node, json_string(body, "node"));
    return begin(std::string(node_prefix) + node, body, session, stream);
  }
  if (request.target == "/v1/operator") return begin("operator", body, session, stream);
  if (request.target == "/v1/enrol/finish") return finish_node(body, session);
  if (request.target == "/v1/operator/finish") return finish_operator(body, session);
  if (request.target == "/v1/operator/forget") return forget_node(body, session);
  return fail(ErrorKind::not_found, fmt::format("the node API has no {}", request.target));
}

Result<Json> NodeApi::begin(const std::string& subject, const Json& body, Session& session,
                            const TlsStream& stream) {
  BP_TRY(const auto encoded, json_string(body, "nonce"));
  BP_TRY(auto nonce, base64_decode(encoded));
  if (nonce.size() != 32) return fail(ErrorKind::invalid, "field 'nonce' must be 32 bytes");
  BP_TRY(auto binding, stream.binding());
  session.transcript = {subject, std::move(nonce), random_bytes(32), std::move(binding)};
  // Unknown nodes get an answer too, with the proof of a secret nobody has: who is in the site file
  // cannot be read off here.
  std::string secret = random_bytes(32);
  const auto name =
      subject.starts_with(node_prefix) ? subject.substr(node_prefix.size()) : options_.node_name;
  if (const auto known = options_.enrolment.find(name); known != options_.enrolment.end()) {
    secret = known->second;
  }
  return Json{{"serverNonce", base64_encode(session.transcript.server_nonce)},
              {"serverProof", base64_encode(server_proof(secret, session.transcript))}};
}

Result<Json> NodeApi::finish_node(const Json& body, Session& session) {
  // Taken out: an exchange is finished at most once, whatever comes of it.
  const auto transcript = std::exchange(session.transcript, {});
  BP_TRY(const auto csr, json_string(body, "csr"));
  BP_TRY(const auto encoded, json_string(body, "proof"));
  BP_TRY(const auto proof, base64_decode(encoded));
  if (!transcript.subject.starts_with(node_prefix)) {
    return fail(ErrorKind::invalid, "begin with /v1/enrol on the same connection");
  }
  const auto node = transcript.subject.substr(node_prefix.size());
  const auto known = options_.enrolment.find(node);
  if (known == options_.enrolment.end() ||
      !constant_time_equal(proof, node_proof(known->second, transcript, csr))) {
    return fail(refused_proof(transcript.subject));
  }
  BP_TRY(const auto key_id, csr_key_id(csr));
  BP_CHECK(bind_secret(node, key_id));
  BP_TRY(const auto join, options_.join_material(node));
  BP_TRY(const auto certificate, authority_->issue(csr, node));
  log::write(log::Level::info, fmt::format("{} enrolled", node), {{"BEDPLATE_NODE", node}});
  return Json{
      {"certificate", certificate},
      {"ca", authority_->certificate_pem()},
      {"kubernetes",
       {{"caCert", join.ca_certificate_pem}, {"server", join.server}, {"token", join.token}}}};
}

/// Whether an operator proved, on this very channel, to have the key. First of all: an exchange is
/// finished at most once, whatever comes of it.
Result<void> NodeApi::check_operator(const Json& body, Session& session) const {
  const auto transcript = std::exchange(session.transcript, {});
  BP_TRY(const auto encoded, json_string(body, "signature"));
  BP_TRY(const auto signature, base64_decode(encoded));
  if (transcript.subject != "operator") {
    return fail(ErrorKind::invalid, "begin with /v1/operator on the same connection");
  }
  for (const auto& key : options_.operator_keys) {
    if (key.verify(operator_message(transcript), signature)) return {};
  }
  return fail(refused_proof("the operator"));
}

Result<Json> NodeApi::finish_operator(const Json& body, Session& session) {
  BP_CHECK(check_operator(body, session));
  BP_TRY(const auto user, json_string(body, "user"));
  if (!is_dns_label(user)) {
    return fail(ErrorKind::invalid, "field 'user' must be lower-case letters, digits and hyphens");
  }
  BP_TRY(auto kubeconfig, options_.operator_kubeconfig(user));
  log::write(log::Level::info, fmt::format("operator {} took a kubeconfig", user));
  return Json{{"kubeconfig", std::move(kubeconfig)}};
}

Result<Json> NodeApi::forget_node(const Json& body, Session& session) {
  BP_CHECK(check_operator(body, session));
  BP_TRY(const auto node, json_string(body, "node"));
  if (node == options_.node_name || !options_.enrolment.contains(node)) {
    return fail(ErrorKind::not_found, fmt::format("no node '{}' enrols here", node));
  }
  const std::lock_guard lock(used_mutex_);
  BP_TRY(auto used, read_used());
  const bool forgotten = used.erase(node) != 0;
  if (forgotten) {
    BP_CHECK(
        write_file_atomic(options_.state_directory / "used.json", dump_text(used, 2) + "\n", 0600));
    log::write(log::Level::warning,
               fmt::format("an operator had {} forgotten: it may enrol again", node),
               {{"BEDPLATE_NODE", node}});
  }
  return Json{{"forgotten", forgotten}};
}

/// Node → the key that used its secret. Never starts over with a damaged file: used secrets would
/// be free again.
Result<Json> NodeApi::read_used() const {
  auto stored = read_json(options_.state_directory / "used.json");
  if (!stored && stored.error().kind == ErrorKind::not_found) return Json::object();
  if (stored && !stored->is_object()) {
    return fail(ErrorKind::corrupt, "the record of used enrolment secrets is not an object");
  }
  return stored;
}

Result<void> NodeApi::bind_secret(const std::string& node, const std::string& key_id) {
  const std::lock_guard lock(used_mutex_);
  const auto path = options_.state_directory / "used.json";
  BP_TRY(auto used, read_used());
  const auto bound = json_string_or(used, node, "");
  if (bound == key_id) return {};
  if (!bound.empty()) {
    return fail(ErrorKind::untrusted,
                fmt::format("the enrolment secret of {} was used by another key", node),
                fmt::format("if {0} was installed anew: bedplate node forget {0} --site site.yaml "
                            "--server {1}; if not, somebody else has this site's medium",
                            node, options_.address.str()));
  }
  used[node] = key_id;
  return write_file_atomic(path, dump_text(used, 2) + "\n", 0600);
}

}  // namespace bedplate::agent
