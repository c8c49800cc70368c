#include "airgap-bundle/collect/compress.hpp"

#include <algorithm>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <zstd.h>

namespace bedplate::collect {
namespace {

constexpr int level = 6;
constexpr int job_size = 1 << 20;
constexpr int window_log = 21;

}  // namespace

struct ZstdStream::Impl {
  bundle::Writer::Sink sink;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::vector<std::byte> out = std::vector<std::byte>(ZSTD_CStreamOutSize());

  Result<void> run(std::span<const std::byte> data, ZSTD_EndDirective mode) {
    ZSTD_inBuffer in{data.data(), data.size(), 0};
    while (true) {
      ZSTD_outBuffer buffer{out.data(), out.size(), 0};
      const auto left = ZSTD_compressStream2(context.get(), &buffer, &in, mode);
      if (ZSTD_isError(left) != 0) {
        return fail(ErrorKind::internal, fmt::format("zstd: {}", ZSTD_getErrorName(left)));
      }
      if (buffer.pos != 0) BP_CHECK(sink(std::span(out).first(buffer.pos)));
      const bool done = mode == ZSTD_e_end ? left == 0 : in.pos == in.size;
      if (done) return {};
    }
  }
};

ZstdStream::ZstdStream(bundle::Writer::Sink sink) : impl_(std::make_unique<Impl>()) {
  impl_->sink = std::move(sink);
  auto* context = impl_->context.get();
  const auto cores = std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, static_cast<int>(cores));
  ZSTD_CCtx_setParameter(context, ZSTD_c_jobSize, job_size);
}

ZstdStream::~ZstdStream() = default;

Result<void> ZstdStream::write(std::span<const std::byte> data) {
  return impl_->run(data, ZSTD_e_continue);
}

Result<void> ZstdStream::finish() {
  return impl_->run({}, ZSTD_e_end);
}

}  // namespace bedplate::collect
