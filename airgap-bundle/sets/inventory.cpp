#include "airgap-bundle/sets/inventory.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "airgap-bundle/sets/envelope.hpp"
#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate::sets {
namespace {

constexpr std::uint64_t largest_inventory = 32ULL << 20;  ///< of 200,000 blobs

Result<void> parse_blobs(const Json& list, Inventory& out) {
  for (const auto& item : list) {
    BP_TRY(const auto text, json_string(item, "digest"));
    BP_TRY(const auto digest, Digest::parse(text));
    BP_TRY(const auto size, json_uint(item, "size"));
    const auto [known, added] = out.blobs.emplace(digest, size);
    if (!added && known->second != size) {
      return fail(ErrorKind::invalid, fmt::format("{} has two sizes", text));
    }
  }
  return {};
}

Result<void> parse_images(const Json& list, Inventory& out) {
  for (const auto& item : list) {
    BP_TRY(auto name, json_string(item, "name"));
    BP_TRY(const auto text, json_string(item, "digest"));
    BP_TRY(const auto digest, Digest::parse(text));
    out.images.insert_or_assign(std::move(name), digest);
  }
  return {};
}

Result<Json> list_of(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (object.is_object() && found != object.end() && found->is_array()) return *found;
  return fail(ErrorKind::invalid, fmt::format("field '{}' must be a list", key));
}

Result<bool> begins_with_brace(const std::string& path) {
  BP_TRY(const auto fd, open_file(path, O_RDONLY));
  std::byte first{};
  return read_exactly_at(fd.get(), std::span(&first, 1), 0) && first == std::byte{'{'};
}

}  // namespace

void Inventory::add(const bundle::Reader& reader) {
  const auto& header = reader.header();
  sources.push_back(fmt::format("bundle {} {}", header.name, header.version));
  for (const auto& entry : header.entries) {
    if (header.find(entry.digest) == &entry) blobs.emplace(entry.digest, entry.size);
  }
  for (const auto& image : header.images) images.insert_or_assign(image.name, image.digest);
}

std::string Inventory::to_text() const {
  Json blob_list = Json::array();
  for (const auto& [digest, size] : blobs) {
    blob_list.push_back({{"digest", digest.str()}, {"size", size}});
  }
  Json image_list = Json::array();
  for (const auto& [name, digest] : images) {
    image_list.push_back({{"name", name}, {"digest", digest.str()}});
  }
  return Json{{"kind", "Inventory"},
              {"createdAt", format_rfc3339(created_at)},
              {"sources", sources},
              {"blobs", std::move(blob_list)},
              {"images", std::move(image_list)}}
      .dump();
}

Result<Inventory> Inventory::parse(std::string_view text) {
  BP_TRY(const auto value, parse_json(text, "the inventory"));
  BP_TRY(const auto kind, json_string(value, "kind"));
  if (kind != "Inventory") {
    return fail(ErrorKind::invalid, fmt::format("this is no inventory but '{}'", kind));
  }
  Inventory out;
  BP_TRY(const auto created, json_string(value, "createdAt"));
  BP_TRY(out.created_at, parse_rfc3339(created));
  BP_TRY(const auto source_list, list_of(value, "sources"));
  for (const auto& item : source_list) {
    if (item.is_string()) out.sources.push_back(item.get<std::string>());
  }
  BP_TRY(const auto blob_list, list_of(value, "blobs"));
  BP_CHECK(parse_blobs(blob_list, out));
  BP_TRY(const auto image_list, list_of(value, "images"));
  BP_CHECK(parse_images(image_list, out));
  return out;
}

std::string sign_inventory(const Inventory& inventory, const PrivateKey& key) {
  return seal_document(inventory_type, inventory.to_text(), key);
}

Result<Inventory> read_inventory(std::string_view text, std::span<const PublicKey> trusted,
                                 bool unsigned_too) {
  auto opened = open_document(inventory_type, text, trusted, unsigned_too);
  if (!opened && opened.error().kind == ErrorKind::untrusted) {
    return fail(ErrorKind::untrusted, "the inventory is not signed by a key that is trusted here",
                "name the key of whoever made it with --trust, or take it as it is with "
                "--unsigned-inventory: at worst too little is carried");
  }
  if (!opened) return fail(std::move(opened).error());
  return Inventory::parse(opened->payload);
}

Result<bundle::BlobSizes> read_have(const std::vector<std::string>& files,
                                    std::span<const PublicKey> trusted, bool unsigned_too) {
  Inventory sum;
  for (const auto& file : files) {
    BP_TRY(const auto is_json, begins_with_brace(file));
    if (!is_json) {
      BP_TRY(const auto reader, bundle::Reader::open(file, trusted));
      sum.add(reader);
      continue;
    }
    BP_TRY(const auto text, read_file(file, largest_inventory));
    BP_TRY_DURING(const auto inventory, "reading inventory " + file,
                  read_inventory(text, trusted, unsigned_too));
    sum.blobs.insert(inventory.blobs.begin(), inventory.blobs.end());
  }
  return sum.blobs;
}

}  // namespace bedplate::sets
