#include "airgap-bundle/collect/layer.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/collect/compress.hpp"
#include "core/file.hpp"

namespace bedplate::collect {
namespace {

using ArchivePointer = std::unique_ptr<archive, decltype(&archive_write_free)>;
using EntryPointer = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

/// What libarchive's write callback needs: the tar's digest, and where the compressed bytes go.
struct Output {
  Sha256 tar_hash;
  ZstdStream* stream = nullptr;  ///< none: only the digest is wanted
  std::uint64_t size = 0;
  std::optional<Error> error;
};

la_ssize_t on_write(archive*, void* user, const void* data, std::size_t length) {
  auto& output = *static_cast<Output*>(user);
  const std::span bytes(static_cast<const std::byte*>(data), length);
  output.tar_hash.update(bytes);
  output.size += bytes.size();
  if (output.stream == nullptr) return static_cast<la_ssize_t>(length);
  if (auto written = output.stream->write(bytes); !written) {
    output.error = std::move(written).error();
    return -1;
  }
  return static_cast<la_ssize_t>(length);
}

class TarWriter {
 public:
  TarWriter(Output& output, Progress* progress)
      : output_(output), progress_(progress), archive_(archive_write_new(), archive_write_free) {}

  Result<void> open() {
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_add_filter_none(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), 1 << 18);
    archive_write_set_bytes_in_last_block(archive_.get(), 1);
    return check(archive_write_open(archive_.get(), &output_, nullptr, on_write, nullptr));
  }

  Result<void> add(const std::filesystem::path& path, const std::string& name) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) {
      return fail(system_error(errno, "cannot read " + path.string()));
    }
    const EntryPointer entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_perm(entry.get(), info.st_mode & 07777U);
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (S_ISDIR(info.st_mode)) {
      archive_entry_set_filetype(entry.get(), AE_IFDIR);
      return check(archive_write_header(archive_.get(), entry.get()));
    }
    if (S_ISLNK(info.st_mode)) return add_link(path, entry.get());
    if (!S_ISREG(info.st_mode)) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{} is neither file, folder nor symbolic link", path.string()));
    }
    return add_file(path, name, info, entry.get());
  }

  Result<void> close() { return check(archive_write_close(archive_.get())); }

 private:
  Result<void> check(int code) {
    if (output_.error) return fail(*output_.error);
    if (code >= ARCHIVE_WARN) return {};
    const char* text = archive_error_string(archive_.get());
    return fail(ErrorKind::io, fmt::format("cannot write a tar: {}", text == nullptr ? "?" : text));
  }

  Result<void> add_link(const std::filesystem::path& path, archive_entry* entry) {
    std::error_code code;
    const auto target = std::filesystem::read_symlink(path, code);
    if (code) return fail(system_error(code.value(), "cannot read link " + path.string()));
    archive_entry_set_filetype(entry, AE_IFLNK);
    archive_entry_set_symlink(entry, target.c_str());
    return check(archive_write_header(archive_.get(), entry));
  }

  Result<void> add_file(const std::filesystem::path& path, const std::string& name,
                        const struct stat& info, archive_entry* entry) {
    archive_entry_set_filetype(entry, AE_IFREG);
    const auto id = std::pair(info.st_dev, info.st_ino);
    if (const auto first = first_names_.find(id);
        info.st_nlink > 1 && first != first_names_.end()) {
      archive_entry_set_hardlink(entry, first->second.c_str());
      archive_entry_set_size(entry, 0);
      return check(archive_write_header(archive_.get(), entry));
    }
    first_names_[id] = name;
    archive_entry_set_size(entry, info.st_size);
    BP_CHECK(check(archive_write_header(archive_.get(), entry)));
    BP_TRY(auto fd, open_file(path, O_RDONLY));
    std::uint64_t left = static_cast<std::uint64_t>(info.st_size);
    while (left > 0) {
      const ssize_t n =
          ::read(fd.get(), block_.data(), std::min<std::uint64_t>(block_.size(), left));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error(errno, "cannot read " + path.string()));
      if (n == 0) return fail(ErrorKind::corrupt, path.string() + " shrank while it was read");
      if (archive_write_data(archive_.get(), block_.data(), static_cast<std::size_t>(n)) != n) {
        return check(ARCHIVE_FATAL);
      }
      left -= static_cast<std::uint64_t>(n);
      if (progress_ != nullptr) progress_->advance(static_cast<std::uint64_t>(n));
    }
    return {};
  }

  Output& output_;
  Progress* progress_;
  ArchivePointer archive_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
  std::vector<std::byte> block_ = std::vector<std::byte>(std::size_t{1} << 18);
};

/// Relative paths of everything below, sorted by bytes: parents come before their children.
Result<std::vector<std::string>> sorted_tree(const std::filesystem::path& root) {
  std::vector<std::string> out;
  std::error_code code;
  for (std::filesystem::recursive_directory_iterator it(root, code), end; !code && it != end;
       it.increment(code)) {
    out.push_back(it->path().lexically_relative(root).generic_string());
  }
  if (code) return fail(system_error(code.value(), "cannot read folder " + root.string()));
  std::ranges::sort(out);
  return out;
}

Result<void> write_tar(const std::filesystem::path& rootfs, const std::vector<std::string>& names,
                       Output& output, Progress* progress) {
  TarWriter tar(output, progress);
  BP_CHECK(tar.open());
  for (const auto& name : names) BP_CHECK(tar.add(rootfs / name, name));
  return tar.close();
}

}  // namespace

Result<LockedContent> rootfs_content(const std::filesystem::path& rootfs) {
  BP_TRY(const auto names, sorted_tree(rootfs));
  Output output;
  BP_CHECK(write_tar(rootfs, names, output, nullptr));
  return LockedContent{output.tar_hash.finish(), output.size};
}

Result<Layer> add_rootfs_layer(bundle::Writer& writer, const std::filesystem::path& rootfs,
                               Progress* progress) {
  BP_TRY(const auto names, sorted_tree(rootfs));
  Layer layer;
  BP_TRY(layer.blob, writer.add_stream([&](const bundle::Writer::Sink& sink) -> Result<void> {
    ZstdStream stream(sink);
    Output output;
    output.stream = &stream;
    BP_CHECK(write_tar(rootfs, names, output, progress));
    layer.diff_id = output.tar_hash.finish();
    return stream.finish();
  }));
  return layer;
}

std::uint64_t tree_size(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_regular_file(path, code)) return std::filesystem::file_size(path, code);
  std::uint64_t total = 0;
  for (std::filesystem::recursive_directory_iterator it(path, code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && !it->is_symlink(ignored)) total += it->file_size(ignored);
  }
  return total;
}

}  // namespace bedplate::collect
