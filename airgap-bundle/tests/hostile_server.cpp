#include "airgap-bundle/tests/hostile_server.hpp"

#include <array>
#include <charconv>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace bedplate::bundle_test {

std::string HostileRequest::header(std::string_view name) const {
  const auto line = fmt::format("\r\n{}: ", name);
  const auto at = head.find(line);
  if (at == std::string::npos) return {};
  const auto start = at + line.size();
  return head.substr(start, head.find("\r\n", start) - start);
}

std::uint64_t HostileRequest::range_start() const {
  const auto range = header("Range");
  constexpr std::string_view unit = "bytes=";
  std::uint64_t start = 0;
  if (range.starts_with(unit)) {
    std::from_chars(range.data() + unit.size(), range.data() + range.size(), start);
  }
  return start;
}

bool HostilePeer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent_ += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool HostilePeer::answer(std::string_view status, std::string_view body, std::string_view headers) {
  return send(fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n",
                          status, body.size(), headers)) &&
         send(body);
}

void HostilePeer::wait_for_hangup() {
  char byte = 0;
  while (::recv(fd_, &byte, 1, 0) > 0) {
  }
}

HostileServer::HostileServer(Script script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener_.get(), generic, size), 0);
  EXPECT_EQ(::listen(listener_.get(), 64), 0);
  EXPECT_EQ(::getsockname(listener_.get(), generic, &size), 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HostileServer::~HostileServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (const auto& peer : peers_) ::shutdown(peer.get(), SHUT_RDWR);
  for (auto& thread : threads_) thread.join();
}

std::vector<HostileRequest> HostileServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HostileServer::accept_all() {
  while (true) {
    UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) return;
    // Little stands between what is sent and what is taken.
    const int buffer = 64 << 10;
    ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    peers_.push_back(std::move(peer));
    threads_.emplace_back([this, fd = peers_.back().get()] { serve(fd); });
  }
}

void HostileServer::serve(int fd) {
  HostileRequest request;
  std::array<char, 4096> block{};
  while (request.head.find("\r\n\r\n") == std::string::npos) {
    const auto n = ::recv(fd, block.data(), block.size(), 0);
    if (n <= 0) return;
    request.head.append(block.data(), static_cast<std::size_t>(n));
  }
  const auto space = request.head.find(' ');
  request.method = request.head.substr(0, space);
  request.path = request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  HostilePeer peer(fd, sent_);
  script_(request, peer);
  ::shutdown(fd, SHUT_RDWR);
}

}  // namespace bedplate::bundle_test
