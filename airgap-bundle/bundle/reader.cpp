#include "airgap-bundle/bundle/reader.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace bedplate::bundle {
namespace {

constexpr std::size_t read_size = std::size_t{1} << 20;

std::span<std::byte> writable(std::string& text) {
  return std::as_writable_bytes(std::span(text.data(), text.size()));
}

Result<std::string> read_text(int fd, std::uint64_t offset, std::uint64_t size) {
  std::string out(size, '\0');
  BP_CHECK(read_exactly_at(fd, writable(out), offset));
  return out;
}

/// The largest entry first, so that no thread is left alone with it at the end.
std::vector<const Entry*> by_size(const std::vector<Entry>& entries) {
  std::vector<const Entry*> out;
  for (const auto& entry : entries) out.push_back(&entry);
  std::ranges::sort(out, [](const Entry* a, const Entry* b) { return a->size > b->size; });
  return out;
}

}  // namespace

Result<Reader> Reader::open(const std::filesystem::path& path, std::span<const PublicKey> trusted) {
  const auto opened = [&]() -> Result<Reader> {
    Reader reader;
    reader.path_ = path;
    BP_TRY(reader.fd_, open_file(path, O_RDONLY));
    struct stat info{};
    if (::fstat(reader.fd_.get(), &info) != 0) return fail(system_error(errno, "cannot stat"));
    reader.file_size_ = static_cast<std::uint64_t>(info.st_size);
    if (reader.file_size_ < tar_block + preamble_size) {
      return fail(ErrorKind::corrupt, "this is not a Bedplate bundle: it is too short");
    }
    BP_TRY(const auto start, read_text(reader.fd_.get(), tar_block, preamble_size));
    BP_TRY(const auto preamble, parse_preamble(start));
    if (tar_block + preamble_size + preamble.json_length > reader.file_size_) {
      return fail(ErrorKind::corrupt, "the file ends within its header");
    }
    BP_TRY(const auto json,
           read_text(reader.fd_.get(), tar_block + preamble_size, preamble.json_length));
    BP_TRY(reader.signer_, verify_header(preamble, json, trusted));
    BP_TRY(reader.header_, parse_header(json));
    BP_TRY(const auto first, read_text(reader.fd_.get(), 0, tar_block));
    const auto header_size = preamble_size + preamble.json_length;
    reader.header_end_ = tar_block + padded(header_size);
    if (first != tar_header(header_name, header_size)) {
      return fail(ErrorKind::corrupt,
                  "the first tar header differs from what the bundle must have");
    }
    const auto& entries = reader.header_.entries;
    if (entries.front().offset != reader.header_end_ + tar_block) {
      return fail(ErrorKind::corrupt, "the first entry is not where the header ends");
    }
    const auto end = entries.back().offset + padded(entries.back().size) + 2 * tar_block;
    if (reader.file_size_ != end) {
      return fail(ErrorKind::corrupt,
                  fmt::format("the file has {} bytes; {} were signed", reader.file_size_, end),
                  "copy the file again: a transfer that broke off leaves it short");
    }
    return reader;
  };
  BP_TRY_DURING(auto reader, "opening bundle " + path.string(), opened());
  return reader;
}

Result<void> Reader::verify_entry(const Entry& entry, Progress* progress) const {
  const auto differs = [&](std::string_view what) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} of {} at offset {} differs from what was signed", what, entry.path,
                            entry.offset),
                "copy the bundle again from where it was made, and compare its size");
  };
  BP_TRY(const auto head, read_text(fd_.get(), entry.offset - tar_block, tar_block));
  if (head != tar_header(entry.path, entry.size)) return differs("the tar header");
  Sha256 hash;
  std::vector<std::byte> block(
      std::min<std::uint64_t>(read_size, std::max<std::uint64_t>(entry.size, 1)));
  for (std::uint64_t done = 0; done < entry.size;) {
    const auto part = std::span(block).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), entry.size - done)));
    BP_CHECK(read_exactly_at(fd_.get(), part, entry.offset + done));
    hash.update(part);
    done += part.size();
    if (progress != nullptr) progress->advance(part.size());
  }
  if (hash.finish() != entry.digest) return differs("the content");
  BP_TRY(const auto tail,
         read_text(fd_.get(), entry.offset + entry.size, padded(entry.size) - entry.size));
  if (tail.find_first_not_of('\0') != std::string::npos) return differs("the padding");
  return {};
}

Result<void> Reader::verify(Progress* progress) const {
  if (progress != nullptr) progress->begin("verify " + path_.filename().string(), file_size_);
  const auto order = by_size(header_.entries);
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> first_error;
  const auto work = [&] {
    for (auto i = next++; i < order.size(); i = next++) {
      auto checked = verify_entry(*order[i], progress);
      if (checked) continue;
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::move(checked).error();
      next = order.size();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
      threads.emplace_back(work);
    }
    work();
  }
  if (progress != nullptr) progress->end();
  if (first_error) {
    return fail(std::move(*first_error).during("verifying bundle " + path_.string()));
  }
  BP_TRY(const auto end, read_text(fd_.get(), file_size_ - 2 * tar_block, 2 * tar_block));
  if (end.find_first_not_of('\0') != std::string::npos) {
    return fail(ErrorKind::corrupt, "the end of the archive differs from what it must be");
  }
  return {};
}

Result<std::string> Reader::blob(const Digest& digest, std::uint64_t limit) const {
  const auto* entry = header_.find(digest);
  if (entry == nullptr) {
    return fail(ErrorKind::not_found, fmt::format("the bundle has no blob {}", digest.str()));
  }
  if (entry->size > limit) {
    return fail(ErrorKind::invalid,
                fmt::format("blob {} is larger than {} bytes", digest.str(), limit));
  }
  BP_TRY(auto content, read_text(fd_.get(), entry->offset, entry->size));
  if (Digest::of(content) != digest) {
    return fail(ErrorKind::corrupt, fmt::format("blob {} differs from its digest", digest.str()));
  }
  return content;
}

Result<std::string> Reader::artifact_version(std::string_view artifact) const {
  const auto* found = header_.artifact(artifact);
  if (found == nullptr) {
    return fail(ErrorKind::not_found, fmt::format("the bundle has no artifact '{}'", artifact),
                "`bedplate bundle inspect` lists what it has");
  }
  return found->version;
}

}  // namespace bedplate::bundle
