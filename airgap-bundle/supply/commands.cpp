#include "airgap-bundle/supply/commands.hpp"

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/bundle/trust.hpp"
#include "airgap-bundle/supply/sbom.hpp"
#include "core/file.hpp"

namespace bedplate {
namespace {

struct SbomOptions {
  std::string bundle;
  std::vector<std::string> trust;
  std::string output;
};

Result<int> sbom(const SbomOptions& options, bool json) {
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  BP_TRY(const auto document, supply::spdx_document(reader));
  const auto text = document.dump(2) + "\n";
  if (options.output.empty()) {
    fmt::print("{}", text);
    return 0;
  }
  BP_CHECK(write_file_atomic(options.output, text));
  const auto count = document["packages"].size();
  if (json) {
    fmt::print("{}\n", Json{{"sbom", options.output}, {"packages", count}}.dump());
  } else {
    fmt::print("{}: {} packages\n", options.output, count);
  }
  return 0;
}

}  // namespace

void add_sbom_command(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<SbomOptions>();
  auto* command = bundle.add_subcommand("sbom", "Say what a bundle holds, as SPDX 2.3");
  command->add_option("bundle", options->bundle, "Bundle file")->required();
  command
      ->add_option("--trust,--key", options->trust,
                   "Who may have signed it: a key (ed25519:…), a sealed site file, a secrets file, "
                   "or a file with a key per line; may be repeated")
      ->required();
  command->add_option("-o,--output", options->output, "File to write (default: standard output)");
  command->footer(
      "The same bundle gives the same document.\n"
      "Example:\n  bedplate bundle sbom site.bundle --trust site.yaml -o site.spdx.json");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return sbom(*options, invocation.json); };
  });
}

}  // namespace bedplate
