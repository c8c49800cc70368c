#include "airgap-bundle/bundle/content.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "core/file.hpp"

namespace bedplate::bundle {
namespace {

/// What a processor reads and hashes at a time: more would only leave its cache.
constexpr std::size_t read_size = std::size_t{256} << 10;

/// The largest entry first, so that no thread is left alone with it at the end.
std::vector<const Entry*> by_size(const std::vector<Entry>& entries) {
  std::vector<const Entry*> out;
  for (const auto& entry : entries) out.push_back(&entry);
  std::ranges::sort(out, [](const Entry* a, const Entry* b) { return a->size > b->size; });
  return out;
}

bool all_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

class Check {
 public:
  Check(const ReadAt& read, const SignedHeader& what, Progress* progress, bool only_first)
      : read_(read),
        order_(by_size(what.header.entries)),
        progress_(progress),
        only_first_(only_first) {}

  Result<std::vector<Damage>> run() {
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 1; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
        threads.emplace_back([this] { work(); });
      }
      work();
    }
    if (error_) return fail(std::move(*error_));
    std::ranges::sort(damage_, {}, &Damage::begin);
    return std::move(damage_);
  }

 private:
  void work() {
    std::vector<std::byte> block(read_size);
    for (auto i = next_++; i < order_.size(); i = next_++) {
      auto differs = compare(*order_[i], block);
      const std::lock_guard lock(mutex_);
      if (!differs) {
        if (!error_) error_ = std::move(differs).error();
        next_ = order_.size();
      } else if (!differs->empty()) {
        const auto& entry = *order_[i];
        damage_.push_back({fmt::format("{} of {} at offset {} differs from what was signed",
                                       *differs, entry.path, entry.offset),
                           entry.offset - tar_block, entry.offset + padded(entry.size)});
        if (only_first_) next_ = order_.size();
      }
    }
  }

  /// Which part of the entry differs; empty: none.
  Result<std::string_view> compare(const Entry& entry, std::span<std::byte> block) {
    BP_TRY(const auto head, read_text(read_, entry.offset - tar_block, tar_block));
    if (head != tar_header(entry.path, entry.size)) return "the tar header";
    Sha256 hash;
    for (std::uint64_t done = 0; done < entry.size;) {
      const auto part = block.first(
          static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), entry.size - done)));
      BP_CHECK(read_(part, entry.offset + done));
      hash.update(part);
      done += part.size();
      if (progress_ != nullptr) progress_->advance(part.size());
    }
    if (hash.finish() != entry.digest) return "the content";
    BP_TRY(const auto tail,
           read_text(read_, entry.offset + entry.size, padded(entry.size) - entry.size));
    return all_zero(tail) ? "" : "the padding";
  }

  const ReadAt& read_;
  const std::vector<const Entry*> order_;
  Progress* progress_;
  const bool only_first_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::optional<Error> error_;
  std::vector<Damage> damage_;
};

}  // namespace

ReadAt read_from(int fd) {
  return [fd](std::span<std::byte> out, std::uint64_t offset) {
    return read_exactly_at(fd, out, offset);
  };
}

Result<std::string> read_text(const ReadAt& read, std::uint64_t offset, std::uint64_t size) {
  std::string out(size, '\0');
  BP_CHECK(read(std::as_writable_bytes(std::span(out.data(), out.size())), offset));
  return out;
}

Result<SignedHeader> parse_signed_header(std::string_view content,
                                         std::span<const PublicKey> trusted) {
  BP_TRY(const auto preamble, parse_preamble(content.substr(0, preamble_size)));
  const auto json = content.substr(preamble_size);
  if (preamble.json_length != json.size()) {
    return fail(ErrorKind::corrupt, "the bundle's header: its length is not the one it gives");
  }
  SignedHeader out;
  BP_TRY(out.signer, verify_header(preamble, json, trusted));
  BP_TRY(out.header, parse_header(json));
  out.digest = Digest::of(content);
  out.size = content.size();
  const auto& entries = out.header.entries;
  if (entries.front().offset != tar_block + padded(out.size) + tar_block) {
    return fail(ErrorKind::corrupt, "the first entry is not where the header ends");
  }
  out.end = entries.back().offset + padded(entries.back().size) + 2 * tar_block;
  return out;
}

Result<SignedHeader> read_signed_header(const ReadAt& read, std::uint64_t available,
                                        std::span<const PublicKey> trusted) {
  if (available < tar_block + preamble_size) {
    return fail(ErrorKind::corrupt, "this is not a Bedplate bundle: it is too short");
  }
  BP_TRY(const auto start, read_text(read, tar_block, preamble_size));
  BP_TRY(const auto preamble, parse_preamble(start));
  const auto size = preamble_size + preamble.json_length;
  if (tar_block + padded(size) > available) {
    return fail(ErrorKind::corrupt, "the file ends within its header");
  }
  BP_TRY(const auto content, read_text(read, tar_block, size));
  BP_TRY(auto out, parse_signed_header(content, trusted));
  BP_TRY(const auto first, read_text(read, 0, tar_block));
  if (first != tar_header(header_name, size)) {
    return fail(ErrorKind::corrupt, "the first tar header differs from what the bundle must have");
  }
  BP_TRY(const auto tail, read_text(read, tar_block + size, padded(size) - size));
  if (!all_zero(tail)) {
    return fail(ErrorKind::corrupt, "the header is filled up with something else than zeros");
  }
  return out;
}

Result<std::vector<Damage>> find_damage(const ReadAt& read, const SignedHeader& what,
                                        Progress* progress, bool only_first) {
  BP_TRY(auto damage, Check(read, what, progress, only_first).run());
  if (only_first && !damage.empty()) return damage;
  const auto begin = what.end - 2 * tar_block;
  BP_TRY(const auto end, read_text(read, begin, 2 * tar_block));
  if (!all_zero(end)) {
    damage.push_back({"the end of the archive differs from what it must be", begin, what.end});
  }
  return damage;
}

}  // namespace bedplate::bundle
