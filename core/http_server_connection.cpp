#include "core/http_server_connection.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <sys/epoll.h>

namespace bedplate {
namespace {

constexpr std::size_t most_header = 16384;
constexpr std::uint64_t most_body = 65536;
/// What is larger is sent from where it lies.
constexpr std::size_t most_copied = 4096;
/// An idle connection keeps no larger buffers than this.
constexpr std::size_t most_kept = 4096;
/// One connection's share before the others get theirs. When many read the same blob, as nodes do,
/// a small share keeps them close together, and what one brought into the cache is there for all:
/// with 4 MiB, 16 clients got a tenth less.
constexpr unsigned most_turn_requests = 32;
constexpr std::uint64_t most_turn_bytes = 1ULL << 20;
/// After an answer that ends the connection, the rest of what the client sends is taken, or the
/// reset would take the answer away from it (RFC 9112 section 9.6).
constexpr std::uint64_t most_lingered = 1ULL << 20;
constexpr std::chrono::seconds linger_timeout{3};
constexpr std::chrono::milliseconds crowded_timeout{1000};

std::string_view status_line(int status) {
  switch (status) {
    case 200:
      return "HTTP/1.1 200 OK\r\n";
    case 206:
      return "HTTP/1.1 206 Partial Content\r\n";
    case 304:
      return "HTTP/1.1 304 Not Modified\r\n";
    case 400:
      return "HTTP/1.1 400 Bad Request\r\n";
    case 404:
      return "HTTP/1.1 404 Not Found\r\n";
    case 405:
      return "HTTP/1.1 405 Method Not Allowed\r\n";
    case 416:
      return "HTTP/1.1 416 Range Not Satisfiable\r\n";
    case 431:
      return "HTTP/1.1 431 Request Header Fields Too Large\r\n";
    case 500:
      return "HTTP/1.1 500 Internal Server Error\r\n";
    case 503:
      return "HTTP/1.1 503 Service Unavailable\r\n";
    default:
      return {};
  }
}

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

}  // namespace

std::string_view ServerScratch::date() {
  const auto second = std::time(nullptr);
  if (second != second_) {
    second_ = second;
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    std::array<char, 64> text{};
    // The process keeps the locale "C", whose names RFC 9110 wants.
    const auto size =
        std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
    date_.assign(text.data(), size);
  }
  return date_;
}

Connection::Connection(UniqueFd fd, const TlsContext& tls, ServerShared& shared,
                       SteadyClock::time_point now)
    : EventSource{Kind::connection},
      shared_(&shared),
      socket_(std::move(fd), tls),
      phase_(tls ? Phase::header : Phase::idle),
      since_(now),
      handshaking_(tls != nullptr) {
  if (shared_->options.on_done) remote_ = socket_.remote();
}

Connection::~Connection() {
  end_response(false);
}

void Connection::enter(Phase phase, SteadyClock::time_point now) {
  phase_ = phase;
  since_ = now;
}

bool Connection::pending() const {
  return out_sent_ < out_.size() || !shared_body_.empty() || file_left_ > 0;
}

std::uint32_t Connection::interest() const {
  // A socket that can be written to calls at once: so the turn comes round again.
  return yielded_ || waits_to_write_ ? static_cast<std::uint32_t>(EPOLLOUT)
                                     : static_cast<std::uint32_t>(EPOLLIN);
}

bool Connection::overdue(SteadyClock::time_point now, bool crowded) const {
  const auto& options = shared_->options;
  auto limit = options.idle_timeout;
  if (phase_ == Phase::header) limit = options.header_timeout;
  if (phase_ == Phase::lingering) limit = linger_timeout;
  if (crowded && phase_ != Phase::sending) limit = std::min(limit, crowded_timeout);
  if (phase_ == Phase::sending) {
    if (crowded && too_slow(now)) return true;
    limit = options.stall_timeout;
  }
  return now - since_ > limit;
}

bool Connection::too_slow(SteadyClock::time_point now) const {
  const auto& options = shared_->options;
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(now - asked_);
  if (taken <= options.header_timeout) return false;
  const auto arrived = sent_ - std::min(sent_, socket_.unacknowledged());
  return arrived <
         static_cast<std::uint64_t>(taken.count()) * options.least_rate_when_crowded / 1000;
}

bool Connection::advance(ServerScratch& scratch) {
  emptied_ = false;
  yielded_ = false;
  turn_requests_ = 0;
  turn_bytes_ = 0;
  while (true) {
    switch (step(scratch)) {
      case Step::again:
        continue;
      case Step::wait:
        return true;
      case Step::over:
        return false;
    }
  }
}

Connection::Step Connection::step(ServerScratch& scratch) {
  if (pending()) return flush(scratch);
  if (responding_) {
    end_response(true);
    if (close_after_) {
      socket_.end_sending();
      enter(Phase::lingering, scratch.now);
    } else {
      enter(in_.empty() ? Phase::idle : Phase::header, scratch.now);
    }
  }
  if (phase_ == Phase::lingering) return linger(scratch);
  if (skip_ > 0) {
    const auto part = std::min<std::uint64_t>(skip_, in_.size());
    in_.erase(0, part);
    skip_ -= part;
    if (skip_ > 0) return receive(scratch);
    if (in_.empty()) enter(Phase::idle, scratch.now);
  }
  if (in_.empty()) return receive(scratch);
  // No request begins like this, but TLS does: its client would wait for us until it gives up.
  if (in_.front() < 'A' || in_.front() > 'Z') {
    refuse(400, scratch);
    return Step::again;
  }
  const auto end = in_.find("\r\n\r\n", searched_ < 3 ? 0 : searched_ - 3);
  if (end == std::string::npos) {
    searched_ = in_.size();
    if (in_.size() <= most_header) return receive(scratch);
    refuse(431, scratch);
    return Step::again;
  }
  if (turn_requests_++ == most_turn_requests) {
    yielded_ = true;
    return Step::wait;
  }
  answer(end + 2, scratch);
  return Step::again;
}

Connection::Step Connection::wait_for_socket() {
  waits_to_write_ = socket_.blocked_on_write();
  return Step::wait;
}

Connection::Step Connection::receive(ServerScratch& scratch) {
  if (emptied_) {
    waits_to_write_ = false;
    return Step::wait;
  }
  std::size_t got = 0;
  switch (socket_.receive(scratch.block, got)) {
    case ServerSocket::Outcome::blocked:
      return wait_for_socket();
    case ServerSocket::Outcome::closed:
      return Step::over;
    case ServerSocket::Outcome::progress:
      break;
  }
  // A short read saves the one that would find nothing; with TLS more may be in its buffer.
  emptied_ = !socket_.tls() && got < scratch.block.size();
  if (phase_ == Phase::idle || handshaking_) enter(Phase::header, scratch.now);
  handshaking_ = false;
  if (in_.empty() && in_.capacity() > most_kept) std::string().swap(in_);
  in_.append(scratch.block.data(), got);
  return Step::again;
}

Connection::Step Connection::linger(ServerScratch& scratch) {
  while (lingered_ < most_lingered) {
    std::size_t got = 0;
    const auto outcome = socket_.receive(scratch.block, got);
    if (outcome == ServerSocket::Outcome::blocked) return wait_for_socket();
    if (outcome == ServerSocket::Outcome::closed) return Step::over;
    lingered_ += got;
  }
  return Step::over;
}

Connection::Step Connection::flush(ServerScratch& scratch) {
  if (turn_bytes_ >= most_turn_bytes) {
    yielded_ = true;
    return Step::wait;
  }
  std::size_t sent = 0;
  const auto head = std::string_view(out_).substr(out_sent_);
  const bool file = head.empty() && shared_body_.empty();
  const auto outcome =
      file ? socket_.send_file(response_.file, response_.file_offset, file_left_, sent)
           : socket_.send(head, shared_body_, file_left_ > 0, sent);
  if (outcome == ServerSocket::Outcome::blocked) return wait_for_socket();
  if (outcome == ServerSocket::Outcome::closed) return Step::over;
  since_ = scratch.now;
  sent_ += sent;
  turn_bytes_ += sent;
  shared_->bytes.fetch_add(sent, std::memory_order_relaxed);
  if (file) {
    response_.file_offset += sent;
    file_left_ -= sent;
    return Step::again;
  }
  const auto of_head = std::min(sent, head.size());
  out_sent_ += of_head;
  shared_body_.remove_prefix(sent - of_head);
  return Step::again;
}

void Connection::refuse(int status, ServerScratch& scratch) {
  in_.clear();
  searched_ = 0;
  skip_ = 0;
  close_after_ = true;
  asked_ = shared_->options.on_done ? SteadyClock::now() : scratch.now;
  remember({});
  response_ = {};
  response_.status = status;
  begin_response(false, scratch);
}

void Connection::answer(std::size_t head_size, ServerScratch& scratch) {
  auto& parser = scratch.parser;
  const int wrong = parser.parse(std::span(in_).first(head_size));
  if (wrong != 0) {
    refuse(wrong, scratch);
    return;
  }
  const auto& request = parser.request();
  asked_ = shared_->options.on_done ? SteadyClock::now() : scratch.now;
  close_after_ = parser.last() || parser.body_size() > most_body;
  skip_ = close_after_ ? 0 : parser.body_size();
  remember(request);
  response_ = shared_->handler(request);
  begin_response(request.method == "HEAD", scratch);
  in_.erase(0, head_size + 2);
  searched_ = 0;
}

void Connection::remember(const ServerRequest& request) {
  if (!shared_->options.on_done) return;
  method_ = request.method;
  target_ = request.target;
  user_agent_ = request.header("user-agent");
}

void Connection::begin_response(bool head_only, ServerScratch& scratch) {
  const bool file = response_.file >= 0;
  const std::string_view body =
      response_.shared_body.empty() ? std::string_view(response_.body) : response_.shared_body;
  out_.clear();
  if (out_.capacity() > 2 * most_copied) std::string().swap(out_);
  const auto line = status_line(response_.status);
  if (line.empty()) {
    fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} Status\r\n", response_.status);
  } else {
    out_ += line;
  }
  out_ += scratch.date();
  if (response_.status != 304) {
    out_ += "Content-Length: ";
    append_number(out_, file ? response_.file_length : body.size());
    out_ += "\r\n";
  }
  out_ += response_.lines;
  for (const auto& [name, value] : response_.headers) {
    out_.append(name).append(": ").append(value).append("\r\n");
  }
  if (close_after_) out_ += "Connection: close\r\n";
  out_ += "\r\n";
  head_size_ = out_.size();
  out_sent_ = 0;
  sent_ = 0;
  file_left_ = 0;
  shared_body_ = {};
  if (!head_only && file) {
    file_left_ = response_.file_length;
  } else if (!head_only && body.size() <= most_copied) {
    out_ += body;
  } else if (!head_only) {
    shared_body_ = body;
  }
  responding_ = true;
  enter(Phase::sending, scratch.now);
}

void Connection::end_response(bool complete) {
  if (!responding_) return;
  responding_ = false;
  if (const auto& done = shared_->options.on_done; done) {
    ServerRecord record;
    record.remote = remote_;
    record.method = method_;
    record.target = target_;
    record.user_agent = user_agent_;
    record.kind = response_.kind;
    record.status = response_.status;
    record.bytes = sent_ > head_size_ ? sent_ - head_size_ : 0;
    record.duration =
        std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - asked_);
    record.complete = complete;
    done(record);
  }
  response_ = {};
  out_.clear();
  out_sent_ = 0;
  shared_body_ = {};
  file_left_ = 0;
}

}  // namespace bedplate
