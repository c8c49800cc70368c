#include "node-agent/cluster/enrolment_proof.hpp"

#include "core/digest.hpp"

namespace bedplate::agent {
namespace {

/// Each part with its length in front, so that no two different lists give the same bytes.
void append(std::string& out, std::string_view part) {
  for (unsigned shift = 32; shift != 0; shift -= 8) {
    out += static_cast<char>((part.size() >> (shift - 8)) & 255U);
  }
  out += part;
}

std::string message(std::string_view purpose, const Transcript& transcript,
                    std::string_view extra = {}) {
  std::string out;
  for (const std::string_view part :
       {std::string_view("bedplate enrolment 1"), purpose, std::string_view(transcript.subject),
        std::string_view(transcript.client_nonce), std::string_view(transcript.server_nonce),
        std::string_view(transcript.channel_binding), extra}) {
    append(out, part);
  }
  return out;
}

}  // namespace

std::string server_proof(std::string_view secret, const Transcript& transcript) {
  return hmac_sha256(secret, message("server", transcript));
}

std::string node_proof(std::string_view secret, const Transcript& transcript,
                       std::string_view csr) {
  return hmac_sha256(secret, message("node", transcript, csr));
}

std::string operator_message(const Transcript& transcript) {
  return message("operator", transcript);
}

}  // namespace bedplate::agent
