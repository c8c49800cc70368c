#include "core/yaml.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate {
namespace {

constexpr std::uint64_t largest_file = 4ULL << 20;
constexpr int most_nodes = 10'000;

struct Document {
  std::string file;
  std::vector<Finding> findings;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// Counts nodes as often as they are reached, so that aliases of aliases cannot explode later.
bool within_limit(const YAML::Node& node, int& left, int depth) {
  if (--left < 0 || depth > 64) return false;
  if (node.IsMap()) {
    return std::ranges::all_of(node, [&](const auto& pair) {
      return within_limit(pair.first, left, depth + 1) &&
             within_limit(pair.second, left, depth + 1);
    });
  }
  if (node.IsSequence()) {
    return std::ranges::all_of(
        node, [&](const auto& item) { return within_limit(item, left, depth + 1); });
  }
  return true;
}

bool looks_like_number(const std::string& text) {
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
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
  if (plain && (text == "true" || text == "false")) return text == "true";
  if (plain && (text == "null" || text == "~" || text.empty())) return nullptr;
  if (plain && looks_like_number(text)) return Json::parse(text, nullptr, false);
  return text;
}

}  // namespace

struct YamlNode::Impl {
  std::shared_ptr<Document> document;
  YAML::Node node{YAML::NodeType::Undefined};
  std::string path;
  int line = 0;
  int column = 0;
  bool present = false;
};

std::string Finding::str() const {
  std::string place = file;
  if (line > 0) place += fmt::format(":{}:{}", line, column);
  return field.empty() ? fmt::format("{}: {}", place, message)
                       : fmt::format("{}: {}: {}", place, field, message);
}

Result<void> report_findings(const std::vector<Finding>& findings) {
  if (findings.empty()) return {};
  std::string text = fmt::format("{} has {} mistake{}:", findings.front().file, findings.size(),
                                 findings.size() == 1 ? "" : "s");
  for (const auto& finding : findings) text += "\n" + finding.str();
  return fail(ErrorKind::invalid, std::move(text),
              fmt::format("correct {} and run the command again", findings.front().file));
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& allowed) {
  const std::string* best = nullptr;
  std::size_t distance = 0;
  for (const auto& candidate : allowed) {
    const auto d = edit_distance(word, candidate);
    if (best == nullptr || d < distance) {
      best = &candidate;
      distance = d;
    }
  }
  if (best == nullptr || distance > std::max<std::size_t>(2, best->size() / 3)) return std::nullopt;
  return *best;
}

Result<YamlNode> YamlNode::parse(std::string_view text, std::string_view file_name) {
  auto document = std::make_shared<Document>(Document{std::string(file_name), {}});
  const auto broken = [&](int line, int column, std::string message) {
    return report_findings({Finding{document->file, line, column, "", std::move(message)}});
  };
  if (text.size() > largest_file) BP_CHECK(broken(0, 0, "larger than the 4 MiB allowed"));
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(std::string(text));
  } catch (const YAML::Exception& error) {
    BP_CHECK(broken(error.mark.line + 1, error.mark.column + 1, "not YAML: " + error.msg));
  }
  if (documents.empty() || documents[0].IsNull()) BP_CHECK(broken(1, 1, "the file is empty"));
  if (documents.size() > 1) {
    BP_CHECK(broken(documents[1].Mark().line + 1, documents[1].Mark().column + 1,
                    "a second document; one is allowed"));
  }
  int left = most_nodes;
  if (!within_limit(documents[0], left, 0)) {
    BP_CHECK(broken(1, 1, fmt::format("more than {} values, or nested too deep", most_nodes)));
  }
  auto impl = std::make_shared<Impl>();
  impl->document = std::move(document);
  impl->node.reset(documents[0]);
  impl->line = documents[0].Mark().line + 1;
  impl->column = documents[0].Mark().column + 1;
  impl->present = true;
  return YamlNode(std::move(impl));
}

Result<YamlNode> YamlNode::read(const std::filesystem::path& path) {
  BP_TRY(const auto text, read_file(path, largest_file));
  return parse(text, path.string());
}

YamlNode::YamlNode(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
YamlNode::YamlNode(const YamlNode&) = default;
YamlNode::YamlNode(YamlNode&&) noexcept = default;
YamlNode& YamlNode::operator=(const YamlNode&) = default;
YamlNode::~YamlNode() = default;

bool YamlNode::present() const {
  return impl_->present;
}
bool YamlNode::is_map() const {
  return present() && impl_->node.IsMap();
}
bool YamlNode::is_list() const {
  return present() && impl_->node.IsSequence();
}
bool YamlNode::is_scalar() const {
  return present() && impl_->node.IsScalar();
}

void YamlNode::expect_map(const std::vector<std::string>& known) const {
  if (!is_map()) {
    finding(fmt::format("must be a map with the fields {}", fmt::join(known, ", ")));
    return;
  }
  std::set<std::string> seen;
  for (const auto& pair : impl_->node) {
    const auto key = pair.first.IsScalar() ? pair.first.Scalar() : std::string("?");
    const auto report = [&](std::string message) {
      impl_->document->findings.push_back(
          Finding{impl_->document->file, pair.first.Mark().line + 1, pair.first.Mark().column + 1,
                  impl_->path.empty() ? key : impl_->path + "." + key, std::move(message)});
    };
    if (!seen.insert(key).second) report("is given twice");
    if (std::ranges::find(known, key) != known.end()) continue;
    const auto near = nearest(key, known);
    report(fmt::format("is not a field here{} (allowed: {})",
                       near ? fmt::format("; did you mean '{}'?", *near) : "",
                       fmt::join(known, ", ")));
  }
}

YamlNode YamlNode::operator[](std::string_view key) const {
  auto impl = std::make_shared<Impl>();
  impl->document = impl_->document;
  impl->path = impl_->path.empty() ? std::string(key) : fmt::format("{}.{}", impl_->path, key);
  impl->line = impl_->line;
  impl->column = impl_->column;
  if (is_map()) {
    for (const auto& pair : impl_->node) {
      if (!pair.first.IsScalar() || pair.first.Scalar() != key || pair.second.IsNull()) continue;
      impl->node.reset(pair.second);
      impl->line = pair.second.Mark().line + 1;
      impl->column = pair.second.Mark().column + 1;
      impl->present = true;
      break;
    }
  }
  return YamlNode(std::move(impl));
}

std::vector<YamlNode> YamlNode::list() const {
  std::vector<YamlNode> out;
  if (!present()) return out;
  if (!is_list()) {
    finding("must be a list");
    return out;
  }
  for (const auto& item : impl_->node) {
    auto impl = std::make_shared<Impl>();
    impl->document = impl_->document;
    impl->node.reset(item);
    impl->path = fmt::format("{}[{}]", impl_->path, out.size());
    impl->line = item.Mark().line + 1;
    impl->column = item.Mark().column + 1;
    impl->present = true;
    out.push_back(YamlNode(std::move(impl)));
  }
  return out;
}

std::vector<std::string> YamlNode::keys() const {
  std::vector<std::string> out;
  if (!is_map()) return out;
  for (const auto& pair : impl_->node) {
    if (pair.first.IsScalar()) out.push_back(pair.first.Scalar());
  }
  return out;
}

std::string YamlNode::string(bool required, std::string_view fallback) const {
  if (!present()) {
    if (required) finding("is required");
    return std::string(fallback);
  }
  if (!is_scalar()) {
    finding("must be a single value");
    return std::string(fallback);
  }
  return impl_->node.Scalar();
}

bool YamlNode::boolean(bool fallback) const {
  if (!present()) return fallback;
  const auto text = is_scalar() ? impl_->node.Scalar() : std::string();
  if (text == "true") return true;
  if (text != "false") finding("must be true or false");
  return text == "false" ? false : fallback;
}

std::int64_t YamlNode::integer(std::int64_t fallback, std::int64_t minimum,
                               std::int64_t maximum) const {
  if (!present()) return fallback;
  const auto text = is_scalar() ? impl_->node.Scalar() : std::string();
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() ||
      value < minimum || value > maximum) {
    finding(fmt::format("must be a whole number from {} to {}", minimum, maximum));
    return fallback;
  }
  return value;
}

std::string YamlNode::choice(const std::vector<std::string>& allowed, bool required,
                             std::string_view fallback) const {
  if (!present() && !required) return std::string(fallback);
  if (!present()) {
    finding(fmt::format("is required (allowed: {})", fmt::join(allowed, ", ")));
    return std::string(fallback);
  }
  const auto text = is_scalar() ? impl_->node.Scalar() : std::string();
  if (std::ranges::find(allowed, text) != allowed.end()) return text;
  const auto near = nearest(text, allowed);
  finding(fmt::format("'{}' is not allowed{} (allowed: {})", text,
                      near ? fmt::format("; did you mean '{}'?", *near) : "",
                      fmt::join(allowed, ", ")));
  return std::string(fallback);
}

std::uint64_t YamlNode::bytes(std::uint64_t fallback) const {
  if (!present()) return fallback;
  static const std::array<std::pair<std::string_view, std::uint64_t>, 9> units{
      {{"", 1},
       {"B", 1},
       {"KiB", 1ULL << 10},
       {"MiB", 1ULL << 20},
       {"GiB", 1ULL << 30},
       {"TiB", 1ULL << 40},
       {"MB", 1'000'000},
       {"GB", 1'000'000'000},
       {"TB", 1'000'000'000'000}}};
  const auto text = is_scalar() ? impl_->node.Scalar() : std::string();
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(parsed.ptr,
                        static_cast<std::size_t>(text.data() + text.size() - parsed.ptr));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const auto& [name, factor] : units) {
    if (parsed.ec == std::errc{} && unit == name && value <= (1ULL << 60) / factor) {
      return value * factor;
    }
  }
  finding("must be a size such as 16GiB or 500 MB");
  return fallback;
}

std::vector<std::string> YamlNode::strings() const {
  std::vector<std::string> out;
  for (const auto& item : list()) out.push_back(item.string());
  return out;
}

void YamlNode::finding(std::string message) const {
  impl_->document->findings.push_back(
      Finding{impl_->document->file, impl_->line, impl_->column, impl_->path, std::move(message)});
}

const std::string& YamlNode::path() const {
  return impl_->path;
}
int YamlNode::line() const {
  return impl_->line;
}

std::vector<Finding> YamlNode::findings() const {
  auto out = impl_->document->findings;
  std::ranges::stable_sort(out, [](const Finding& a, const Finding& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return out;
}

std::string YamlNode::to_json_text() const {
  return present() ? to_json(impl_->node).dump() : "null";
}

}  // namespace bedplate
