#include <algorithm>
#include <functional>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/oci/manifest.hpp"
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
  virtual Result<void> feed(const std::string& path, std::uint64_t from,
                            const bundle::Writer::Sink& sink) = 0;
};

class FolderFiles final : public Files {
 public:
  explicit FolderFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<std::string> text(const std::string& path) override {
    return read_file(folder_ / path, longest_document);
  }
  Result<void> feed(const std::string& path, std::uint64_t from,
                    const bundle::Writer::Sink& sink) override {
    BP_TRY(const auto fd, open_file(folder_ / path, O_RDONLY));
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail(system_error(errno, "cannot stat " + path));
    const auto size = static_cast<std::uint64_t>(info.st_size);
    return feed_range(fd.get(), from, size - std::min(size, from), sink);
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
  Result<void> feed(const std::string& path, std::uint64_t from,
                    const bundle::Writer::Sink& sink) override {
    BP_TRY(const auto member, index_.find(path));
    from = std::min(from, member.size);
    return feed_range(index_.fd(), member.offset + from, member.size - from, sink);
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
    const auto listed = index.find("manifests");  // of what is no object: end()
    if (listed == index.end() || !listed->is_array()) {
      return fail(ErrorKind::invalid, "index.json has no list of manifests");
    }
    for (const auto& item : *listed) {
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

  Result<void> blob(const oci::Descriptor& descriptor, std::uint64_t from,
                    const bundle::Writer::Sink& sink) override {
    return files_->feed(path_of(descriptor), from, sink);
  }

  /// A layout has no list of them: every manifest that its index names is looked into, and those
  /// that a fallback tag of the distribution-spec lists.
  Result<std::vector<oci::Descriptor>> referrers(const Digest& subject) override {
    BP_CHECK(look_around());
    std::vector<oci::Descriptor> out;
    for (const auto& [about, descriptor] : referring_) {
      if (about == subject.str()) out.push_back(descriptor);
    }
    BP_TRY(const auto fallback, tagged("sha256-" + subject.hex()));
    if (fallback) {
      BP_TRY(const auto listed, oci::listed_descriptors(fallback->text));
      out.insert(out.end(), listed.begin(), listed.end());
    }
    return out;
  }

  Result<std::optional<Document>> tagged(const std::string& tag) override {
    BP_CHECK(look_around());
    for (const auto& descriptor : around_) {
      for (const auto& name : names_of(descriptor)) {
        if (name != tag && !name.ends_with(":" + tag)) continue;
        BP_TRY(auto content, manifest(descriptor));
        return Document{descriptor, std::move(content)};
      }
    }
    return std::nullopt;
  }

 private:
  /// What else lies here. A bundle's own referrers hang off its contents.
  Result<void> look_around() {
    if (looked_) return {};
    BP_TRY(const auto text, files_->text("index.json"));
    BP_TRY(around_, oci::listed_descriptors(text));
    for (std::size_t i = 0, count = around_.size(); i < count; ++i) {
      if (around_[i].artifact_type != oci::media::contents) continue;
      BP_TRY(const auto contents, manifest(around_[i]));
      BP_TRY(const auto value, parse_json(contents, "the bundle's contents"));
      if (!value.is_object()) continue;
      for (const auto& item : value.value("layers", Json::array())) {
        if (auto descriptor = oci::parse_descriptor(item)) {
          around_.push_back(std::move(*descriptor));
        }
      }
    }
    for (const auto& descriptor : around_) {
      if (!oci::is_manifest(descriptor.media_type)) continue;
      const auto content = manifest(descriptor);
      if (!content) continue;  // what is missing here is missed when it is asked for
      const auto value = parse_json(*content, "a manifest");
      if (!value || !value->is_object() || !value->contains("subject")) continue;
      referring_.emplace_back(json_string_or((*value)["subject"], "digest", ""), descriptor);
    }
    looked_ = true;
    return {};
  }

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
  bool looked_ = false;
  std::vector<oci::Descriptor> around_;
  std::vector<std::pair<std::string, oci::Descriptor>> referring_;  ///< by what they refer to
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
