#include "core/yaml.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "core/text.hpp"
#include "core/yaml_tree.hpp"

namespace bedplate {
namespace {

constexpr std::uint64_t largest_file = 4ULL << 20;

struct Document {
  std::string file;
  std::vector<Finding> findings;
};

}  // namespace

struct YamlNode::Impl {
  std::shared_ptr<Document> document;
  YAML::Node node{YAML::NodeType::Undefined};
  std::string path;
  int line = 0;
  int column = 0;
  bool present = false;
};

Result<YamlNode> YamlNode::parse(std::string_view text, std::string_view file_name) {
  auto document = std::make_shared<Document>(Document{std::string(file_name), {}});
  const auto broken = [&](int line, int column, std::string message) {
    return report_findings({Finding{document->file, line, column, "", std::move(message)}});
  };
  if (text.size() > largest_file) BP_CHECK(broken(0, 0, "larger than the 4 MiB allowed"));
  if (!is_utf8(text)) BP_CHECK(broken(0, 0, "is not UTF-8"));
  std::vector<YAML::Node> documents;
  try {
    documents = yaml::load(text);
  } catch (const yaml::TooMuch& error) {
    BP_CHECK(broken(error.mark.line + 1, error.mark.column + 1, error.msg));
  } catch (const YAML::Exception& error) {
    BP_CHECK(broken(error.mark.line + 1, error.mark.column + 1,
                    "not YAML: " + yaml::printable(error.msg)));
  }
  if (documents.empty() || documents[0].IsNull()) BP_CHECK(broken(1, 1, "the file is empty"));
  if (documents.size() > 1) {
    BP_CHECK(broken(documents[1].Mark().line + 1, documents[1].Mark().column + 1,
                    "a second document; one is allowed"));
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
    const auto report = [&](std::string_view message) {
      impl_->document->findings.push_back(
          Finding{impl_->document->file, pair.first.Mark().line + 1, pair.first.Mark().column + 1,
                  yaml::printable(impl_->path.empty() ? key : impl_->path + "." + key),
                  yaml::printable(message)});
    };
    if (!seen.insert(key).second) {
      report("is given twice");
      continue;
    }
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
  auto text = is_scalar() ? impl_->node.Scalar() : std::string();
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

void YamlNode::finding(const std::string& message) const {
  impl_->document->findings.push_back(Finding{impl_->document->file, impl_->line, impl_->column,
                                              yaml::printable(impl_->path),
                                              yaml::printable(message)});
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
  return present() ? yaml::to_json(impl_->node).dump(-1, ' ', false, Json::error_handler_t::replace)
                   : "null";
}

}  // namespace bedplate
