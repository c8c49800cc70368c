#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace bedplate {

/// A SHA-256 digest; the only algorithm we write (OCI image-spec, descriptor.md).
struct Digest {
  std::array<std::byte, 32> bytes{};

  /// "sha256:<64 lower-case hex>".
  std::string str() const;
  /// The 64 hex digits.
  std::string hex() const;
  /// From "sha256:<hex>" (ErrorKind::invalid otherwise; other algorithms: unsupported).
  static Result<Digest> parse(std::string_view text);
  static Digest of(std::span<const std::byte> data);
  static Digest of(std::string_view text);

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

/// For unordered containers: the digest is as good as random already.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const {
    std::size_t out = 0;
    std::memcpy(&out, digest.bytes.data(), sizeof(out));
    return out;
  }
};

/// Streaming SHA-256 (OpenSSL EVP, so with the processor's own instructions where it has them).
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(std::span<const std::byte> data);
  void update(std::string_view text);
  /// Ends the computation; the object may not be used afterwards.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Digest of a file, read in blocks.
Result<Digest> digest_file(const std::filesystem::path& path);

std::string hex_encode(std::span<const std::byte> data);
Result<std::string> hex_decode(std::string_view text);
/// Standard alphabet with padding (RFC 4648 section 4).
std::string base64_encode(std::span<const std::byte> data);
std::string base64_encode(std::string_view data);
Result<std::string> base64_decode(std::string_view text);

/// Cryptographically strong random bytes.
std::string random_bytes(std::size_t count);
/// HMAC-SHA256 (RFC 2104).
std::string hmac_sha256(std::string_view key, std::string_view message);
/// Comparison in constant time; different lengths are unequal.
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace bedplate
