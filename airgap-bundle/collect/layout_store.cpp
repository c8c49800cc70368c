#include <algorithm>
#include <functional>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/oci/tar_index.hpp"
#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate::collect {
namespace {

constexpr std::uint64_t longest_document = 8ULL << 20;

/// The files of a layout, whether in a folder or in an archive.
class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::string> text(const std::string& path) = 0;
  virtual Result<void> feed(const std::string& path, const bundle::Writer::Sink& sink) = 0;
};

class FolderFiles final : public Files {
 public:
  explicit FolderFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<std::string> text(const std::string& path) override {
    return read_file(folder_ / path, longest_document);
  }
  Result<void> feed(const std::string& path, const bundle::Writer::Sink& sink) override {
    BP_TRY(const auto fd, open_file(folder_ / path, O_RDONLY));
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail(system_error(errno, "cannot stat " + path));
    return feed_range(fd.get(), 0, static_cast<std::uint64_t>(info.st_size), sink);
  }

 private:
  std::filesystem::path folder_;
};

class ArchiveFiles final : public Files {
 public:
  explicit ArchiveFiles(oci::TarIndex index) : index_(std::move(index)) {}
  Result<std::string> text(const std::string& path) override {
    BP_TRY(const auto member, index_.find(path));
    if (member.size > longest_document) return fail(ErrorKind::invalid, path + " is too large");
    std::string out;
    BP_CHECK(feed_range(index_.fd(), member.offset, member.size,
                        [&](std::span<const std::byte> data) -> Result<void> {
                          out.append(reinterpret_cast<const char*>(data.data()), data.size());
                          return {};
                        }));
    return out;
  }
  Result<void> feed(const std::string& path, const bundle::Writer::Sink& sink) override {
    BP_TRY(const auto member, index_.find(path));
    return feed_range(index_.fd(), member.offset, member.size, sink);
  }

 private:
  oci::TarIndex index_;
};

/// The names that a layout's index gives one of its manifests.
std::vector<std::string> names_of(const oci::Descriptor& descriptor) {
  std::vector<std::string> names;
  for (const auto key : {oci::annotation::ref_name, oci::annotation::containerd_name}) {
    const auto found = descriptor.annotations.find(std::string(key));
    if (found != descriptor.annotations.end()) names.push_back(found->second);
  }
  return names;
}

class LayoutStore final : public ImageStore {
 public:
  LayoutStore(const ImageSpec& image, std::unique_ptr<Files> files)
      : image_(image), files_(std::move(files)) {}

  Result<Document> root() override {
    BP_TRY(const auto text, files_->text("index.json"));
    BP_TRY(const auto index, parse_json(text, "index.json"));
    std::vector<oci::Descriptor> all;
    for (const auto& item : index.value("manifests", Json::array())) {
      BP_TRY(auto descriptor, oci::parse_descriptor(item));
      all.push_back(std::move(descriptor));
    }
    BP_TRY(auto chosen, choose(all));
    BP_TRY(auto content, manifest(chosen));
    return Document{std::move(chosen), std::move(content)};
  }

  Result<std::string> manifest(const oci::Descriptor& descriptor) override {
    return files_->text(path_of(descriptor));
  }

  Result<void> blob(const oci::Descriptor& descriptor, const bundle::Writer::Sink& sink) override {
    return files_->feed(path_of(descriptor), sink);
  }

 private:
  static std::string path_of(const oci::Descriptor& descriptor) {
    return "blobs/sha256/" + descriptor.digest.hex();
  }

  /// By the selector; without one by the image's own name; else the only one there is.
  Result<oci::Descriptor> choose(const std::vector<oci::Descriptor>& all) const {
    const auto& wanted = image_.source.selector;
    std::string known;
    for (const auto& descriptor : all) {
      const auto names = names_of(descriptor);
      const auto& name = wanted.empty() ? image_.name.str() : wanted;
      if (std::ranges::find(names, name) != names.end()) return descriptor;
      if (!names.empty()) known += (known.empty() ? "" : ", ") + names.front();
    }
    if (wanted.empty() && all.size() == 1) return all.front();
    if (wanted.empty() && !all.empty()) {
      return fail(ErrorKind::ambiguous, fmt::format("the layout holds {} images", all.size()),
                  fmt::format("add :NAME to the source; there are: {}", known));
    }
    return fail(ErrorKind::not_found, fmt::format("the layout has no image '{}'", wanted),
                known.empty() ? "it names none" : fmt::format("there are: {}", known));
  }

  ImageSpec image_;
  std::unique_ptr<Files> files_;
};

}  // namespace

Result<void> feed_range(int fd, std::uint64_t offset, std::uint64_t size,
                        const bundle::Writer::Sink& sink) {
  constexpr std::uint64_t block_size = 256 << 10;
  std::vector<std::byte> block(std::min(block_size, size));
  for (std::uint64_t done = 0; done < size;) {
    const auto part =
        std::span(block).first(static_cast<std::size_t>(std::min(block_size, size - done)));
    BP_CHECK(read_exactly_at(fd, part, offset + done));
    BP_CHECK(sink(part));
    done += part.size();
  }
  return {};
}

Result<std::unique_ptr<ImageStore>> open_layout(const ImageSpec& image,
                                                const std::filesystem::path& folder) {
  return std::make_unique<LayoutStore>(image, std::make_unique<FolderFiles>(folder));
}

Result<std::unique_ptr<ImageStore>> open_archive(const ImageSpec& image,
                                                 const std::filesystem::path& file) {
  BP_TRY(auto index, oci::TarIndex::read(file));
  return std::make_unique<LayoutStore>(image, std::make_unique<ArchiveFiles>(std::move(index)));
}

}  // namespace bedplate::collect
