#include "airgap-bundle/commands.hpp"

#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <libsmartcols/libsmartcols.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/bundle/trust.hpp"
#include "airgap-bundle/closure/bundle_proof.hpp"
#include "airgap-bundle/closure/commands.hpp"
#include "airgap-bundle/collect/commands.hpp"
#include "airgap-bundle/extract_command.hpp"
#include "airgap-bundle/harbor/commands.hpp"
#include "airgap-bundle/push/commands.hpp"
#include "airgap-bundle/registry/serve_command.hpp"
#include "airgap-bundle/sets/any.hpp"
#include "airgap-bundle/sets/commands.hpp"
#include "airgap-bundle/summary.hpp"
#include "airgap-bundle/supply/commands.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "core/site.hpp"

namespace bedplate {
namespace {

struct BundleOptions {
  std::string bundle;
  std::vector<std::string> parts;
  bool alone = false;
  std::vector<std::string> trust;
  std::string helm;
  std::string report;
};

Result<int> prove(const BundleOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  SystemProcessRunner runner;
  const auto helm = options.helm.empty() ? "helm" : options.helm;
  BP_TRY(const auto proof, closure::prove_bundle(reader, helm, runner));
  auto report = closure::to_json(proof);
  report["bundle"] = {{"name", reader.header().name},
                      {"version", reader.header().version},
                      {"signer", reader.signer().str()}};
  if (!options.report.empty()) {
    BP_CHECK(write_file_atomic(options.report, report.dump(2) + "\n"));
  }
  if (json) {  // one document, as for every command
    fmt::print("{}\n", report.dump());
    return proof.closed() ? 0 : exit_code(ErrorKind::not_found);
  }
  print_proof(proof);
  if (proof.closed()) return 0;
  return fail(ErrorKind::not_found,
              fmt::format("{} images are asked for and are not in the bundle:\n{}",
                          proof.missing.size(), closure::missing_text(proof)),
              "make the bundle again with them");
}

void print_table(const bundle::Header& header) {
  std::unique_ptr<libscols_table, decltype(&scols_unref_table)> table(scols_new_table(),
                                                                      scols_unref_table);
  scols_table_enable_noencoding(table.get(), 1);
  scols_table_new_column(table.get(), "NAME", 0, 0);
  scols_table_new_column(table.get(), "VERSION", 0, 0);
  scols_table_new_column(table.get(), "DIGEST", 0, 0);
  scols_table_new_column(table.get(), "FROM", 0, SCOLS_FL_TRUNC);
  const auto add = [&](const std::string& name, const std::string& version, const Digest& digest,
                       const std::string& from) {
    auto* line = scols_table_new_line(table.get(), nullptr);
    scols_line_set_data(line, 0, name.c_str());
    scols_line_set_data(line, 1, version.c_str());
    scols_line_set_data(line, 2, digest.hex().substr(0, 12).c_str());
    scols_line_set_data(line, 3, from.c_str());
  };
  for (const auto& image : header.images) add(image.name, "", image.digest, image.provenance);
  for (const auto& artifact : header.artifacts) {
    add(artifact.name, artifact.version, artifact.digest, artifact.provenance);
  }
  scols_print_table(table.get());
}

/// The bundle, or all parts that were named.
std::vector<std::filesystem::path> files_of(const BundleOptions& options) {
  std::vector<std::filesystem::path> out{options.bundle};
  out.insert(out.end(), options.parts.begin(), options.parts.end());
  return out;
}

Result<int> inspect(const BundleOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  BP_TRY(const auto read, sets::read_any_header(files_of(options), keys));
  const auto& header = read.header;
  if (json) {
    fmt::print("{}\n", bundle_summary(header, read.end, read.signer).dump());
    return 0;
  }
  fmt::print("bundle    {} {}\ncreated   {}\nsize      {}\nsigned by {}\n", header.name,
             header.version, format_rfc3339(header.created_at), format_bytes(read.end),
             read.signer.fingerprint());
  if (!header.elsewhere.empty()) fmt::print("elsewhere {}\n", sets::elsewhere_text(header));
  fmt::print("\n");
  std::fflush(stdout);
  print_table(header);
  return 0;
}

Result<int> verify(const BundleOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  auto progress = make_console_progress();
  if (options.alone) {
    BP_CHECK(sets::check_alone(files_of(options), progress.get()));
    progress.reset();
    if (json) {
      Json files = Json::array();
      for (const auto& file : files_of(options)) files.push_back(file.string());
      fmt::print("{}\n", Json{{"undamaged", files}, {"signatureChecked", false}}.dump());
      return 0;
    }
    fmt::print("undamaged, each part by itself; the signature is of all parts together\n");
    return 0;
  }
  BP_TRY(const auto read, sets::verify_any(files_of(options), keys, progress.get()));
  progress.reset();
  if (json) {
    fmt::print("{}\n", bundle_summary(read.header, read.end, read.signer).dump());
    return 0;
  }
  fmt::print("{}: {} blobs are as signed by {}\n", options.bundle, read.header.entries.size() - 2,
             read.signer.fingerprint());
  return 0;
}

using Options = std::shared_ptr<BundleOptions>;

void add_bundle_argument(CLI::App& command, const Options& options, bool positional) {
  command.add_option(positional ? "bundle" : "--bundle", options->bundle, "Bundle file")
      ->required();
  command
      .add_option("--trust,--key", options->trust,
                  "Who may have signed it: a key (ed25519:…), a sealed site file, a secrets file, "
                  "or a file with a key per line; may be repeated")
      ->required();
}

}  // namespace

void add_bundle_commands(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<BundleOptions>();
  auto* bundle = app.add_subcommand("bundle", "Make, check and serve the one file with everything");
  bundle->require_subcommand(1);
  add_collect_commands(*bundle, invocation);
  add_images_command(*bundle, invocation);
  add_push_command(*bundle, invocation);
  add_sbom_command(*bundle, invocation);
  add_extract_command(*bundle, invocation);
  add_harbor_commands(app, invocation);
  add_set_commands(*bundle, invocation);
  add_inventory_command(app, invocation);

  auto* inspect_command = bundle->add_subcommand("inspect", "List what a bundle holds");
  add_bundle_argument(*inspect_command, options, true);
  inspect_command->add_option("parts", options->parts, "Of a bundle that was split: other parts");
  inspect_command->footer(
      "Of a bundle that was split, part 1 is enough.\n"
      "Example:\n  bedplate bundle inspect site.bundle --trust site.secrets");
  inspect_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return inspect(*options, invocation.json); };
  });

  auto* verify_command =
      bundle->add_subcommand("verify", "Check the signature and every byte of a bundle");
  add_bundle_argument(*verify_command, options, true);
  verify_command->add_option("parts", options->parts,
                             "Of a bundle that was split: the other parts, in any order");
  verify_command->add_flag("--alone", options->alone,
                           "Only compare each part with its own checksum: for a disc just written");
  verify_command->footer(
      "Examples:\n  bedplate bundle verify site.bundle --trust site.secrets\n"
      "  bedplate bundle verify site.bundle.*of5 --trust site.secrets");
  verify_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return verify(*options, invocation.json); };
  });

  auto* prove_command = bundle->add_subcommand(
      "prove", "Prove that every image which charts and kubeadm ask for is in a bundle");
  add_bundle_argument(*prove_command, options, true);
  prove_command->add_option("--report", options->report, "Write what was found as JSON");
  prove_command->add_option("--helm", options->helm, "Helm, for bundles that carry none");
  prove_command->footer(
      "Needs no network.\nExample:\n  bedplate bundle prove site.bundle --trust site.secrets "
      "--report proof.json");
  prove_command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return prove(*options, invocation.json); };
  });

  add_serve_command(*bundle, invocation);
}

}  // namespace bedplate
