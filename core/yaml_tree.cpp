#include "core/yaml_tree.hpp"

#include <algorithm>
#include <cstdint>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::yaml {
namespace {

constexpr int deepest = 64;
constexpr std::size_t longest_text = 600;

[[noreturn]] void too_much(const YAML::Mark& mark, int most) {
  throw TooMuch(mark, fmt::format("more than {} values, or nested deeper than {}", most, deepest));
}

/// Goes over a document without keeping anything of it.
class Counter final : public YAML::EventHandler {
 public:
  explicit Counter(int most) : most_(most) {}
  int nodes() const { return nodes_; }
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { count(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { count(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    count(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    enter(mark);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    enter(mark);
  }
  void OnMapEnd() override { --depth_; }

 private:
  void count(const YAML::Mark& mark) {
    if (++nodes_ > most_) too_much(mark, most_);
  }
  void enter(const YAML::Mark& mark) {
    count(mark);
    if (++depth_ > deepest) too_much(mark, most_);
  }
  int most_;
  int nodes_ = 0;
  int depth_ = 0;
};

/// Counts nodes as often as they are reached, so that aliases of aliases cannot explode later.
void check_reached(const YAML::Node& node, int& left, int depth, int most) {
  if (--left < 0 || depth > deepest) too_much(node.Mark(), most);
  if (node.IsMap()) {
    for (const auto& pair : node) {
      check_reached(pair.first, left, depth + 1, most);
      check_reached(pair.second, left, depth + 1, most);
    }
  } else if (node.IsSequence()) {
    for (const auto& item : node) check_reached(item, left, depth + 1, most);
  }
}

}  // namespace

std::vector<YAML::Node> load(std::string_view text, int most) {
  const std::string copy(text);
  std::istringstream stream(copy);
  YAML::Parser parser(stream);
  Counter counter(most);
  while (parser.HandleNextDocument(counter)) {
  }
  auto documents = YAML::LoadAll(copy);
  // Aliases may repeat a little; a small text is not worth a million steps.
  int left = std::min(most, std::max(most_values, 2 * counter.nodes()));
  for (const auto& document : documents) check_reached(document, left, 0, most);
  return documents;
}

Json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    Json out = Json::object();
    for (const auto& pair : node) out[pair.first.Scalar()] = to_json(pair.second);
    return out;
  }
  if (node.IsSequence()) {
    Json out = Json::array();
    for (const auto& item : node) out.push_back(to_json(item));
    return out;
  }
  if (!node.IsScalar()) return nullptr;
  const auto& text = node.Scalar();
  const bool plain = node.Tag() != "!";  // yaml-cpp marks quoted scalars with "!"
  if (!plain) return text;
  if (text == "true" || text == "false") return text == "true";
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  // JSON's own grammar decides what is a number: 0123, .5 and inf stay text.
  auto value = Json::parse(text, nullptr, false);
  return value.is_number() ? value : Json(text);
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= longest_text) return out + "…";
    const auto length = utf8_length(text);
    const auto lead = static_cast<unsigned char>(text.front());
    // C0 and C1 controls (C1 is U+0080 to U+009F, in UTF-8 C2 80 to C2 9F).
    const bool control =
        lead < 0x20 || lead == 0x7F ||
        (length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    out += length == 0 || control ? std::string_view("?") : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(1, length));
  }
  return out;
}

}  // namespace bedplate::yaml
