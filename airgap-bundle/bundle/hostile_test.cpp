// Bundles that somebody damaged, and bundles whose signer wrote what may not be: all are refused,
// and nothing of them is written.

#include <algorithm>
#include <cctype>
#include <functional>

#include <fcntl.h>
#include <gmock/gmock.h>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/supply/sbom.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

std::string blob_path(std::string_view content) {
  return "blobs/sha256/" + Digest::of(content).hex();
}

class HostileBundleTest : public BundleTest {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-hostile");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    fs::create_directory(out());
  }
  fs::path out() const { return folder() / "out"; }

  /// A file layer with the annotations that it must have.
  static Json layer(const std::string& path, std::string_view content) {
    return {{"mediaType", "application/vnd.bedplate.file.v1"},
            {"digest", Digest::of(content).str()},
            {"size", content.size()},
            {"annotations",
             {{"org.opencontainers.image.title", path},
              {"dev.bedplate.mode", "0644"},
              {"dev.bedplate.size", std::to_string(content.size())},
              {"dev.bedplate.sha256", Digest::of(content).hex()}}}};
  }

  /// A small bundle with the artifact "tools", which has that manifest.
  void write_bundle(const std::string& manifest) {
    auto writer = bundle::Writer::create(file(), 8);
    ASSERT_OK(writer);
    ASSERT_OK(writer->add("one"));
    ASSERT_OK(writer->add("two"));
    const auto artifact = writer->add(manifest);
    ASSERT_OK(artifact);
    writer->name_artifact({"tools", "1", artifact->digest, ""});
    ASSERT_OK(writer->finish("{}", "small", "1", WallTime{}, key_));
  }
  void write_bundle(const Json& layers) { write_bundle(Json{{"layers", layers}}.dump()); }

  /// The same bundle with another text for its header, signed all the same.
  void sign_again(std::string json) {
    const auto reader = open(file());
    ASSERT_OK(reader);
    const auto room = reader->signed_header().size - bundle::preamble_size;
    ASSERT_LE(json.size(), room);
    json.resize(room, ' ');
    const auto content = bundle::sign_header(json, key_);
    const auto fd = open_file(file(), O_RDWR);
    ASSERT_OK(fd);
    ASSERT_OK(write_all_at(fd->get(), as_byte_span(content), bundle::tar_block));
  }

  /// Neither opened nor unpacked.
  void expect_refused(ErrorKind kind, const std::string& what) {
    const auto opened = open(file());
    const auto extracted = opened ? opened->extract("tools", out(), nullptr)
                                  : Result<void>(std::unexpected(opened.error()));
    ASSERT_FALSE(extracted) << what;
    EXPECT_EQ(extracted.error().kind, kind) << what << ": " << extracted.error().render();
    if (opened) (void)supply::spdx_document(*opened);  // it does not throw
    EXPECT_TRUE(fs::is_empty(out())) << what;
  }
};

TEST_F(HostileBundleTest, CutAtEveryBlockAndBesideIt) {
  write_bundle(Json::array({layer("a", "one"), layer("b", "two")}));
  const auto whole = *read_file(file());
  for (std::size_t block = 0; block * 512 < whole.size(); ++block) {
    for (const std::size_t cut : {block * 512, block * 512 + 1, block * 512 + 511}) {
      if (cut >= whole.size()) continue;
      write(file(), whole.substr(0, cut));
      expect_refused(ErrorKind::corrupt, "cut at " + std::to_string(cut));
    }
  }
  write(file(), whole + std::string(512, '\0'));
  expect_refused(ErrorKind::corrupt, "longer");
  write(file(), whole);
  ASSERT_OK(open(file())->verify(nullptr));
}

// Each byte of the file, one bit of it: the signature, or the digests behind it, see everything.
TEST_F(HostileBundleTest, OneFlippedBitAnywhereIsFound) {
  write_bundle(Json::array({layer("a", "one")}));
  const auto header = open(file())->header();
  const auto header_end = header.entries.front().offset - 512;
  const auto json_end = 512 + bundle::preamble_size + bundle::to_json_text(header).size();
  for (std::uint64_t at = 0; at < fs::file_size(file()); ++at) {
    // The spaces behind the JSON are signed like all of it: samples of them.
    if (at > json_end && at < header_end && at % 61 != 0) continue;
    const auto bit = static_cast<unsigned char>(1U << (at % 8));
    flip(file(), at, bit);
    const auto opened = open(file());
    if (at < header_end) {
      EXPECT_FALSE(opened) << "byte " << at;
    } else {
      ASSERT_OK(opened);
      const auto verified = opened->verify(nullptr);
      ASSERT_FALSE(verified) << "byte " << at;
      EXPECT_EQ(verified.error().kind, ErrorKind::corrupt) << "byte " << at;
    }
    flip(file(), at, bit);
  }
  ASSERT_OK(open(file())->verify(nullptr));
}

TEST_F(HostileBundleTest, OneFlippedBitInEvery4KiBOfALargerOneIsFound) {
  BundleTest::SetUp();
  create(file());
  const auto header_end = open(file())->header().entries.front().offset - 512;
  for (std::uint64_t block = 0; block < fs::file_size(file()); block += 4096) {
    const auto place = block + block / 4096 % 512;
    flip(file(), place, 0x20);
    const auto opened = open(file());
    EXPECT_FALSE(opened && opened->verify(nullptr)) << "byte " << place;
    EXPECT_EQ(opened.has_value(), place >= header_end) << "byte " << place;
    flip(file(), place, 0x20);
  }
}

TEST_F(HostileBundleTest, EntriesThatChangedPlacesAreFound) {
  write_bundle(Json::array({layer("a", "one")}));
  const auto entries = open(file())->header().entries;
  auto bytes = *read_file(file());
  std::swap_ranges(bytes.begin() + static_cast<long>(entries[0].offset - 512),
                   bytes.begin() + static_cast<long>(entries[0].offset + 512),
                   bytes.begin() + static_cast<long>(entries[1].offset - 512));
  write(file(), bytes);
  const auto verified = open(file())->verify(nullptr);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().kind, ErrorKind::corrupt);
}

TEST_F(HostileBundleTest, ALengthThatIsNotThereIsRefusedBeforeItIsReserved) {
  write_bundle(Json::array());
  for (const std::uint64_t length :
       {std::uint64_t{64} << 20, (std::uint64_t{64} << 20) + 1, std::uint64_t{1} << 40,
        ~std::uint64_t{0}, ~std::uint64_t{0} - 123, std::uint64_t{0}}) {
    const auto before = *read_file(file());
    auto bytes = before;
    for (unsigned i = 0; i < 8; ++i) {
      bytes[512 + 20 + i] = static_cast<char>((length >> (8 * i)) & 255U);
    }
    write(file(), bytes);
    const auto opened = open(file());
    ASSERT_FALSE(opened) << length;
    EXPECT_EQ(opened.error().kind, length == 0 ? ErrorKind::untrusted : ErrorKind::corrupt)
        << length;
    write(file(), before);
  }
}

// The header of a bundle need not fill whole blocks; what follows it there is not signed.
TEST_F(HostileBundleTest, BytesBehindTheHeaderAreRefused) {
  bundle::Header header;
  header.name = "odd";
  const auto place = [&](std::string path, std::string_view content, std::uint64_t offset) {
    header.entries.push_back({std::move(path), Digest::of(content), content.size(), offset});
  };
  place("oci-layout", "{}", 2560);
  place("index.json", "[]", 3584);
  auto json = bundle::to_json_text(header);
  json.resize(1300, ' ');
  const auto content = bundle::sign_header(json, key_);
  std::string bytes = bundle::tar_header(bundle::header_name, content.size()) + content;
  bytes.resize(2048, '\0');
  for (const auto* entry : {"{}", "[]"}) {
    bytes += bundle::tar_header(*entry == '{' ? "oci-layout" : "index.json", 2) + entry;
    bytes.resize(bundle::padded(bytes.size()), '\0');
  }
  bytes.resize(bytes.size() + 1024, '\0');
  write(file(), bytes);
  ASSERT_OK(open(file()));
  ASSERT_OK(open(file())->verify(nullptr));
  flip(file(), 2047);
  const auto opened = open(file());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::corrupt);
}

struct BadHeader {
  const char* name;
  std::function<void(Json&)> change;
};

/// A good signature over a header that says what may not be.
class SignedHostileTest : public HostileBundleTest,
                          public ::testing::WithParamInterface<BadHeader> {};

TEST_P(SignedHostileTest, IsCorrupt) {
  write_bundle(Json::array({layer("a", "one"), layer("b", "two")}));
  auto header = *parse_json(bundle::to_json_text(open(file())->header()), "header");
  sign_again(header.dump());
  ASSERT_OK(open(file()));
  GetParam().change(header);
  sign_again(header.dump());
  expect_refused(ErrorKind::corrupt, GetParam().name);
}

Json& entry(Json& header, std::size_t i) {
  return header["entries"][i];
}
void rename_blob(Json& header, const std::string& path) {
  entry(header, 0)["path"] = path;
}
/// Puts all entries one behind the other again.
void lay_out(Json& header) {
  std::uint64_t at = entry(header, 0)["offset"].get<std::uint64_t>();
  for (const auto& item : header["entries"]) at = std::min(at, item["offset"].get<std::uint64_t>());
  for (auto& item : header["entries"]) {
    item["offset"] = at;
    at += bundle::padded(item["size"].get<std::uint64_t>()) + 512;
  }
}

const BadHeader bad_entries[] = {
    {"NoEntries", [](Json& h) { h["entries"] = Json::array(); }},
    {"EntriesNull", [](Json& h) { h["entries"] = nullptr; }},
    {"EntriesObject", [](Json& h) { h["entries"] = Json::object(); }},
    {"EntriesGone", [](Json& h) { h.erase("entries"); }},
    {"EntryNull", [](Json& h) { entry(h, 0) = nullptr; }},
    {"EntryList", [](Json& h) { entry(h, 0) = Json::array(); }},
    {"EntryWithoutPath", [](Json& h) { entry(h, 0).erase("path"); }},
    {"EntryWithoutDigest", [](Json& h) { entry(h, 0).erase("digest"); }},
    {"EntryWithoutSize", [](Json& h) { entry(h, 0).erase("size"); }},
    {"EntryWithoutOffset", [](Json& h) { entry(h, 0).erase("offset"); }},
    {"Twice", [](Json& h) { h["entries"].insert(h["entries"].begin(), entry(h, 0)); }},
    {"TwiceLaidOut",
     [](Json& h) {
       h["entries"].insert(h["entries"].begin(), entry(h, 0));
       lay_out(h);
     }},
    {"Reordered", [](Json& h) { std::swap(entry(h, 0), entry(h, 1)); }},
    {"IndexFirst",
     [](Json& h) {
       std::swap(h["entries"].front(), h["entries"].back());
       lay_out(h);
     }},
    {"LayoutBehindIndex",
     [](Json& h) {
       const auto count = h["entries"].size();
       std::swap(entry(h, count - 1), entry(h, count - 2));
       lay_out(h);
     }},
    {"NoIndex", [](Json& h) { h["entries"].erase(h["entries"].size() - 1); }},
    {"PathUp", [](Json& h) { rename_blob(h, "../outside"); }},
    {"PathAbsolute", [](Json& h) { rename_blob(h, "/etc/passwd"); }},
    {"PathThroughBlobs", [](Json& h) { rename_blob(h, "blobs/sha256/../../outside"); }},
    {"PathOfAnotherBlob", [](Json& h) { rename_blob(h, blob_path("another")); }},
    {"PathInUpperCase",
     [](Json& h) {
       auto path = entry(h, 0)["path"].get<std::string>();
       std::ranges::transform(path, path.begin(),
                              [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
       rename_blob(h, path);
     }},
    {"PathOfTheHeader", [](Json& h) { rename_blob(h, "bedplate.header"); }},
    {"PathIsANumber", [](Json& h) { entry(h, 0)["path"] = 7; }},
    {"DigestOfAnotherKind",
     [](Json& h) { entry(h, 0)["digest"] = "sha512:" + std::string(128, 'a'); }},
    {"DigestShort", [](Json& h) { entry(h, 0)["digest"] = "sha256:abc"; }},
    {"SizeNegative", [](Json& h) { entry(h, 0)["size"] = -1; }},
    {"SizeFraction", [](Json& h) { entry(h, 0)["size"] = 3.5; }},
    {"SizeText", [](Json& h) { entry(h, 0)["size"] = "3"; }},
    {"SizeOneMore", [](Json& h) { entry(h, 0)["size"] = 513; }},
    {"SizeHuge", [](Json& h) { entry(h, 0)["size"] = std::uint64_t{1} << 61; }},
    {"SizeOverflows", [](Json& h) { entry(h, 0)["size"] = ~std::uint64_t{0}; }},
    {"LastSizeOverflows", [](Json& h) { h["entries"].back()["size"] = ~std::uint64_t{511}; }},
    {"LastSizeLonger", [](Json& h) { h["entries"].back()["size"] = 100'000; }},
    {"OffsetInTheHeader", [](Json& h) { entry(h, 0)["offset"] = 512; }},
    {"OffsetZero", [](Json& h) { entry(h, 0)["offset"] = 0; }},
    {"OffsetOverflows", [](Json& h) { entry(h, 0)["offset"] = ~std::uint64_t{0} - 511; }},
    {"Gap", [](Json& h) { h["entries"].back()["offset"] = 1 << 20; }},
};

const BadHeader bad_names[] = {
    {"NameGone", [](Json& h) { h.erase("name"); }},
    {"NameANumber", [](Json& h) { h["name"] = 1; }},
    {"VersionGone", [](Json& h) { h.erase("version"); }},
    {"CreatedGone", [](Json& h) { h.erase("createdAt"); }},
    {"CreatedNever", [](Json& h) { h["createdAt"] = "yesterday"; }},
    {"ImagesGone", [](Json& h) { h.erase("images"); }},
    {"ImagesText", [](Json& h) { h["images"] = "none"; }},
    {"ArtifactsGone", [](Json& h) { h.erase("artifacts"); }},
    {"ArtifactWithoutBlob",
     [](Json& h) { h["artifacts"][0]["digest"] = Digest::of(std::string_view("x")).str(); }},
    {"ArtifactTwice", [](Json& h) { h["artifacts"].push_back(h["artifacts"][0]); }},
    {"ImageTwice",
     [](Json& h) {
       const Json image{
           {"name", "a.example/b:1"}, {"digest", entry(h, 0)["digest"]}, {"mediaType", "x"}};
       h["images"] = {image, image};
     }},
    {"ImageWithoutBlob",
     [](Json& h) {
       h["images"] = {{{"name", "a.example/b:1"},
                       {"digest", Digest::of(std::string_view("x")).str()},
                       {"mediaType", "x"}}};
     }},
    {"ChartsObject", [](Json& h) { h["charts"] = Json::object(); }},
    {"ChartValuesText",
     [](Json& h) {
       h["charts"] = {{{"name", "c"},
                       {"version", "1"},
                       {"namespace", "n"},
                       {"digest", entry(h, 0)["digest"]},
                       {"values", "x"},
                       {"apiVersions", Json::array()}}};
     }},
    {"AllowanceWithoutReason", [](Json& h) { h["allowMissing"] = {{{"image", "x"}}}; }},
    {"ReferrerWithoutSubject",
     [](Json& h) { h["referrers"] = {{{"repository", "x"}, {"digest", entry(h, 0)["digest"]}}}; }},
    {"ElsewhereAndHere",
     [](Json& h) { h["elsewhere"] = {{{"digest", entry(h, 0)["digest"]}, {"size", 3}}}; }},
    {"ElsewhereTwice",
     [](Json& h) {
       const Json item{{"digest", Digest::of(std::string_view("x")).str()}, {"size", 1}};
       h["elsewhere"] = {item, item};
     }},
    {"ElsewhereNegative",
     [](Json& h) {
       h["elsewhere"] = {{{"digest", Digest::of(std::string_view("x")).str()}, {"size", -1}}};
     }},
    {"CompleteIsNotHere", [](Json& h) { h["complete"] = Digest::of(std::string_view("x")).str(); }},
    {"CompleteANumber", [](Json& h) { h["complete"] = 5; }},
    {"AList", [](Json& h) { h = Json::array({h}); }},
    {"AText", [](Json& h) { h = "header"; }},
    {"Null", [](Json& h) { h = nullptr; }},
};

std::string name_of(const ::testing::TestParamInfo<BadHeader>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Entries, SignedHostileTest, ::testing::ValuesIn(bad_entries), name_of);
INSTANTIATE_TEST_SUITE_P(Names, SignedHostileTest, ::testing::ValuesIn(bad_names), name_of);

TEST_F(HostileBundleTest, SignedTextThatIsNoJsonIsCorrupt) {
  for (const auto& text :
       {std::string(), std::string("{"), std::string("{} {}"), std::string("{}x"),
        std::string("\xff\xfe"), std::string("{\"name\": \"\xc3\x28\"}"), std::string(1000, '['),
        std::string("{\"a\":1e999}"), std::string("\0\0", 2)}) {
    write_bundle(Json::array());
    sign_again(text);
    expect_refused(ErrorKind::corrupt, text.substr(0, 20));
  }
}

TEST_F(HostileBundleTest, AHeaderOfAnotherVersionIsUnsupported) {
  write_bundle(Json::array());
  flip(file(), 512 + 16, 2);
  expect_refused(ErrorKind::unsupported, "version 3");
}

struct BadArtifact {
  const char* name;
  std::function<void(Json&)> change;  ///< of the second of two layers
};

/// Everything is signed, but the artifact wants what may not be.
class HostileArtifactTest : public HostileBundleTest,
                            public ::testing::WithParamInterface<BadArtifact> {};

TEST_P(HostileArtifactTest, IsCorruptAndLeavesNothing) {
  Json layers{layer("a", "one"), layer("b", "two")};
  GetParam().change(layers[1]);
  write_bundle(layers);
  ASSERT_OK(open(file())->verify(nullptr));
  expect_refused(ErrorKind::corrupt, GetParam().name);
}

void annotate(Json& layer, const char* key, const std::string& value) {
  layer["annotations"][key] = value;
}
void name_it(Json& layer, const std::string& path) {
  annotate(layer, "org.opencontainers.image.title", path);
}

INSTANTIATE_TEST_SUITE_P(
    All, HostileArtifactTest,
    ::testing::Values(
        BadArtifact{"Up", [](Json& l) { name_it(l, "../b"); }},
        BadArtifact{"UpInside", [](Json& l) { name_it(l, "x/../../b"); }},
        BadArtifact{"Absolute", [](Json& l) { name_it(l, "/b"); }},
        BadArtifact{"Dot", [](Json& l) { name_it(l, "./b"); }},
        BadArtifact{"Empty", [](Json& l) { name_it(l, ""); }},
        BadArtifact{"Folder", [](Json& l) { name_it(l, "b/"); }},
        BadArtifact{"TwoSlashes", [](Json& l) { name_it(l, "x//b"); }},
        BadArtifact{"Zero", [](Json& l) { name_it(l, std::string("b\0c", 3)); }},
        BadArtifact{"Twice", [](Json& l) { name_it(l, "a"); }},
        BadArtifact{"BelowAFile", [](Json& l) { name_it(l, "a/b/c"); }},
        BadArtifact{"ModeWithMore", [](Json& l) { annotate(l, "dev.bedplate.mode", "4755"); }},
        BadArtifact{"ModeText", [](Json& l) { annotate(l, "dev.bedplate.mode", "0644x"); }},
        BadArtifact{"ModeEmpty", [](Json& l) { annotate(l, "dev.bedplate.mode", ""); }},
        BadArtifact{"SizeLess", [](Json& l) { annotate(l, "dev.bedplate.size", "2"); }},
        BadArtifact{"SizeMore", [](Json& l) { annotate(l, "dev.bedplate.size", "4"); }},
        BadArtifact{"SizeNegative", [](Json& l) { annotate(l, "dev.bedplate.size", "-3"); }},
        BadArtifact{"SizeText", [](Json& l) { annotate(l, "dev.bedplate.size", "3 "); }},
        BadArtifact{"SizeOverflows",
                    [](Json& l) { annotate(l, "dev.bedplate.size", std::string(30, '9')); }},
        BadArtifact{"OtherContent",
                    [](Json& l) { annotate(l, "dev.bedplate.sha256", std::string(64, 'a')); }},
        BadArtifact{"NoDigest", [](Json& l) { l.erase("digest"); }},
        BadArtifact{"NoAnnotations", [](Json& l) { l.erase("annotations"); }},
        BadArtifact{"AnnotationsText", [](Json& l) { l["annotations"] = "x"; }},
        BadArtifact{"NotZstd",
                    [](Json& l) { l["mediaType"] = "application/vnd.bedplate.file.v1+zstd"; }},
        BadArtifact{"LayerNull", [](Json& l) { l = nullptr; }},
        BadArtifact{"LayerList", [](Json& l) { l = Json::array(); }},
        BadArtifact{"NoBlob",
                    [](Json& l) { l["digest"] = Digest::of(std::string_view("x")).str(); }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(HostileBundleTest, AnArtifactThatIsNoManifestIsCorrupt) {
  for (const auto* text : {"[]", "null", "7", "{\"layers\": 7}", "{", ""}) {
    write_bundle(std::string(text));
    expect_refused(ErrorKind::corrupt, text);
  }
}

TEST_F(HostileBundleTest, ADamagedBlobAmongGoodOnesLeavesNothing) {
  write_bundle(Json::array({layer("a", "one"), layer("x/b", "two")}));
  flip(file(), open(file())->header().find(Digest::of(std::string_view("two")))->offset);
  expect_refused(ErrorKind::corrupt, "damaged");
  const auto extracted = open(file())->extract("tools", folder() / "new", nullptr);
  ASSERT_FALSE(extracted);
  EXPECT_FALSE(fs::exists(folder() / "new"));
}

TEST_F(HostileBundleTest, WhatAKilledExtractLeftIsRemovedByTheNext) {
  write_bundle(Json::array({layer("a", "one")}));
  // No process has that number: it is larger than the kernel gives.
  write(out() / ".bedplate-extract.1999999999.0/0", "half");
  ASSERT_OK(open(file())->extract("tools", out(), nullptr));
  EXPECT_EQ(*read_file(out() / "a"), "one");
  EXPECT_EQ(std::distance(fs::directory_iterator(out()), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace bedplate::bundle_test
