#include "core/http_client.hpp"

#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "core/file.hpp"

namespace bedplate {
namespace {

using testing::Test;
template <class T, auto Free>
struct Freeing {
  void operator()(T* pointer) const { Free(pointer); }
};
using Key = std::unique_ptr<EVP_PKEY, Freeing<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freeing<X509, X509_free>>;

/// A certificate for 127.0.0.1 that vouches for itself.
struct Identity {
  Key key{EVP_EC_gen("P-256")};
  Certificate certificate{X509_new()};

  Identity() {
    auto* cert = certificate.get();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key.get());
    auto* name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, nullptr, nullptr, 0);
    for (const auto& [nid, value] : {std::pair(NID_basic_constraints, "critical,CA:TRUE"),
                                     std::pair(NID_subject_alt_name, "IP:127.0.0.1")}) {
      auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
      X509_add_ext(cert, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(cert, key.get(), EVP_sha256());
  }

  std::string pem() const {
    const std::unique_ptr<BIO, Freeing<BIO, BIO_free_all>> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    char* data = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(length)};
  }
};

/// In PEM.
std::string text_of(const Key& key) {
  const std::unique_ptr<BIO, Freeing<BIO, BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

/// Answers each connection with what the handler makes of the request's text; nothing when it
/// answers "stall" (the connection then stays open until the server ends).
class TinyServer {
 public:
  using Handler = std::function<std::string(const std::string& request)>;

  explicit TinyServer(Handler handler, const Identity* identity = nullptr)
      : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    std::signal(SIGPIPE, SIG_IGN);  // a client that gives up is what some tests are about
    if (identity != nullptr) {
      tls_.reset(SSL_CTX_new(TLS_server_method()));
      SSL_CTX_use_certificate(tls_.get(), identity->certificate.get());
      SSL_CTX_use_PrivateKey(tls_.get(), identity->key.get());
      // Asks for a certificate, and takes any or none.
      SSL_CTX_set_verify(tls_.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
      static constexpr unsigned char name[] = "test";
      SSL_CTX_set_session_id_context(tls_.get(), name, sizeof(name));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), generic, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    EXPECT_EQ(::getsockname(listener_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }

  ~TinyServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  std::string url(std::string_view path = "/") const {
    return fmt::format("{}://127.0.0.1:{}{}", tls_ ? "https" : "http", port_, path);
  }
  /// Connections whose client showed one.
  int certificates() const { return certificates_; }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (true) {
      UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      const timeval limit{5, 0};
      ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
      ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
      const std::unique_ptr<SSL, Freeing<SSL, SSL_free>> ssl(tls_ ? SSL_new(tls_.get()) : nullptr);
      if (ssl) {
        SSL_set_fd(ssl.get(), peer.get());
        if (SSL_accept(ssl.get()) != 1) continue;
        if (SSL_get0_peer_certificate(ssl.get()) != nullptr) ++certificates_;
      }
      answer(peer, ssl.get());
    }
  }

  void answer(UniqueFd& peer, SSL* ssl) {
    const auto request = receive(peer.get(), ssl);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const auto response = handler_(request);
    if (response == "stall") {
      stalled_.push_back(std::move(peer));
      return;
    }
    // A peer that hangs up early is what some tests are about.
    if (ssl != nullptr) {
      (void)SSL_write(ssl, response.data(), static_cast<int>(response.size()));
      SSL_shutdown(ssl);
    } else {
      std::size_t sent = 0;
      while (sent < response.size()) {
        const auto count =
            ::send(peer.get(), response.data() + sent, response.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) return;
        sent += static_cast<std::size_t>(count);
      }
    }
  }

  static std::string receive(int fd, SSL* ssl) {
    std::string text;
    std::array<char, 4096> buffer{};
    while (!complete(text)) {
      const auto count = ssl != nullptr
                             ? SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()))
                             : ::recv(fd, buffer.data(), buffer.size(), 0);
      if (count <= 0) break;
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
  }

  static bool complete(const std::string& text) {
    const auto end = text.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const auto at = text.find("Content-Length: ");
    const auto length = at < end ? std::stoul(text.substr(at + 16)) : 0;
    return text.size() >= end + 4 + length;
  }

  Handler handler_;
  std::unique_ptr<SSL_CTX, Freeing<SSL_CTX, SSL_CTX_free>> tls_;
  UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::atomic<int> certificates_{0};
  std::vector<UniqueFd> stalled_;
  std::thread thread_;
};

std::string answer(std::string_view body, std::string_view status = "200 OK",
                   std::string_view headers = "") {
  return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}", status,
                     body.size(), headers, body);
}

HttpRequest get(std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  request.stall_timeout = std::chrono::milliseconds(5000);
  return request;
}

std::string redirect_to(const std::string& url) {
  return answer("", "302 Found", "Location: " + url + "\r\n");
}

TEST(HttpClient, GivesStatusHeadersAndBody) {
  TinyServer server([](const std::string&) {
    return answer("hello", "404 Not Found", "X-Thing:  a b \r\nX-THING: last\r\n");
  });
  const auto response = make_http_client()->send(get(server.url("/v2/")));
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(response->headers.at("x-thing"), "last");
  EXPECT_TRUE(server.requests().at(0).starts_with("GET /v2/ HTTP/1.1\r\n"));
}

TEST(HttpClient, SendsMethodHeadersAndBodyAsGiven) {
  TinyServer server([](const std::string&) { return answer(""); });
  auto request = get(server.url("/v1/enrol"));
  request.method = "POST";
  request.body = "{}";
  request.headers = {{"Accept", "application/json"}};
  ASSERT_TRUE(make_http_client()->send(request));
  const auto seen = server.requests().at(0);
  EXPECT_TRUE(seen.starts_with("POST /v1/enrol"));
  EXPECT_TRUE(seen.ends_with("\r\n\r\n{}"));
  EXPECT_NE(seen.find("Accept: application/json"), std::string::npos);
  EXPECT_EQ(seen.find("urlencoded"), std::string::npos);
  EXPECT_EQ(seen.find("Expect"), std::string::npos);
}

TEST(HttpClient, SendsPartOfAFileAsTheBody) {
  TinyServer server([](const std::string&) { return answer("", "201 Created"); });
  const auto folder = TemporaryDirectory::create("bedplate-http");
  ASSERT_TRUE(folder);
  const auto path = folder->path() / "file";
  ASSERT_TRUE(write_file_atomic(path, "before" + std::string(1'500'000, 'x') + "behind"));
  const auto file = open_file(path, O_RDONLY);
  ASSERT_TRUE(file);
  HttpRequest request = get(server.url("/blob"));
  request.method = "PATCH";
  request.body_file = FilePart{file->get(), 6, 1'500'000};
  std::uint64_t sent = 0;
  request.on_send = [&](std::uint64_t bytes) { sent += bytes; };
  const auto response = make_http_client()->send(request);
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(sent, 1'500'000U);
  const auto text = server.requests().at(0);
  EXPECT_TRUE(text.starts_with("PATCH /blob HTTP/1.1"));
  EXPECT_NE(text.find("Content-Length: 1500000\r\n"), std::string::npos);
  EXPECT_EQ(text.substr(text.find("\r\n\r\n") + 4), std::string(1'500'000, 'x'));
  request.body_file->length += 7;  // one byte more than the file has
  EXPECT_EQ(make_http_client()->send(request).error().kind, ErrorKind::corrupt);
}

TEST(HttpClient, AHeadHasNoBody) {
  TinyServer server([](const std::string&) {
    return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n";
  });
  auto request = get(server.url());
  request.method = "HEAD";
  const auto response = make_http_client()->send(request);
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->headers.at("content-length"), "1000");
}

TEST(HttpClient, AuthorizationStaysWithItsHost) {
  TinyServer other([](const std::string&) { return answer("from elsewhere"); });
  TinyServer server([&](const std::string& request) {
    return redirect_to(request.starts_with("GET /own") ? "/next" : other.url("/blob"));
  });
  auto request = get(server.url("/away"));
  request.headers = {{"Authorization", "Bearer secret"}, {"X-Plain", "kept"}};
  const auto response = make_http_client()->send(request);
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->body, "from elsewhere");
  EXPECT_EQ(response->headers.count("location"), 0U) << "headers of the redirect are gone";
  EXPECT_NE(server.requests().at(0).find("Bearer secret"), std::string::npos);
  EXPECT_EQ(other.requests().at(0).find("secret"), std::string::npos);
  EXPECT_NE(other.requests().at(0).find("X-Plain: kept"), std::string::npos);
}

TEST(HttpClient, RedirectsAreFollowedFiveTimes) {
  TinyServer server([](const std::string&) { return redirect_to("/again"); });
  const auto response = make_http_client()->send(get(server.url()));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, ErrorKind::network);
  EXPECT_EQ(server.requests().size(), 6U);
}

TEST(HttpClient, ABodyIsNotSentOnToAnotherHost) {
  TinyServer server([](const std::string&) { return redirect_to("http://127.0.0.1:1/"); });
  auto request = get(server.url());
  request.method = "POST";
  request.body = "proof";
  const auto response = make_http_client()->send(request);
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->status, 302);
}

TEST(HttpClient, ARedirectToAFileIsRefused) {
  TinyServer server([](const std::string&) { return redirect_to("file:///etc/hostname"); });
  EXPECT_FALSE(make_http_client()->send(get(server.url())));
}

TEST(HttpClient, StreamsABodyAndKeepsRefusalsOut) {
  const std::string large(300'000, 'x');
  TinyServer server([&](const std::string& request) {
    return request.starts_with("GET /no") ? answer("refused", "403 Forbidden") : answer(large);
  });
  std::size_t taken = 0;
  auto request = get(server.url("/blob"));
  request.response_limit = 10;  // bounds memory, not what is streamed
  request.on_body = [&](std::span<const std::byte> part) -> Result<void> {
    taken += part.size();
    return {};
  };
  const auto client = make_http_client();
  const auto response = client->send(request);
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(taken, large.size());
  EXPECT_TRUE(response->body.empty());

  request.url = server.url("/no");
  const auto refused = client->send(request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->body, "refused");
  EXPECT_EQ(taken, large.size());
}

TEST(HttpClient, TheHeadIsToldBeforeTheBody) {
  TinyServer server([&](const std::string& request) {
    return request.starts_with("GET /no") ? answer("refused", "403 Forbidden")
                                          : answer("data", "206 Partial Content");
  });
  std::vector<int> heads;
  std::size_t taken = 0;
  auto request = get(server.url());
  request.on_head = [&](const HttpResponse& head) -> Result<void> {
    EXPECT_EQ(taken, 0U);
    EXPECT_EQ(head.headers.at("content-length"), "4");
    heads.push_back(head.status);
    return {};
  };
  request.on_body = [&](std::span<const std::byte> part) -> Result<void> {
    taken += part.size();
    return {};
  };
  const auto client = make_http_client();
  ASSERT_TRUE(client->send(request));
  EXPECT_EQ(taken, 4U);
  EXPECT_EQ(heads, std::vector<int>{206});

  request.url = server.url("/no");
  ASSERT_TRUE(client->send(request));
  EXPECT_EQ(heads.size(), 1U) << "a refusal is no body";

  request.url = server.url();
  taken = 0;
  request.on_head = [](const HttpResponse&) -> Result<void> {
    return fail(ErrorKind::conflict, "not this one");
  };
  const auto stopped = client->send(request);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::conflict);
  EXPECT_EQ(taken, 0U);
}

TEST(HttpClient, AnErrorOfTheReceiverIsTheErrorOfTheTransfer) {
  TinyServer server([](const std::string&) { return answer("data"); });
  auto request = get(server.url());
  request.on_body = [](std::span<const std::byte>) -> Result<void> {
    return fail(ErrorKind::io, "no space left", "free some");
  };
  const auto response = make_http_client()->send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, ErrorKind::io);
  EXPECT_EQ(response.error().what, "no space left");
  EXPECT_EQ(response.error().hint, "free some");
}

TEST(HttpClient, AnAnswerThatIsTooLargeIsRefused) {
  TinyServer server([](const std::string& request) {
    if (request.starts_with("GET /headers")) {
      std::string many;
      for (int i = 0; i < 10'000; ++i) many += fmt::format("X-{}: {}\r\n", i, std::string(40, 'y'));
      return answer("", "200 OK", many);
    }
    return answer(std::string(101, 'x'));
  });
  auto request = get(server.url());
  request.response_limit = 100;
  EXPECT_EQ(make_http_client()->send(request).error().kind, ErrorKind::invalid);
  request.url = server.url("/headers");
  EXPECT_EQ(make_http_client()->send(request).error().kind, ErrorKind::invalid);
}

TEST(HttpClient, SilenceEndsInANetworkError) {
  TinyServer server([](const std::string&) { return "stall"; });
  auto request = get(server.url());
  request.stall_timeout = std::chrono::milliseconds(1000);
  const auto response = make_http_client()->send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, ErrorKind::network);
}

TEST(HttpClient, ACutAnswerIsAnError) {
  TinyServer server([](const std::string&) {
    return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this";
  });
  EXPECT_EQ(make_http_client()->send(get(server.url())).error().kind, ErrorKind::network);
}

TEST(HttpClient, ErrorsNameTheAddressWithoutItsSecrets) {
  const auto response =
      make_http_client()->send(get("http://user:hunter2@127.0.0.1:1/x?signature=s"));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, ErrorKind::network);
  EXPECT_TRUE(response.error().what.starts_with("GET http://127.0.0.1:1/x: "))
      << response.error().what;
  EXPECT_EQ(make_http_client()->send(get("gopher://127.0.0.1/")).error().kind, ErrorKind::invalid);
}

TEST(HttpClient, AHeaderWithALineBreakIsRefused) {
  auto request = get("http://127.0.0.1:1/");
  request.headers = {{"Authorization", "Bearer x\r\nX-Other: y"}};
  EXPECT_EQ(make_http_client()->send(request).error().kind, ErrorKind::invalid);
}

TEST(HttpClient, TlsTrustsOnlyTheAuthorityThatIsGiven) {
  const Identity own;
  const Identity stranger;
  TinyServer server([](const std::string&) { return answer("over TLS"); }, &own);
  auto request = get(server.url());
  const auto client = make_http_client();

  request.tls.ca_pem = own.pem();
  const auto trusted = client->send(request);
  ASSERT_TRUE(trusted) << trusted.error().render();
  EXPECT_EQ(trusted->body, "over TLS");

  request.tls.ca_pem = stranger.pem();
  EXPECT_EQ(client->send(request).error().kind, ErrorKind::untrusted);
  request.tls.ca_pem.clear();
  EXPECT_EQ(client->send(request).error().kind, ErrorKind::untrusted);

  request.tls.insecure_channel = true;
  EXPECT_EQ(client->send(request)->body, "over TLS");
  request.tls.insecure_channel = false;
  EXPECT_EQ(client->send(request).error().kind, ErrorKind::untrusted)
      << "an insecure connection is not used again for a request that wants a proof";
}

TEST(HttpClient, TheCertificateStaysWithItsHost) {
  const Identity own;
  TinyServer other([](const std::string&) { return answer("from elsewhere"); }, &own);
  TinyServer plain([](const std::string&) { return answer("plain"); });
  TinyServer server(
      [&](const std::string& request) {
        if (request.starts_with("GET /again")) return redirect_to("/again");
        if (request.starts_with("GET /own")) return redirect_to("/away");
        return redirect_to(request.starts_with("GET /plain") ? plain.url() : other.url("/blob"));
      },
      &own);
  auto request = get(server.url("/own"));
  request.headers = {{"Authorization", "Bearer secret"}};
  request.tls.ca_pem = own.pem();
  request.tls.certificate_pem = own.pem();
  request.tls.private_key_pem = text_of(own.key);
  const auto client = make_http_client();
  std::string body;
  request.on_body = [&](std::span<const std::byte> data) -> Result<void> {
    body.append(reinterpret_cast<const char*>(data.data()), data.size());
    return {};
  };
  const auto response = client->send(request);
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(body, "from elsewhere");
  EXPECT_EQ(server.certificates(), 2);
  EXPECT_EQ(other.requests().size(), 1U);
  EXPECT_EQ(other.certificates(), 0);
  EXPECT_EQ(other.requests()[0].find("secret"), std::string::npos);
  request.url = server.url("/plain");
  EXPECT_FALSE(client->send(request));
  EXPECT_TRUE(plain.requests().empty());
  request.url = server.url("/again");
  const auto endless = client->send(request);
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().kind, ErrorKind::network);
}

TEST(HttpClient, TlsIsNotLeftByARedirect) {
  const Identity own;
  TinyServer plain([](const std::string&) { return answer("plain"); });
  TinyServer server([&](const std::string&) { return redirect_to(plain.url()); }, &own);
  auto request = get(server.url());
  request.tls.ca_pem = own.pem();
  EXPECT_FALSE(make_http_client()->send(request));
  EXPECT_TRUE(plain.requests().empty());
}

TEST(RetryAfter, SecondsAreTakenUpToTwoMinutesAndNothingElseIs) {
  using std::chrono::seconds;
  EXPECT_EQ(parse_retry_after("0"), seconds(0));
  EXPECT_EQ(parse_retry_after("7"), seconds(7));
  EXPECT_EQ(parse_retry_after("120"), seconds(120));
  EXPECT_EQ(parse_retry_after("121"), longest_retry_after);
  EXPECT_EQ(parse_retry_after("18446744073709551615"), longest_retry_after);
  EXPECT_EQ(parse_retry_after("99999999999999999999999"), longest_retry_after);
  for (const auto* text : {"", "-1", "+1", "1.5", "1 ", "Fri, 31 Dec 1999 23:59:59 GMT", "0x10"}) {
    EXPECT_FALSE(parse_retry_after(text)) << text;
  }
}

}  // namespace
}  // namespace bedplate
