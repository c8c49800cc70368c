#include "airgap-bundle/closure/references.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "core/digest.hpp"
#include "core/text.hpp"
#include "core/yaml_tree.hpp"

namespace bedplate::closure {
namespace {

/// Of one object that helm rendered.
constexpr int most_values = 1'000'000;
/// Configuration within configuration: an Application with values in a ConfigMap.
constexpr int deepest_text = 3;

/// What cannot be part of a reference ends a word: quotes, brackets and separators of shells, JSON,
/// INI files and templates.
constexpr std::string_view separators = " \t\r\n\"'`,;=()[]{}<>|\\$!*?^&";

bool names_an_image(std::string_view key) {
  return lower(key).ends_with("image");
}

/// "image: busybox" names one, "backgroundImage: sunset.png" does not.
bool is_a_name(std::string_view key, std::string_view value) {
  if (value == "true" || value == "false") return false;
  for (const std::string_view picture :
       {".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".webp"}) {
    if (value.ends_with(picture)) return false;
  }
  return lower(key) == "image" || value.find_first_of("/:@") != std::string_view::npos;
}

/// A flag or variable: "--solver-image=…", "RELATED_IMAGE_PROXY".
bool speaks_of_images(std::string_view name) {
  return lower(name).find("image") != std::string::npos;
}

/// "--executor-image" as an item of its own, whose value is the next one.
bool is_image_flag(std::string_view word) {
  return word.size() > 2 && word.starts_with('-') && word.find('=') == std::string_view::npos &&
         names_an_image(word);
}

/// One of several names that tell an image in parts: "image.repository" of a chart's parameters,
/// "PROXY_IMAGE_REPOSITORY" among variables.
struct PartName {
  std::string of;    ///< "image"
  std::string part;  ///< "repository"
};

std::optional<PartName> part_name(std::string_view name) {
  const auto small = lower(name);
  for (const std::string_view part : {"registry", "repository", "tag", "digest"}) {
    if (!small.ends_with(part) || small.size() <= part.size() + 1) continue;
    const auto of = small.substr(0, small.size() - part.size() - 1);
    const auto between = small[of.size()];
    // GIT_REPOSITORY and GIT_TAG name something else.
    if (between == '.' || (between == '_' && speaks_of_images(of))) {
      return PartName{of, std::string(part)};
    }
  }
  return std::nullopt;
}

/// Where the kubelet takes what stands there for an image, and nothing else comes in between.
bool is_of_container(std::string_view kind, const std::string& path) {
  static constexpr std::array<std::string_view, 9> kinds{
      "Pod", "PodTemplate", "Deployment",           "DaemonSet", "StatefulSet", "ReplicaSet",
      "Job", "CronJob",     "ReplicationController"};
  constexpr std::string_view field = "].image";
  if (std::ranges::find(kinds, kind) == kinds.end() || !path.ends_with(field)) return false;
  auto list = std::string_view(path).substr(0, path.size() - field.size());
  list = list.substr(0, list.find_last_not_of("0123456789") + 1);
  return list.ends_with("spec.containers[") || list.ends_with("spec.initContainers[") ||
         list.ends_with("spec.ephemeralContainers[");
}

/// Whether YAML or JSON that is kept in a text could name an image. Looking first saves reading
/// dashboards of megabytes, which speak of images in their queries only.
bool may_be_configuration(std::string_view text) {
  const auto small = lower(text);
  for (const std::string_view word : {"image", "repository"}) {
    for (auto at = small.find(word); at != std::string::npos; at = small.find(word, at + 1)) {
      auto next = at + word.size();
      if (next < small.size() && (small[next] == '"' || small[next] == '\'')) ++next;
      if (next < small.size() && small[next] == ':') return true;
    }
  }
  return false;
}

std::string_view without_punctuation(std::string_view word) {
  while (!word.empty() && std::string_view(".:/-").find(word.back()) != std::string_view::npos) {
    word.remove_suffix(1);
  }
  return word;
}

/// A registry's host has a dot or a port; "v1.2/x:y" has a dot too, so the last part of the name
/// must begin with a letter, or the host must be an IPv4 address.
bool is_plausible_host(std::string_view host) {
  const auto colon = host.find(':');
  const auto name = host.substr(0, colon);
  if (colon != std::string_view::npos || name == "localhost") return true;
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == name.size()) return false;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return is_letter(name[dot + 1]) ||
         name.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::optional<oci::Reference> full_reference(std::string_view word) {
  constexpr std::string_view docker = "docker://";
  if (word.starts_with(docker)) word.remove_prefix(docker.size());
  if (word.find("://") != std::string_view::npos) return std::nullopt;  // a URL
  word = without_punctuation(word);
  const auto slash = word.find('/');
  if (slash == std::string_view::npos || !is_plausible_host(word.substr(0, slash))) {
    return std::nullopt;
  }
  auto parsed = oci::Reference::parse(word);
  if (!parsed) return std::nullopt;
  return std::move(*parsed);
}

/// Nothing, too, where there is no map.
std::string scalar(const YAML::Node& map, std::string_view key) {
  if (!map.IsMap()) return {};
  const auto value = map[std::string(key)];
  return value && value.IsScalar() ? value.Scalar() : std::string();
}

/// What a text holds when it is YAML or JSON. A script or a template is neither: nothing.
std::vector<YAML::Node> configuration_in(std::string_view text) {
  try {
    // Without aliases of aliases no text has more values than bytes.
    return yaml::load(text, static_cast<int>(std::min<std::size_t>(text.size(), most_values)));
  } catch (const YAML::Exception&) {
    return {};
  }
}

class Walk {
 public:
  Walk(std::string kind, std::string where, std::vector<FoundImage>& out)
      : kind_(std::move(kind)), where_(std::move(where)), out_(out) {}

  /// What a pod would be refused for.
  const std::optional<Error>& error() const { return error_; }

  void visit(const YAML::Node& node, const std::string& path) {
    if (node.IsMap()) {
      visit_map(node, path);
    } else if (node.IsSequence()) {
      visit_list(node, path);
    } else if (node.IsScalar()) {
      visit_text(node.Scalar(), path);
    }
  }

  void visit_secret(const YAML::Node& data) {
    for (const auto& item : data) {
      if (!item.second.IsScalar()) continue;
      // Kubernetes passes over line ends in base64, which "|" and `base64 -w` leave behind.
      auto text = item.second.Scalar();
      std::erase_if(text, [](char c) { return c == ' ' || c == '\r' || c == '\n'; });
      const auto decoded = base64_decode(text);
      if (decoded) visit_text(*decoded, "data." + item.first.Scalar());
    }
  }

 private:
  void visit_list(const YAML::Node& list, const std::string& path) {
    const bool of_images = lower(path).ends_with("images");
    const auto whole = visit_named_parts(list, path);
    bool flag = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto at = fmt::format("{}[{}]", path, i);
      const auto item = list[i].IsScalar() ? list[i].Scalar() : std::string();
      const bool named = flag && !item.starts_with('-') && is_a_name("", item);
      if (named || (of_images && has_tag(item) && is_a_name("", item))) {
        add_field(item, at);
      } else if (const auto name = part_name(scalar(list[i], "name"));
                 !name || !whole.contains(name->of)) {
        visit(list[i], at);
      }
      flag = is_image_flag(item);
    }
  }

  /// [{name: image.repository, value: …}, {name: image.tag, value: …}], as an Application has it.
  /// Returns those that are whole.
  std::set<std::string> visit_named_parts(const YAML::Node& list, const std::string& path) {
    std::map<std::string, YAML::Node> images;
    for (const auto& item : list) {
      const auto name = part_name(scalar(item, "name"));
      const auto value = scalar(item, "value");
      if (name && !value.empty()) images[name->of][name->part] = value;
    }
    std::set<std::string> whole;
    for (const auto& [name, parts] : images) {
      if (visit_parts(parts, path + "." + name)) whole.insert(name);
    }
    return whole;
  }

  void visit_map(const YAML::Node& map, const std::string& path) {
    visit_parts(map, path);
    for (const auto& item : map) {
      const auto key = item.first.Scalar();
      const auto at = path.empty() ? key : path + "." + key;
      if (!item.second.IsScalar()) {
        visit(item.second, at);
      } else if (names_an_image(key) && is_a_name(key, item.second.Scalar())) {
        add_field(with_tag(map, item.second.Scalar()), at);
      } else if (is_volume_image(key, path) || is_variable(key, map)) {
        add_field(item.second.Scalar(), at);
      } else {
        visit_text(item.second.Scalar(), at);
      }
    }
  }

  static bool is_volume_image(std::string_view key, std::string_view path) {
    return key == "reference" && path.ends_with(".image");
  }

  /// {name: RELATED_IMAGE_PROXY, value: …} of a container.
  static bool is_variable(std::string_view key, const YAML::Node& map) {
    return key == "value" && speaks_of_images(scalar(map, "name")) &&
           is_a_name("", scalar(map, "value"));
  }

  /// image: {registry, repository, tag or version, digest}, as values and custom resources have it.
  /// False: it is none, or not whole.
  bool visit_parts(const YAML::Node& map, const std::string& path) {
    auto repository = scalar(map, "repository");
    if (repository.empty() && names_an_image(path)) repository = scalar(map, "name");
    auto tag = scalar(map, "tag");
    if (tag.empty()) tag = scalar(map, "version");
    const auto digest = scalar(map, "digest");
    if (repository.empty() || (tag.empty() && digest.empty())) return false;
    if (repository.find("://") != std::string::npos) return false;  // of charts or of git
    const auto registry = scalar(map, "registry");
    auto text = registry.empty() ? repository : registry + "/" + repository;
    if (!tag.empty()) text += ":" + tag;
    if (!digest.empty()) text += "@" + digest;
    add_field(text, path);
    return true;
  }

  static bool has_tag(std::string_view image) {
    return image.substr(image.rfind('/') + 1).find_first_of(":@") != std::string_view::npos;
  }

  /// Some custom resources keep the tag beside the image.
  static std::string with_tag(const YAML::Node& map, std::string image) {
    if (has_tag(image)) return image;
    for (const auto* key : {"imageTag", "tag", "version"}) {
      const auto tag = scalar(map, key);
      if (!tag.empty()) return image + ":" + tag;
    }
    return image;
  }

  void add_field(const std::string& text, const std::string& path) {
    const auto word = trimmed(text);
    if (word.empty() || word.find("://") != std::string_view::npos) {
      return visit_text(text, path);
    }
    if (auto image = normalize(word)) {
      add(std::move(*image), std::string(word), path,
          depth_ == 0 ? Certainty::field : Certainty::text);
    } else if (depth_ == 0 && is_of_container(kind_, path)) {
      refuse(text, path);
    } else {
      visit_text(text, path);
    }
  }

  void refuse(const std::string& text, const std::string& path) {
    if (error_) return;
    error_ = Error(ErrorKind::invalid, fmt::format("{}: {}: '{}' is not the name of an image",
                                                   where_, path, presentable(text.substr(0, 200))))
                 .with_hint("correct the chart's values: no node could start this pod");
  }

  void visit_text(std::string_view text, const std::string& path) {
    for (auto& image : references_in_text(text)) {
      auto written = image.str();
      add(std::move(image), std::move(written), path, Certainty::text);
    }
    visit_lines(text, path);
    visit_configuration(text, path);
  }

  /// What a controller reads as YAML or JSON is looked at as such: there are names without a tag,
  /// and names in parts.
  void visit_configuration(std::string_view text, const std::string& path) {
    if (depth_ == deepest_text || !may_be_configuration(text)) return;
    if (depth_++ == 0) text_path_ = path;
    for (const auto& document : configuration_in(text)) {
      if (!document.IsScalar()) visit(document, path);
    }
    --depth_;
  }

  /// Short names are found only where the text says that they are images: "image: busybox:1.36" in
  /// a template kept in a ConfigMap, "--helper-image=busybox:1.36" among flags.
  void visit_lines(std::string_view text, const std::string& path) {
    for (std::size_t start = 0; start < text.size();) {
      auto end = text.find_first_of("\r\n", start);
      if (end == std::string_view::npos) end = text.size();
      visit_line(trimmed(text.substr(start, end - start)), path);
      start = end + 1;
    }
  }

  void visit_line(std::string_view line, const std::string& path) {
    visit_flags(line, path);
    for (auto split = line.find_first_of(":="); split != std::string_view::npos;
         split = line.find_first_of(":=", split + 1)) {
      // In "my-image:v1@sha256:…" nothing is a key.
      const auto next = line.substr(split + 1, 1);
      if (line[split] == ':' && !next.empty() &&
          std::string_view(" \"'").find(next[0]) == std::string_view::npos) {
        continue;
      }
      visit_assignment(line, split, path);
    }
  }

  /// `split`: where the colon or equals sign is.
  void visit_assignment(std::string_view line, std::size_t split, const std::string& path) {
    auto key = trimmed(line.substr(0, split));
    const auto word_start = key.find_last_of(" -\"'");
    if (word_start != std::string_view::npos) {
      const auto whole = key;
      key = key.substr(word_start + 1);
      if (key.empty() && whole.size() > 1) key = whole.substr(0, whole.size() - 1);  // "image":
    }
    if (!names_an_image(key)) return;
    auto value = trimmed(line.substr(split + 1));
    while (!value.empty() && std::string_view("\"',").find(value.front()) != std::string_view::npos)
      value.remove_prefix(1);
    value = value.substr(0, value.find_first_of(separators));
    const bool short_name = value.find_first_of(":@") != std::string_view::npos;
    if (!value.empty() && short_name) add_short(value, path);
  }

  /// "kubectl run x --image curlimages/curl:8" in a script.
  void visit_flags(std::string_view line, const std::string& path) {
    bool flag = false;
    while (!line.empty()) {
      const auto end = std::min(line.find_first_of(separators), line.size());
      const auto word = line.substr(0, end);
      if (flag && !word.starts_with('-') && is_a_name("", word)) add_short(word, path);
      if (end > 0) flag = is_image_flag(word) && line.substr(end, 1) == " ";
      line.remove_prefix(std::min(line.size(), end + 1));
    }
  }

  void add_short(std::string_view value, const std::string& path) {
    if (full_reference(value)) return;  // found already
    if (auto image = normalize(value)) {
      add(std::move(*image), std::string(value), path, Certainty::text);
    }
  }

  /// What one place names in several ways is one finding; a text is one place.
  void add(oci::Reference image, std::string written, const std::string& path,
           Certainty certainty) {
    auto where = where_ + ": " + (depth_ == 0 ? path : text_path_);
    if (!seen_.insert(image.str() + " " + where).second) return;
    out_.push_back({std::move(image), std::move(written), std::move(where), certainty});
  }

  std::string kind_;  ///< of the object
  std::string where_;
  std::vector<FoundImage>& out_;
  std::optional<Error> error_;  ///< the first one
  std::unordered_set<std::string> seen_;
  int depth_ = 0;          ///< of texts within texts
  std::string text_path_;  ///< of the outermost text
};

struct Document {
  std::string_view text;
  std::string source;
};

/// Cuts a stream at its `---` lines; each part keeps the `# Source:` line of Helm that is above it.
std::vector<Document> split(std::string_view stream, std::string_view source) {
  constexpr std::string_view mark = "# Source: ";
  std::vector<Document> out;
  std::size_t start = 0;
  const auto end_at = [&](std::size_t end) {
    Document document{stream.substr(start, end - start), std::string(source)};
    if (const auto at = document.text.find(mark); at != std::string_view::npos) {
      const auto from = at + mark.size();
      document.source = trimmed(document.text.substr(from, document.text.find('\n', from) - from));
    }
    if (!trimmed(document.text).empty()) out.push_back(std::move(document));
  };
  for (std::size_t line = 0; line < stream.size();) {
    auto next = stream.find('\n', line);
    next = next == std::string_view::npos ? stream.size() : next + 1;
    const auto text = stream.substr(line, next - line);
    if (text.starts_with("---") &&
        trimmed(text.substr(3)).substr(0, 1).find_first_not_of('#') == std::string_view::npos) {
      end_at(line);
      start = next;
    }
    line = next;
  }
  end_at(stream.size());
  return out;
}

/// Quick, since definitions are long and yaml-cpp is not.
bool is_definition(std::string_view text) {
  return text.starts_with("kind: CustomResourceDefinition") ||
         text.find("\nkind: CustomResourceDefinition") != std::string_view::npos;
}

Result<void> visit_object(const YAML::Node& object, const std::string& source,
                          std::vector<FoundImage>& out) {
  if (!object.IsMap()) return {};
  const auto kind = scalar(object, "kind");
  if (kind == "CustomResourceDefinition") return {};
  if (kind == "List" && object["items"].IsDefined() && object["items"].IsSequence()) {
    for (const auto& item : object["items"]) BP_CHECK(visit_object(item, source, out));
    return {};
  }
  const auto meta = object["metadata"];
  const auto name = meta && meta.IsMap() ? scalar(meta, "name") : std::string();
  Walk walk(kind, fmt::format("{}: {} {}", source, kind, name), out);
  walk.visit(object, "");
  const auto data = object["data"];
  if (kind == "Secret" && data && data.IsMap()) walk.visit_secret(data);
  if (walk.error()) return fail(*walk.error());
  return {};
}

}  // namespace

Result<oci::Reference> normalize(std::string_view text) {
  std::string full(text);
  const auto slash = full.find('/');
  const auto host = full.substr(0, slash);
  const bool has_registry = slash != std::string::npos &&
                            (host.find_first_of(".:") != std::string::npos || host == "localhost");
  if (!has_registry)
    full = (slash == std::string::npos ? "docker.io/library/" : "docker.io/") + full;
  const auto name = full.substr(full.rfind('/') + 1);
  if (name.find_first_of(":@") == std::string::npos) full += ":latest";
  return oci::Reference::parse(full);
}

std::vector<oci::Reference> references_in_text(std::string_view text) {
  std::vector<oci::Reference> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto start = text.find_first_not_of(separators, at);
    if (start == std::string_view::npos) break;
    const auto end = std::min(text.find_first_of(separators, start), text.size());
    // A template goes on here: what there is of the name is not the name.
    const bool cut = end < text.size() && (text[end] == '{' || text[end] == '$');
    if (auto image = full_reference(text.substr(start, end - start)); image && !cut) {
      out.push_back(std::move(*image));
    }
    at = end;
  }
  return out;
}

Result<std::vector<FoundImage>> find_images(std::string_view manifests, std::string_view source) {
  std::vector<FoundImage> out;
  for (const auto& document : split(manifests, source)) {
    if (is_definition(document.text)) continue;
    try {
      for (const auto& object : yaml::load(document.text, most_values)) {
        BP_CHECK(visit_object(object, document.source, out));
      }
    } catch (const YAML::Exception& error) {
      return fail(ErrorKind::invalid,
                  fmt::format("{} is no YAML: {}", document.source, error.what()));
    }
  }
  return out;
}

}  // namespace bedplate::closure
