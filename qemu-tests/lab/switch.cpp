#include "qemu-tests/lab/switch.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace bedplate::lab {
namespace {

constexpr std::size_t kLargestFrame = 65'536;
constexpr std::size_t kLongestQueue = 4UL << 20;
constexpr std::size_t kMostKinds = 100;
using Bytes = std::span<const std::byte>;

struct Port {
  PortStatistics statistics;
  UniqueFd listener;  ///< stream ports only
  UniqueFd fd;
  bool tap = false;
  bool waits_to_write = false;
  std::string in;
  std::string out;
};

std::string length_prefix(std::size_t size) {
  const auto value = static_cast<std::uint32_t>(size);
  std::string prefix(4, '\0');
  for (unsigned i = 0; i < 4; ++i) prefix[i] = static_cast<char>(value >> (24U - 8U * i) & 255U);
  return prefix;
}

std::size_t read_length(std::string_view text) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | static_cast<unsigned char>(text[i]);
  return value;
}

/// The file format of libpcap 2.4 (draft-ietf-opsawg-pcap).
class Capture {
 public:
  Result<void> open(const std::filesystem::path& path) {
    BP_TRY(fd_, open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
    const std::array<std::uint32_t, 6> header{0xA1B2C3D4, 0x00040002, 0, 0, kLargestFrame, 1};
    return write_all(fd_.get(), std::as_bytes(std::span(header)));
  }
  void add(Bytes frame) {
    if (!fd_) return;
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    const auto size = static_cast<std::uint32_t>(frame.size());
    const std::array<std::uint32_t, 4> header{static_cast<std::uint32_t>(now / 1'000'000),
                                              static_cast<std::uint32_t>(now % 1'000'000), size,
                                              size};
    // A full disk ends the recording, not the network.
    if (!write_all(fd_.get(), std::as_bytes(std::span(header))) || !write_all(fd_.get(), frame)) {
      fd_.reset();
    }
  }

 private:
  UniqueFd fd_;
};

Result<UniqueFd> listen_at(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto text = path.string();
  if (text.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::invalid, fmt::format("{} is too long for a socket", text),
                "choose a shorter folder with --work");
  }
  std::memcpy(address.sun_path, text.c_str(), text.size());
  ::unlink(text.c_str());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(system_error(errno, "cannot make a socket"));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 4) != 0) {
    return fail(system_error(errno, "cannot listen at " + text));
  }
  return fd;
}

}  // namespace

std::optional<std::size_t> ForwardingTable::find(const Mac& destination) const {
  const auto found = ports_.find(destination);
  if (found == ports_.end()) return std::nullopt;
  return found->second;
}

void ForwardingTable::forget(std::size_t port) {
  std::erase_if(ports_, [port](const auto& entry) { return entry.second == port; });
}

struct Switch::Impl {
  explicit Impl(Members m) : members(std::move(m)), epoll(::epoll_create1(EPOLL_CLOEXEC)) {}

  // An event's number: the port, and whether it is the listener's.
  static std::uint64_t event_of(std::size_t port, bool listener) {
    return port * 2 + (listener ? 1 : 0);
  }

  void watch(int fd, std::uint64_t event, std::uint32_t what, int operation) const {
    epoll_event entry{};
    entry.events = what;
    entry.data.u64 = event;
    ::epoll_ctl(epoll.get(), operation, fd, &entry);
  }

  void accept_on(std::size_t index) {
    Port& port = ports[index];
    UniqueFd fd(::accept4(port.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    disconnect(index);
    port.fd = std::move(fd);
    port.statistics.connected = true;
    watch(port.fd.get(), event_of(index, false), EPOLLIN, EPOLL_CTL_ADD);
  }

  void disconnect(std::size_t index) {
    Port& port = ports[index];
    port.fd.reset();
    port.in.clear();
    port.out.clear();
    port.waits_to_write = false;
    port.statistics.connected = false;
    table.forget(index);
  }

  void read_stream(std::size_t index) {
    Port& port = ports[index];
    const ssize_t n = ::read(port.fd.get(), block.data(), block.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return disconnect(index);
    port.in.append(block.data(), static_cast<std::size_t>(n));
    std::size_t at = 0;
    while (port.in.size() - at >= 4) {
      const auto length = read_length(std::string_view(port.in).substr(at, 4));
      if (length > kLargestFrame) return disconnect(index);  // not a QEMU
      if (port.in.size() - at - 4 < length) break;
      forward(index, std::as_bytes(std::span(port.in.data() + at + 4, length)));
      at += 4 + length;
    }
    port.in.erase(0, at);
  }

  void read_tap(std::size_t index) {
    for (int count = 0; count < 64; ++count) {
      const ssize_t n = ::read(ports[index].fd.get(), block.data(), block.size());
      if (n <= 0) return;
      forward(index, std::as_bytes(std::span(block.data(), static_cast<std::size_t>(n))));
    }
  }

  void account(const Frame& frame) {
    if (!for_elsewhere(frame, members)) return;
    ++total.elsewhere;
    const auto text = describe(frame);
    const auto kind = total.elsewhere_kinds.find(text);
    if (kind != total.elsewhere_kinds.end()) {
      ++kind->second;
    } else if (total.elsewhere_kinds.size() < kMostKinds) {
      total.elsewhere_kinds.emplace(text, 1);
    }
  }

  void forward(std::size_t from, Bytes bytes) {
    const auto frame = decode_frame(bytes);
    if (!frame) return;
    ++total.frames;
    ++ports[from].statistics.frames_in;
    ports[from].statistics.bytes_in += bytes.size();
    capture.add(bytes);
    account(*frame);
    if ((frame->source[0] & 1U) == 0) table.learn(frame->source, from);
    const auto to = frame->multicast() ? std::nullopt : table.find(frame->destination);
    if (to) {
      if (*to != from) send(*to, bytes);
      return;
    }
    for (std::size_t port = 0; port < ports.size(); ++port) {
      if (port != from) send(port, bytes);
    }
  }

  void send(std::size_t index, Bytes bytes) {
    Port& port = ports[index];
    if (!port.fd) return;
    if (port.tap) {
      const bool sent = ::write(port.fd.get(), bytes.data(), bytes.size()) >= 0;
      return count_sent(port, bytes.size(), sent);
    }
    const bool room = port.out.size() < kLongestQueue;
    count_sent(port, bytes.size(), room);
    if (!room) return;
    port.out += length_prefix(bytes.size());
    port.out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  static void count_sent(Port& port, std::size_t size, bool sent) {
    if (!sent) {
      ++port.statistics.dropped;
      return;
    }
    ++port.statistics.frames_out;
    port.statistics.bytes_out += size;
  }

  void flush(std::size_t index) {
    Port& port = ports[index];
    if (!port.fd || port.tap) return;
    if (!port.out.empty()) {
      const ssize_t n = ::send(port.fd.get(), port.out.data(), port.out.size(), MSG_NOSIGNAL);
      if (n > 0) port.out.erase(0, static_cast<std::size_t>(n));
      if (n < 0 && errno != EAGAIN && errno != EINTR) return disconnect(index);
    }
    const bool wait = !port.out.empty();
    if (wait == port.waits_to_write) return;
    port.waits_to_write = wait;
    watch(port.fd.get(), event_of(index, false), wait ? EPOLLIN | EPOLLOUT : EPOLLIN,
          EPOLL_CTL_MOD);
  }

  void handle(std::uint64_t event) {
    const std::size_t index = event / 2;
    if (event % 2 == 1) return accept_on(index);
    if (!ports[index].fd) return;
    if (ports[index].tap) {
      read_tap(index);
    } else {
      read_stream(index);
    }
  }

  Members members;
  UniqueFd epoll;
  std::vector<Port> ports;
  ForwardingTable table;
  Capture capture;
  SwitchStatistics total;
  std::array<char, 262'144> block{};
};

Switch::Switch(Members members) : impl_(std::make_unique<Impl>(std::move(members))) {}
Switch::~Switch() = default;

Result<void> Switch::add_stream_port(std::string name, const std::filesystem::path& path) {
  Port port;
  port.statistics.name = std::move(name);
  BP_TRY(port.listener, listen_at(path));
  impl_->ports.push_back(std::move(port));
  const auto index = impl_->ports.size() - 1;
  impl_->watch(impl_->ports[index].listener.get(), Impl::event_of(index, true), EPOLLIN,
               EPOLL_CTL_ADD);
  return {};
}

Result<void> Switch::add_tap_port(std::string name, UniqueFd tap) {
  if (::fcntl(tap.get(), F_SETFL, O_NONBLOCK) != 0) {
    return fail(system_error(errno, "cannot set up the tap device"));
  }
  Port port;
  port.statistics.name = std::move(name);
  port.statistics.connected = true;
  port.tap = true;
  port.fd = std::move(tap);
  impl_->ports.push_back(std::move(port));
  const auto index = impl_->ports.size() - 1;
  impl_->watch(impl_->ports[index].fd.get(), Impl::event_of(index, false), EPOLLIN, EPOLL_CTL_ADD);
  return {};
}

Result<void> Switch::capture_to(const std::filesystem::path& path) {
  return impl_->capture.open(path);
}

Result<void> Switch::run(const std::function<bool()>& stop,
                         const std::function<void(const SwitchStatistics&)>& tick) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPeriod = std::chrono::milliseconds(500);
  auto next = Clock::now();
  std::array<epoll_event, 64> events{};
  for (;;) {
    if (Clock::now() >= next) {
      if (tick) tick(statistics());
      if (stop()) return {};
      next = Clock::now() + kPeriod;
    }
    const int count = ::epoll_wait(impl_->epoll.get(), events.data(), events.size(), 250);
    if (count < 0 && errno != EINTR) return fail(system_error(errno, "cannot wait for frames"));
    for (int i = 0; i < count; ++i) impl_->handle(events[static_cast<std::size_t>(i)].data.u64);
    for (std::size_t port = 0; port < impl_->ports.size(); ++port) impl_->flush(port);
  }
}

SwitchStatistics Switch::statistics() const {
  auto out = impl_->total;
  for (const auto& port : impl_->ports) out.ports.push_back(port.statistics);
  return out;
}

}  // namespace bedplate::lab
