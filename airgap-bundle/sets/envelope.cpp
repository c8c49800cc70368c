#include "airgap-bundle/sets/envelope.hpp"

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/json.hpp"

namespace bedplate::sets {
namespace {

/// What is signed: DSSE's pre-authentication encoding.
std::string encoded(std::string_view type, std::string_view payload) {
  return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

std::string key_id(const PublicKey& key) {
  return Digest::of(key.bytes).hex();
}

/// The trusted key that made one of the signatures.
std::optional<PublicKey> signer_of(const Json& envelope, std::string_view message,
                                   std::span<const PublicKey> trusted) {
  const auto found = envelope.find("signatures");
  if (found == envelope.end() || !found->is_array()) return std::nullopt;
  for (const auto& item : *found) {
    const auto signature = base64_decode(json_string_or(item, "sig", ""));
    if (!signature) continue;
    for (const auto& key : trusted) {
      if (json_string_or(item, "keyid", "") == key_id(key) && key.verify(message, *signature)) {
        return key;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::string seal_document(std::string_view type, std::string_view payload, const PrivateKey& key) {
  const Json envelope{{"payloadType", type},
                      {"payload", base64_encode(payload)},
                      {"signatures",
                       {{{"keyid", key_id(key.public_key())},
                         {"sig", base64_encode(key.sign(encoded(type, payload)))}}}}};
  return envelope.dump(2) + "\n";
}

Result<OpenedDocument> open_document(std::string_view type, std::string_view text,
                                     std::span<const PublicKey> trusted, bool unsigned_too) {
  BP_TRY(const auto envelope, parse_json(text, "the signed document"));
  BP_TRY(const auto given, json_string(envelope, "payloadType"));
  if (given != type) {
    return fail(ErrorKind::invalid, fmt::format("the document is {}, not {}", given, type));
  }
  BP_TRY(const auto payload, json_string(envelope, "payload"));
  OpenedDocument out;
  BP_TRY(out.payload, base64_decode(payload));
  out.signer = signer_of(envelope, encoded(type, out.payload), trusted);
  if (out.signer || unsigned_too) return out;
  return fail(ErrorKind::untrusted, "the document is not signed by a key that is trusted here",
              "name the key with --trust");
}

}  // namespace bedplate::sets
