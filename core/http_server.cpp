#include "core/http_server.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/text.hpp"

namespace bedplate {
namespace {

constexpr std::size_t most_header = 16384;
constexpr std::size_t most_body = 65536;
constexpr int most_connections = 1024;
constexpr std::chrono::seconds patience{60};

using SteadyClock = std::chrono::steady_clock;

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr ==
            text.data() + i + 3) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 416:
      return "Range Not Satisfiable";
    default:
      return "Status";
  }
}

/// Nothing when the bytes are no request line and headers.
std::optional<ServerRequest> parse_request(std::string_view head) {
  ServerRequest request;
  const auto line = head.substr(0, head.find("\r\n"));
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first) return std::nullopt;
  if (!line.substr(last + 1).starts_with("HTTP/1.")) return std::nullopt;
  request.method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  if (!target.starts_with('/')) return std::nullopt;
  const auto question = target.find('?');
  request.path = percent_decoded(target.substr(0, question));
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  auto rest = head.substr(std::min(head.size(), line.size() + 2));
  while (!rest.empty()) {
    const auto end = std::min(rest.find("\r\n"), rest.size());
    const auto field = rest.substr(0, end);
    const auto colon = field.find(':');
    if (colon != std::string_view::npos) {
      request.headers.emplace_back(lower(field.substr(0, colon)),
                                   std::string(trimmed(field.substr(colon + 1))));
    }
    rest.remove_prefix(std::min(rest.size(), end + 2));
  }
  return request;
}

/// One connection: reads a request, sends its answer, reads the next.
class Connection {
 public:
  explicit Connection(UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  bool wants_to_write() const { return sent_ < head_.size() || file_left_ > 0; }
  SteadyClock::time_point last_progress() const { return progress_; }

  /// Does what the socket allows now. False when the connection is over.
  bool advance(const HttpServer::Handler& handler) {
    while (true) {
      if (wants_to_write()) {
        if (!send_more()) return blocked();
        if (wants_to_write()) continue;
        if (close_after_) return false;
      }
      if (skip_ > 0) drop_body();
      // No request begins like this, but TLS does: its client would wait for us until it gives up.
      if (skip_ == 0 && !in_.empty() && (in_.front() < 'A' || in_.front() > 'Z')) {
        answer("", handler);
        in_.clear();
        continue;
      }
      const auto end = skip_ > 0 ? std::string::npos : in_.find("\r\n\r\n");
      if (end == std::string::npos) {
        if (in_.size() > most_header) return false;
        if (!receive()) return blocked();
        continue;
      }
      answer(std::string_view(in_).substr(0, end + 2), handler);
      in_.erase(0, end + 4);
    }
  }

 private:
  /// After a call that could not go on: true to wait for the socket, false when it is broken.
  bool blocked() const { return !broken_; }

  bool receive() {
    std::array<char, 8192> block;
    const ssize_t n = ::recv(fd_.get(), block.data(), block.size(), 0);
    if (n > 0) {
      in_.append(block.data(), static_cast<std::size_t>(n));
      progress_ = SteadyClock::now();
      return true;
    }
    broken_ = n == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
  }

  bool send_more() {
    ssize_t n = 0;
    if (sent_ < head_.size()) {
      n = ::send(fd_.get(), head_.data() + sent_, head_.size() - sent_,
                 MSG_NOSIGNAL | (file_left_ > 0 ? MSG_MORE : 0));
      if (n > 0) sent_ += static_cast<std::size_t>(n);
    } else {
      auto offset = static_cast<off_t>(file_offset_);
      n = ::sendfile(fd_.get(), file_, &offset, std::min<std::uint64_t>(file_left_, 1U << 20));
      if (n > 0) {
        file_offset_ += static_cast<std::uint64_t>(n);
        file_left_ -= static_cast<std::uint64_t>(n);
      }
    }
    if (n > 0) {
      progress_ = SteadyClock::now();
      return true;
    }
    broken_ = n == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
  }

  void drop_body() {
    const auto part = std::min(skip_, in_.size());
    in_.erase(0, part);
    skip_ -= part;
  }

  void answer(std::string_view head, const HttpServer::Handler& handler) {
    ServerResponse response;
    const auto request = parse_request(head);
    close_after_ = !request;
    if (request) {
      response = handler(*request);
      std::size_t body = 0;
      const auto length = request->header("content-length");
      std::from_chars(length.data(), length.data() + length.size(), body);
      close_after_ = lower(request->header("connection")) == "close" || body > most_body ||
                     !request->header("transfer-encoding").empty();
      skip_ = close_after_ ? 0 : body;
    } else {
      response.status = 400;
    }
    const bool head_only = request && request->method == "HEAD";
    const auto length = response.file >= 0 ? response.file_length : response.body.size();
    head_ = fmt::format("HTTP/1.1 {} {}\r\nContent-Length: {}\r\n", response.status,
                        reason(response.status), length);
    for (const auto& [name, value] : response.headers) {
      head_ += fmt::format("{}: {}\r\n", name, value);
    }
    if (close_after_) head_ += "Connection: close\r\n";
    head_ += "\r\n";
    sent_ = 0;
    file_left_ = 0;
    if (head_only) return;
    head_ += response.body;
    if (response.file >= 0) {
      file_ = response.file;
      file_offset_ = response.file_offset;
      file_left_ = response.file_length;
    }
  }

  UniqueFd fd_;
  std::string in_;
  std::string head_;
  std::size_t sent_ = 0;
  std::size_t skip_ = 0;
  int file_ = -1;
  std::uint64_t file_offset_ = 0;
  std::uint64_t file_left_ = 0;
  bool close_after_ = false;
  bool broken_ = false;
  SteadyClock::time_point progress_ = SteadyClock::now();
};

class EpollServer final : public HttpServer {
 public:
  ~EpollServer() override {
    stop_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
    threads_.clear();
  }

  Result<void> listen(Ipv4 address, std::uint16_t port) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener_) return fail(system_error(errno, "cannot make a socket"));
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(address.value);
    socklen_t length = sizeof where;
    auto* raw = reinterpret_cast<sockaddr*>(&where);
    if (::bind(listener_.get(), raw, length) != 0 || ::listen(listener_.get(), 512) != 0 ||
        ::getsockname(listener_.get(), raw, &length) != 0) {
      return fail(system_error(errno, fmt::format("cannot listen on {}:{}", address.str(), port))
                      .with_hint(fmt::format("`ss -ltnp sport = {}` shows who does", port)));
    }
    port_ = ntohs(where.sin_port);
    return {};
  }

  void run(Handler handler) {
    handler_ = std::move(handler);
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const auto cores = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
    for (unsigned i = 0; i < cores; ++i) threads_.emplace_back([this] { loop(); });
  }

  std::uint16_t port() const override { return port_; }

 private:
  using Connections = std::map<int, Connection>;

  static void watch(const UniqueFd& epoll, int operation, int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    ::epoll_ctl(epoll.get(), operation, fd, &event);
  }

  void loop() {
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    watch(epoll, EPOLL_CTL_ADD, listener_.get(), EPOLLIN | EPOLLEXCLUSIVE);
    watch(epoll, EPOLL_CTL_ADD, wake_.get(), EPOLLIN);
    Connections connections;
    std::array<epoll_event, 64> events{};
    while (!stop_) {
      const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), 5000);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_.get()) {
          accept_new(epoll, connections);
        } else if (auto found = connections.find(fd); found != connections.end()) {
          serve(epoll, connections, found);
        }
      }
      drop_idle(connections);
    }
    open_ -= static_cast<int>(connections.size());
  }

  void accept_new(const UniqueFd& epoll, Connections& connections) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (open_ >= most_connections) return;  // closed at once: the client tries again
    ++open_;
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int number = fd.get();
    watch(epoll, EPOLL_CTL_ADD, number, EPOLLIN);
    connections.emplace(number, Connection(std::move(fd)));
  }

  void serve(const UniqueFd& epoll, Connections& connections, Connections::iterator found) {
    auto& connection = found->second;
    if (!connection.advance(handler_)) {
      connections.erase(found);
      --open_;
      return;
    }
    watch(epoll, EPOLL_CTL_MOD, connection.fd(),
          connection.wants_to_write() ? static_cast<std::uint32_t>(EPOLLOUT)
                                      : static_cast<std::uint32_t>(EPOLLIN));
  }

  void drop_idle(Connections& connections) {
    const auto limit = SteadyClock::now() - patience;
    const auto dropped = std::erase_if(
        connections, [&](const auto& entry) { return entry.second.last_progress() < limit; });
    open_ -= static_cast<int>(dropped);
  }

  UniqueFd listener_;
  UniqueFd wake_;
  std::uint16_t port_ = 0;
  Handler handler_;
  std::atomic<bool> stop_{false};
  std::atomic<int> open_{0};
  std::vector<std::jthread> threads_;
};

}  // namespace

std::string_view ServerRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string ServerRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == name && equals != std::string_view::npos) {
      return percent_decoded(pair.substr(equals + 1));
    }
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
  }
  return {};
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(Ipv4 address, std::uint16_t port,
                                                      Handler handler) {
  auto server = std::make_unique<EpollServer>();
  BP_CHECK(server->listen(address, port));
  server->run(std::move(handler));
  return server;
}

}  // namespace bedplate
