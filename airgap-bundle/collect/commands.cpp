#include "airgap-bundle/collect/commands.hpp"

#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/bundle/trust.hpp"
#include "airgap-bundle/closure/commands.hpp"
#include "airgap-bundle/collect/catalog.hpp"
#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/rate.hpp"
#include "airgap-bundle/collect/reuse.hpp"
#include "airgap-bundle/sets/commands.hpp"
#include "airgap-bundle/summary.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "core/size.hpp"

namespace bedplate {
namespace {

struct CollectOptions {
  std::string spec;
  std::string root;
  std::string output;
  std::string key;
  std::string created;
  std::string helm;
  std::string lock;
  std::string limit_rate;
  std::string cache;
  std::string keep = "20G";
  std::vector<std::string> reuse;
  std::string split;
  HaveOptions have;
  unsigned workers = 8;
  bool use_cache = false;
  bool dry_run = false;
};
using Options = std::shared_ptr<CollectOptions>;

std::filesystem::path root_of(const CollectOptions& options) {
  if (!options.root.empty()) return options.root;
  return std::filesystem::absolute(options.spec).parent_path();
}

/// The named one, else the one beside the specification: bundle.yaml has bundle.lock.
std::filesystem::path lock_of(const CollectOptions& options) {
  if (!options.lock.empty()) return options.lock;
  return std::filesystem::path(options.spec).replace_extension(".lock");
}

/// Empty: nothing is kept.
std::filesystem::path cache_of(const CollectOptions& options) {
  if (!options.cache.empty()) return options.cache;
  return options.use_cache ? collect::default_blob_cache() : std::filesystem::path();
}

Result<collect::CreateOptions> create_options(const CollectOptions& options) {
  collect::CreateOptions how;
  how.root = root_of(options);
  how.output = options.output;
  how.helm = options.helm;
  how.workers = options.workers;
  how.cache = cache_of(options);
  how.reuse.assign(options.reuse.begin(), options.reuse.end());
  BP_TRY(how.created_at, creation_time(options.created));
  if (!options.limit_rate.empty()) {
    BP_TRY(how.limit_rate, collect::parse_rate(options.limit_rate));
  }
  std::error_code ignored;
  if (!options.lock.empty() || std::filesystem::exists(lock_of(options), ignored)) {
    BP_TRY(const auto lock_text, read_file(lock_of(options), 64U << 20));
    BP_TRY(how.lock, collect::Lock::parse(lock_text, lock_of(options).string()));
  }
  return how;
}

int print_plan(const collect::SpacePlan& plan, const CollectOptions& options, bool json) {
  const bool enough = plan.free >= plan.needed();
  if (json) {
    fmt::print("{}\n", Json{{"images", plan.images},
                            {"known", plan.known},
                            {"here", plan.here},
                            {"made", plan.made},
                            {"overhead", plan.overhead},
                            {"written", plan.written},
                            {"needed", plan.needed()},
                            {"free", plan.free},
                            {"enough", enough}}
                           .dump());
    return enough ? 0 : exit_code(ErrorKind::io);
  }
  fmt::print("{}: {} images\n", options.output, plan.images);
  fmt::print("  copied as it is   {}, of which {} are on this machine\n", format_bytes(plan.known),
             format_bytes(plan.here));
  fmt::print("  compressed here   {} at most\n", format_bytes(plan.made));
  fmt::print("  header, indexes   {}\n", format_bytes(plan.overhead));
  fmt::print("  needs             {} ({} of it were written before)\n", format_bytes(plan.needed()),
             format_bytes(plan.written));
  fmt::print("  free              {}: {}\n", format_bytes(plan.free),
             enough ? "enough" : "not enough");
  return enough ? 0 : exit_code(ErrorKind::io);
}

Result<int> create(const CollectOptions& options, bool json) {
  BP_TRY(const auto spec, collect::load_spec(options.spec, root_of(options)));
  BP_TRY_DURING(const auto key, "reading the signing key", bundle::read_signing_key(options.key));
  BP_TRY(auto how, create_options(options));
  if (!options.split.empty()) {
    if (auto size = parse_medium_size(options.split); !size) return fail(std::move(size).error());
    BP_CHECK(refuse_half_moved(options.output, options.split, key));
  }
  BP_CHECK(refuse_same(options.output, options.have.have));
  SystemProcessRunner runner;
  how.runner = &runner;
  BP_TRY(how.have, read_have(options.have, key));
  if (options.dry_run) {
    BP_TRY(const auto plan, collect::plan_space(spec, how, key));
    return print_plan(plan, options, json);
  }
  auto progress = make_console_progress();
  BP_TRY(const auto created_bundle, collect::create_bundle(spec, how, key, progress.get()));
  const auto& [header, proof] = created_bundle;
  progress.reset();
  const auto size = std::filesystem::file_size(options.output);
  if (!options.split.empty()) BP_CHECK(move_into_parts(options.output, options.split, key));
  if (json) {
    fmt::print("{}\n", bundle_summary(header, size, key.public_key()).dump());
    return 0;
  }
  fmt::print("{}: {}, {} images, {} artifacts, signed by {}\n", options.output, format_bytes(size),
             header.images.size(), header.artifacts.size(), key.public_key().fingerprint());
  if (!header.elsewhere.empty()) {
    fmt::print("differential: {} blobs are elsewhere; `bedplate bundle apply` adds them\n",
               header.elsewhere.size());
  }
  print_proof(proof);
  return 0;
}

Result<int> garbage(const CollectOptions& options, bool json) {
  BP_TRY(const auto most, collect::parse_rate(options.keep));
  BP_TRY(const auto done, collect::collect_garbage(cache_of(options), most));
  if (json) {
    fmt::print(
        "{}\n",
        Json{{"kept", done.kept}, {"removed", done.removed}, {"removedFiles", done.removed_files}}
            .dump());
  } else {
    fmt::print("{}: removed {} blobs ({}), {} are left\n", cache_of(options).string(),
               done.removed_files, format_bytes(done.removed), format_bytes(done.kept));
  }
  return 0;
}

Result<int> resolve(const CollectOptions& options, bool json) {
  BP_TRY(const auto spec, collect::load_spec(options.spec, root_of(options)));
  collect::Fetching fetching;
  fetching.cache = cache_of(options);
  if (!options.limit_rate.empty()) {
    BP_TRY(fetching.limit_rate, collect::parse_rate(options.limit_rate));
  }
  auto progress = make_console_progress();
  SystemProcessRunner runner;
  BP_TRY(const auto lock,
         collect::resolve(spec, root_of(options), options.helm, runner, progress.get(), fetching));
  progress.reset();
  const auto path = lock_of(options);
  const auto now = lock.to_text();
  const auto before = read_file(path);
  const bool changed = !before || *before != now;
  if (changed) BP_CHECK(write_file_atomic(path, now));
  if (json) {
    fmt::print("{}\n", Json{{"lock", path.string()}, {"changed", changed}}.dump());
  } else {
    fmt::print("{}: {}\n", path.string(),
               changed ? "written; review what has changed" : "unchanged");
  }
  return 0;
}

void add_create(CLI::App& bundle, const Options& options, Invocation& invocation) {
  auto* command = bundle.add_subcommand("create", "Make a bundle from a specification");
  command->add_option("-f,--file", options->spec, "Specification (kind: Bundle)")->required();
  command->add_option("--root", options->root,
                      "Folder that its paths are relative to (default: beside it)");
  command->add_option("-o,--output", options->output, "Bundle to write")->required();
  command->add_option("--key", options->key, "Secrets file of the site, or an Ed25519 key in PEM")
      ->required();
  command->add_option("--created", options->created,
                      "Creation time, RFC 3339 (default: SOURCE_DATE_EPOCH, or now)");
  command->add_option(
      "--lock", options->lock,
      "Take only what it says (default: the .lock beside the specification, if any)");
  command->add_option("--helm", options->helm,
                      "Helm to render charts with (default: the payload's, else the one in PATH)");
  command->add_option("--workers", options->workers, "Blobs that are fetched at a time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--limit-rate", options->limit_rate,
                      "Bytes a second from elsewhere, all together: 800K, 10M");
  command->add_option("--reuse", options->reuse,
                      "Bundle of the same key whose blobs need not be fetched; may be repeated "
                      "(the bundle that is being replaced is one anyway)");
  command->add_flag("--cache", options->use_cache,
                    "Also keep what is fetched in the user's cache (see `bundle gc`)");
  command->add_option("--cache-folder", options->cache, "Keep it in this folder instead");
  add_have_options(*command, options->have);
  command->add_option("--split", options->split,
                      "Then cut it into parts of that size, which replace it (see `bundle split`)");
  command->add_flag("--dry-run", options->dry_run,
                    "Ask every source, print what will be needed, write nothing");
  command->footer(
      "Interrupted and called again, it goes on where it was; while parts are made, `bundle split "
      "--move` does.\n"
      "Example:\n  bedplate bundle create -f bundle.yaml -o site.bundle --key "
      "site.secrets");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return create(*options, invocation.json); };
  });
}

void add_resolve(CLI::App& bundle, const Options& options, Invocation& invocation) {
  auto* command =
      bundle.add_subcommand("resolve", "Write down what a specification means today (bundle.lock)");
  command->add_option("-f,--file", options->spec, "Specification (kind: Bundle)")->required();
  command->add_option("--root", options->root,
                      "Folder that its paths are relative to (default: beside it)");
  command->add_option("-o,--output,--lock", options->lock,
                      "Lock to write (default: beside the specification)");
  command->add_option("--helm", options->helm, "Helm to fetch charts with");
  command->add_option("--limit-rate", options->limit_rate, "Bytes a second for files by URL: 10M");
  command->add_option("--cache-folder", options->cache,
                      "Keep files by URL in this folder (default: in the user's cache)");
  command->footer(
      "Fetches manifests, lists of packages and files by URL; no layers, no packages.\n"
      "`create` then takes exactly that.\n"
      "Example:\n  bedplate bundle resolve -f bundle.yaml && git diff bundle.lock");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return resolve(*options, invocation.json); };
  });
}

void add_garbage(CLI::App& bundle, const Options& options, Invocation& invocation) {
  auto* command = bundle.add_subcommand("gc", "Keep the cache of fetched blobs within bounds");
  command->add_option("--keep", options->keep, "Bytes that may stay, most recently used ones")
      ->capture_default_str();
  command->add_option("--cache-folder", options->cache, "Folder (default: in the user's cache)");
  command->footer("Example:\n  bedplate bundle gc --keep 50G");
  command->callback([options, &invocation] {
    options->use_cache = true;
    invocation.action = [options, &invocation] { return garbage(*options, invocation.json); };
  });
}

}  // namespace

Result<WallTime> creation_time(const std::string& word) {
  if (!word.empty()) return parse_rfc3339(word);
  // reproducible-builds.org: the time of the source instead of the time of the build.
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"); epoch != nullptr) {
    return WallTime(std::chrono::seconds(std::strtoll(epoch, nullptr, 10)));
  }
  return SystemClock().now();
}

void add_collect_commands(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<CollectOptions>();
  add_create(bundle, options, invocation);
  add_resolve(bundle, options, invocation);
  add_garbage(bundle, options, invocation);
}

}  // namespace bedplate
