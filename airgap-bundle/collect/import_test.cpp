#include "airgap-bundle/collect/import.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

/// A layout written by hand: an index over two platforms.
class ImportTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto amd = manifest("amd64");
    const auto arm = manifest("arm64");
    index_ = put(Json{{"schemaVersion", 2},
                      {"mediaType", oci::media::index},
                      {"manifests", {for_platform(amd, "amd64"), for_platform(arm, "arm64")}}}
                     .dump(),
                 oci::media::index);
    name_root(index_);
    spec_for("oci:layout");
  }

  Json put(const std::string& content, std::string_view type) {
    const auto digest = Digest::of(content);
    write(layout() / "blobs/sha256" / digest.hex(), content);
    return {{"mediaType", type}, {"digest", digest.str()}, {"size", content.size()}};
  }

  Json manifest(const std::string& architecture,
                const std::string& layer_type = std::string(oci::media::layer_tar)) {
    const auto config = put(Json{{"os", "linux"},
                                 {"architecture", architecture},
                                 {"rootfs", {{"type", "layers"}, {"diff_ids", Json::array()}}}}
                                .dump(),
                            oci::media::config);
    const auto layer = put("a layer for " + architecture, layer_type);
    return put(Json{{"schemaVersion", 2}, {"config", config}, {"layers", {layer}}}.dump(),
               oci::media::manifest);
  }

  static Json for_platform(Json descriptor, const std::string& architecture) {
    descriptor["platform"] = {{"os", "linux"}, {"architecture", architecture}};
    return descriptor;
  }

  void name_root(Json descriptor, const std::string& name = "app") {
    descriptor["annotations"] = {{oci::annotation::ref_name, name}};
    write(layout() / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write(layout() / "index.json",
          Json{{"schemaVersion", 2}, {"manifests", {std::move(descriptor)}}}.dump());
  }

  void spec_for(const std::string& source, const std::string& more = "") {
    spec_ = "kind: Bundle\nname: a\nversion: '1'\nimages:\n  - {name: 'r.example/a:1', source: '" +
            source + "'" + more + "}\n";
  }

  Error refused() {
    const auto made = try_create(file());
    EXPECT_FALSE(made);
    EXPECT_FALSE(fs::exists(file()));
    return made ? Error(ErrorKind::internal, "was made") : made.error();
  }

  fs::path layout() const { return folder() / "layout"; }
  fs::path blob(const Json& descriptor) const {
    return layout() / "blobs/sha256" / descriptor["digest"].get<std::string>().substr(7);
  }
  Json index_;
};

TEST_F(ImportTest, TakesThePlatformsManifestByteForByte) {
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->verify(nullptr));
  const auto amd = manifest("amd64");
  EXPECT_EQ(reader->header().images[0].digest.str(), amd["digest"].get<std::string>());
  EXPECT_EQ(reader->header().find(*Digest::parse(manifest("arm64")["digest"].get<std::string>())),
            nullptr);
  const auto* index_entry = &reader->header().entries.back();
  ASSERT_EQ(index_entry->path, "index.json");
  std::string text(index_entry->size, '\0');
  ASSERT_OK(read_exactly_at(reader->fd(),
                            std::as_writable_bytes(std::span(text.data(), text.size())),
                            index_entry->offset));
  EXPECT_THAT(text, HasSubstr(index_["digest"].get<std::string>()));
  spec_for("oci:layout:app", ", platform: linux/arm64");
  create(file());
  EXPECT_EQ(open(file())->header().images[0].digest.str(),
            manifest("arm64")["digest"].get<std::string>());
}

TEST_F(ImportTest, MissingPlatformListsTheOthers) {
  spec_for("oci:layout", ", platform: linux/s390x");
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.hint, HasSubstr("linux/amd64, linux/arm64"));
  EXPECT_THAT(error.render(), HasSubstr("bundle.yaml:5"));
}

TEST_F(ImportTest, UnknownNameListsTheOthers) {
  spec_for("oci:layout:other");
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.hint, HasSubstr("app"));
}

TEST_F(ImportTest, ChangedLayerIsCorrupt) {
  write(blob(put("a layer for amd64", oci::media::layer_tar)), "a layer for amd63");
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(ImportTest, LongerAndShorterLayersAreCorrupt) {
  const auto layer = blob(put("a layer for amd64", oci::media::layer_tar));
  write(layer, "a layer for amd64 and more");
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
  write(layer, "a layer");
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(ImportTest, ChangedManifestIsCorrupt) {
  const auto path = blob(manifest("amd64"));
  auto text = *read_file(path);
  write(path, text + " ");
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(ImportTest, MissingLayerIsNotFound) {
  fs::remove(blob(put("a layer for amd64", oci::media::layer_tar)));
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.render(), HasSubstr("r.example/a:1"));
}

TEST_F(ImportTest, ForeignLayersAreUnsupported) {
  name_root(manifest("amd64", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::unsupported);
  EXPECT_THAT(error.hint, HasSubstr("choose an image without them"));
  EXPECT_THAT(error.render(), HasSubstr("r.example/a:1"));
}

TEST_F(ImportTest, SingleManifestOfAnotherPlatformIsInvalid) {
  name_root(manifest("arm64"));
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
}

TEST_F(ImportTest, Schema1IsUnsupported) {
  name_root(put(R"({"schemaVersion":1,"fsLayers":[]})", "application/json"));
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::unsupported);
  EXPECT_THAT(error.hint, HasSubstr("skopeo copy --format oci"));
  EXPECT_THAT(error.render(), HasSubstr("r.example/a:1"));
}

TEST_F(ImportTest, DockersSchema2AndEveryCompressionAreKeptAsTheyAre) {
  const auto config = put(R"({"os":"linux","architecture":"amd64"})",
                          "application/vnd.docker.container.image.v1+json");
  const auto layers =
      Json::array({put("gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
                   put("zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
                   put("docker's zstd", "application/vnd.docker.image.rootfs.diff.tar.zstd")});
  const auto image = put(Json{{"schemaVersion", 2},
                              {"mediaType", oci::media::docker_manifest},
                              {"config", config},
                              {"layers", layers}}
                             .dump(),
                         oci::media::docker_manifest);
  const auto list = put(Json{{"schemaVersion", 2},
                             {"mediaType", oci::media::docker_list},
                             {"manifests", {for_platform(image, "amd64")}}}
                            .dump(),
                        oci::media::docker_list);
  name_root(list);
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->verify(nullptr));
  const auto& named = reader->header().images[0];
  EXPECT_EQ(named.digest.str(), image["digest"].get<std::string>());
  EXPECT_EQ(named.media_type, oci::media::docker_manifest);
  EXPECT_EQ(named.index->str(), list["digest"].get<std::string>());
  for (const auto& layer : layers) {
    EXPECT_NE(reader->header().find(*Digest::parse(layer["digest"].get<std::string>())), nullptr);
  }
}

TEST_F(ImportTest, MissingSourceSaysWherePathsStart) {
  spec_for("oci:absent");
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.hint, HasSubstr("--root"));
}

TEST_F(ImportTest, ManyLongNamesFitIntoTheHeader) {
  spec_ = "kind: Bundle\nname: a\nversion: '1'\nimages:\n";
  for (int i = 0; i < 40; ++i) {
    spec_ += "  - {name: 'r.example/" + std::string(200, 'n') + ":" + std::to_string(i) +
             "', source: 'rootfs:app', annotations: {dev.bedplate.provenance: '" +
             std::string(2000, '"') + "'}}\n";
  }
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->verify(nullptr));
  EXPECT_EQ(reader->header().images.size(), 40U);
}

TEST_F(ImportTest, TheMostLayersFitIntoTheHeader) {
  const auto image = [&](std::size_t count) {
    Json layers = Json::array();
    for (std::size_t i = 0; i < count; ++i) {
      layers.push_back(put("layer " + std::to_string(i), oci::media::layer_tar));
    }
    const auto config = put(R"({"os":"linux","architecture":"amd64"})", oci::media::config);
    return put(Json{{"schemaVersion", 2}, {"config", config}, {"layers", layers}}.dump(),
               oci::media::manifest);
  };
  name_root(image(127));
  create(file());
  ASSERT_OK(open(file())->verify(nullptr));
  fs::remove(file());
  name_root(image(128));
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
}

TEST_F(ImportTest, ABundleIsASourceItself) {
  create(file());
  const auto first = open(file())->header().images[0].digest;
  spec_for("oci-archive:site.bundle:r.example/a:1");
  create(folder() / "second.bundle");
  EXPECT_EQ(open(folder() / "second.bundle")->header().images[0].digest, first);
}

TEST_F(ImportTest, AnIndexThatIsNoListOfManifestsIsInvalid) {
  for (const auto* text : {"[]", "7", "{}", R"({"manifests": 7})", R"({"manifests": [7]})"}) {
    write(layout() / "index.json", text);
    EXPECT_EQ(refused().kind, ErrorKind::invalid) << text;
  }
}

TEST_F(ImportTest, AFileWhoseNameIsNoTextIsRefused) {
  write(folder() / "tools/caf\xe9", "x");
  spec_ =
      "kind: Bundle\nname: a\nversion: '1'\nfiles:\n"
      "  - {name: t, version: '1', files: [{path: tools, to: x}]}\n";
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
}

TEST_F(ImportTest, NothingIsInflatedOutOfADockerArchive) {
  // What would be a gigabyte if somebody unpacked it.
  const std::string layer("\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
  const auto config = Json{{"os", "linux"},
                           {"architecture", "amd64"},
                           {"rootfs", {{"diff_ids", {Digest::of(std::string(99, '\0')).str()}}}}}
                          .dump();
  const auto list =
      Json::array({{{"Config", "c"}, {"RepoTags", Json::array()}, {"Layers", {"l"}}}}).dump();
  std::string archive;
  for (const auto& [name, content] :
       {std::pair{"manifest.json", list}, std::pair{"c", config}, std::pair{"l", layer}}) {
    archive += bundle::tar_header(name, content.size()) + content;
    archive.resize(bundle::padded(archive.size()));
  }
  write(folder() / "docker.tar", archive + std::string(1024, '\0'));
  spec_for("docker-archive:docker.tar");
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace bedplate::bundle_test
