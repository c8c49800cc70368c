#include "airgap-bundle/supply/claims.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"

namespace bedplate::supply {
namespace {

constexpr std::string_view simple_type = "cosign container image signature";
constexpr std::string_view statement_type = "application/vnd.in-toto+json";
constexpr std::string_view cosign_predicate = "https://sigstore.dev/cosign/sign/v1";

std::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorKind::invalid, "it is signed, but " + what);
}

/// A member that is itself a map; an empty one when it is absent or something else.
Json member(const Json& object, std::string_view key) {
  if (!object.is_object()) return Json::object();
  const auto found = object.find(key);
  return found == object.end() || !found->is_object() ? Json::object() : *found;
}

Json list_of(const Json& object, std::string_view key) {
  if (!object.is_object()) return Json::array();
  const auto found = object.find(key);
  return found == object.end() || !found->is_array() ? Json::array() : *found;
}

/// DSSE allows both alphabets of RFC 4648.
Result<std::string> decode(std::string text) {
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  return base64_decode(text);
}

Result<void> require_signature(std::string_view message, const std::vector<std::string>& signatures,
                               std::span<const VerificationKey> keys) {
  for (const auto& signature : signatures) {
    for (const auto& key : keys) {
      if (key.verifies(message, signature)) return {};
    }
  }
  return fail(ErrorKind::untrusted, "it is signed by none of the keys");
}

Result<Claim> verify_simple(const SignedDocument& document, std::span<const VerificationKey> keys) {
  const auto signature = decode(document.signature);
  BP_CHECK(require_signature(document.content, {signature.value_or(std::string())}, keys));
  BP_TRY(const auto payload, parse_json(document.content, "the signature's payload"));
  const auto critical = member(payload, "critical");
  if (json_string_or(critical, "type", "") != simple_type) {
    return malformed("its payload is not a signature of an image");
  }
  const auto digest =
      Digest::parse(json_string_or(member(critical, "image"), "docker-manifest-digest", ""));
  if (!digest) return malformed("its payload names no image");
  Claim out;
  out.subjects = {*digest};
  out.repository = json_string_or(member(critical, "identity"), "docker-reference", "");
  if (out.repository.empty()) return malformed("its payload names no repository");
  return out;
}

Result<Claim> read_statement(std::string_view text) {
  BP_TRY(const auto statement, parse_json(text, "the statement"));
  Claim out;
  out.predicate = statement.is_object() ? json_string_or(statement, "predicateType", "") : "";
  if (out.predicate.empty()) return malformed("its statement has no predicate type");
  if (out.predicate == cosign_predicate) out.predicate.clear();
  for (const auto& subject : list_of(statement, "subject")) {
    const auto hex = json_string_or(member(subject, "digest"), "sha256", "");
    if (const auto digest = Digest::parse("sha256:" + hex)) out.subjects.push_back(*digest);
  }
  return out;
}

/// DSSE's pre-authentication encoding: what the signature is over.
std::string encoded(std::string_view type, std::string_view body) {
  return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, body.size(), body);
}

Result<Claim> verify_envelope(const Json& envelope, std::span<const VerificationKey> keys) {
  const auto type = json_string_or(envelope, "payloadType", "");
  BP_TRY(const auto body, decode(json_string_or(envelope, "payload", "")));
  std::vector<std::string> signatures;
  for (const auto& item : list_of(envelope, "signatures")) {
    if (!item.is_object()) continue;
    if (auto signature = decode(json_string_or(item, "sig", ""))) {
      signatures.push_back(std::move(*signature));
    }
  }
  BP_CHECK(require_signature(encoded(type, body), signatures, keys));
  if (type != statement_type) return malformed("its payload is no in-toto statement");
  return read_statement(body);
}

/// A signature over the manifest as a message of its own.
Result<Claim> verify_message(const Json& message, std::span<const VerificationKey> keys,
                             const std::map<Digest, std::string>& manifests) {
  const auto stated = member(message, "messageDigest");
  BP_TRY(const auto bytes, decode(json_string_or(stated, "digest", "")));
  BP_TRY(const auto digest, Digest::parse("sha256:" + hex_encode(std::as_bytes(std::span(bytes)))));
  const auto found = manifests.find(digest);
  if (found == manifests.end()) {
    return fail(ErrorKind::untrusted, "it is a signature over another image " + digest.str());
  }
  const auto signature = decode(json_string_or(message, "signature", ""));
  BP_CHECK(require_signature(found->second, {signature.value_or(std::string())}, keys));
  return Claim{{digest}, {}, {}};
}

}  // namespace

bool is_signed_document(std::string_view media_type) {
  return media_type == oci::media::simple_signing || media_type == oci::media::dsse ||
         media_type.starts_with(oci::media::sigstore_bundle);
}

Result<Claim> verify(const SignedDocument& document, std::span<const VerificationKey> keys,
                     const std::map<Digest, std::string>& manifests) {
  if (document.type == oci::media::simple_signing) return verify_simple(document, keys);
  BP_TRY(const auto value, parse_json(document.content, "the signed document"));
  if (document.type == oci::media::dsse) return verify_envelope(value, keys);
  const auto envelope = member(value, "dsseEnvelope");
  if (!envelope.empty()) return verify_envelope(envelope, keys);
  return verify_message(member(value, "messageSignature"), keys, manifests);
}

}  // namespace bedplate::supply
