#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "airgap-bundle/bundle/writer.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// A zstd frame (RFC 8878), made on all cores. The same input gives the same bytes on any number of
/// cores: the jobs have a fixed size. Level 6 and 1 MiB jobs keep it near 30 MiB of memory on two
/// cores; higher levels make a bundle a few per cent smaller and its making several times slower.
class ZstdStream {
 public:
  explicit ZstdStream(bundle::Writer::Sink sink);
  ~ZstdStream();
  ZstdStream(const ZstdStream&) = delete;
  ZstdStream& operator=(const ZstdStream&) = delete;

  Result<void> write(std::span<const std::byte> data);
  /// Ends the frame. Must be called once, last.
  Result<void> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bedplate::collect
