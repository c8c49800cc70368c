#include "airgap-bundle/bundle/format.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/json.hpp"

namespace bedplate::bundle {
namespace {

constexpr std::string_view magic("BEDPLATE-BUNDLE\0", 16);
constexpr std::string_view blob_prefix = "blobs/sha256/";

void append_little_endian(std::string& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 255U);
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    value = value << 8U | static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

/// What the signature covers: the preamble without the signature, and the JSON.
std::string signed_part(std::string_view key_id, std::string_view json) {
  std::string out(magic);
  append_little_endian(out, format_version, 4);
  append_little_endian(out, json.size(), 8);
  out += key_id;
  out += json;
  return out;
}

std::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorKind::corrupt, "the bundle's header: " + std::move(what));
}

Result<Entry> parse_entry(const Json& object) {
  Entry entry;
  BP_TRY(entry.path, json_string(object, "path"));
  BP_TRY(const auto digest, json_string(object, "digest"));
  BP_TRY(entry.digest, Digest::parse(digest));
  BP_TRY(entry.size, json_uint(object, "size"));
  BP_TRY(entry.offset, json_uint(object, "offset"));
  const bool plain = entry.path == "oci-layout" || entry.path == "index.json";
  if (!plain && entry.path != std::string(blob_prefix) + entry.digest.hex()) {
    return fail(ErrorKind::corrupt, fmt::format("entry '{}' has an impossible path", entry.path));
  }
  return entry;
}

/// Entries stand one behind the other without gaps: nothing unsigned can hide in the file.
Result<void> check_layout(const std::vector<Entry>& entries) {
  std::set<std::string_view> paths;
  const Entry* before = nullptr;
  for (const auto& entry : entries) {
    if (!paths.insert(entry.path).second) return corrupt(entry.path + " is listed twice");
    if (entry.size > 1ULL << 60 || entry.offset > 1ULL << 60) return corrupt("a size is absurd");
    if (before != nullptr && entry.offset != before->offset + padded(before->size) + tar_block) {
      return corrupt(fmt::format("{} is not where its predecessor ends", entry.path));
    }
    before = &entry;
  }
  const auto count = entries.size();
  if (count < 2 || entries[count - 2].path != "oci-layout" ||
      entries[count - 1].path != "index.json") {
    return corrupt("oci-layout and index.json are not the last two entries");
  }
  return {};
}

Result<ImageEntry> parse_image(const Json& object) {
  ImageEntry image;
  BP_TRY(image.name, json_string(object, "name"));
  BP_TRY(const auto digest, json_string(object, "digest"));
  BP_TRY(image.digest, Digest::parse(digest));
  BP_TRY(image.media_type, json_string(object, "mediaType"));
  image.provenance = json_string_or(object, "provenance", "");
  if (object.contains("index")) {
    BP_TRY(const auto index, json_string(object, "index"));
    BP_TRY(image.index, Digest::parse(index));
  }
  return image;
}

Result<std::string> parse_text(const Json& item) {
  if (item.is_string()) return item.get<std::string>();
  return fail(ErrorKind::corrupt, "a list has something else than text");
}

Result<ArtifactEntry> parse_artifact(const Json& object) {
  ArtifactEntry artifact;
  BP_TRY(artifact.name, json_string(object, "name"));
  BP_TRY(artifact.version, json_string(object, "version"));
  BP_TRY(const auto digest, json_string(object, "digest"));
  BP_TRY(artifact.digest, Digest::parse(digest));
  artifact.provenance = json_string_or(object, "provenance", "");
  return artifact;
}

/// `optional`: an absent list is an empty one.
template <class T, class Parse>
Result<std::vector<T>> parse_list(const Json& object, std::string_view key, Parse parse,
                                  bool optional = false) {
  const auto found = object.find(key);
  if (found == object.end() && optional) return std::vector<T>{};
  if (found == object.end() || !found->is_array()) {
    return fail(ErrorKind::corrupt, fmt::format("field '{}' must be a list", key));
  }
  std::vector<T> out;
  for (const auto& item : *found) {
    BP_TRY(auto value, parse(item));
    out.push_back(std::move(value));
  }
  return out;
}

Result<ChartEntry> parse_chart(const Json& object) {
  ChartEntry chart;
  BP_TRY(chart.name, json_string(object, "name"));
  BP_TRY(chart.version, json_string(object, "version"));
  BP_TRY(chart.name_space, json_string(object, "namespace"));
  BP_TRY(const auto digest, json_string(object, "digest"));
  BP_TRY(chart.digest, Digest::parse(digest));
  BP_TRY(chart.values, parse_list<Digest>(object, "values", [](const Json& item) -> Result<Digest> {
           BP_TRY(const auto text, parse_text(item));
           return Digest::parse(text);
         }));
  BP_TRY(chart.api_versions, parse_list<std::string>(object, "apiVersions", parse_text));
  chart.provenance = json_string_or(object, "provenance", "");
  return chart;
}

Result<AllowanceEntry> parse_allowance(const Json& object) {
  AllowanceEntry out;
  BP_TRY(out.image, json_string(object, "image"));
  BP_TRY(out.reason, json_string(object, "reason"));
  return out;
}

Result<ReferrerEntry> parse_referrer(const Json& object) {
  ReferrerEntry out;
  BP_TRY(out.repository, json_string(object, "repository"));
  BP_TRY(const auto subject, json_string(object, "subject"));
  BP_TRY(out.subject, Digest::parse(subject));
  BP_TRY(const auto digest, json_string(object, "digest"));
  BP_TRY(out.digest, Digest::parse(digest));
  BP_TRY(out.media_type, json_string(object, "mediaType"));
  out.artifact_type = json_string_or(object, "artifactType", "");
  out.tag = json_string_or(object, "tag", "");
  return out;
}

Result<ElsewhereEntry> parse_elsewhere(const Json& object) {
  ElsewhereEntry out;
  BP_TRY(const auto digest, json_string(object, "digest"));
  BP_TRY(out.digest, Digest::parse(digest));
  BP_TRY(out.size, json_uint(object, "size"));
  return out;
}

/// What is found by its name must have it alone.
template <class T>
Result<void> check_unique(const std::vector<T>& list, std::string_view kind) {
  std::set<std::string_view> names;
  for (const auto& item : list) {
    if (!names.insert(item.name).second) {
      return corrupt(fmt::format("{} {} is listed twice", kind, item.name));
    }
  }
  return {};
}

/// Everything that the header names must be among its entries, or be said to be elsewhere.
Result<void> check_names(const Header& header) {
  std::set<Digest> elsewhere;
  for (const auto& blob : header.elsewhere) {
    if (header.find(blob.digest) != nullptr || !elsewhere.insert(blob.digest).second) {
      return corrupt(blob.digest.str() + " is elsewhere twice, or here as well");
    }
  }
  const auto check = [&](const std::string& name, const Digest& digest) -> Result<void> {
    if (header.find(digest) != nullptr || elsewhere.contains(digest)) return {};
    return corrupt(fmt::format("{} has no {}", name, digest.str()));
  };
  for (const auto& image : header.images) {
    BP_CHECK(check(image.name, image.digest));
    if (image.index) BP_CHECK(check(image.name, *image.index));
  }
  for (const auto& artifact : header.artifacts) BP_CHECK(check(artifact.name, artifact.digest));
  for (const auto& chart : header.charts) {
    BP_CHECK(check(chart.name, chart.digest));
    for (const auto& values : chart.values) BP_CHECK(check(chart.name, values));
  }
  for (const auto& referrer : header.referrers) {
    BP_CHECK(check("what refers to " + referrer.repository, referrer.digest));
  }
  if (header.complete && header.find(*header.complete) == nullptr) {
    return corrupt("the header of the complete bundle is not in the file");
  }
  BP_CHECK(check_unique(header.images, "image"));
  BP_CHECK(check_unique(header.artifacts, "artifact"));
  return check_unique(header.charts, "chart");
}

Result<Header> parse_checked(const Json& object) {
  Header header;
  BP_TRY(header.name, json_string(object, "name"));
  BP_TRY(header.version, json_string(object, "version"));
  BP_TRY(const auto created, json_string(object, "createdAt"));
  BP_TRY(header.created_at, parse_rfc3339(created));
  BP_TRY(header.entries, parse_list<Entry>(object, "entries", parse_entry));
  BP_TRY(header.images, parse_list<ImageEntry>(object, "images", parse_image));
  BP_TRY(header.artifacts, parse_list<ArtifactEntry>(object, "artifacts", parse_artifact));
  BP_TRY(header.charts, parse_list<ChartEntry>(object, "charts", parse_chart, true));
  BP_TRY(header.allowances,
         parse_list<AllowanceEntry>(object, "allowMissing", parse_allowance, true));
  BP_TRY(header.referrers, parse_list<ReferrerEntry>(object, "referrers", parse_referrer, true));
  BP_TRY(header.elsewhere, parse_list<ElsewhereEntry>(object, "elsewhere", parse_elsewhere, true));
  if (object.contains("complete")) {
    BP_TRY(const auto complete, json_string(object, "complete"));
    BP_TRY(header.complete, Digest::parse(complete));
  }
  BP_CHECK(check_layout(header.entries));
  header.reindex();
  BP_CHECK(check_names(header));
  return header;
}

Json referrers_json(const std::vector<ReferrerEntry>& referrers) {
  Json out = Json::array();
  for (const auto& item : referrers) {
    out.push_back({{"repository", item.repository},
                   {"subject", item.subject.str()},
                   {"digest", item.digest.str()},
                   {"mediaType", item.media_type},
                   {"artifactType", item.artifact_type},
                   {"tag", item.tag}});
  }
  return out;
}

Json charts_json(const std::vector<ChartEntry>& charts) {
  Json out = Json::array();
  for (const auto& chart : charts) {
    Json values = Json::array();
    for (const auto& digest : chart.values) values.push_back(digest.str());
    out.push_back({{"name", chart.name},
                   {"version", chart.version},
                   {"namespace", chart.name_space},
                   {"digest", chart.digest.str()},
                   {"values", std::move(values)},
                   {"apiVersions", chart.api_versions},
                   {"provenance", chart.provenance}});
  }
  return out;
}

}  // namespace

void Header::add(Entry entry) {
  if (entry.path.starts_with(blob_prefix)) by_digest_.emplace(entry.digest, entries.size());
  entries.push_back(std::move(entry));
}

void Header::reindex() {
  by_digest_.clear();
  for (auto& entry : std::exchange(entries, {})) add(std::move(entry));
}

const Entry* Header::find(const Digest& digest) const {
  const auto found = by_digest_.find(digest);
  return found == by_digest_.end() ? nullptr : &entries[found->second];
}

const ArtifactEntry* Header::artifact(std::string_view artifact_name) const {
  const auto found = std::ranges::find(artifacts, artifact_name, &ArtifactEntry::name);
  return found == artifacts.end() ? nullptr : &*found;
}

std::string to_json_text(const Header& header) {
  Json entries = Json::array();
  for (const auto& entry : header.entries) {
    entries.push_back({{"path", entry.path},
                       {"digest", entry.digest.str()},
                       {"size", entry.size},
                       {"offset", entry.offset}});
  }
  Json images = Json::array();
  for (const auto& image : header.images) {
    images.push_back({{"name", image.name},
                      {"digest", image.digest.str()},
                      {"mediaType", image.media_type},
                      {"provenance", image.provenance}});
    if (image.index) images.back()["index"] = image.index->str();
  }
  Json artifacts = Json::array();
  for (const auto& artifact : header.artifacts) {
    artifacts.push_back({{"name", artifact.name},
                         {"version", artifact.version},
                         {"digest", artifact.digest.str()},
                         {"provenance", artifact.provenance}});
  }
  Json out{{"name", header.name},
           {"version", header.version},
           {"createdAt", format_rfc3339(header.created_at)},
           {"entries", std::move(entries)},
           {"images", std::move(images)},
           {"artifacts", std::move(artifacts)}};
  if (!header.charts.empty()) out["charts"] = charts_json(header.charts);
  if (!header.referrers.empty()) out["referrers"] = referrers_json(header.referrers);
  for (const auto& blob : header.elsewhere) {
    out["elsewhere"].push_back({{"digest", blob.digest.str()}, {"size", blob.size}});
  }
  if (header.complete) out["complete"] = header.complete->str();
  for (const auto& item : header.allowances) {
    out["allowMissing"].push_back({{"image", item.image}, {"reason", item.reason}});
  }
  return out.dump();
}

Result<Header> parse_header(std::string_view json) {
  auto object = parse_json(json, "the bundle's header");
  if (!object) return fail(ErrorKind::corrupt, object.error().what);
  auto header = parse_checked(*object);
  if (!header) {
    header.error().kind = ErrorKind::corrupt;
    header.error().during("reading the bundle's header");
  }
  return header;
}

std::string sign_header(std::string_view json, const PrivateKey& key) {
  const auto key_id = key.public_key().key_id();
  const auto message = signed_part(key_id, json);
  std::string out = message.substr(0, message.size() - json.size());
  out += key.sign(message);
  out += json;
  return out;
}

Result<Preamble> parse_preamble(std::string_view bytes) {
  if (bytes.size() < preamble_size || bytes.substr(0, magic.size()) != magic) {
    return fail(ErrorKind::corrupt, "this is not a Bedplate bundle",
                "name the file that `bedplate bundle create` wrote");
  }
  const auto version = little_endian(bytes.substr(16, 4));
  if (version != format_version) {
    return fail(ErrorKind::unsupported,
                fmt::format("the bundle has format {}; this program reads format {}", version,
                            format_version),
                "use the bedplate that made the bundle");
  }
  Preamble preamble;
  preamble.json_length = little_endian(bytes.substr(20, 8));
  preamble.key_id = bytes.substr(28, 32);
  preamble.signature = bytes.substr(60, 64);
  if (preamble.json_length > largest_header) return corrupt("larger than allowed");
  return preamble;
}

Result<PublicKey> verify_header(const Preamble& preamble, std::string_view json,
                                std::span<const PublicKey> trusted) {
  for (const auto& key : trusted) {
    if (key.key_id() != preamble.key_id) continue;
    auto checked = key.verify(signed_part(preamble.key_id, json), preamble.signature);
    if (checked) return key;
    return fail(std::move(checked)
                    .error()
                    .with_hint("its header is damaged or was changed: copy it again from where it "
                               "was made")
                    .during("checking the bundle's signature"));
  }
  std::string known;
  for (const auto& key : trusted) known += "\n" + key.fingerprint();
  return fail(
      ErrorKind::untrusted,
      "the bundle is signed by a key that is not trusted here; trusted:" +
          (known.empty() ? " none" : known),
      "use the bundle that belongs to this site, or the medium that belongs to this bundle");
}

std::string tar_header(std::string_view path, std::uint64_t size) {
  std::string block(tar_block, '\0');
  const auto put = [&](std::size_t at, std::string_view text) {
    std::memcpy(block.data() + at, text.data(), text.size());
  };
  put(0, path);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  if (size < 1ULL << 33) {
    put(124, fmt::format("{:011o}", size));
  } else {
    block[124] = static_cast<char>(0x80);
    for (unsigned i = 0; i < 8; ++i) {
      block[135 - i] = static_cast<char>((size >> (8 * i)) & 255U);
    }
  }
  put(136, "00000000000");
  put(148, "        ");
  block[156] = '0';
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  return block;
}

}  // namespace bedplate::bundle
