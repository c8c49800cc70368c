#include "airgap-bundle/extract_command.hpp"

#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/bundle/extract.hpp"
#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/bundle/trust.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"

namespace bedplate {
namespace {

struct ExtractOptions {
  std::string bundle;
  std::string artifact;
  std::string to;
  std::vector<std::string> trust;
  bool dry_run = false;
};

/// For artifacts that are apt repositories: the line of a sources file. Empty for others.
std::string apt_source(const ExtractOptions& options, const bundle::ExtractPlan& plan) {
  constexpr std::string_view begin = "dists/";
  constexpr std::string_view end = "/Release";
  if (!options.artifact.starts_with("apt/")) return {};
  for (const auto& path : plan.files) {
    if (!path.starts_with(begin) || !path.ends_with(end)) continue;
    const auto suite = path.substr(begin.size(), path.size() - begin.size() - end.size());
    return fmt::format("deb [trusted=yes] file:{} {} main",
                       std::filesystem::absolute(options.to).lexically_normal().string(), suite);
  }
  return {};
}

void print(const ExtractOptions& options, const bundle::ExtractPlan& plan, bool json) {
  const auto source = apt_source(options, plan);
  if (json) {
    Json out{{"artifact", options.artifact},
             {"to", options.to},
             {"files", plan.files.size()},
             {"bytes", plan.bytes},
             {"here", plan.here},
             {"missing", plan.missing},
             {"free", plan.free},
             {"enough", plan.enough()},
             {"dryRun", options.dry_run}};
    if (!source.empty()) out["aptSource"] = source;
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("{}: {} files, {}; {} of them {} there before\n", options.to, plan.files.size(),
             format_bytes(plan.bytes), plan.here, plan.here == 1 ? "was" : "were");
  if (options.dry_run) {
    fmt::print("would write {}; {} are free: {}\n", format_bytes(plan.missing),
               format_bytes(plan.free), plan.enough() ? "enough" : "not enough");
  }
  if (source.empty() || options.dry_run) return;
  fmt::print("to use it as an apt repository, in /etc/apt/sources.list.d/{}.list:\n  {}\n",
             options.artifact.substr(4), source);
}

Result<int> extract(const ExtractOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  BP_TRY(const auto plan, bundle::plan_extract(reader, options.artifact, options.to));
  if (options.dry_run) {
    print(options, plan, json);
    return plan.enough() ? 0 : exit_code(ErrorKind::io);
  }
  if (!plan.enough()) {
    return fail(ErrorKind::io,
                fmt::format("{} has {} free, {} are needed", options.to, format_bytes(plan.free),
                            format_bytes(plan.missing)),
                "free space there, or name another folder with --to");
  }
  auto progress = make_console_progress();
  BP_CHECK(reader.extract(options.artifact, options.to, progress.get()));
  progress.reset();
  print(options, plan, json);
  return 0;
}

}  // namespace

void add_extract_command(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<ExtractOptions>();
  auto* command = bundle.add_subcommand("extract", "Write the files of an artifact into a folder");
  command->add_option("bundle", options->bundle, "Bundle file")->required();
  command->add_option("artifact", options->artifact, "Artifact, as `inspect` lists it")->required();
  command->add_option("--to", options->to, "Folder to write to")->required();
  command
      ->add_option("--trust,--key", options->trust,
                   "Who may have signed it: a key (ed25519:…), a sealed site file, a secrets file, "
                   "or a file with a key per line; may be repeated")
      ->required();
  command->add_flag("--dry-run", options->dry_run, "Print what would be written, write nothing");
  command->footer(
      "Each file is checked before it appears; those that are right already are kept.\n"
      "Example:\n  bedplate bundle extract site.bundle apt/site-tools --to /srv/apt --trust "
      "site.secrets");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return extract(*options, invocation.json); };
  });
}

}  // namespace bedplate
