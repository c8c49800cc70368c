#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/net.hpp"
#include "core/result.hpp"
#include "node-agent/api/tls.hpp"

namespace bedplate::agent {

/// The authority behind node certificates. Made once, on the bootstrap node, in a folder of its own
/// (ca.crt, ca.key 0600, server.crt, server.key 0600); it signs nothing but node API certificates
/// and is in no trust list of Kubernetes.
class NodeAuthority {
 public:
  /// Loads it, or makes what is missing. Repeatable; killed in between, the rest is made next time.
  static Result<NodeAuthority> ensure(const std::filesystem::path& folder,
                                      std::string_view node_name, Ipv4 address);

  const TlsIdentity& server() const { return server_; }
  const std::string& certificate_pem() const { return ca_.certificate_pem; }

  /// A client certificate for exactly this node: subject O=bedplate:nodes, CN=<node>, one year.
  /// The names that the request asks for are ignored; only its key counts, and its signature is
  /// checked. ErrorKind::invalid otherwise.
  Result<std::string> issue(std::string_view csr_pem, std::string_view node_name) const;

 private:
  TlsIdentity ca_;
  TlsIdentity server_;
};

/// A new ECDSA P-256 key (PKCS#8 PEM).
std::string new_private_key_pem();
/// A certificate signing request (PKCS#10, RFC 2986) for the key, PEM.
Result<std::string> make_csr(std::string_view private_key_pem, std::string_view common_name,
                             std::string_view organisation = {});

/// Whom a certificate signing request is for.
struct CsrSubject {
  std::vector<std::string> organisations;  ///< in their order
  std::vector<std::string> common_names;
  bool other = false;  ///< there are further attributes
  friend bool operator==(const CsrSubject&, const CsrSubject&) = default;
};
/// Checks the request's own signature; ErrorKind::invalid.
Result<CsrSubject> csr_subject(std::string_view csr_pem);
/// SHA-256 over the request's public key (DER SubjectPublicKeyInfo), hex: names the key that
/// enrolled. Checks the request's own signature.
Result<std::string> csr_key_id(std::string_view csr_pem);

}  // namespace bedplate::agent
