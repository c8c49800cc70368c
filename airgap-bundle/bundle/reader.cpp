#include "airgap-bundle/bundle/reader.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace bedplate::bundle {

Result<Reader> Reader::open(const std::filesystem::path& path, std::span<const PublicKey> trusted) {
  const auto opened = [&]() -> Result<Reader> {
    Reader reader;
    reader.path_ = path;
    BP_TRY(reader.fd_, open_file(path, O_RDONLY));
    struct stat info{};
    if (::fstat(reader.fd_.get(), &info) != 0) return fail(system_error(errno, "cannot stat"));
    const auto size = static_cast<std::uint64_t>(info.st_size);
    BP_TRY(reader.signed_, read_signed_header(read_from(reader.fd_.get()), size, trusted));
    if (size == reader.signed_.end) return reader;
    return fail(ErrorKind::corrupt,
                fmt::format("the file has {} bytes; {} were signed", size, reader.signed_.end),
                "copy the file again: a transfer that broke off leaves it short");
  };
  BP_TRY_DURING(auto reader, "opening bundle " + path.string(), opened());
  return reader;
}

Result<void> Reader::verify(Progress* progress) const {
  if (progress != nullptr) progress->begin("verify " + path_.filename().string(), file_size());
  BP_TRY_DURING(const auto damage, "verifying bundle " + path_.string(),
                find_damage(read_from(fd_.get()), signed_, progress, true));
  if (progress != nullptr) progress->end();
  if (damage.empty()) return {};
  return fail(Error(ErrorKind::corrupt, damage.front().what)
                  .with_hint("copy the bundle again from where it was made, and compare its size")
                  .during("verifying bundle " + path_.string()));
}

Result<std::string> Reader::signed_content() const {
  BP_TRY(auto content, read_text(read_from(fd_.get()), tar_block, signed_.size));
  if (Digest::of(content) != signed_.digest) {
    return fail(ErrorKind::corrupt, "the bundle's header has changed since it was opened");
  }
  return content;
}

Error Reader::no_blob(const Digest& digest) const {
  Error error(ErrorKind::not_found, fmt::format("the bundle has no blob {}", digest.str()));
  if (header().elsewhere.empty()) return error;
  return std::move(error).with_hint(
      "it is a differential bundle: `bedplate bundle apply` makes the complete one");
}

Result<std::string> Reader::blob(const Digest& digest, std::uint64_t limit) const {
  const auto* entry = header().find(digest);
  if (entry == nullptr) {
    return fail(no_blob(digest));
  }
  if (entry->size > limit) {
    return fail(ErrorKind::invalid,
                fmt::format("blob {} is larger than {} bytes", digest.str(), limit));
  }
  BP_TRY(auto content, read_text(read_from(fd_.get()), entry->offset, entry->size));
  if (Digest::of(content) != digest) {
    return fail(ErrorKind::corrupt, fmt::format("blob {} differs from its digest", digest.str()));
  }
  return content;
}

Result<std::string> Reader::artifact_version(std::string_view artifact) const {
  const auto* found = header().artifact(artifact);
  if (found == nullptr) {
    return fail(ErrorKind::not_found, fmt::format("the bundle has no artifact '{}'", artifact),
                "`bedplate bundle inspect` lists what it has");
  }
  return found->version;
}

}  // namespace bedplate::bundle
