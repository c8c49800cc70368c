// Making a differential bundle out of a complete one.

#include <set>

#include <fmt/format.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/sets/copy.hpp"
#include "airgap-bundle/sets/delta.hpp"
#include "core/file.hpp"

namespace bedplate::sets {
namespace {

constexpr std::size_t read_size = std::size_t{256} << 10;
/// Besides the blobs of the complete bundle: its header, oci-layout, index.json.
constexpr std::size_t most_others = 3;

/// What the header names: with it, a differential bundle says of itself what it brings.
std::set<Digest> named_manifests(const bundle::Header& header) {
  std::set<Digest> out;
  for (const auto& image : header.images) {
    out.insert(image.digest);
    if (image.index) out.insert(*image.index);
  }
  for (const auto& artifact : header.artifacts) out.insert(artifact.digest);
  for (const auto& chart : header.charts) out.insert(chart.digest);
  for (const auto& referrer : header.referrers) out.insert(referrer.digest);
  return out;
}

struct Choice {
  std::vector<bundle::Descriptor> blobs;  ///< of the complete bundle, in its order
  bundle::BlobSizes have;                 ///< of these, what is left out
  std::string index_json;
  std::string complete;  ///< signed header of the complete bundle
  std::size_t name_bytes = 0;
  DiffPlan plan;
};

Result<Choice> choose(const DiffOptions& options, const bundle::Reader& reader) {
  const auto& header = reader.header();
  if (!header.elsewhere.empty()) {
    return fail(ErrorKind::invalid,
                fmt::format("{} is a differential bundle itself", options.bundle.string()),
                "make it complete with `bedplate bundle apply` first");
  }
  Choice out;
  const auto named = named_manifests(header);
  for (const auto& entry : header.entries) {
    if (header.find(entry.digest) != &entry) {
      if (entry.path != "index.json") continue;
      BP_TRY(out.index_json,
             bundle::read_text(bundle::read_from(reader.fd()), entry.offset, entry.size));
      if (Digest::of(out.index_json) != entry.digest) {
        return fail(ErrorKind::corrupt,
                    fmt::format("index.json of {} is damaged", options.bundle.string()),
                    "copy the bundle again from where it was made");
      }
      continue;
    }
    out.blobs.push_back({entry.digest, entry.size});
    const auto had = options.have.find(entry.digest);
    const bool left_out =
        had != options.have.end() && had->second == entry.size && !named.contains(entry.digest);
    if (left_out) out.have.emplace(entry.digest, entry.size);
    (left_out ? out.plan.elsewhere : out.plan.here) += entry.size;
  }
  BP_TRY(out.complete, reader.signed_content());
  auto names = header;
  names.entries.clear();
  out.name_bytes = bundle::to_json_text(names).size();
  const auto size = out.plan.here + out.complete.size() +
                    bundle::Writer::reserved_for(out.blobs.size() + most_others, out.name_bytes) +
                    (out.blobs.size() - out.have.size() + most_others) * 2 * bundle::tar_block;
  BP_TRY(out.plan.space, measure_space({{std::filesystem::absolute(options.output).parent_path(),
                                         size, size, options.output.string()}}));
  return out;
}

Result<void> copy_known(const bundle::Reader& reader, bundle::Writer& writer, std::size_t index,
                        Progress* progress) {
  const auto& blob = writer.known(index);
  const auto& entry = *reader.header().find(blob.digest);
  return writer.complete(
      index, [&](std::uint64_t from, const bundle::Writer::Sink& sink) -> Result<void> {
        std::vector<std::byte> block(read_size);
        for (auto done = from; done < entry.size;) {
          const auto piece = std::span(block).first(
              static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), entry.size - done)));
          BP_CHECK(read_exactly_at(reader.fd(), piece, entry.offset + done));
          BP_CHECK(sink(piece));
          done += piece.size();
          if (progress != nullptr) progress->advance(piece.size());
        }
        return {};
      });
}

Result<bundle::Header> make(const DiffOptions& options, std::span<const PublicKey> trusted,
                            const PrivateKey& key, Progress* progress) {
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, trusted));
  BP_TRY(const auto choice, choose(options, reader));
  BP_CHECK(require_space(choice.plan.space));
  BP_TRY(auto writer, bundle::Writer::create(options.output, most_others, choice.name_bytes,
                                             choice.blobs, choice.have));
  if (progress != nullptr) {
    progress->begin("diff " + options.output.filename().string(), choice.plan.here);
    progress->advance(writer.continued());
  }
  BP_CHECK(on_all_processors(writer.known_count(), [&](std::size_t i) {
    return copy_known(reader, writer, i, progress);
  }));
  BP_TRY(const auto complete, writer.add(choice.complete));
  const auto& header = reader.header();
  writer.describe(header, complete.digest);
  BP_CHECK(writer.finish(choice.index_json, header.name, header.version, header.created_at, key));
  if (progress != nullptr) progress->end();
  return writer.header();
}

}  // namespace

Result<DiffPlan> plan_diff(const DiffOptions& options, std::span<const PublicKey> trusted) {
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, trusted));
  BP_TRY(const auto choice, choose(options, reader));
  return choice.plan;
}

Result<bundle::Header> diff(const DiffOptions& options, std::span<const PublicKey> trusted,
                            const PrivateKey& key, Progress* progress) {
  BP_TRY_DURING(auto header, "making differential bundle " + options.output.string(),
                make(options, trusted, key, progress));
  return header;
}

}  // namespace bedplate::sets
