// What a site has, and one image more for it.

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/bundle/trust.hpp"
#include "airgap-bundle/collect/commands.hpp"
#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/sets/addition.hpp"
#include "airgap-bundle/sets/any.hpp"
#include "airgap-bundle/sets/commands.hpp"
#include "airgap-bundle/sets/inventory.hpp"
#include "airgap-bundle/summary.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"

namespace bedplate {
namespace {

struct InventoryOptions {
  std::vector<std::string> bundles;
  std::vector<std::string> registries;
  std::vector<std::string> trust;
  std::string ca;
  std::string key;
  std::string created;
  std::string output;
};

struct Url {
  std::string host;
  bool plain_http = false;
};

Result<Url> parse_registry(const std::string& text) {
  Url out;
  const auto scheme = text.find("://");
  out.plain_http = text.starts_with("http://");
  out.host = scheme == std::string::npos ? text : text.substr(scheme + 3);
  while (out.host.ends_with('/')) out.host.pop_back();
  const bool known = scheme == std::string::npos || out.plain_http || text.starts_with("https://");
  if (known && !out.host.empty() && out.host.find_first_of("/@?# ") == std::string::npos) {
    return out;
  }
  return fail(ErrorKind::usage, fmt::format("'{}' is not a registry", text),
              "write https://harbor.example, with a port if it has one; logins are taken from "
              "`skopeo login` or `docker login`");
}

Result<void> add_registries(sets::Inventory& inventory, const InventoryOptions& options,
                            registry::Access& access, Progress* progress) {
  registry::HostSettings settings;
  if (!options.ca.empty()) {
    BP_TRY(settings.tls.ca_pem, read_file(options.ca, 1U << 20));
  }
  for (const auto& text : options.registries) {
    BP_TRY(const auto url, parse_registry(text));
    settings.plain_http = url.plain_http;
    access.set(url.host, settings);
    BP_CHECK(sets::add_registry(inventory, url.host, access, progress));
  }
  return {};
}

Result<int> take_inventory(const InventoryOptions& options, bool json) {
  if (options.bundles.empty() && options.registries.empty()) {
    return fail(ErrorKind::usage, "nothing to take an inventory of",
                "name what the site has with --bundle and --registry");
  }
  BP_TRY_DURING(const auto key, "reading the signing key", bundle::read_signing_key(options.key));
  BP_TRY(const auto keys, trusted_with(options.trust, key));
  sets::Inventory inventory;
  BP_TRY(inventory.created_at, creation_time(options.created));
  for (const auto& path : options.bundles) {
    BP_TRY(const auto reader, bundle::Reader::open(path, keys));
    inventory.add(reader);
  }
  SystemProcessRunner runner;
  registry::Access access(runner);
  auto progress = make_console_progress();
  BP_CHECK(add_registries(inventory, options, access, progress.get()));
  progress.reset();
  BP_CHECK(write_file_atomic(options.output, sets::sign_inventory(inventory, key)));
  std::uint64_t sum = 0;
  for (const auto& [digest, size] : inventory.blobs) sum += size;
  if (json) {
    fmt::print("{}\n", Json{{"inventory", options.output},
                            {"blobs", inventory.blobs.size()},
                            {"bytes", sum},
                            {"images", inventory.images.size()}}
                           .dump());
    return 0;
  }
  fmt::print("{}: {} images, {} blobs, {}, signed by {}\n", options.output, inventory.images.size(),
             inventory.blobs.size(), format_bytes(sum), key.public_key().fingerprint());
  return 0;
}

struct AddOptions {
  sets::AdditionOptions what;
  HaveOptions have;
  std::string key;
  std::string created;
  std::string output;
  bool dry_run = false;
};

/// "20261125.160000": a later addition has a greater one.
std::string version_of(WallTime time) {
  std::string out;
  for (const char c : format_rfc3339(time)) {
    if (c == 'T') out += '.';
    if (c >= '0' && c <= '9') out += c;
  }
  return out;
}

Result<int> add_image(const AddOptions& options, bool json) {
  BP_TRY_DURING(const auto key, "reading the signing key", bundle::read_signing_key(options.key));
  collect::CreateOptions how;
  how.root = ".";
  how.output = options.output;
  BP_CHECK(refuse_same(options.output, options.have.have));
  BP_TRY(how.created_at, creation_time(options.created));
  BP_TRY(how.have, read_have(options.have, key));
  SystemProcessRunner runner;
  how.runner = &runner;
  auto what = options.what;
  if (what.version.empty()) what.version = version_of(how.created_at);
  BP_TRY(const auto spec, sets::addition_spec(what));
  if (options.dry_run) {
    BP_TRY(const auto plan, collect::plan_space(spec, how, key));
    fmt::print("{}\n", json ? Json{{"needed", plan.needed()}, {"free", plan.free}}.dump()
                            : fmt::format("{}: needs {}, free {}", options.output,
                                          format_bytes(plan.needed()), format_bytes(plan.free)));
    return plan.free >= plan.needed() ? 0 : exit_code(ErrorKind::io);
  }
  auto progress = make_console_progress();
  BP_TRY(const auto made, collect::create_bundle(spec, how, key, progress.get()));
  progress.reset();
  const auto size = std::filesystem::file_size(options.output);
  if (json) {
    fmt::print("{}\n", bundle_summary(made.header, size, key.public_key()).dump());
    return 0;
  }
  fmt::print("{}: {}, {} images", options.output, format_bytes(size), made.header.images.size());
  if (!made.header.elsewhere.empty()) fmt::print(", {}", sets::elsewhere_text(made.header));
  fmt::print("\n");
  return 0;
}

}  // namespace

void add_inventory_command(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<InventoryOptions>();
  auto* command =
      app.add_subcommand("inventory", "Write down, signed, what images and blobs a site has");
  command->add_option("--bundle", options->bundles, "Bundle that is served there; may be repeated")
      ->allow_extra_args(false);
  command
      ->add_option("--registry", options->registries,
                   "Registry there, Harbor or any: https://harbor.example; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--ca", options->ca, "Authorities of the registries, PEM");
  command
      ->add_option("--trust", options->trust,
                   "Who else but the key's owner may have signed the bundles; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--key", options->key, "Secrets file of the site, or an Ed25519 key in PEM")
      ->required();
  command->add_option("--created", options->created,
                      "Creation time, RFC 3339 (default: SOURCE_DATE_EPOCH, or now)");
  command->add_option("-o,--output", options->output, "Inventory to write")->required();
  command->footer(
      "Fetches manifests, no layers. `bundle diff`, `create` and `add-image` leave out what is in "
      "it.\n"
      "Example:\n  bedplate inventory --bundle site.bundle --registry https://harbor.example "
      "--key site.secrets -o inventory.json");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] {
      return take_inventory(*options, invocation.json);
    };
  });
}

void add_addition_command(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<AddOptions>();
  auto* command =
      bundle.add_subcommand("add-image", "Make a small bundle with one image more for a site");
  command->add_option("image", options->what.images, "Full reference; may be repeated")->required();
  command->add_option("--source", options->what.source,
                      "Where it comes from, as in a specification (default: its own name)");
  command->add_option("--platform", options->what.platform, "Platform")->capture_default_str();
  command->add_flag("--plain-http", options->what.plain_http, "The registry has no TLS");
  command->add_option("--name", options->what.name, "Name of the bundle")
      ->default_val("addition")
      ->capture_default_str();
  command->add_option("--bundle-version", options->what.version,
                      "Its version (default: the creation time)");
  add_have_options(*command, options->have);
  command->add_option("--key", options->key, "Secrets file of the site, or an Ed25519 key in PEM")
      ->required();
  command->add_option("--created", options->created,
                      "Creation time, RFC 3339 (default: SOURCE_DATE_EPOCH, or now)");
  command->add_option("-o,--output", options->output, "Bundle to write")->required();
  command->add_flag("--dry-run", options->dry_run, "Say what would be needed, write nothing");
  command->footer(
      "Example:\n  bedplate bundle add-image docker.io/library/redis:7 --have inventory.json "
      "--key site.secrets -o add.bundle");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return add_image(*options, invocation.json); };
  });
}

}  // namespace bedplate
