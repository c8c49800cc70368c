#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace bedplate {

/// One thing that is wrong with an input file.
struct Finding {
  std::string file;
  int line = 0;         ///< from 1; 0 when the place is unknown
  int column = 0;       ///< from 1
  std::string field;    ///< dotted path: nodes[1].disk.serial
  std::string message;  ///< what is wrong and what is allowed

  /// "site.yaml:12:5: nodes[1].role: 'wroker' is not allowed; did you mean 'worker'? (…)"
  std::string str() const;
};

/// Turns findings into one Error of kind invalid that lists them all; success when there is none.
Result<void> report_findings(const std::vector<Finding>& findings);

/// The entry of `allowed` nearest to `word` by edit distance, if near enough to be a typo.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& allowed);

/// A place in a YAML document that collects findings instead of failing at the first one. Reading a
/// wrong value records a finding and returns a default, so that one pass reports every error.
class YamlNode {
 public:
  /// Parses one document. A syntax error, a second document, an alias bomb (over 10,000 nodes) or a
  /// file over 4 MiB is an Error at once.
  static Result<YamlNode> parse(std::string_view text, std::string_view file_name);
  static Result<YamlNode> read(const std::filesystem::path& path);

  YamlNode(const YamlNode&);
  YamlNode(YamlNode&&) noexcept;
  YamlNode& operator=(const YamlNode&);
  ~YamlNode();

  bool present() const;
  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;

  /// Records a finding unless this is a map whose keys are all in `known`; the message of an
  /// unknown key gives the nearest known one. Duplicate keys are findings too.
  void expect_map(const std::vector<std::string>& known) const;
  /// Child of a map; absent children answer present() == false.
  YamlNode operator[](std::string_view key) const;
  /// Elements of a list; a finding when it is something else; empty when absent.
  std::vector<YamlNode> list() const;
  /// Keys of a map in the order of the file.
  std::vector<std::string> keys() const;

  /// Scalars. `required`: a finding when absent.
  std::string string(bool required = true, std::string_view fallback = {}) const;
  bool boolean(bool fallback) const;
  std::int64_t integer(std::int64_t fallback, std::int64_t minimum, std::int64_t maximum) const;
  /// One of `allowed`; the finding lists them and the nearest.
  std::string choice(const std::vector<std::string>& allowed, bool required,
                     std::string_view fallback = {}) const;
  /// "16GiB", "500 MB", "4096": bytes.
  std::uint64_t bytes(std::uint64_t fallback) const;
  std::vector<std::string> strings() const;

  /// Records a finding at this place.
  void finding(const std::string& message) const;
  const std::string& path() const;
  int line() const;
  /// All findings of the document so far, in the order of the lines.
  std::vector<Finding> findings() const;
  /// The raw value as JSON (for patches that are passed through); null when absent.
  std::string to_json_text() const;

 private:
  struct Impl;
  explicit YamlNode(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace bedplate
