#include "core/direct_writer.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include <fcntl.h>

namespace bedplate {
namespace {

/// Satisfies every disk and file system in use: blocks of 512 and of 4096 bytes.
constexpr std::size_t alignment = 4096;
constexpr std::size_t buffer_size = 2U << 20;
/// A direct write waits for the disk; for less than this, a copy is cheaper.
constexpr std::size_t least_direct = 64U << 10;
constexpr std::chrono::milliseconds longest_in_memory{30};

std::uint64_t aligned_down(std::uint64_t value) {
  return value / alignment * alignment;
}

std::uint64_t aligned_up(std::uint64_t value) {
  return aligned_down(value + alignment - 1);
}

}  // namespace

UniqueFd open_direct(int fd) {
  const auto path = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
}

DirectWriter::DirectWriter(int fd, int direct, std::uint64_t offset)
    : fd_(fd),
      direct_(direct),
      buffer_(static_cast<std::byte*>(std::aligned_alloc(alignment, buffer_size))),
      start_(offset),
      last_(Clock::now()) {
  if (!buffer_) throw std::bad_alloc();
}

/// How far into its block the first byte lies.
std::size_t DirectWriter::lead() const {
  return static_cast<std::size_t>(start_ % alignment);
}

Result<void> DirectWriter::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto part = data.first(std::min(data.size(), buffer_size - lead() - used_));
    std::memcpy(buffer_.get() + lead() + used_, part.data(), part.size());
    used_ += part.size();
    data = data.subspan(part.size());
    const bool full = lead() + used_ == buffer_size;
    if (!full && Clock::now() - last_ < longest_in_memory) continue;
    // A block that is not whole yet waits for its rest.
    const auto whole = aligned_down(start_ + used_);
    if (whole > start_) BP_CHECK(write_out(whole));
  }
  return {};
}

Result<void> DirectWriter::flush() {
  return write_out(start_ + used_);
}

/// Writes the buffer up to `end` of the file, and moves what is behind it to the front.
Result<void> DirectWriter::write_out(std::uint64_t end) {
  const auto bytes = [&](std::uint64_t from, std::uint64_t to) {
    return std::span<const std::byte>(buffer_.get() + lead() + (from - start_), to - from);
  };
  auto from = std::min(end, aligned_up(start_));
  const auto to = std::max(from, aligned_down(end));
  if (direct_ >= 0 && to - from >= least_direct) {
    BP_CHECK(write_all_at(fd_, bytes(start_, from), start_));
    if (const auto done = write_all_at(direct_, bytes(from, to), from); done) {
      from = to;
    } else {
      // A file system may take the flag and refuse the write; a full disk fails below, too.
      direct_ = -1;
    }
    BP_CHECK(write_all_at(fd_, bytes(from, end), from));
  } else {
    BP_CHECK(write_all_at(fd_, bytes(start_, end), start_));
  }
  const auto left = static_cast<std::size_t>(start_ + used_ - end);
  const auto* rest = buffer_.get() + lead() + (end - start_);
  // `end` is a block's beginning, or nothing is left.
  std::memmove(buffer_.get(), rest, left);
  start_ = end;
  used_ = left;
  last_ = Clock::now();
  return {};
}

}  // namespace bedplate
