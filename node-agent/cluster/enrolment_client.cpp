#include "node-agent/cluster/enrolment_client.hpp"

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate::agent {
namespace {

/// Sends our nonce, and checks that the server knows `secret` on this very channel.
Result<Transcript> begin(TlsStream& stream, std::string_view target, Json body,
                         const std::string& subject, std::string_view secret) {
  Transcript transcript{subject, random_bytes(32), {}, {}};
  BP_TRY(transcript.channel_binding, stream.binding());
  body["nonce"] = base64_encode(transcript.client_nonce);
  BP_TRY(const auto answer, call(stream, target, body));
  BP_TRY(const auto nonce, json_string(answer, "serverNonce"));
  BP_TRY(const auto proof_text, json_string(answer, "serverProof"));
  BP_TRY(transcript.server_nonce, base64_decode(nonce));
  BP_TRY(const auto proof, base64_decode(proof_text));
  if (!constant_time_equal(proof, server_proof(secret, transcript))) {
    return fail(ErrorKind::untrusted,
                "the server does not know this site's enrolment secret, or somebody is in between",
                "compare the site and the bundle key's fingerprint on both consoles; the two nodes "
                "must be installed from media of the same site");
  }
  return transcript;
}

Result<std::string> own_key(const std::filesystem::path& folder) {
  BP_CHECK(make_directories(folder, 0700));
  const auto path = folder / "node.key";
  auto stored = read_file(path);
  if (stored || stored.error().kind != ErrorKind::not_found) return stored;
  auto made = new_private_key_pem();
  BP_CHECK(write_file_atomic(path, made, 0600));
  return made;
}

Result<JoinMaterial> exchange(const EnrolOptions& options) {
  BP_TRY(const auto key, own_key(options.state_directory));
  BP_TRY(const auto csr, make_csr(key, options.node));
  BP_TRY(auto stream, TlsStream::connect(options.server, options.port, options.patience));
  BP_TRY(const auto transcript, begin(stream, "/v1/enrol", Json{{"node", options.node}},
                                      "node/" + options.node, options.secret));
  BP_TRY(const auto answer,
         call(stream, "/v1/enrol/finish",
              Json{{"csr", csr},
                   {"proof", base64_encode(node_proof(options.secret, transcript, csr))}}));
  BP_TRY(const auto certificate, json_string(answer, "certificate"));
  BP_TRY(const auto authority, json_string(answer, "ca"));
  const auto kubernetes =
      answer.is_object() ? answer.value("kubernetes", Json::object()) : Json::object();
  JoinMaterial join;
  BP_TRY(join.ca_certificate_pem, json_string(kubernetes, "caCert"));
  BP_TRY(join.server, json_string(kubernetes, "server"));
  BP_TRY(join.token, json_string(kubernetes, "token"));
  BP_CHECK(write_file_atomic(options.state_directory / "ca.crt", authority));
  BP_CHECK(write_file_atomic(options.state_directory / "node.crt", certificate));
  return join;
}

/// One request of an operator, with the proof added to its body.
Result<Json> as_operator(const OperatorOptions& options, std::string_view target, Json body) {
  BP_TRY(auto stream, TlsStream::connect(options.server, options.port, options.patience));
  BP_TRY(const auto transcript,
         begin(stream, "/v1/operator", Json::object(), "operator", options.server_secret));
  body["signature"] = base64_encode(options.key.sign(operator_message(transcript)));
  return call(stream, target, body);
}

}  // namespace

Result<JoinMaterial> enrol(const EnrolOptions& options) {
  BP_TRY_DURING(
      auto join,
      fmt::format("enrolling {} at {}:{}", options.node, options.server.str(), options.port),
      exchange(options));
  return join;
}

Result<std::string> fetch_operator_kubeconfig(const OperatorOptions& options) {
  BP_TRY_DURING(auto kubeconfig,
                fmt::format("asking {}:{} for a kubeconfig", options.server.str(), options.port),
                as_operator(options, "/v1/operator/finish", Json{{"user", options.user}}));
  return json_string(kubeconfig, "kubeconfig");
}

Result<bool> forget_node(const OperatorOptions& options, const std::string& node) {
  BP_TRY_DURING(const auto answer,
                fmt::format("asking {}:{} to forget {}", options.server.str(), options.port, node),
                as_operator(options, "/v1/operator/forget", Json{{"node", node}}));
  const auto forgotten = answer.find("forgotten");
  return answer.is_object() && forgotten != answer.end() && *forgotten == true;
}

}  // namespace bedplate::agent
