#include "airgap-bundle/bundle/writer.hpp"

#include <cerrno>
#include <charconv>
#include <system_error>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

namespace bedplate::bundle {
namespace {

constexpr std::string_view layout_json = R"({"imageLayoutVersion":"1.0.0"})";
/// What one entry may take of the header's JSON: a path, a digest, two numbers.
constexpr std::size_t bytes_per_entry = 260;
constexpr std::size_t bytes_besides = 8192;

/// Unfinished files of processes that were killed: as large as a bundle, and nobody's any more.
void remove_leftovers(const std::filesystem::path& path) {
  const auto start = path.filename().string() + ".tmp.";
  const auto folder = path.parent_path().empty() ? "." : path.parent_path();
  std::error_code code;
  for (std::filesystem::directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    const auto name = it->path().filename().string();
    pid_t owner = 0;
    if (!name.starts_with(start)) continue;
    const auto* last = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + start.size(), last, owner);
    if (parsed.ec != std::errc{} || parsed.ptr != last || owner <= 0) continue;
    if (::kill(owner, 0) != 0 && errno == ESRCH) ::unlink(it->path().c_str());
  }
}

}  // namespace

Result<Writer> Writer::create(const std::filesystem::path& path, std::size_t most_entries,
                              std::size_t name_bytes) {
  remove_leftovers(path);
  BP_TRY_DURING(auto file, "creating bundle " + path.string(), AtomicFile::create(path));
  Writer writer(std::move(file));
  const auto json_room = most_entries * bytes_per_entry + name_bytes + bytes_besides;
  writer.reserved_ = padded(preamble_size + json_room);
  writer.end_ = tar_block + writer.reserved_;
  return writer;
}

Result<void> Writer::end_entry(std::string path, const Digest& digest, std::uint64_t size) {
  // A blob that was there already may have left its bytes here.
  const std::string padding(padded(size) - size, '\0');
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(padding), end_ + tar_block + size));
  header_.entries.push_back(Entry{std::move(path), digest, size, end_ + tar_block});
  end_ += tar_block + padded(size);
  return {};
}

Result<void> Writer::append(std::string path, std::string_view content) {
  const auto head = tar_header(path, content.size());
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(head), end_));
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(content), end_ + tar_block));
  return end_entry(std::move(path), Digest::of(content), content.size());
}

Result<Descriptor> Writer::add(std::string_view content) {
  const Descriptor out{Digest::of(content), content.size()};
  if (!has(out.digest)) BP_CHECK(append("blobs/sha256/" + out.digest.hex(), content));
  return out;
}

Result<Descriptor> Writer::add_stream(const Fill& fill) {
  Sha256 hash;
  std::uint64_t size = 0;
  const auto start = end_ + tar_block;
  const Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
    BP_CHECK(write_all_at(file_.fd(), data, start + size));
    hash.update(data);
    size += data.size();
    return {};
  };
  BP_CHECK(fill(sink));
  const Descriptor out{hash.finish(), size};
  // The same content again: what was just written is overwritten by the next blob.
  if (has(out.digest)) return out;
  auto path = "blobs/sha256/" + out.digest.hex();
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(tar_header(path, size)), end_));
  BP_CHECK(end_entry(std::move(path), out.digest, size));
  return out;
}

Result<void> Writer::add_known(const Descriptor& wanted, const Fill& fill) {
  if (has(wanted.digest)) return {};
  std::uint64_t left = wanted.size;
  BP_TRY(const auto got, add_stream([&](const Sink& sink) {
           return fill([&](std::span<const std::byte> data) -> Result<void> {
             if (data.size() > left) {
               return fail(ErrorKind::corrupt, fmt::format("{} is longer than the {} bytes that "
                                                           "its manifest says",
                                                           wanted.digest.str(), wanted.size));
             }
             left -= data.size();
             return sink(data);
           });
         }));
  if (got.digest == wanted.digest && got.size == wanted.size) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("got {} bytes with digest {} where {} bytes with {} were promised",
                          got.size, got.digest.str(), wanted.size, wanted.digest.str()),
              "the source is damaged or lies: fetch it again");
}

Result<void> Writer::finish(std::string_view index_json, std::string name, std::string version,
                            WallTime created_at, const PrivateKey& key) {
  BP_CHECK(append("oci-layout", layout_json));
  BP_CHECK(append("index.json", index_json));
  // A shorter blob may have been overwritten by nothing: the end is where the archive says it is.
  if (::ftruncate(file_.fd(), static_cast<off_t>(end_)) != 0 ||
      ::ftruncate(file_.fd(), static_cast<off_t>(end_ + 2 * tar_block)) != 0) {
    return fail(system_error(errno, "cannot set the bundle's length"));
  }
  header_.name = std::move(name);
  header_.version = std::move(version);
  header_.created_at = created_at;
  auto json = to_json_text(header_);
  const auto room = reserved_ - preamble_size;
  if (json.size() > room) {
    return fail(ErrorKind::internal,
                fmt::format("the header needs {} bytes, {} are reserved", json.size(), room));
  }
  json.resize(room, ' ');
  // Everything is on disk before the signature says so.
  if (::fsync(file_.fd()) != 0) return fail(system_error(errno, "cannot sync the bundle"));
  const auto content = sign_header(json, key);
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(tar_header(header_name, content.size())), 0));
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(content), tar_block));
  return file_.commit();
}

}  // namespace bedplate::bundle
