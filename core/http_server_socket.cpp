#include "core/http_server_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace bedplate {
namespace {

constexpr std::uint64_t most_sendfile = 1U << 20;
constexpr std::size_t tls_block = 64U << 10;

std::string openssl_reason() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

std::unexpected<Error> no_identity(std::string_view what) {
  return fail(ErrorKind::invalid, fmt::format("{}: {}", what, openssl_reason()),
              "give PEM files: the server's certificate followed by its chain, and its private "
              "key without a passphrase");
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio memory_bio(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
}

/// Without it OpenSSL asks on the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) {
  return 0;
}

Result<void> use_certificates(SSL_CTX* context, const std::string& pem) {
  const auto bio = memory_bio(pem);
  const Certificate own(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr), X509_free);
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
    return no_identity("the TLS certificate cannot be used");
  }
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) != 1) {
      X509_free(next);
      return no_identity("the certificate's chain cannot be used");
    }
  }
  ERR_clear_error();  // the end of the file counts as one
  return {};
}

}  // namespace

Result<TlsContext> make_tls_context(const ServerTls& tls) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return fail(ErrorKind::internal, "OpenSSL cannot be initialised");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  // An idle connection keeps no buffers; what could not be sent is read from the file again.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  BP_CHECK(use_certificates(context.get(), tls.certificate_pem));
  const auto bio = memory_bio(tls.private_key_pem);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!key) return no_identity("the TLS key cannot be used");
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return no_identity("the TLS key does not belong to the certificate");
  }
  return context;
}

ServerSocket::ServerSocket(UniqueFd fd, const TlsContext& context) : fd_(std::move(fd)) {
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!context) return;
  // What is encrypted is a copy in the kernel: little of it for a reader that does not read.
  const int lowest = 256 << 10;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowest, sizeof lowest);
  ssl_.reset(SSL_new(context.get()));
  if (!ssl_ || SSL_set_fd(ssl_.get(), fd_.get()) != 1) {
    broken_ = true;
    return;
  }
  SSL_set_accept_state(ssl_.get());
}

ServerSocket::Outcome ServerSocket::outcome(ssize_t n, std::size_t& count) {
  if (n > 0) {
    count = static_cast<std::size_t>(n);
    return Outcome::progress;
  }
  return n < 0 && (errno == EAGAIN || errno == EINTR) ? Outcome::blocked : Outcome::closed;
}

ServerSocket::Outcome ServerSocket::tls_outcome(int result) {
  const int reason = SSL_get_error(ssl_.get(), result);
  blocked_on_write_ = reason == SSL_ERROR_WANT_WRITE;
  if (blocked_on_write_ || reason == SSL_ERROR_WANT_READ) return Outcome::blocked;
  broken_ = reason == SSL_ERROR_SSL || reason == SSL_ERROR_SYSCALL;
  return Outcome::closed;
}

ServerSocket::Outcome ServerSocket::receive(std::span<char> into, std::size_t& got) {
  blocked_on_write_ = false;
  if (!tls()) return outcome(::recv(fd_.get(), into.data(), into.size(), 0), got);
  if (broken_) return Outcome::closed;
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
  return result == 1 ? Outcome::progress : tls_outcome(result);
}

/// One record.
ServerSocket::Outcome ServerSocket::tls_write(std::span<const std::byte> data, std::size_t& sent) {
  if (broken_) return Outcome::closed;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_.get(), data.data(), data.size(), &sent);
  return result == 1 ? Outcome::progress : tls_outcome(result);
}

ServerSocket::Outcome ServerSocket::send(std::string_view head, std::string_view body, bool more,
                                         std::size_t& sent) {
  blocked_on_write_ = true;
  if (tls()) return tls_write(as_byte_span(head.empty() ? body : head), sent);
  // The kernel only reads; iovec has no const.
  std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                             iovec{const_cast<char*>(body.data()), body.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = body.empty() ? 1 : 2;
  return outcome(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0)), sent);
}

ServerSocket::Outcome ServerSocket::send_file(int file, std::uint64_t offset, std::uint64_t length,
                                              std::size_t& sent) {
  blocked_on_write_ = true;
  auto from = static_cast<off_t>(offset);
  if (!tls()) {
    return outcome(::sendfile(fd_.get(), file, &from, std::min(length, most_sendfile)), sent);
  }
  thread_local std::array<std::byte, tls_block> block;
  const auto part = std::span(block).first(std::min<std::uint64_t>(length, tls_block));
  if (!read_exactly_at(file, part, offset)) return Outcome::closed;
  sent = 0;
  while (sent < part.size()) {
    std::size_t n = 0;
    const auto result = tls_write(part.subspan(sent), n);
    if (result != Outcome::progress) return sent > 0 ? Outcome::progress : result;
    sent += n;
  }
  return Outcome::progress;
}

void ServerSocket::end_sending() {
  if (tls() && !broken_ && SSL_is_init_finished(ssl_.get()) != 0) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  ::shutdown(fd_.get(), SHUT_WR);
}

std::uint64_t ServerSocket::unacknowledged() const {
  int waiting = 0;
  if (::ioctl(fd_.get(), SIOCOUTQ, &waiting) != 0 || waiting < 0) return 0;
  return static_cast<std::uint64_t>(waiting);
}

std::string ServerSocket::remote() const {
  sockaddr_storage where{};
  socklen_t length = sizeof where;
  std::array<char, INET6_ADDRSTRLEN> text{};
  auto* raw = reinterpret_cast<sockaddr*>(&where);
  if (::getpeername(fd_.get(), raw, &length) != 0) return "";
  if (where.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&where);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(v4->sin_port));
  }
  if (where.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&where);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return fmt::format("[{}]:{}", text.data(), ntohs(v6->sin6_port));
  }
  return "local";
}

}  // namespace bedplate
