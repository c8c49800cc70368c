#include "airgap-bundle/sets/commands.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>

#include "airgap-bundle/bundle/content.hpp"
#include "airgap-bundle/bundle/trust.hpp"
#include "airgap-bundle/sets/delta.hpp"
#include "airgap-bundle/sets/inventory.hpp"
#include "airgap-bundle/sets/join.hpp"
#include "airgap-bundle/sets/part_set.hpp"
#include "airgap-bundle/sets/split.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "core/size.hpp"

namespace bedplate {
namespace {

struct SetOptions {
  std::string bundle;
  std::vector<std::string> files;  ///< parts, or bases
  std::vector<std::string> trust;
  std::string output;
  std::string size;
  std::string key;
  std::vector<std::uint32_t> only;
  HaveOptions have;
  bool move = false;
  bool dry_run = false;
};
using Options = std::shared_ptr<SetOptions>;

Json space_json(const std::vector<SpaceUse>& uses) {
  Json out = Json::array();
  for (const auto& use : uses) {
    out.push_back({{"folder", use.folder.string()},
                   {"needed", use.needed},
                   {"free", use.free},
                   {"enough", use.enough()}});
  }
  return out;
}

/// Of --dry-run: what would be needed, and as exit code whether it is there.
int print_space(Json out, const std::vector<SpaceUse>& uses, bool json, const std::string& text) {
  bool enough = true;
  for (const auto& use : uses) enough = enough && use.enough();
  if (json) {
    out["space"] = space_json(uses);
    out["enough"] = enough;
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print("{}{}", text, space_text(uses));
  }
  return enough ? 0 : exit_code(ErrorKind::io);
}

Result<int> split(const SetOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  sets::SplitOptions how;
  how.bundle = options.bundle;
  how.to = options.output;
  how.only = options.only;
  how.move = options.move;
  BP_TRY(how.part_size, parse_medium_size(options.size));
  const auto said = [&](const sets::SplitPlan& plan) {
    return Json{{"count", plan.layout.count()},
                {"length", plan.layout.length},
                {"set", plan.set.str()},
                {"written", plan.write},
                {"kept", plan.here}};
  };
  if (options.dry_run) {
    BP_TRY(const auto plan, sets::plan_split(how, keys));
    return print_space(
        said(plan), plan.space, json,
        fmt::format("{} parts of {} at most, {} of them to write\n", plan.layout.count(),
                    format_bytes(plan.layout.length + bundle::part_header_size),
                    plan.write.size()));
  }
  auto progress = make_console_progress();
  BP_TRY(const auto plan, sets::split(how, keys, progress.get()));
  progress.reset();
  if (json) {
    fmt::print("{}\n", said(plan).dump());
    return 0;
  }
  fmt::print("{} parts: {} written, {} were there\n", plan.layout.count(), plan.write.size(),
             plan.here.size());
  return 0;
}

Result<int> join(const SetOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  sets::JoinOptions how;
  how.parts.assign(options.files.begin(), options.files.end());
  how.output = options.output;
  if (options.dry_run) {
    BP_TRY(const auto space, sets::plan_join(how));
    return print_space(Json::object(), space, json, "");
  }
  auto progress = make_console_progress();
  BP_TRY(const auto done, sets::join(how, keys, progress.get()));
  progress.reset();
  if (json) {
    fmt::print("{}\n", Json{{"bundle", options.output}, {"digest", done.digest.str()}}.dump());
  } else {
    fmt::print("{}: {}, as signed by {}\n", options.output, format_bytes(done.end),
               done.signer.fingerprint());
  }
  return 0;
}

Result<int> diff(const SetOptions& options, bool json) {
  BP_TRY_DURING(const auto key, "reading the signing key", bundle::read_signing_key(options.key));
  BP_TRY(const auto keys, trusted_with(options.have.trust, key));
  sets::DiffOptions how;
  how.bundle = options.bundle;
  how.output = options.output;
  BP_CHECK(refuse_same(options.output, {options.bundle}));
  BP_CHECK(refuse_same(options.output, options.have.have));
  BP_TRY(how.have, read_have(options.have, key));
  BP_TRY(const auto plan, sets::plan_diff(how, keys));
  const Json said{{"here", plan.here}, {"elsewhere", plan.elsewhere}};
  const auto text = fmt::format("{}: carries {}, leaves out {}\n", options.output,
                                format_bytes(plan.here), format_bytes(plan.elsewhere));
  if (options.dry_run) return print_space(said, plan.space, json, text);
  auto progress = make_console_progress();
  BP_CHECK(sets::diff(how, keys, key, progress.get()));
  progress.reset();
  fmt::print("{}", json ? said.dump() + "\n" : text);
  return 0;
}

Result<int> apply(const SetOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  sets::ApplyOptions how;
  how.delta = options.bundle;
  how.bases.assign(options.files.begin(), options.files.end());
  how.output = options.output;
  if (options.dry_run) {
    BP_TRY(const auto plan, sets::plan_apply(how, keys));
    return print_space(Json{{"fromDelta", plan.from_delta}, {"fromBases", plan.from_bases}},
                       plan.space, json,
                       fmt::format("{} from {}, {} from its base\n", format_bytes(plan.from_delta),
                                   options.bundle, format_bytes(plan.from_bases)));
  }
  auto progress = make_console_progress();
  BP_TRY(const auto done, sets::apply(how, keys, progress.get()));
  progress.reset();
  if (json) {
    fmt::print("{}\n", Json{{"bundle", options.output}, {"digest", done.digest.str()}}.dump());
  } else {
    fmt::print("{}: {}, complete, as signed by {}\n", options.output, format_bytes(done.end),
               done.signer.fingerprint());
  }
  return 0;
}

void add_trust(CLI::App& command, const Options& options) {
  command
      .add_option("--trust,--key", options->trust,
                  "Who may have signed it: a key (ed25519:…), a sealed site file, a secrets file, "
                  "or a file with a key per line; may be repeated")
      ->allow_extra_args(false)
      ->required();
}

void add_dry_run(CLI::App& command, const Options& options) {
  command.add_flag("--dry-run", options->dry_run,
                   "Say what would be needed and what is free, write nothing");
}

void add_split(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<SetOptions>();
  auto* command = bundle.add_subcommand("split", "Cut a bundle into parts for discs and sticks");
  command->add_option("bundle", options->bundle, "Bundle file")->required();
  command
      ->add_option("--size", options->size,
                   "Bytes that a part may have: 4.7G as on labels (units of 1000), 4Gi (1024), or "
                   "fat32, dvd, dvd-dl, bd")
      ->required();
  add_trust(*command, options);
  command->add_option("--to", options->output, "Folder for the parts (default: the bundle's)");
  command
      ->add_option("--part", options->only,
                   "Write only this part: straight to its medium; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--move", options->move,
                    "Take each part out of the bundle once it is written: no room for a second "
                    "copy is needed, and the bundle is gone at the end");
  add_dry_run(*command, options);
  command->footer(
      "Interrupted and called again, it goes on where it was.\n"
      "Examples:\n"
      "  bedplate bundle split site.bundle --size dvd --to discs --trust site.secrets\n"
      "  bedplate bundle split site.bundle --size fat32 --part 2 --to /media/stick --trust "
      "site.secrets");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return split(*options, invocation.json); };
  });
}

void add_join(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<SetOptions>();
  auto* command = bundle.add_subcommand("join", "Put a bundle together again out of its parts");
  command->add_option("part", options->files, "Parts, in any order, all or some")->required();
  command->add_option("-o,--output", options->output, "Bundle to write")->required();
  add_trust(*command, options);
  add_dry_run(*command, options);
  command->footer(
      "With one drive: call it for each disc; it says which parts are still needed, and the last\n"
      "one completes the bundle. Interrupted and called again, it goes on where it was.\n"
      "Example:\n  bedplate bundle join /media/cdrom/site.bundle.*of5 -o site.bundle --trust "
      "site.yaml");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return join(*options, invocation.json); };
  });
}

void add_diff(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<SetOptions>();
  auto* command =
      bundle.add_subcommand("diff", "Make a bundle that holds only what a site does not have");
  command->add_option("bundle", options->bundle, "The new bundle")->required();
  add_have_options(*command, options->have);
  command->get_option("--have")->required();
  command->add_option("-o,--output", options->output, "Differential bundle to write")->required();
  command->add_option("--key", options->key, "Secrets file of the site, or an Ed25519 key in PEM")
      ->required();
  add_dry_run(*command, options);
  command->footer(
      "Example:\n  bedplate bundle diff new.bundle --have old.bundle -o delta.bundle --key "
      "site.secrets");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return diff(*options, invocation.json); };
  });
}

void add_apply(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<SetOptions>();
  auto* command = bundle.add_subcommand(
      "apply", "Put a complete bundle together out of a differential one and its base");
  command->add_option("bundle", options->bundle, "Differential bundle")->required();
  command->add_option("--base", options->files, "Bundle that it was made against; may be repeated")
      ->allow_extra_args(false)
      ->required();
  command->add_option("-o,--output", options->output, "Bundle to write; may be the base")
      ->required();
  add_trust(*command, options);
  add_dry_run(*command, options);
  command->footer(
      "The result is the bundle that was signed, byte for byte; no key is needed here.\n"
      "Example:\n  bedplate bundle apply delta.bundle --base old.bundle -o new.bundle --trust "
      "site.yaml");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return apply(*options, invocation.json); };
  });
}

}  // namespace

void add_have_options(CLI::App& command, HaveOptions& options) {
  command
      .add_option("--have", options.have,
                  "What the site has, a bundle or an inventory: that is left out and listed as "
                  "elsewhere; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--trust", options.trust,
                  "Who else but the signer's own key may have signed that; may be repeated")
      ->allow_extra_args(false);
  command.add_flag("--unsigned-inventory", options.unsigned_inventory,
                   "Take an inventory whose signature cannot be checked");
}

Result<std::vector<PublicKey>> trusted_with(const std::vector<std::string>& trust,
                                            const PrivateKey& key) {
  std::vector<PublicKey> out;
  if (!trust.empty()) {
    BP_TRY(out, bundle::read_trust(trust));
  }
  out.push_back(key.public_key());
  return out;
}

Result<bundle::BlobSizes> read_have(const HaveOptions& options, const PrivateKey& key) {
  BP_TRY(const auto keys, trusted_with(options.trust, key));
  return sets::read_have(options.have, keys, options.unsigned_inventory);
}

Result<void> refuse_same(const std::string& output, const std::vector<std::string>& inputs) {
  for (const auto& input : inputs) {
    std::error_code code;
    if (!std::filesystem::equivalent(output, input, code)) continue;
    return fail(ErrorKind::usage,
                fmt::format("{} would be replaced by what is made out of it", input),
                "name another file with -o");
  }
  return {};
}

Result<void> refuse_half_moved(const std::string& bundle, const std::string& part_size,
                               const PrivateKey& key) {
  std::error_code code;
  const auto size = std::filesystem::file_size(bundle, code);
  const auto file = open_file(bundle, O_RDONLY);
  if (code || !file) return {};
  const auto own = key.public_key();
  const auto header =
      bundle::read_signed_header(bundle::read_from(file->get()), size, std::span(&own, 1));
  if (!header || size >= header->end) return {};
  return fail(ErrorKind::conflict,
              fmt::format("{} is half of a bundle, whose end lies in parts beside it", bundle),
              fmt::format("`bedplate bundle split --move --size {} {} --trust …` goes on with the "
                          "parts; or remove it and them",
                          part_size, bundle));
}

Result<void> move_into_parts(const std::filesystem::path& bundle, const std::string& part_size,
                             const PrivateKey& key) {
  sets::SplitOptions how;
  how.bundle = bundle;
  how.move = true;
  BP_TRY(how.part_size, parse_medium_size(part_size));
  const auto own = key.public_key();
  auto progress = make_console_progress();
  BP_CHECK(sets::split(how, std::span(&own, 1), progress.get()));
  return {};
}

void add_set_commands(CLI::App& bundle, Invocation& invocation) {
  add_split(bundle, invocation);
  add_join(bundle, invocation);
  add_diff(bundle, invocation);
  add_apply(bundle, invocation);
  add_addition_command(bundle, invocation);
}

}  // namespace bedplate
