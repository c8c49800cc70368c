#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/file.hpp"
#include "core/result.hpp"

namespace bedplate {

/// The same file, opened once more so that what is written through it goes past the page cache
/// (open(2), O_DIRECT). Empty where the file system has no such thing.
UniqueFd open_direct(int fd);

/// Writes one stretch of a file, front to back. Large aligned pieces go straight to the disk, which
/// costs neither a copy nor the cache that others use; what is left at the ends, and everything
/// when there is no direct descriptor, goes through the page cache. At most 2 MiB, and no more than
/// came in 30 ms and one block, is in memory only: a killed process loses no more than that.
///
/// Stretches of one file may be written by several threads, and may touch each other. The more of
/// them there are, the smaller are the buffers of the later ones: all together take at most 24 MiB
/// and 128 KiB for each.
class DirectWriter {
 public:
  /// `direct`: of open_direct(), or -1. Both stay the caller's.
  DirectWriter(int fd, int direct, std::uint64_t offset);

  /// Takes `data`; written() says how far the file has come.
  Result<void> write(std::span<const std::byte> data);
  /// Writes what is in memory.
  Result<void> flush();
  /// Offset in the file up to which everything is written.
  std::uint64_t written() const { return start_; }
  /// Bytes that this one may hold in memory.
  std::size_t buffer_size() const { return buffer_.size; }

 private:
  struct Unmap {
    std::size_t size = 0;
    void operator()(std::byte* memory) const;
  };
  struct Buffer {
    Buffer();
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Buffer(Buffer&&) = delete;
    Buffer& operator=(Buffer&&) = delete;

    std::size_t size;
    /// One memory page here is one block there, so that the kernel can take it as it is.
    std::unique_ptr<std::byte[], Unmap> memory;
  };
  using Clock = std::chrono::steady_clock;

  Result<void> write_out(std::uint64_t end);
  std::size_t lead() const;

  int fd_;
  int direct_;
  Buffer buffer_;
  std::uint64_t start_;     ///< in the file, of what is in the buffer
  std::size_t used_ = 0;    ///< bytes in the buffer, behind lead()
  Clock::time_point last_;  ///< when something was written
};

}  // namespace bedplate
