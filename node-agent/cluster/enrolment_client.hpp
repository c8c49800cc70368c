#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/net.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "node-agent/cluster/node_api.hpp"

namespace bedplate::agent {

struct EnrolOptions {
  Ipv4 server;
  std::uint16_t port = 7445;
  std::string node;
  std::string secret;                     ///< 32 raw bytes
  std::filesystem::path state_directory;  ///< node.key (0600), node.crt, ca.crt
  std::chrono::milliseconds patience{30'000};
};

/// Proves to the server that this is the node, lets the server prove that it knows the site, and
/// takes the certificate and what joining needs. The key is made once and kept, so that a repeated
/// call (after a power cut, or because the token has run out) is the same node to the server.
/// ErrorKind::network: try again later; untrusted: one of the two is not of this site.
Result<JoinMaterial> enrol(const EnrolOptions& options);

struct OperatorOptions {
  Ipv4 server;
  std::uint16_t port = 7445;
  PrivateKey key;
  std::string server_secret;  ///< enrolment secret of the node that is asked
  std::string user = "operator";
  std::chrono::milliseconds patience{30'000};
};

/// A kubeconfig for a person who has the operator key. Errors as enrol().
Result<std::string> fetch_operator_kubeconfig(const OperatorOptions& options);

/// Lets a node that was installed anew enrol once more with the secret it has. Whether it had
/// enrolled; repeated, the answer is false. ErrorKind::not_found: the site has no such node, or it
/// is the one that is asked.
Result<bool> forget_node(const OperatorOptions& options, const std::string& node);

}  // namespace bedplate::agent
