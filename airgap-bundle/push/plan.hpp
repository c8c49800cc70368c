#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/push/naming.hpp"
#include "airgap-bundle/push/reach.hpp"
#include "airgap-bundle/registry/access.hpp"
#include "airgap-bundle/registry/uploader.hpp"
#include "core/http_client.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::push {

struct Options {
  Target target;
  unsigned workers = 8;  ///< requests at a time
  std::uint64_t chunk = 64ULL << 20;
  std::uint64_t limit_rate = 0;   ///< bytes a second; 0: as fast as they are taken
  std::filesystem::path uploads;  ///< where it is remembered how far uploads are; empty: nowhere
  Clock* clock = nullptr;         ///< nullptr: the system's
  std::function<std::unique_ptr<HttpClient>()> http = make_http_client;
};

/// What is at the registry when an item is pushed, and how to get there. Shared by all threads.
struct Destination {
  const Options& options;
  const registry::Access& access;
  registry::UploadSettings& settings;
  Reach& reach;

  Result<registry::Uploader> open(HttpClient& http, const std::string& repository) const;
};

enum class Role {
  child,     ///< of an index
  content,   ///< what the item is
  index,     ///< that the content was chosen from
  referrer,  ///< that speaks about one of them
};

/// A manifest that is sent.
struct ManifestPlan {
  Role role = Role::content;
  Digest digest;
  std::string media_type;
  std::string reference;  ///< a tag, or its digest
  bool present = false;
  bool absent_here = false;        ///< not in this file: a differential bundle's base has it
  bool sparse = false;             ///< an index with children that are not in the bundle
  std::optional<Digest> replaces;  ///< what the tag means before
  std::optional<Digest> subject;   ///< that it says that it is about
  std::vector<std::size_t> places;
};

enum class Kind { image, chart, artifact, referrer };
std::string_view to_string(Kind kind);

/// What is pushed under one name, or fails alone.
struct ItemPlan {
  Kind kind = Kind::image;
  std::string name;  ///< in the bundle
  oci::Reference target;
  Digest digest;
  std::vector<ManifestPlan> manifests;  ///< in the order of sending; a tag comes last
  std::optional<Error> error;           ///< why nothing is known about it
};

/// A blob in one repository.
struct Place {
  std::size_t blob = 0;
  std::string repository;
  bool needed = false;  ///< by a manifest that is not there
  bool present = false;
  std::optional<Error> error;  ///< why that is not known
};

struct BlobPlan {
  Digest digest;
  std::uint64_t size = 0;                 ///< bytes
  const bundle::Entry* source = nullptr;  ///< absent in a differential bundle
  std::vector<std::size_t> places;
};

struct Plan {
  std::vector<ItemPlan> items;
  std::vector<BlobPlan> blobs;
  std::vector<Place> places;

  /// Whether its manifests are all there.
  static bool complete(const ItemPlan& item);
  /// Whether a blob has to be sent: it is needed, and no repository has it.
  bool is_sent(const BlobPlan& blob) const;
  /// Bytes that will be sent: each blob once.
  std::uint64_t bytes() const;
};

/// What goes where, from the bundle alone. ErrorKind::conflict when two images would get the same
/// name.
Result<Plan> lay_out(const bundle::Reader& reader, const Target& target);

/// Asks the registry what of it is there; writes nothing. What cannot be found out is an error of
/// that item. ErrorKind::network and others when there is no registry.
Result<void> look(Plan& plan, const Destination& destination, Progress* progress);

/// Calls `action(index, http)` for every index below `count`, in several threads.
void in_parallel(std::size_t count, const Options& options,
                 const std::function<void(std::size_t, HttpClient&)>& action);

}  // namespace bedplate::push
