#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <yaml-cpp/yaml.h>

namespace bedplate::yaml {

inline constexpr int most_values = 10'000;  ///< in a file of ours

/// More values or deeper than what is read may be.
class TooMuch final : public YAML::Exception {
 public:
  using Exception::Exception;
};

/// Parses `text` into its documents. Values are counted before the tree is built and, since an
/// alias repeats what it names, once more in the tree: hostile input costs no more than its size.
/// Throws YAML::Exception, with the place, for what is no YAML, and TooMuch for more than `most`.
std::vector<YAML::Node> load(std::string_view text, int most = most_values);

/// The value as JSON: plain true, false, null and numbers keep their type, all else is text.
nlohmann::json to_json(const YAML::Node& node);

/// One line of printable UTF-8 of bounded length: what a file says may not write to a terminal.
std::string printable(std::string_view text);

}  // namespace bedplate::yaml
