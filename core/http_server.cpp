#include "core/http_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/http_server_connection.hpp"
#include "core/http_server_socket.hpp"
#include "core/log.hpp"

namespace bedplate {
namespace {

constexpr int backlog = 4096;
constexpr int most_accepted_at_once = 64;
constexpr int sweep_milliseconds = 1000;
/// For a thread that has no connections; it may be given one while it sleeps.
constexpr int sleep_milliseconds = 5000;

/// A thread with its connections. Other threads only add to it.
struct Loop {
  UniqueFd epoll;
  std::mutex mutex;  ///< of `connections`
  std::vector<std::unique_ptr<Connection>> connections;
  std::atomic<std::size_t> count{0};
};

struct Listener : EventSource {
  explicit Listener(UniqueFd listening) : EventSource{Kind::listener}, fd(std::move(listening)) {}
  UniqueFd fd;
};

bool watch(const UniqueFd& epoll, int operation, int fd, EventSource* source,
           std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  return ::epoll_ctl(epoll.get(), operation, fd, &event) == 0;
}

class EpollServer final : public HttpServer {
 public:
  EpollServer(Handler handler, ServerOptions options) {
    shared_.handler = std::move(handler);
    shared_.options = std::move(options);
  }

  ~EpollServer() override {
    stop_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_.get(), &one, sizeof one);
    threads_.clear();
  }

  Result<void> run(std::vector<UniqueFd> listeners) {
    if (shared_.options.tls) BP_CHECK(exchange_tls(*shared_.options.tls));
    for (auto& fd : listeners) {
      ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
      listeners_.push_back(std::make_unique<Listener>(std::move(fd)));
    }
    port_ = port_of(listeners_.front()->fd.get());
    wake_fd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    auto count = shared_.options.threads;
    if (count == 0) count = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
    for (unsigned i = 0; i < count; ++i) {
      auto& loop = *loops_.emplace_back(std::make_unique<Loop>());
      loop.epoll = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
      if (!loop.epoll || !wake_fd_) return fail(system_error(errno, "cannot wait for sockets"));
      watch(loop.epoll, EPOLL_CTL_ADD, wake_fd_.get(), &wake_, EPOLLIN);
      for (const auto& listener : listeners_) {
        watch(loop.epoll, EPOLL_CTL_ADD, listener->fd.get(), listener.get(),
              EPOLLIN | EPOLLEXCLUSIVE);
      }
    }
    for (const auto& loop : loops_) threads_.emplace_back([this, &loop] { work(*loop); });
    return {};
  }

  std::uint16_t port() const override { return port_; }

  ServerStatistics statistics() const override {
    return {shared_.open, shared_.accepted, shared_.refused, shared_.timed_out, shared_.bytes};
  }

  Result<void> set_tls(const ServerTls& tls) override {
    if (!shared_.options.tls) return fail(ErrorKind::internal, "the server speaks no TLS");
    return exchange_tls(tls);
  }

 private:
  static std::uint16_t port_of(int fd) {
    sockaddr_storage where{};
    socklen_t length = sizeof where;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &length) != 0) return 0;
    if (where.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&where)->sin_port);
    if (where.ss_family != AF_INET6) return 0;
    return ntohs(reinterpret_cast<sockaddr_in6*>(&where)->sin6_port);
  }

  Result<void> exchange_tls(const ServerTls& tls) {
    BP_TRY(auto made, make_tls_context(tls));
    const std::lock_guard lock(tls_mutex_);
    tls_ = std::move(made);
    return {};
  }

  TlsContext tls() {
    if (!shared_.options.tls) return nullptr;
    const std::lock_guard lock(tls_mutex_);
    return tls_;
  }

  void work(Loop& loop) {
    // sendfile(2) has no MSG_NOSIGNAL: who went away is an error of the call, not of the process.
    sigset_t broken_pipe;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    ServerScratch scratch;
    std::array<epoll_event, 256> events{};
    auto swept = scratch.now;
    while (!stop_) {
      const int timeout = loop.count > 0 ? sweep_milliseconds : sleep_milliseconds;
      const int count =
          ::epoll_wait(loop.epoll.get(), events.data(), static_cast<int>(events.size()), timeout);
      scratch.now = SteadyClock::now();
      for (int i = 0; i < count; ++i) {
        auto* source = static_cast<EventSource*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (source->kind == EventSource::Kind::listener) {
          accept_new(static_cast<Listener&>(*source), scratch.now);
        } else if (source->kind == EventSource::Kind::connection) {
          serve(loop, static_cast<Connection&>(*source), scratch);
        }
      }
      if (scratch.now - swept >= std::chrono::milliseconds(sweep_milliseconds)) {
        swept = scratch.now;
        sweep(loop, scratch.now);
      }
    }
    shared_.open -= loop.connections.size();
  }

  void accept_new(const Listener& listener, SteadyClock::time_point now) {
    for (int i = 0; i < most_accepted_at_once; ++i) {
      UniqueFd fd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) {
        // Out of files or memory: without a pause this would be asked again and again.
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) ::usleep(10'000);
        return;
      }
      if (shared_.open.fetch_add(1) >= shared_.options.most_connections) {
        --shared_.open;
        ++shared_.refused;
        continue;  // closed at once: the client tries again
      }
      ++shared_.accepted;
      const auto& loop = *std::ranges::min_element(
          loops_, {}, [](const auto& item) { return item->count.load(std::memory_order_relaxed); });
      add(*loop, std::make_unique<Connection>(std::move(fd), tls(), shared_, now));
    }
  }

  void add(Loop& loop, std::unique_ptr<Connection> connection) {
    // Locked until it is watched: the loop's own thread may not end it before.
    const std::lock_guard lock(loop.mutex);
    auto& added = *loop.connections.emplace_back(std::move(connection));
    added.place = loop.connections.size() - 1;
    added.watched = EPOLLIN;
    ++loop.count;
    if (!watch(loop.epoll, EPOLL_CTL_ADD, added.fd(), &added, EPOLLIN)) {
      loop.connections.pop_back();
      --loop.count;
      --shared_.open;
    }
  }

  void serve(Loop& loop, Connection& connection, ServerScratch& scratch) {
    if (!connection.advance(scratch)) {
      const std::lock_guard lock(loop.mutex);
      remove(loop, connection.place);
      return;
    }
    const auto wanted = connection.interest();
    if (wanted == connection.watched) return;
    connection.watched = wanted;
    watch(loop.epoll, EPOLL_CTL_MOD, connection.fd(), &connection, wanted);
  }

  void remove(Loop& loop, std::size_t place) {
    std::swap(loop.connections[place], loop.connections.back());
    loop.connections[place]->place = place;
    loop.connections.pop_back();
    --loop.count;
    --shared_.open;
  }

  void sweep(Loop& loop, SteadyClock::time_point now) {
    const bool crowded = shared_.open * 4 >= std::uint64_t{shared_.options.most_connections} * 3;
    const std::lock_guard lock(loop.mutex);
    for (std::size_t i = loop.connections.size(); i > 0; --i) {
      if (!loop.connections[i - 1]->overdue(now, crowded)) continue;
      ++shared_.timed_out;
      remove(loop, i - 1);
    }
  }

  ServerShared shared_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  EventSource wake_{EventSource::Kind::wake};
  UniqueFd wake_fd_;
  std::uint16_t port_ = 0;
  std::mutex tls_mutex_;
  TlsContext tls_;
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::jthread> threads_;
};

Result<UniqueFd> listen_on(Ipv4 address, std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(system_error(errno, "cannot make a socket"));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(address.value);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0 ||
      ::listen(fd.get(), backlog) != 0) {
    return fail(system_error(errno, fmt::format("cannot listen on {}:{}", address.str(), port))
                    .with_hint(fmt::format("`ss -ltnp sport = {}` shows who does", port)));
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(Ipv4 address, std::uint16_t port,
                                                      Handler handler, ServerOptions options) {
  BP_TRY(auto fd, listen_on(address, port));
  std::vector<UniqueFd> listeners;
  listeners.push_back(std::move(fd));
  return start(std::move(listeners), std::move(handler), std::move(options));
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(std::vector<UniqueFd> listeners,
                                                      Handler handler, ServerOptions options) {
  if (listeners.empty()) return fail(ErrorKind::internal, "a server without a socket");
  auto server = std::make_unique<EpollServer>(std::move(handler), std::move(options));
  BP_CHECK(server->run(std::move(listeners)));
  return server;
}

std::uint64_t raise_open_files(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur >= wanted) return limit.rlim_cur;
  rlimit raised{std::max<rlim_t>(wanted, limit.rlim_cur), std::max<rlim_t>(wanted, limit.rlim_max)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
  raised = {std::min<rlim_t>(wanted, limit.rlim_max), limit.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

}  // namespace bedplate
