// Runs every file of the corpora through the function that the fuzzer would call.

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "airgap-bundle/fuzz/targets.hpp"
#include "core/file.hpp"

namespace bedplate::fuzz {
namespace {

struct Target {
  const char* name;
  void (*run)(std::string_view);
};

constexpr Target targets[] = {
    {"header", header},       {"tar_index", tar_index}, {"manifest", manifest},
    {"reference", reference}, {"challenge", challenge}, {"images", images},
    {"lock", lock},           {"spec", spec},           {"request", request},
    {"part", part},           {"inventory", inventory}, {"claims", claims},
};

class Corpus : public ::testing::TestWithParam<Target> {};

TEST_P(Corpus, IsSurvived) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(BEDPLATE_CORPUS) / GetParam().name)) {
    const auto input = read_file(entry.path());
    ASSERT_TRUE(input) << input.error().render();
    SCOPED_TRACE(entry.path());
    EXPECT_NO_THROW(GetParam().run(*input)) << entry.path();
    ++files;
  }
  EXPECT_GT(files, 3);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, ::testing::ValuesIn(targets),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Corpora, EveryCorpusHasItsTarget) {
  for (const auto& entry : std::filesystem::directory_iterator(BEDPLATE_CORPUS)) {
    const auto name = entry.path().filename().string();
    EXPECT_TRUE(std::ranges::any_of(targets, [&](const Target& t) { return name == t.name; }))
        << name;
  }
}

}  // namespace
}  // namespace bedplate::fuzz
