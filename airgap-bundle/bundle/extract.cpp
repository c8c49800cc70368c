// Writing the files of a files artifact out of a bundle.

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"

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

/// A path that stays below the folder it is written to: relative, no "..", no empty parts.
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

Result<FileLayer> parse_layer(const Json& layer) {
  FileLayer out;
  const auto annotations = layer.value("annotations", Json::object());
  BP_TRY(out.path, json_string(annotations, oci::annotation::title));
  BP_TRY(const auto mode, json_string(annotations, "dev.bedplate.mode"));
  BP_TRY(const auto size, json_string(annotations, "dev.bedplate.size"));
  BP_TRY(const auto content, json_string(annotations, "dev.bedplate.sha256"));
  BP_TRY(const auto blob, json_string(layer, "digest"));
  BP_TRY(const auto type, json_string(layer, "mediaType"));
  BP_TRY(out.content, Digest::parse("sha256:" + content));
  BP_TRY(out.blob, Digest::parse(blob));
  out.compressed = type == oci::media::file_zstd;
  unsigned bits = 0;
  const auto parsed_mode = std::from_chars(mode.data(), mode.data() + mode.size(), bits, 8);
  const auto parsed_size = std::from_chars(size.data(), size.data() + size.size(), out.size);
  if (parsed_mode.ec != std::errc{} || parsed_size.ec != std::errc{} || bits > 0777) {
    return fail(ErrorKind::corrupt, fmt::format("{} has a wrong mode or size", out.path));
  }
  out.mode = bits;
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

Result<void> write_layer(const Reader& reader, const FileLayer& layer,
                         const std::filesystem::path& path, Progress* progress) {
  const auto* entry = reader.header().find(layer.blob);
  if (entry == nullptr) {
    return fail(ErrorKind::corrupt, fmt::format("the bundle lacks the blob of {}", layer.path));
  }
  BP_CHECK(make_directories(path.parent_path()));
  BP_TRY(auto file, AtomicFile::create(path, layer.mode));
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
  return file.commit();
}

Result<std::vector<FileLayer>> read_layers(const Reader& reader, std::string_view artifact) {
  const auto* found = reader.header().artifact(artifact);
  if (found == nullptr) {
    return fail(ErrorKind::not_found, fmt::format("the bundle has no artifact '{}'", artifact),
                "`bedplate bundle inspect` lists what it has");
  }
  BP_TRY(const auto text, reader.blob(found->digest));
  BP_TRY(const auto manifest, parse_json(text, "artifact manifest"));
  std::vector<FileLayer> layers;
  for (const auto& item : manifest.value("layers", Json::array())) {
    BP_TRY_DURING(auto layer, fmt::format("reading artifact {}", artifact), parse_layer(item));
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace

Result<void> Reader::extract(std::string_view artifact, const std::filesystem::path& to,
                             Progress* progress) const {
  BP_TRY(const auto layers, read_layers(*this, artifact));
  std::uint64_t total = 0;
  for (const auto& layer : layers) total += layer.size;
  if (progress != nullptr) progress->begin(fmt::format("unpack {}", artifact), total);
  for (const auto& layer : layers) {
    const auto path = to / layer.path;
    if (is_there(path, layer)) {
      if (progress != nullptr) progress->advance(layer.size);
      continue;
    }
    BP_CHECK_DURING(fmt::format("writing {}", path.string()),
                    write_layer(*this, layer, path, progress));
  }
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
  const auto path = to / layer->path;
  if (is_there(path, *layer)) return {};
  BP_CHECK_DURING(fmt::format("writing {}", path.string()),
                  write_layer(*this, *layer, path, nullptr));
  return {};
}

}  // namespace bedplate::bundle
