#include "core/http_client.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>

#include <curl/curl.h>
#include <fmt/format.h>

#include "core/file.hpp"
#include "core/text.hpp"

namespace bedplate {
namespace {

constexpr long most_redirects = 5;
/// Bytes. libcurl's own 16 KiB make a system call, a digest update and a write of each.
constexpr long receive_buffer = 256L << 10;
constexpr long upload_buffer = 512L << 10;
constexpr std::size_t most_header_bytes = 256UL << 10;

/// What the callbacks of one transfer share.
struct Transfer {
  const HttpRequest& request;
  CURL* curl;
  HttpResponse response;
  std::size_t header_bytes = 0;
  bool head_given = false;
  std::optional<Error> error;  ///< ours, when a callback stopped the transfer
  std::uint64_t sent = 0;      ///< bytes of `body_file` that were read
};

/// For messages: "user:password@" in a URL is nobody else's business, and neither is its query,
/// which may be what gives the right to use it (signed storage, uploads).
std::string without_secrets(const std::string& url) {
  const auto scheme = url.find("://");
  const auto start = scheme == std::string::npos ? 0 : scheme + 3;
  const auto end = url.find_first_of("/?#", start);
  const auto at = url.substr(0, end).rfind('@');
  auto shown = url.substr(0, url.find_first_of("?#", start));
  if (at == std::string::npos || at < start) return shown;
  return shown.substr(0, start) + shown.substr(at + 1);
}

/// A line break in a header would let whoever chose the value write headers of its own.
Result<void> check_headers(const HttpRequest& request) {
  const auto breaks = [](const std::string& text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos;
  };
  for (const auto& [name, value] : request.headers) {
    if (name.empty() || name.find(':') != std::string::npos || breaks(name) || breaks(value)) {
      return fail(ErrorKind::invalid,
                  fmt::format("a header of the request to {} is not one line of text",
                              without_secrets(request.url)));
    }
  }
  return {};
}

/// What is on this machine is never asked through a proxy, whatever the environment says.
std::string without_proxy() {
  const char* given = std::getenv("no_proxy");
  if (given == nullptr) given = std::getenv("NO_PROXY");
  const std::string_view others = given == nullptr ? "" : given;
  return others == "*" ? "*" : fmt::format("127.0.0.1,localhost,::1,{}", others);
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  transfer.header_bytes += line.size();
  if (transfer.header_bytes > most_header_bytes) {
    transfer.error =
        Error(ErrorKind::invalid,
              fmt::format("{} answered with more than {} KiB of headers",
                          without_secrets(transfer.request.url), most_header_bytes >> 10U));
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    transfer.response.headers.clear();  // of the redirect before this answer
    return size * count;
  }
  const auto colon = line.find(':');
  if (colon != std::string_view::npos) {
    transfer.response.headers[lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }
  return size * count;
}

Result<void> give_body(Transfer& transfer, int status, std::span<const std::byte> data) {
  if (transfer.request.on_head && !transfer.head_given) {
    transfer.head_given = true;
    transfer.response.status = status;
    BP_CHECK(transfer.request.on_head(transfer.response));
  }
  return transfer.request.on_body(data);
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::size_t length = size * count;
  long status = 0;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  if (transfer.request.on_body && status >= 200 && status < 300) {
    auto taken =
        give_body(transfer, static_cast<int>(status), std::as_bytes(std::span(data, length)));
    if (taken) return length;
    transfer.error = std::move(taken).error();
    return 0;
  }
  if (transfer.response.body.size() + length > transfer.request.response_limit) {
    transfer.error =
        Error(ErrorKind::invalid,
              fmt::format("{} answered with more than the {} bytes allowed",
                          without_secrets(transfer.request.url), transfer.request.response_limit));
    return 0;
  }
  transfer.response.body.append(data, length);
  return length;
}

std::size_t on_read(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const auto& part = *transfer.request.body_file;
  const auto length = std::min<std::uint64_t>(size * count, part.length - transfer.sent);
  const std::span out(data, static_cast<std::size_t>(length));
  auto read = read_exactly_at(part.fd, std::as_writable_bytes(out), part.offset + transfer.sent);
  if (!read) {
    transfer.error = std::move(read).error();
    return CURL_READFUNC_ABORT;
  }
  if (length > 0 && transfer.request.on_send) transfer.request.on_send(length);
  transfer.sent += length;
  return static_cast<std::size_t>(length);
}

/// libcurl would repeat a request by itself when a connection that was kept turns out to be closed.
/// What of the body had been sent by then may have arrived: only the caller can find out.
int on_seek(void* user, curl_off_t offset, int /*origin*/) {
  const auto& transfer = *static_cast<Transfer*>(user);
  const bool is_there = offset >= 0 && static_cast<std::uint64_t>(offset) == transfer.sent;
  return is_there ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

curl_blob blob_of(const std::string& text) {
  // libcurl takes a pointer to non-const data and does not write to it (CURL_BLOB_NOCOPY).
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_NOCOPY};
}

class CurlClient final : public HttpClient {
 public:
  CurlClient() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    curl_.reset(curl_easy_init());
  }

  Result<HttpResponse> send(const HttpRequest& request) override {
    std::string next;
    auto answer = send_to(request, next);
    if (request.tls.certificate_pem.empty()) return answer;
    // libcurl would show the certificate to whoever it is sent to.
    auto further = request;
    for (long redirects = 0; answer && !next.empty(); ++redirects) {
      if (redirects == most_redirects) {
        return fail(ErrorKind::network, fmt::format("{} {}: more than {} redirects", request.method,
                                                    without_secrets(request.url), most_redirects));
      }
      const auto from = origin_of(further.url);
      const auto to = origin_of(next);
      if (to != from) {
        if (from.starts_with("https:") && !to.starts_with("https:")) {
          return fail(ErrorKind::network,
                      fmt::format("{} {}: redirected to a place without TLS", request.method,
                                  without_secrets(request.url)));
        }
        further.tls.certificate_pem.clear();
        further.tls.private_key_pem.clear();
        std::erase_if(further.headers,
                      [](const auto& header) { return lower(header.first) == "authorization"; });
      }
      further.url = next;
      answer = send_to(further, next);
    }
    return answer;
  }

 private:
  using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

  /// "https://host:port", in lower case.
  static std::string origin_of(const std::string& url) {
    std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parts(curl_url(), curl_url_cleanup);
    if (curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
    std::string out;
    for (const auto part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
      char* text = nullptr;
      if (curl_url_get(parts.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
      out += lower(text) + (part == CURLUPART_PORT ? "" : ":");
      curl_free(text);
    }
    return out;
  }

  /// `redirect`: where the answer leads, when libcurl was not to go there itself.
  Result<HttpResponse> send_to(const HttpRequest& request, std::string& redirect) {
    redirect.clear();
    if (!curl_) return fail(ErrorKind::internal, "libcurl cannot be initialised");
    BP_CHECK(check_headers(request));
    CURL* curl = curl_.get();
    curl_easy_reset(curl);  // keeps the connections
    Transfer transfer{request, curl, {}, 0, false, std::nullopt, 0};
    std::array<char, CURL_ERROR_SIZE> detail{};
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail.data());
    set_limits(request);
    set_tls(request.tls);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    const auto headers = set_request(request);
    if (request.body_file) set_body_file(transfer);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);  // ours ends with this call
    if (transfer.error) return fail(std::move(*transfer.error));
    if (code != CURLE_OK) return fail(network_error(request, code, detail.data()));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    transfer.response.status = static_cast<int>(status);
    const char* target = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &target);
    if (target != nullptr && asks(request)) redirect = target;
    return std::move(transfer.response);
  }

  /// Only what asks is repeated elsewhere: a body belongs to the host it was written for.
  static bool asks(const HttpRequest& request) {
    return request.method == "GET" || request.method == "HEAD";
  }

  void set_limits(const HttpRequest& request) {
    CURL* curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, receive_buffer);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    // What began under TLS stays under TLS.
    const bool plain = lower(request.url.substr(0, 7)) == "http://";
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
    const bool follow = asks(request) && request.tls.certificate_pem.empty();
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, follow ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, most_redirects);
    curl_easy_setopt(curl, CURLOPT_UNRESTRICTED_AUTH, 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(request.connect_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     std::max(1L, static_cast<long>(request.stall_timeout.count() / 1000)));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.whole_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "bedplate/" BEDPLATE_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, without_proxy().c_str());
  }

  void set_tls(const TlsSettings& tls) {
    CURL* curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
    if (!tls.ca_pem.empty()) {
      auto blob = blob_of(tls.ca_pem);
      curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
      // The distribution's folder of authorities is trusted besides the blob unless it is unset.
      curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
    }
    if (!tls.certificate_pem.empty()) {
      auto certificate = blob_of(tls.certificate_pem);
      auto key = blob_of(tls.private_key_pem);
      curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate);
      curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
    }
    if (tls.insecure_channel) {
      curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
      curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
  }

  HeaderList set_request(const HttpRequest& request) {
    CURL* curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    HeaderList headers(nullptr, curl_slist_free_all);
    const auto add = [&](const std::string& line) {
      headers.reset(curl_slist_append(headers.release(), line.c_str()));
    };
    for (const auto& [name, value] : request.headers) add(fmt::format("{}: {}", name, value));
    if (std::ranges::none_of(request.headers, [](const auto& header) {
          return lower(header.first) == "content-type";
        })) {
      add("Content-Type:");  // else libcurl says that every body is a form
    }
    add("Expect:");  // a wait of a second for servers that never answer it
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    if (request.method == "HEAD") {
      curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (request.body_file) {
      curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    } else if (request.method != "GET") {
      curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
    }
    return headers;
  }

  void set_body_file(Transfer& transfer) {
    CURL* curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(transfer.request.body_file->length));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, upload_buffer);
  }

  static Error network_error(const HttpRequest& request, CURLcode code, std::string_view detail) {
    const std::string_view text = detail.empty() ? curl_easy_strerror(code) : detail;
    auto what = fmt::format("{} {}: {}", request.method, without_secrets(request.url), text);
    // CURLE_TOO_LARGE of libcurl 8.6 and later, whose own limits on headers may be met before ours.
    if (static_cast<int>(code) == 100) return Error(ErrorKind::invalid, std::move(what));
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
        return Error(ErrorKind::untrusted, std::move(what))
            .with_hint(
                "the server's certificate must come from the authority that is trusted here "
                "and name the host of the address; also compare the clocks of both machines");
      case CURLE_URL_MALFORMAT:
      case CURLE_UNSUPPORTED_PROTOCOL:
      case CURLE_SSL_CERTPROBLEM:
        return Error(ErrorKind::invalid, std::move(what));
      case CURLE_SSL_CACERT_BADFILE:
        if (!request.tls.ca_pem.empty()) return Error(ErrorKind::invalid, std::move(what));
        return Error(ErrorKind::dependency, std::move(what))
            .with_hint("apt-get install ca-certificates");
      default:
        return Error(ErrorKind::network, std::move(what));
    }
  }

  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_{nullptr, curl_easy_cleanup};
};

}  // namespace

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view field) {
  if (field.empty() || field.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  // More digits than a number has are a long time as well.
  const auto seconds = parse_unsigned(field).value_or(~std::uint64_t{0});
  const auto longest = std::chrono::duration_cast<std::chrono::seconds>(longest_retry_after);
  return std::chrono::seconds(
      std::min<std::uint64_t>(seconds, static_cast<std::uint64_t>(longest.count())));
}

std::unique_ptr<HttpClient> make_http_client() {
  return std::make_unique<CurlClient>();
}

}  // namespace bedplate
