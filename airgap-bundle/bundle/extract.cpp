// Writing the files of a files artifact out of a bundle.

#include "airgap-bundle/bundle/extract.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"
#include "core/space.hpp"
#include "core/text.hpp"

namespace bedplate::bundle {
namespace {

struct FileLayer {
  std::string path;
  mode_t mode = 0644;
  Digest content;  ///< of the file
  std::uint64_t size = 0;
  Digest blob;  ///< as it lies in the bundle
  bool compressed = false;
};

Result<FileLayer> parse_layer(const Json& layer) {
  FileLayer out;
  if (!layer.is_object()) return fail(ErrorKind::corrupt, "a layer is no object");
  const auto found = layer.find("annotations");
  const Json annotations = found == layer.end() ? Json::object() : *found;
  BP_TRY(out.path, json_string(annotations, oci::annotation::title));
  BP_TRY(const auto mode, json_string(annotations, "dev.bedplate.mode"));
  BP_TRY(const auto size, json_string(annotations, "dev.bedplate.size"));
  BP_TRY(const auto content, json_string(annotations, "dev.bedplate.sha256"));
  BP_TRY(const auto blob, json_string(layer, "digest"));
  BP_TRY(const auto type, json_string(layer, "mediaType"));
  BP_TRY(out.content, Digest::parse("sha256:" + content));
  BP_TRY(out.blob, Digest::parse(blob));
  out.compressed = type == oci::media::file_zstd;
  const auto bits = parse_unsigned<unsigned>(mode, 8);
  const auto bytes = parse_unsigned(size);
  if (!bits || *bits > 0777 || !bytes) {
    return fail(ErrorKind::corrupt, fmt::format("{} has a wrong mode or size", out.path));
  }
  out.mode = *bits;
  out.size = *bytes;
  if (!is_contained(out.path)) {
    return fail(ErrorKind::corrupt,
                fmt::format("the artifact has a file outside of its folder: '{}'", out.path));
  }
  return out;
}

/// Takes the content of one blob, raw or zstd, and gives it to a file and its digest.
class Unpacker {
 public:
  Unpacker(int fd, const FileLayer& layer, Progress* progress)
      : fd_(fd), layer_(layer), progress_(progress), out_(ZSTD_DStreamOutSize()) {}

  Result<void> take(std::span<const std::byte> data) {
    if (!layer_.compressed) return emit(data);
    ZSTD_inBuffer in{data.data(), data.size(), 0};
    while (in.pos < in.size) {
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      const auto code = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_isError(code) != 0) {
        return fail(ErrorKind::corrupt,
                    fmt::format("{} is not zstd: {}", layer_.path, ZSTD_getErrorName(code)));
      }
      BP_CHECK(emit(std::span(out_).first(out.pos)));
    }
    return {};
  }

  Result<void> finish() {
    if (written_ == layer_.size && hash_.finish() == layer_.content) return {};
    return fail(ErrorKind::corrupt,
                fmt::format("{} differs from what its manifest says", layer_.path));
  }

 private:
  Result<void> emit(std::span<const std::byte> data) {
    written_ += data.size();
    // A small blob may unpack to anything: stop at what the manifest allows.
    if (written_ > layer_.size) {
      return fail(ErrorKind::corrupt,
                  fmt::format("{} is larger than its manifest says", layer_.path));
    }
    hash_.update(data);
    if (progress_ != nullptr) progress_->advance(data.size());
    return write_all(fd_, data);
  }

  int fd_;
  const FileLayer& layer_;
  Progress* progress_;
  std::vector<std::byte> out_;
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_{ZSTD_createDStream(),
                                                                     ZSTD_freeDStream};
  Sha256 hash_;
  std::uint64_t written_ = 0;
};

bool is_there(const std::filesystem::path& path, const FileLayer& layer) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if ((info.st_mode & 0777U) != layer.mode) return false;
  if (static_cast<std::uint64_t>(info.st_size) != layer.size) return false;
  const auto digest = digest_file(path);
  return digest && *digest == layer.content;
}

/// Files on their way into a folder: each is complete, verified and on the disk before the first
/// one gets its name. A staging that is dropped leaves the folder as it was.
class Staging {
 public:
  /// In a folder below `to`, so that a name can be given by a rename.
  static Result<Staging> create(const std::filesystem::path& to) {
    Staging out(to);
    std::error_code ignored;
    out.made_ = !std::filesystem::exists(to, ignored);
    BP_CHECK(make_directories(to));
    BP_CHECK(remove_abandoned(to, prefix));
    BP_CHECK(make_directories(out.folder_, 0700));
    return out;
  }
  Staging(Staging&& other) noexcept
      : to_(std::move(other.to_)),
        folder_(std::exchange(other.folder_, {})),
        made_(other.made_),
        files_(std::move(other.files_)) {}
  Staging& operator=(Staging&&) = delete;
  ~Staging() {
    if (folder_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    if (made_) std::filesystem::remove(to_, ignored);  // only if nothing is in it
  }

  Result<void> add(const Reader& reader, const FileLayer& layer, Progress* progress) {
    const auto* entry = reader.header().find(layer.blob);
    if (entry == nullptr) {
      auto error = reader.no_blob(layer.blob);
      // A complete bundle has what its artifacts name.
      if (reader.header().elsewhere.empty()) error.kind = ErrorKind::corrupt;
      return fail(std::move(error));
    }
    const auto staged = folder_ / std::to_string(files_.size());
    BP_TRY(auto file, AtomicFile::create(staged, layer.mode));
    Unpacker unpacker(file.fd(), layer, progress);
    std::vector<std::byte> block(std::size_t{1} << 18);
    for (std::uint64_t done = 0; done < entry->size;) {
      const auto part = std::span(block).first(
          static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), entry->size - done)));
      BP_CHECK(read_exactly_at(reader.fd(), part, entry->offset + done));
      BP_CHECK(unpacker.take(part));
      done += part.size();
    }
    BP_CHECK(unpacker.finish());
    BP_CHECK(file.commit());
    files_.emplace_back(staged, to_ / layer.path);
    return {};
  }

  /// Gives all files their names.
  Result<void> commit() {
    std::set<std::filesystem::path> folders;
    for (const auto& [staged, path] : files_) {
      BP_CHECK(make_directories(path.parent_path()));
      if (::rename(staged.c_str(), path.c_str()) != 0) {
        return fail(system_error(errno, "cannot rename to " + path.string()));
      }
      folders.insert(path.parent_path());
    }
    for (const auto& folder : folders) BP_CHECK(sync_path(folder));
    made_ = false;
    return {};
  }

 private:
  static constexpr std::string_view prefix = ".bedplate-extract.";

  explicit Staging(const std::filesystem::path& to) : to_(to) {
    static std::atomic<unsigned> count{0};
    folder_ = to / fmt::format("{}{}.{}", prefix, ::getpid(), count++);
  }

  std::filesystem::path to_;
  std::filesystem::path folder_;
  bool made_ = false;
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> files_;
};

/// What would stop the files from getting their names is said before the first one has its own. A
/// link to another folder would lead out of `to`.
Result<void> check_targets(const std::vector<const FileLayer*>& layers,
                           const std::filesystem::path& to) {
  namespace fs = std::filesystem;
  const auto taken = [](const fs::path& path, const char* by) {
    return fail(ErrorKind::conflict, fmt::format("{} is {}", path.string(), by),
                "move it away, or extract into another folder");
  };
  std::set<fs::path> seen;
  for (const auto* layer : layers) {
    std::error_code code;
    if (fs::symlink_status(to / layer->path, code).type() == fs::file_type::directory) {
      return taken(to / layer->path, "a folder, where a file is to be");
    }
    for (auto parent = fs::path(layer->path).parent_path(); !parent.empty();
         parent = parent.parent_path()) {
      if (!seen.insert(parent).second) break;
      const auto type = fs::symlink_status(to / parent, code).type();
      if (type == fs::file_type::directory || type == fs::file_type::not_found) continue;
      return taken(to / parent, type == fs::file_type::symlink ? "a link, where a folder is to be"
                                                               : "no folder, where one is to be");
    }
  }
  return {};
}

Result<void> write_layers(const Reader& reader, const std::vector<const FileLayer*>& layers,
                          const std::filesystem::path& to, Progress* progress) {
  if (layers.empty()) return {};
  std::uint64_t sum = 0;
  std::uint64_t largest = 0;
  for (const auto* layer : layers) {
    sum += layer->size;
    largest = std::max(largest, layer->size);
  }
  BP_TRY(const auto space, measure_space({{to, sum, largest, "files"}}));
  BP_CHECK(require_space(space));
  BP_CHECK(check_targets(layers, to));
  BP_TRY(auto staging, Staging::create(to));
  for (const auto* layer : layers) {
    BP_CHECK_DURING(fmt::format("writing {}", (to / layer->path).string()),
                    staging.add(reader, *layer, progress));
  }
  return staging.commit();
}

/// Two files of one path, or a file where another one needs a folder, are a mistake or a trap.
Result<void> check_paths(const std::vector<FileLayer>& layers) {
  std::set<std::string_view> files;
  for (const auto& layer : layers) {
    if (!files.insert(layer.path).second) {
      return fail(ErrorKind::corrupt, fmt::format("the artifact has two files {}", layer.path));
    }
  }
  for (const auto& layer : layers) {
    const std::string_view path = layer.path;
    for (auto slash = path.find('/'); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      if (files.contains(path.substr(0, slash))) {
        return fail(ErrorKind::corrupt,
                    fmt::format("{} is a file and a folder", path.substr(0, slash)));
      }
    }
  }
  return {};
}

Result<std::vector<FileLayer>> parse_layers(std::string_view text) {
  BP_TRY(const auto manifest, parse_json(text, "artifact manifest"));
  if (!manifest.is_object()) return fail(ErrorKind::corrupt, "the manifest is no object");
  const auto list = manifest.find("layers");
  std::vector<FileLayer> layers;
  if (list == manifest.end()) return layers;
  if (!list->is_array()) return fail(ErrorKind::corrupt, "field 'layers' must be a list");
  for (const auto& item : *list) {
    BP_TRY(auto layer, parse_layer(item));
    layers.push_back(std::move(layer));
  }
  BP_CHECK(check_paths(layers));
  return layers;
}

/// Everything about the artifact is signed: what is wrong in it is ErrorKind::corrupt.
Result<std::vector<FileLayer>> read_layers(const Reader& reader, std::string_view artifact) {
  const auto* found = reader.header().artifact(artifact);
  if (found == nullptr) {
    return fail(ErrorKind::not_found, fmt::format("the bundle has no artifact '{}'", artifact),
                "`bedplate bundle inspect` lists what it has");
  }
  BP_TRY(const auto text, reader.blob(found->digest));
  auto layers = parse_layers(text);
  if (!layers) {
    layers.error().kind = ErrorKind::corrupt;
    layers.error().during(fmt::format("reading artifact {}", artifact));
  }
  return layers;
}

/// The nearest folder above that exists: where free space is asked.
std::filesystem::path existing_above(std::filesystem::path path) {
  path = std::filesystem::absolute(path);
  std::error_code code;
  while (!std::filesystem::exists(path, code) && path.has_relative_path()) {
    path = path.parent_path();
  }
  return path;
}

}  // namespace

bool is_contained(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  std::size_t start = 0;
  while (start <= path.size()) {
    auto end = path.find('/', start);
    if (end == std::string::npos) end = path.size();
    const auto part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return path.find('\0') == std::string::npos;
}

Result<ExtractPlan> plan_extract(const Reader& reader, std::string_view artifact,
                                 const std::filesystem::path& to) {
  BP_TRY(const auto layers, read_layers(reader, artifact));
  ExtractPlan plan;
  for (const auto& layer : layers) {
    plan.files.push_back(layer.path);
    plan.bytes += layer.size;
    if (is_there(to / layer.path, layer)) {
      ++plan.here;
    } else {
      plan.missing += layer.size;
    }
  }
  BP_TRY(plan.free, free_space(existing_above(to)));
  return plan;
}

Result<void> Reader::extract(std::string_view artifact, const std::filesystem::path& to,
                             Progress* progress) const {
  BP_TRY(const auto layers, read_layers(*this, artifact));
  std::uint64_t total = 0;
  for (const auto& layer : layers) total += layer.size;
  if (progress != nullptr) progress->begin(fmt::format("unpack {}", artifact), total);
  std::vector<const FileLayer*> wanted;
  for (const auto& layer : layers) {
    if (!is_there(to / layer.path, layer)) {
      wanted.push_back(&layer);
    } else if (progress != nullptr) {
      progress->advance(layer.size);
    }
  }
  BP_CHECK(write_layers(*this, wanted, to, progress));
  if (progress != nullptr) progress->end();
  return {};
}

Result<void> Reader::extract_file(std::string_view artifact, std::string_view name,
                                  const std::filesystem::path& to) const {
  BP_TRY(const auto layers, read_layers(*this, artifact));
  const auto layer = std::ranges::find(layers, name, &FileLayer::path);
  if (layer == layers.end()) {
    return fail(ErrorKind::not_found, fmt::format("artifact {} has no file {}", artifact, name));
  }
  if (is_there(to / layer->path, *layer)) return {};
  return write_layers(*this, {&*layer}, to, nullptr);
}

}  // namespace bedplate::bundle
