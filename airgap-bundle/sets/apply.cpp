// Putting a complete bundle together out of a differential one and its base.

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/bundle/partial.hpp"
#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/sets/copy.hpp"
#include "airgap-bundle/sets/delta.hpp"
#include "core/file.hpp"

namespace bedplate::sets {
namespace fs = std::filesystem;
namespace {

/// How many missing blobs an error names.
constexpr std::size_t most_named = 5;

struct Inputs {
  std::vector<bundle::Reader> files;  ///< the differential one first
  std::string content;                ///< of the complete bundle's header
  bundle::SignedHeader complete;
};

/// Where an entry of the complete bundle comes from.
struct Origin {
  const bundle::Reader* file = nullptr;
  std::uint64_t offset = 0;
};

/// oci-layout and index.json go by their paths, since their digests are not indexed; a blob by its
/// digest.
const bundle::Entry* find_in(const bundle::Reader& file, const bundle::Entry& wanted) {
  const auto& header = file.header();
  const auto* entry = header.find(wanted.digest);
  if (entry == nullptr) {
    const auto found = std::ranges::find(header.entries, wanted.path, &bundle::Entry::path);
    entry = found == header.entries.end() ? nullptr : &*found;
  }
  const bool right =
      entry != nullptr && entry->digest == wanted.digest && entry->size == wanted.size;
  return right ? entry : nullptr;
}

Result<Inputs> open_inputs(const ApplyOptions& options, std::span<const PublicKey> trusted) {
  Inputs out;
  BP_TRY(auto delta, bundle::Reader::open(options.delta, trusted));
  const auto complete = delta.header().complete;
  if (!complete) {
    return fail(ErrorKind::invalid,
                fmt::format("{} is no differential bundle: it has no header of a complete one",
                            options.delta.string()),
                "a bundle that is complete is used as it is");
  }
  BP_TRY(out.content, delta.blob(*complete, bundle::preamble_size + bundle::largest_header));
  BP_TRY_DURING(out.complete, "reading the header of the complete bundle",
                bundle::parse_signed_header(out.content, trusted));
  out.files.push_back(std::move(delta));
  for (const auto& base : options.bases) {
    BP_TRY(auto reader, bundle::Reader::open(base, trusted));
    out.files.push_back(std::move(reader));
  }
  return out;
}

Result<std::vector<Origin>> find_origins(const Inputs& inputs) {
  std::vector<Origin> out;
  std::string names;
  std::size_t lacking = 0;
  std::uint64_t bytes = 0;
  for (const auto& wanted : inputs.complete.header.entries) {
    Origin origin;
    for (const auto& file : inputs.files) {
      const auto* entry = find_in(file, wanted);
      if (entry == nullptr) continue;
      origin = {&file, entry->offset};
      break;
    }
    if (origin.file == nullptr) {
      bytes += wanted.size;
      if (++lacking <= most_named) {
        names += fmt::format("\n  {} ({} bytes)", wanted.digest.str(), wanted.size);
      }
    }
    out.push_back(origin);
  }
  if (lacking == 0) return out;
  if (lacking > most_named) names += fmt::format("\n  and {} more", lacking - most_named);
  return fail(ErrorKind::not_found,
              fmt::format("{} blobs ({} bytes) are neither in the differential bundle nor in the "
                          "base:{}",
                          lacking, bytes, names),
              "name the bundle that it was made against with --base; it may be repeated");
}

std::vector<bundle::Placed> places(const bundle::Header& header) {
  std::vector<bundle::Placed> out;
  for (const auto& entry : header.entries) {
    out.push_back({entry.digest, entry.size, entry.offset});
  }
  return out;
}

Result<ApplyPlan> measure(const ApplyOptions& options, const Inputs& inputs,
                          const std::vector<Origin>& origins) {
  ApplyPlan out;
  const auto& entries = inputs.complete.header.entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    (origins[i].file == &inputs.files.front() ? out.from_delta : out.from_bases) += entries[i].size;
  }
  const auto written =
      bundle::PartialFile::bytes_here(options.output, places(inputs.complete.header));
  const auto size = inputs.complete.end;
  BP_TRY(out.space,
         measure_space({{fs::absolute(options.output).parent_path(), size - std::min(size, written),
                         size, options.output.string()}}));
  return out;
}

/// One entry with its tar header. False: the bytes are not what was signed.
Result<bool> copy_entry(const bundle::Entry& entry, const Origin& origin, bundle::PartialFile& file,
                        std::size_t index, std::uint64_t from, Progress* progress) {
  auto reported = from;
  BP_TRY(const auto digest, copy_range(origin.file->fd(), origin.offset, file.fd(), entry.offset,
                                       entry.size, from, [&](std::uint64_t done) -> Result<void> {
                                         file.set_written(index, done);
                                         if (progress != nullptr)
                                           progress->advance(done - reported);
                                         reported = done;
                                         return {};
                                       }));
  if (digest != entry.digest) {
    file.set_written(index, 0);
    return false;
  }
  BP_CHECK(write_all_at(file.fd(), as_byte_span(bundle::tar_header(entry.path, entry.size)),
                        entry.offset - bundle::tar_block));
  return true;
}

Result<void> place_entry(const bundle::Entry& entry, const Origin& origin,
                         bundle::PartialFile& file, std::size_t index, Progress* progress) {
  const auto from = std::min(file.written(index), entry.size);
  if (progress != nullptr) progress->advance(from);
  BP_TRY(auto right, copy_entry(entry, origin, file, index, from, progress));
  // What lay here from before may be to blame.
  if (!right && from > 0) {
    BP_TRY(right, copy_entry(entry, origin, file, index, 0, progress));
  }
  if (right) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("{} of {} is damaged", entry.path, origin.file->path().string()),
              fmt::format("copy {} again; what is here stays", origin.file->path().string()));
}

Result<bundle::SignedHeader> run(const ApplyOptions& options, std::span<const PublicKey> trusted,
                                 Progress* progress) {
  BP_TRY(const auto inputs, open_inputs(options, trusted));
  if (const auto there = bundle::Reader::open(options.output, trusted);
      there && there->digest() == inputs.complete.digest && there->verify(progress)) {
    return inputs.complete;
  }
  BP_TRY(const auto origins, find_origins(inputs));
  BP_TRY(const auto plan, measure(options, inputs, origins));
  BP_CHECK(require_space(plan.space));
  const auto& entries = inputs.complete.header.entries;
  BP_TRY(auto file, bundle::PartialFile::open(options.output, places(inputs.complete.header)));
  // Padding and the end of the archive are zeros, as what was never written is.
  if (::ftruncate(file.fd(), static_cast<off_t>(inputs.complete.end)) != 0) {
    return fail(system_error(errno, "cannot set the bundle's length"));
  }
  if (progress != nullptr) {
    progress->begin("apply " + options.delta.filename().string(), inputs.complete.end);
  }
  BP_CHECK(on_all_processors(entries.size(), [&](std::size_t i) {
    return place_entry(entries[i], origins[i], file, i, progress);
  }));
  if (::fsync(file.fd()) != 0) return fail(system_error(errno, "cannot sync the bundle"));
  BP_CHECK(write_all_at(
      file.fd(), as_byte_span(bundle::tar_header(bundle::header_name, inputs.content.size())), 0));
  BP_CHECK(write_all_at(file.fd(), as_byte_span(inputs.content), bundle::tar_block));
  BP_CHECK(file.commit());
  if (progress != nullptr) progress->end();
  return inputs.complete;
}

}  // namespace

Result<ApplyPlan> plan_apply(const ApplyOptions& options, std::span<const PublicKey> trusted) {
  const auto made = [&]() -> Result<ApplyPlan> {
    BP_TRY(const auto inputs, open_inputs(options, trusted));
    BP_TRY(const auto origins, find_origins(inputs));
    return measure(options, inputs, origins);
  };
  BP_TRY_DURING(auto plan, "planning " + options.output.string(), made());
  return plan;
}

Result<bundle::SignedHeader> apply(const ApplyOptions& options, std::span<const PublicKey> trusted,
                                   Progress* progress) {
  BP_TRY_DURING(auto header, "making complete bundle " + options.output.string(),
                run(options, trusted, progress));
  return header;
}

}  // namespace bedplate::sets
