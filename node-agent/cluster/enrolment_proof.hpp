#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace bedplate::agent {

/// What both sides of an enrolment know when they make their proofs. The channel binding makes a
/// proof worthless on any other connection, so nobody can sit in between and pass it on.
struct Transcript {
  std::string subject;          ///< "node/<name>" or "operator"
  std::string client_nonce;     ///< 32 raw bytes
  std::string server_nonce;     ///< 32 raw bytes
  std::string channel_binding;  ///< TlsStream::binding()
};

/// HMAC-SHA256 with the secret of the node that answers: shows the caller that it reached it.
std::string server_proof(std::string_view secret, const Transcript& transcript);
/// HMAC-SHA256 with the caller's secret over the transcript and its certificate request.
std::string node_proof(std::string_view secret, const Transcript& transcript, std::string_view csr);
/// What an operator signs with the operator key (Ed25519).
std::string operator_message(const Transcript& transcript);

}  // namespace bedplate::agent
