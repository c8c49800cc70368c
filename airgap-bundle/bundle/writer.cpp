#include "airgap-bundle/bundle/writer.hpp"

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/direct_writer.hpp"

namespace bedplate::bundle {
namespace {

constexpr std::string_view layout_json = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view blob_folder = "blobs/sha256/";
/// What one entry may take of the header's JSON: a path, a digest, two numbers.
constexpr std::size_t bytes_per_entry = 260;
constexpr std::size_t bytes_besides = 8192;
/// The kernel is told to start writing after this much, so that the sync at the end is short.
constexpr std::uint64_t write_behind = 8ULL << 20;

/// Starts writing to the disk what has grown by write_behind since the last time; waits for
/// nothing.
class WriteBehind {
 public:
  WriteBehind(int fd, std::uint64_t start) : fd_(fd), told_(start) {}
  void reached(std::uint64_t end) {
    if (end - told_ < write_behind) return;
    (void)::sync_file_range(fd_, static_cast<off_t>(told_), static_cast<off_t>(end - told_),
                            SYNC_FILE_RANGE_WRITE);
    told_ = end;
  }

 private:
  int fd_;
  std::uint64_t told_;
};

/// Where the known blobs come to lie.
struct Layout {
  std::vector<Placed> placed;
  std::vector<Descriptor> left_out;  ///< that the base has
  std::uint64_t reserved = 0;        ///< for the header
  std::uint64_t end = 0;
};

Layout lay_out(std::size_t most_others, std::size_t name_bytes, std::span<const Descriptor> known,
               const BlobSizes& have) {
  Layout out;
  std::set<Digest> seen;
  out.reserved = Writer::reserved_for(most_others + known.size(), name_bytes);
  out.end = tar_block + out.reserved;
  for (const auto& blob : known) {
    if (!seen.insert(blob.digest).second) continue;
    if (const auto had = have.find(blob.digest); had != have.end() && had->second == blob.size) {
      out.left_out.push_back(blob);
      continue;
    }
    out.placed.push_back({blob.digest, blob.size, out.end + tar_block});
    out.end += tar_block + padded(blob.size);
  }
  return out;
}

}  // namespace

std::uint64_t Writer::reserved_for(std::size_t entries, std::size_t name_bytes) {
  return padded(preamble_size + entries * bytes_per_entry + name_bytes + bytes_besides);
}

Result<Writer> Writer::create(const std::filesystem::path& path, std::size_t most_others,
                              std::size_t name_bytes, std::span<const Descriptor> known,
                              BlobSizes have) {
  auto layout = lay_out(most_others, name_bytes, known, have);
  if (layout.reserved - preamble_size > largest_header) {
    return fail(ErrorKind::unsupported,
                fmt::format("{} blobs are more than the header of a bundle holds",
                            most_others + known.size()),
                "make several bundles of it");
  }
  BP_TRY_DURING(auto file, "creating bundle " + path.string(),
                PartialFile::open(path, layout.placed));
  Writer writer(std::move(file));
  writer.direct_ = open_direct(writer.file_.fd());
  writer.reserved_ = layout.reserved;
  writer.end_ = layout.end;
  writer.have_ = std::move(have);
  for (const auto& blob : layout.left_out) writer.leave_out(blob);
  writer.continued_ = writer.file_.total_written();
  writer.complete_.resize(layout.placed.size());
  for (const auto& blob : layout.placed) {
    writer.header_.add(
        Entry{std::string(blob_folder) + blob.digest.hex(), blob.digest, blob.size, blob.offset});
  }
  writer.placed_ = std::move(layout.placed);
  // What an earlier run appended is made again; where it ended nobody knows.
  if (::ftruncate(writer.file_.fd(), static_cast<off_t>(layout.end)) != 0) {
    return fail(system_error(errno, "cannot set the length of " + path.string() + ".partial"));
  }
  return writer;
}

std::uint64_t Writer::bytes_here(const std::filesystem::path& path, std::size_t most_others,
                                 std::size_t name_bytes, std::span<const Descriptor> known,
                                 const BlobSizes& have) {
  return PartialFile::bytes_here(path, lay_out(most_others, name_bytes, known, have).placed);
}

/// How far the blob is as the state claims. What was written is fed to `hash`; a complete blob that
/// is not what it should be counts as nothing.
Result<std::uint64_t> Writer::check_written(const Placed& blob, std::uint64_t claimed,
                                            Sha256& hash) {
  claimed = std::min(claimed, blob.size);
  std::vector<std::byte> block(std::min<std::uint64_t>(claimed, 256U << 10));
  for (std::uint64_t done = 0; done < claimed;) {
    const auto part = std::span(block).first(std::min<std::uint64_t>(block.size(), claimed - done));
    BP_CHECK(read_exactly_at(file_.fd(), part, blob.offset + done));
    hash.update(part);
    done += part.size();
  }
  return claimed;
}

/// Writes the blob from `from` on. False: the bytes are not what the digest says.
Result<bool> Writer::write_rest(std::size_t index, std::uint64_t from, Sha256 hash,
                                const FillFrom& fill) {
  const auto& blob = placed_[index];
  auto done = from;
  DirectWriter out(file_.fd(), direct_.get(), blob.offset + from);
  WriteBehind behind(file_.fd(), blob.offset + from);
  const auto wrote = [&] {
    file_.set_written(index, out.written() - blob.offset);
    behind.reached(out.written());
  };
  const Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
    if (data.size() > blob.size - done) {
      return fail(ErrorKind::corrupt, fmt::format("{} is longer than the {} bytes that its "
                                                  "manifest says",
                                                  blob.digest.str(), blob.size));
    }
    BP_CHECK(out.write(data));
    hash.update(data);
    done += data.size();
    wrote();
    return {};
  };
  Result<void> filled;
  if (from < blob.size || blob.size == 0) filled = fill(from, sink);
  // What came before a line was cut is worth keeping, too.
  BP_CHECK(out.flush());
  wrote();
  BP_CHECK(std::move(filled));
  if (done == blob.size && hash.finish() == blob.digest) return true;
  file_.set_written(index, 0);
  return false;
}

Result<void> Writer::complete(std::size_t index, const FillFrom& fill) {
  const auto& blob = placed_[index];
  Sha256 hash;
  BP_TRY(const auto from, check_written(blob, file_.written(index), hash));
  BP_TRY(auto right, write_rest(index, from, std::move(hash), fill));
  // The disk, not the source, may be to blame for what lay here from before.
  if (!right && from > 0) {
    BP_TRY(right, write_rest(index, 0, Sha256(), fill));
  }
  if (!right) {
    return fail(ErrorKind::corrupt,
                fmt::format("what came for {} ({} bytes) has another digest or is shorter",
                            blob.digest.str(), blob.size),
                "the source is damaged or lies: fetch it again");
  }
  const auto head = tar_header(std::string(blob_folder) + blob.digest.hex(), blob.size);
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(head), blob.offset - tar_block));
  const std::string padding(padded(blob.size) - blob.size, '\0');
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(padding), blob.offset + blob.size));
  complete_[index] = 1;
  return {};
}

Result<void> Writer::end_entry(std::string path, const Digest& digest, std::uint64_t size) {
  // A blob that was there already may have left its bytes here.
  const std::string padding(padded(size) - size, '\0');
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(padding), end_ + tar_block + size));
  header_.add(Entry{std::move(path), digest, size, end_ + tar_block});
  end_ += tar_block + padded(size);
  return {};
}

Result<void> Writer::append(std::string path, std::string_view content) {
  const auto head = tar_header(path, content.size());
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(head), end_));
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(content), end_ + tar_block));
  return end_entry(std::move(path), Digest::of(content), content.size());
}

bool Writer::has(const Digest& digest) const {
  return header_.find(digest) != nullptr || elsewhere_.contains(digest);
}

/// Whether the base has it; then the header says so.
bool Writer::leave_out(const Descriptor& blob) {
  const auto had = have_.find(blob.digest);
  if (had == have_.end() || had->second != blob.size) return false;
  if (elsewhere_.insert(blob.digest).second) header_.elsewhere.push_back({blob.digest, blob.size});
  return true;
}

void Writer::describe(Header names, const Digest& complete) {
  names.entries = std::move(header_.entries);
  names.elsewhere = std::move(header_.elsewhere);
  names.complete = complete;
  header_ = std::move(names);
  header_.reindex();
}

Result<Descriptor> Writer::add(std::string_view content) {
  const Descriptor out{Digest::of(content), content.size()};
  if (!has(out.digest)) BP_CHECK(append(std::string(blob_folder) + out.digest.hex(), content));
  return out;
}

Result<Descriptor> Writer::add_stream(const Fill& fill) {
  Sha256 hash;
  std::uint64_t size = 0;
  const auto start = end_ + tar_block;
  WriteBehind behind(file_.fd(), start);
  const Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
    BP_CHECK(write_all_at(file_.fd(), data, start + size));
    hash.update(data);
    size += data.size();
    behind.reached(start + size);
    return {};
  };
  BP_CHECK(fill(sink));
  const Descriptor out{hash.finish(), size};
  // The same content again: what was just written is overwritten by the next blob.
  if (has(out.digest) || leave_out(out)) return out;
  auto path = std::string(blob_folder) + out.digest.hex();
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(tar_header(path, size)), end_));
  BP_CHECK(end_entry(std::move(path), out.digest, size));
  return out;
}

/// The content of the header's entry: signed, and filled up to what is reserved.
Result<std::string> Writer::signed_header(const Header& header, const PrivateKey& key) const {
  auto json = to_json_text(header);
  const auto room = reserved_ - preamble_size;
  if (json.size() > room) {
    return fail(ErrorKind::internal,
                fmt::format("the header needs {} bytes, {} are reserved", json.size(), room));
  }
  json.resize(room, ' ');
  return sign_header(json, key);
}

/// The bundle that this one and its base are together, laid out as if it were written.
Result<void> Writer::add_complete_header(std::string_view index_json, const PrivateKey& key) {
  Header whole = header_;
  const auto blobs = std::exchange(whole.entries, {});
  whole.elsewhere.clear();
  auto end = tar_block + reserved_;
  const auto place = [&](std::string path, const Digest& digest, std::uint64_t size) {
    whole.entries.push_back({std::move(path), digest, size, end + tar_block});
    end += tar_block + padded(size);
  };
  for (const auto& blob : header_.elsewhere) {
    place(std::string(blob_folder) + blob.digest.hex(), blob.digest, blob.size);
  }
  for (const auto& blob : blobs) place(blob.path, blob.digest, blob.size);
  place("oci-layout", Digest::of(layout_json), layout_json.size());
  place("index.json", Digest::of(index_json), index_json.size());
  BP_TRY(const auto content, signed_header(whole, key));
  BP_TRY(const auto blob, add(content));
  header_.complete = blob.digest;
  return {};
}

Result<void> Writer::finish(std::string_view index_json, std::string name, std::string version,
                            WallTime created_at, const PrivateKey& key) {
  if (std::ranges::find(complete_, 0) != complete_.end()) {
    return fail(ErrorKind::internal, "a blob that was laid out is not there");
  }
  header_.name = std::move(name);
  header_.version = std::move(version);
  header_.created_at = created_at;
  if (!header_.elsewhere.empty() && !header_.complete) {
    BP_CHECK(add_complete_header(index_json, key));
  }
  BP_CHECK(append("oci-layout", layout_json));
  BP_CHECK(append("index.json", index_json));
  // A shorter blob may have been overwritten by nothing: the end is where the archive says it is.
  if (::ftruncate(file_.fd(), static_cast<off_t>(end_)) != 0 ||
      ::ftruncate(file_.fd(), static_cast<off_t>(end_ + 2 * tar_block)) != 0) {
    return fail(system_error(errno, "cannot set the bundle's length"));
  }
  BP_TRY(const auto content, signed_header(header_, key));
  // Everything is on disk before the signature says so.
  if (::fsync(file_.fd()) != 0) return fail(system_error(errno, "cannot sync the bundle"));
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(tar_header(header_name, content.size())), 0));
  BP_CHECK(write_all_at(file_.fd(), as_byte_span(content), tar_block));
  return file_.commit();
}

}  // namespace bedplate::bundle
