#include "qemu-tests/lab/service_check.hpp"

#include <fmt/format.h>

#include "core/text.hpp"

namespace bedplate::lab {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kPage = "bedplate rehearsal: this page came through a Service";

std::string job_of(int round) {
  return fmt::format("client-{}", round);
}

/// For the error: why it does not get on, as the cluster knows it.
std::string what_the_cluster_says(Workstation& workstation) {
  const auto space = std::string(kCheckNamespace);
  std::string out;
  if (const auto pods = workstation.kubectl({"-n", space, "get", "pods", "-o", "wide"}))
    out += *pods;
  if (const auto events =
          workstation.kubectl({"-n", space, "get", "events", "--sort-by=.lastTimestamp"})) {
    out += *events;
  }
  return out;
}

}  // namespace

Result<std::string> run_service_check(Workstation& workstation, const ServiceCheck& check,
                                      const std::function<Result<void>()>& look) {
  const auto space = std::string(kCheckNamespace);
  const auto job = job_of(check.round);
  const auto server = server_manifest(check.image, check.server, kPage);
  const auto client = client_manifest(check.image, check.client, job);
  const auto apply = [&](const std::string& manifest) {
    return [&]() -> Result<void> {
      BP_CHECK(workstation.kubectl({"apply", "-f", "-"}, manifest));
      return {};
    };
  };
  BP_CHECK(retry("the service to be deployed", minutes(5), apply(server), look));
  BP_CHECK(retry(
      "the web server to be available", minutes(10),
      [&]() -> Result<void> {
        BP_CHECK(workstation.kubectl(
            {"-n", space, "wait", "--for=condition=Available", "deployment/web", "--timeout=10s"}));
        return {};
      },
      look));
  BP_CHECK(retry("the client to be started", minutes(5), apply(client), look));
  auto done = retry(
      "the client to fetch the page", minutes(10),
      [&]() -> Result<void> {
        BP_CHECK(workstation.kubectl(
            {"-n", space, "wait", "--for=condition=Complete", "job/" + job, "--timeout=10s"}));
        return {};
      },
      look);
  if (!done) {
    done.error().what += "\n" + what_the_cluster_says(workstation);
    return std::unexpected(std::move(done).error());
  }
  // Not those of job/…, which may be a pod that came too early and was followed by another one.
  BP_TRY(const auto pod,
         workstation.kubectl({"-n", space, "get", "pods", "-l", "job-name=" + job,
                              "--field-selector=status.phase=Succeeded", "-o", "name"}));
  BP_TRY(auto answer, workstation.kubectl({"-n", space, "logs", std::string(trimmed(pod))}));
  if (answer.find(kPage) != std::string::npos) return answer;
  return fail(ErrorKind::conflict, "the client pod got another page:\n" + answer);
}

Result<WallTime> completion_time(Workstation& workstation, int round) {
  BP_TRY(const auto text,
         workstation.kubectl({"-n", std::string(kCheckNamespace), "get", "job/" + job_of(round),
                              "-o", "jsonpath={.status.completionTime}"}));
  return parse_rfc3339(trimmed(text));
}

}  // namespace bedplate::lab
