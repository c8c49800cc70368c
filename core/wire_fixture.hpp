#pragma once

// For tests only: a client of a server on loopback.

#include <cstdint>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate {

/// A connection that sends exactly the bytes it is told to.
class Wire {
 public:
  explicit Wire(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    const timeval patience{5, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  void send(std::string_view text) {
    EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// Sends if the other side still takes it.
  void trickle(std::string_view text) {
    [[maybe_unused]] const auto sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    timeval pause{0, 1000};
    ::select(0, nullptr, nullptr, nullptr, &pause);
  }
  /// Until `end` was seen, or the server closed, or 5 s passed.
  std::string receive(std::string_view end) {
    std::string out;
    char block[65536];
    while (out.find(end) == std::string::npos) {
      const auto n = ::recv(fd_.get(), block, sizeof block, 0);
      if (n <= 0) break;
      out.append(block, static_cast<std::size_t>(n));
    }
    return out;
  }
  /// Ends the connection with a reset.
  void abort() {
    const linger hard{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd_.reset();
  }
  /// Bounds what the kernel takes from the network ahead of receive(), in bytes.
  void narrow(int size) { ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size); }
  /// Everything until the server closes.
  std::string rest() { return receive("\x01 never sent \x02"); }
  /// That many bytes, or as many as come.
  std::string receive(std::size_t size) {
    std::string out(size, '\0');
    const auto n = ::recv(fd_.get(), out.data(), size, MSG_WAITALL);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
  void close_sending() { ::shutdown(fd_.get(), SHUT_WR); }

 private:
  UniqueFd fd_;
};

}  // namespace bedplate
