#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/referrers.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// An image that is in the bundle now.
struct Imported {
  Digest digest;  ///< of the manifest that the name stands for
  std::string media_type;
  std::uint64_t size = 0;                   ///< of the manifest
  std::optional<bundle::Descriptor> index;  ///< that it was chosen from; in the bundle too
};

/// An image that exists already, before its layers are copied.
struct PlannedImage {
  ImageSpec source;  ///< to ask for the layers: by digest where a tag may move
  Imported image;
  std::vector<std::string> documents;   ///< configurations, manifests, indexes: byte for byte
  std::vector<oci::Descriptor> layers;  ///< to be copied byte for byte; referrers' blobs, too
  std::vector<Referrer> referrers;      ///< that are carried along
  std::vector<std::string> notes;       ///< for people
};

/// Reads what an image of a layout, an archive or a registry consists of. Of an index the manifest
/// of its platform is taken, and the name stands for that manifest; when several platforms are
/// asked for, their manifests are taken, and the name stands for the index. ErrorKind::unsupported
/// for schema 1 and foreign layers; corrupt when the source does not hold what its digests say;
/// invalid for another platform; untrusted when it does not satisfy the policy of `sources`. With a
/// lock, the image must be the locked one, and a registry is asked by digest; of what refers to it
/// the locked ones are taken.
Result<PlannedImage> plan_image(const ImageSpec& image, const Sources& sources, const Lock* lock,
                                HttpClient& http);

/// Writes the documents; the layers must be in the bundle.
Result<Imported> finish_image(bundle::Writer& writer, const PlannedImage& plan);

/// What the image's name stands for now, from manifests and signatures alone. `notes` gets what is
/// left out, for people.
Result<LockedImage> resolve_image(const ImageSpec& image, const Sources& sources, HttpClient& http,
                                  std::vector<std::string>& notes);

}  // namespace bedplate::collect
