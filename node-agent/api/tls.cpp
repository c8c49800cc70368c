#include "node-agent/api/tls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <system_error>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.hpp"

namespace bedplate::agent {
namespace {

constexpr int most_connections = 32;
constexpr std::chrono::seconds server_patience{30};
constexpr std::string_view binding_label = "EXPORTER-Channel-Binding";

using ContextPointer = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SslPointer = std::unique_ptr<SSL, decltype(&SSL_free)>;
using BioPointer = std::unique_ptr<BIO, decltype(&BIO_free)>;

std::string tls_reason() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "connection closed";
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

Error network_error(std::string_view action) {
  return Error(ErrorKind::network, fmt::format("{}: {}", action, tls_reason()));
}

sockaddr_in socket_address(Ipv4 address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(address.value);
  return out;
}

void set_patience(int fd, std::chrono::milliseconds patience) {
  const timeval limit{.tv_sec = patience.count() / 1000,
                      .tv_usec = static_cast<suseconds_t>(patience.count() % 1000 * 1000)};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

ContextPointer new_context(const SSL_METHOD* method) {
  ContextPointer context(SSL_CTX_new(method), SSL_CTX_free);
  // 1.3 only: the exporter of earlier versions binds less (RFC 9266 section 3).
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_AUTO_RETRY);
  return context;
}

Result<void> use_identity(SSL_CTX* context, const TlsIdentity& identity) {
  const BioPointer certificate_bio(
      BIO_new_mem_buf(identity.certificate_pem.data(),
                      static_cast<int>(identity.certificate_pem.size())),
      BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr), X509_free);
  const BioPointer key_bio(BIO_new_mem_buf(identity.private_key_pem.data(),
                                           static_cast<int>(identity.private_key_pem.size())),
                           BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!certificate || !key || SSL_CTX_use_certificate(context, certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return fail(ErrorKind::corrupt,
                "the node API's certificate or key cannot be used: " + tls_reason());
  }
  return {};
}

}  // namespace

struct TlsStream::Impl {
  ContextPointer context{nullptr, SSL_CTX_free};  ///< kept by clients only
  UniqueFd fd;
  SslPointer ssl{nullptr, SSL_free};
};

struct TlsServer::Context {
  ContextPointer context{nullptr, SSL_CTX_free};
};

TlsStream::TlsStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsStream::TlsStream(TlsStream&&) noexcept = default;
TlsStream& TlsStream::operator=(TlsStream&&) noexcept = default;

TlsStream::~TlsStream() {
  if (impl_ && impl_->ssl && SSL_is_init_finished(impl_->ssl.get()) == 1) {
    SSL_shutdown(impl_->ssl.get());
  }
}

Result<TlsStream> TlsStream::connect(Ipv4 address, std::uint16_t port,
                                     std::chrono::milliseconds patience) {
  auto impl = std::make_unique<Impl>();
  impl->fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!impl->fd) return fail(system_error(errno, "cannot make a socket"));
  set_patience(impl->fd.get(), patience);
  const auto to = socket_address(address, port);
  if (::connect(impl->fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    return fail(ErrorKind::network, fmt::format("cannot connect to {}:{}: {}", address.str(), port,
                                                system_error(errno, "connect").what));
  }
  impl->context = new_context(TLS_client_method());
  // The peer proves itself over the channel binding, not by a certificate we could know already.
  SSL_CTX_set_verify(impl->context.get(), SSL_VERIFY_NONE, nullptr);
  impl->ssl.reset(SSL_new(impl->context.get()));
  SSL_set_fd(impl->ssl.get(), impl->fd.get());
  if (SSL_connect(impl->ssl.get()) != 1) {
    return fail(network_error(fmt::format("TLS with {}:{} failed", address.str(), port)));
  }
  return TlsStream(std::move(impl));
}

Result<std::string> TlsStream::read_some(std::size_t limit) {
  std::string out(std::min<std::size_t>(limit, 16384), '\0');
  std::size_t got = 0;
  if (SSL_read_ex(impl_->ssl.get(), out.data(), out.size(), &got) == 1) {
    out.resize(got);
    return out;
  }
  if (SSL_get_error(impl_->ssl.get(), 0) == SSL_ERROR_ZERO_RETURN) return std::string();
  return fail(network_error("the connection broke while reading"));
}

Result<void> TlsStream::write(std::string_view data) {
  std::size_t written = 0;
  while (!data.empty()) {
    if (SSL_write_ex(impl_->ssl.get(), data.data(), data.size(), &written) != 1) {
      return fail(network_error("the connection broke while writing"));
    }
    data.remove_prefix(written);
  }
  return {};
}

Result<std::string> TlsStream::binding() const {
  std::string out(32, '\0');
  if (SSL_export_keying_material(impl_->ssl.get(), reinterpret_cast<unsigned char*>(out.data()),
                                 out.size(), binding_label.data(), binding_label.size(), nullptr, 0,
                                 0) != 1) {
    return fail(network_error("the TLS library gave no channel binding"));
  }
  return out;
}

Result<std::unique_ptr<TlsServer>> TlsServer::start(Ipv4 address, std::uint16_t port,
                                                    const TlsIdentity& identity, Handler handler,
                                                    std::chrono::milliseconds longest) {
  std::unique_ptr<TlsServer> server(new TlsServer());
  server->longest_ = longest;
  server->context_ = std::make_shared<Context>();
  server->context_->context = new_context(TLS_server_method());
  BP_CHECK(use_identity(server->context_->context.get(), identity));
  server->listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!server->listener_) return fail(system_error(errno, "cannot make a socket"));
  const int on = 1;
  ::setsockopt(server->listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto where = socket_address(address, port);
  socklen_t length = sizeof where;
  auto* raw = reinterpret_cast<sockaddr*>(&where);
  if (::bind(server->listener_.get(), raw, length) != 0 ||
      ::listen(server->listener_.get(), most_connections) != 0 ||
      ::getsockname(server->listener_.get(), raw, &length) != 0) {
    return fail(system_error(errno, fmt::format("cannot listen on {}:{}", address.str(), port))
                    .with_hint(fmt::format("`ss -ltnp sport = {}` shows who does", port)));
  }
  server->port_ = ntohs(where.sin_port);
  server->handler_ = std::move(handler);
  server->acceptor_ = std::thread([raw_server = server.get()] { raw_server->accept_loop(); });
  return server;
}

TlsServer::~TlsServer() {
  stop_ = true;
  if (acceptor_.joinable()) acceptor_.join();
  while (active_.load() > 0) {
    end_overdue();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void TlsServer::accept_loop() {
  while (!stop_) {
    end_overdue();
    pollfd waiting{listener_.get(), POLLIN, 0};
    if (active_.load() >= most_connections) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    if (::poll(&waiting, 1, 100) <= 0) continue;
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++active_;
    try {
      std::thread([this, fd] {
        handle(fd);
        --active_;
      }).detach();
    } catch (const std::system_error& error) {
      log::warning("node API: no thread for a connection: {}", error.what());
      ::close(fd);
      --active_;
    }
  }
}

/// Reading and writing block, each for as long as the peer pleases to send a byte in time; this
/// wakes them up with the end of the connection.
void TlsServer::end_overdue() {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(open_mutex_);
  for (const auto& [fd, end] : open_) {
    if (now >= end) ::shutdown(fd, SHUT_RDWR);
  }
}

void TlsServer::handle(int fd) {
  const UniqueFd socket(fd);
  {
    const std::lock_guard lock(open_mutex_);
    open_[fd] = std::chrono::steady_clock::now() + longest_;
  }
  try {
    serve(fd);
  } catch (const std::exception& error) {
    log::error("node API: a connection ended by a mistake of ours: {}", error.what());
  }
  // Before the socket is closed and its number is another's.
  const std::lock_guard lock(open_mutex_);
  open_.erase(fd);
}

void TlsServer::serve(int fd) {
  auto impl = std::make_unique<TlsStream::Impl>();
  set_patience(fd, server_patience);
  impl->ssl.reset(SSL_new(context_->context.get()));
  SSL_set_fd(impl->ssl.get(), fd);
  if (SSL_accept(impl->ssl.get()) != 1) {
    log::debug("node API: a handshake failed: {}, ignoring", tls_reason());
    return;
  }
  TlsStream stream(std::move(impl));
  handler_(stream);
}

}  // namespace bedplate::agent
