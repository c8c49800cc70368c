#include "core/digest.hpp"

#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string Digest::hex() const {
  return hex_encode(bytes);
}
std::string Digest::str() const {
  return "sha256:" + hex();
}

Result<Digest> Digest::parse(std::string_view text) {
  constexpr std::string_view prefix = "sha256:";
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && !text.starts_with(prefix)) {
    return fail(ErrorKind::unsupported,
                fmt::format("digest algorithm '{}' is not supported; only sha256 is",
                            text.substr(0, colon)));
  }
  if (!text.starts_with(prefix) || text.size() != prefix.size() + 64) {
    return fail(ErrorKind::invalid,
                fmt::format("'{}' is not a digest (sha256:<64 hex digits>)", text.substr(0, 100)));
  }
  BP_TRY(auto raw, hex_decode(text.substr(prefix.size())));
  Digest digest;
  std::copy_n(bytes_of(raw).begin(), digest.bytes.size(), digest.bytes.begin());
  return digest;
}

Digest Digest::of(std::span<const std::byte> data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

Digest Digest::of(std::string_view text) {
  return of(bytes_of(text));
}

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> data) {
  EVP_DigestUpdate(state_->context, data.data(), data.size());
}
void Sha256::update(std::string_view text) {
  update(bytes_of(text));
}

Digest Sha256::finish() {
  Digest digest;
  unsigned length = 0;
  EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.bytes.data()),
                     &length);
  return digest;
}

Result<Digest> digest_file(const std::filesystem::path& path) {
  BP_TRY(auto fd, open_file(path, O_RDONLY));
  Sha256 hash;
  std::vector<std::byte> block(std::size_t{1} << 20);
  while (true) {
    const ssize_t n = ::read(fd.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "cannot read " + path.string()));
    if (n == 0) return hash.finish();
    hash.update(std::span(block).first(static_cast<std::size_t>(n)));
  }
}

std::string hex_encode(std::span<const std::byte> data) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(data.size() * 2);
  for (const std::byte b : data) {
    out += digits[std::to_integer<unsigned>(b) >> 4U];
    out += digits[std::to_integer<unsigned>(b) & 15U];
  }
  return out;
}

Result<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return fail(ErrorKind::invalid, "odd number of hex digits");
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = nibble(text[i]);
    const int low = nibble(text[i + 1]);
    if (high < 0 || low < 0) {
      return fail(ErrorKind::invalid, "not a lower-case hex number");
    }
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

std::string base64_encode(std::span<const std::byte> data) {
  std::string out(4 * ((data.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(data.data()),
                                     static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string base64_encode(std::string_view data) {
  return base64_encode(bytes_of(data));
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return fail(ErrorKind::invalid, "base64 text has a wrong length");
  std::string out(text.size() / 4 * 3 + 1, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return fail(ErrorKind::invalid, "not base64 text");
  std::size_t padding = 0;
  if (text.ends_with("==")) {
    padding = 2;
  } else if (text.ends_with('=')) {
    padding = 1;
  }
  out.resize(static_cast<std::size_t>(length) - padding);
  return out;
}

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  // Without randomness nothing secret may go on; there is no way to continue.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) {
    std::abort();
  }
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::string out(32, '\0');
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(),
       reinterpret_cast<unsigned char*>(out.data()), &length);
  return out;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace bedplate
