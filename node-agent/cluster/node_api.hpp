#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/net.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "node-agent/api/authority.hpp"
#include "node-agent/api/http.hpp"
#include "node-agent/cluster/enrolment_proof.hpp"

namespace bedplate::agent {

/// What a node needs to join the cluster.
struct JoinMaterial {
  std::string ca_certificate_pem;  ///< the cluster's CA
  std::string server;              ///< "https://api.<domain>:7443"
  std::string token;               ///< a bootstrap token with a short life
};

struct NodeApiOptions {
  Ipv4 address;  ///< to listen on
  std::uint16_t port = 7445;
  std::filesystem::path state_directory;         ///< authority and used.json (0700)
  std::string node_name;                         ///< of this node
  std::map<std::string, std::string> enrolment;  ///< node → secret, this node's among them
  std::vector<PublicKey> operator_keys;
  /// Asked after the proof; ErrorKind::network when the cluster is not ready yet (the caller tries
  /// again).
  std::function<Result<JoinMaterial>(const std::string& node)> join_material;
  std::function<Result<std::string>(const std::string& user)> operator_kubeconfig;
  std::chrono::milliseconds longest_connection = TlsServer::longest_connection;
};

/// The node API of a control plane: enrolment of nodes and operators, over TLS 1.3.
///
///   POST /v1/enrol            {node, nonce}       → {serverNonce, serverProof}
///   POST /v1/enrol/finish     {csr, proof}        → {certificate, ca, kubernetes: {…}}
///   POST /v1/operator         {nonce}             → {serverNonce, serverProof}
///   POST /v1/operator/finish  {user, signature}   → {kubeconfig}
///   POST /v1/operator/forget  {node, signature}   → {forgotten: whether it had enrolled}
///
/// Both requests of an exchange travel on one connection. A node's secret is bound to the first key
/// that proved it (kept in used.json, so a restart does not forget): the same key may ask again and
/// gets an answer again, another key is refused (ErrorKind::untrusted), until an operator has the
/// node forgotten because it was installed anew.
class NodeApi {
 public:
  static Result<std::unique_ptr<NodeApi>> start(NodeApiOptions options);
  ~NodeApi();
  std::uint16_t port() const;

 private:
  struct Session;
  explicit NodeApi(NodeApiOptions options) : options_(std::move(options)) {}
  void serve(TlsStream& stream);
  Result<Json> handle(const ApiRequest& request, Session& session, const TlsStream& stream);
  Result<Json> begin(const std::string& subject, const Json& body, Session& session,
                     const TlsStream& stream);
  Result<Json> finish_node(const Json& body, Session& session);
  Result<Json> finish_operator(const Json& body, Session& session);
  Result<Json> forget_node(const Json& body, Session& session);
  Result<void> check_operator(const Json& body, Session& session) const;
  Result<Json> read_used() const;
  Result<void> bind_secret(const std::string& node, const std::string& key_id);

  NodeApiOptions options_;
  std::unique_ptr<NodeAuthority> authority_;
  std::mutex used_mutex_;
  std::unique_ptr<TlsServer> server_;  ///< last: its threads end before the rest goes
};

}  // namespace bedplate::agent
