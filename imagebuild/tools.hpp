#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::image {

/// A program of the building machine and the Debian package it comes in.
struct Tool {
  std::string_view name;
  std::string_view package;
};

/// What `image system` and `image iso` run.
std::vector<Tool> system_tools(bool root);
std::vector<Tool> iso_tools();

using ProgramFinder =
    std::function<Result<std::filesystem::path>(std::string_view name, std::string_view package)>;

/// Full paths of the tools. All that are missing are named in one error of kind dependency, whose
/// hint is the command that installs them.
class Toolbox {
 public:
  static Result<Toolbox> locate(std::span<const Tool> tools,
                                const ProgramFinder& find = find_program);
  /// Path of a tool that was located; the bare name of any other.
  std::string operator[](std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> paths_;
};

/// What every stage of a build needs.
struct Workshop {
  ProcessRunner& runner;
  Progress* progress = nullptr;
  std::filesystem::path cache;  ///< folder that holds base/, rootfs/ and image/
  Toolbox tools;
  bool root = true;  ///< we are root; else trees are handled in a user namespace

  /// argv as it must be run to own the files of an image: itself for root, else inside
  /// `unshare --map-root-user` with the user's subordinate ids.
  std::vector<std::string> owning(std::vector<std::string> argv) const;

  void begin(std::string_view title) const;
  void note(std::string_view line) const;
  void end() const;
};

}  // namespace bedplate::image
