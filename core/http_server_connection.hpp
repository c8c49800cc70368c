#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "core/http_server.hpp"
#include "core/http_server_request.hpp"
#include "core/http_server_socket.hpp"

namespace bedplate {

using SteadyClock = std::chrono::steady_clock;

/// What all connections of a server have in common.
struct ServerShared {
  HttpServer::Handler handler;
  ServerOptions options;
  std::atomic<std::uint64_t> open{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> timed_out{0};
  std::atomic<std::uint64_t> bytes{0};
};

/// What the connections of one thread use one after the other.
struct ServerScratch {
  RequestParser parser;
  std::array<char, 16384> block;
  SteadyClock::time_point now = SteadyClock::now();  ///< when this round of events began
  /// "Date: …\r\n" (RFC 9110 section 6.6.1) of this second.
  std::string_view date();

 private:
  std::string date_;
  std::time_t second_ = 0;
};

/// What epoll(7) reports about: a listener, the wake-up call, or a connection.
struct EventSource {
  enum class Kind { listener, wake, connection };
  Kind kind;
};

/// One connection: reads a request, sends its answer, reads the next.
class Connection : public EventSource {
 public:
  Connection(UniqueFd fd, const TlsContext& tls, ServerShared& shared, SteadyClock::time_point now);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// Tells the observer about an answer that was not sent whole.
  ~Connection();

  int fd() const { return socket_.fd(); }
  /// Does what the socket allows now, and no more than others can wait for. False when the
  /// connection is over.
  bool advance(ServerScratch& scratch);
  /// The events to wait for.
  std::uint32_t interest() const;
  /// Whether it stood still for too long; `crowded`: others wait for its place.
  bool overdue(SteadyClock::time_point now, bool crowded) const;

  std::uint32_t watched = 0;  ///< the events that are being waited for
  std::size_t place = 0;      ///< in the list of its thread

 private:
  enum class Phase { idle, header, sending, lingering };
  enum class Step { again, wait, over };

  Step step(ServerScratch& scratch);
  Step flush(ServerScratch& scratch);
  Step receive(ServerScratch& scratch);
  Step wait_for_socket();
  Step linger(ServerScratch& scratch);
  bool pending() const;
  void answer(std::size_t head_size, ServerScratch& scratch);
  void refuse(int status, ServerScratch& scratch);
  void begin_response(bool head_only, ServerScratch& scratch);
  void remember(const ServerRequest& request);
  void end_response(bool complete);
  bool too_slow(SteadyClock::time_point now) const;
  void enter(Phase phase, SteadyClock::time_point now);

  ServerShared* shared_;
  ServerSocket socket_;
  Phase phase_ = Phase::idle;
  SteadyClock::time_point since_;
  bool handshaking_;  ///< of TLS, or nothing was received since
  std::string in_;
  std::size_t searched_ = 0;  ///< bytes of in_ without the end of a header
  std::uint64_t skip_ = 0;    ///< bytes of a body that are still to come

  std::string out_;
  std::size_t out_sent_ = 0;
  std::string_view shared_body_;
  std::uint64_t file_left_ = 0;
  ServerResponse response_;
  bool responding_ = false;
  bool close_after_ = false;

  bool emptied_ = false;  ///< the last read left nothing behind
  bool waits_to_write_ = false;
  bool yielded_ = false;  ///< had its turn, and could go on
  unsigned turn_requests_ = 0;
  std::uint64_t turn_bytes_ = 0;
  std::uint64_t lingered_ = 0;

  // For the observer.
  std::string remote_;
  std::string method_;
  std::string target_;
  std::string user_agent_;
  std::uint64_t sent_ = 0;
  std::uint64_t head_size_ = 0;
  SteadyClock::time_point asked_;
};

}  // namespace bedplate
