#include "core/direct_writer.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>

namespace bedplate {
namespace {

/// Satisfies every disk and file system in use: blocks of 512 and of 4096 bytes.
constexpr std::size_t alignment = 4096;
constexpr std::size_t largest_buffer = 2U << 20;
constexpr std::size_t least_buffer = 128U << 10;
/// What all buffers of the process may take, apart from the least that each one has.
constexpr std::size_t shared_memory = 24U << 20;
/// A direct write waits for the disk; for less than this, a copy is cheaper.
constexpr std::size_t least_direct = 64U << 10;
constexpr std::chrono::milliseconds longest_in_memory{30};

/// Hands out buffer sizes, smaller ones as less is left: however many stretches are written at a
/// time, their buffers stay within bounds, and the first ones do not wait for the last.
class Budget {
 public:
  std::size_t take() {
    const std::lock_guard lock(mutex_);
    const auto left = shared_memory - std::min(taken_, shared_memory);
    const auto size = std::clamp(left / 4 / alignment * alignment, least_buffer, largest_buffer);
    taken_ += size;
    return size;
  }

  void give_back(std::size_t size) {
    const std::lock_guard lock(mutex_);
    taken_ -= size;
  }

 private:
  std::mutex mutex_;
  std::size_t taken_ = 0;
};

Budget& budget() {
  static Budget it;
  return it;
}

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

/// Not from the heap, which keeps what is freed for later, in each thread's arena.
DirectWriter::Buffer::Buffer() : size(budget().take()), memory(nullptr, Unmap{size}) {
  void* const at =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    budget().give_back(size);
    throw std::bad_alloc();
  }
  memory.reset(static_cast<std::byte*>(at));
}

void DirectWriter::Unmap::operator()(std::byte* memory) const {
  ::munmap(memory, size);
}

DirectWriter::Buffer::~Buffer() {
  budget().give_back(size);
}

DirectWriter::DirectWriter(int fd, int direct, std::uint64_t offset)
    : fd_(fd), direct_(direct), start_(offset), last_(Clock::now()) {}

/// How far into its block the first byte lies.
std::size_t DirectWriter::lead() const {
  return static_cast<std::size_t>(start_ % alignment);
}

Result<void> DirectWriter::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto part = data.first(std::min(data.size(), buffer_.size - lead() - used_));
    std::memcpy(buffer_.memory.get() + lead() + used_, part.data(), part.size());
    used_ += part.size();
    data = data.subspan(part.size());
    const bool full = lead() + used_ == buffer_.size;
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
    return std::span<const std::byte>(buffer_.memory.get() + lead() + (from - start_), to - from);
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
  const auto* rest = buffer_.memory.get() + lead() + (end - start_);
  // `end` is a block's beginning, or nothing is left.
  std::memmove(buffer_.memory.get(), rest, left);
  start_ = end;
  used_ = left;
  last_ = Clock::now();
  return {};
}

}  // namespace bedplate
