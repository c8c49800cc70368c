#include "airgap-bundle/harbor/apply.hpp"

#include <fmt/format.h>

#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor {
namespace {

class Committer {
 public:
  Committer(const Session& session, const Observed& observed)
      : session_(session), observed_(observed), api_(session.api) {}

  Result<void> commit(const Action& action) {
    switch (action.kind) {
      case ActionKind::set_configuration:
        return set_configuration(action);
      case ActionKind::create_project:
        return say("POST", "/projects", action.body, 201);
      case ActionKind::update_project:
        return say("PUT", "/projects/" + action.project, action.body, 200, true);
      case ActionKind::set_quota:
        return say("PUT", fmt::format("/quotas/{}", action.id), action.body, 200);
      case ActionKind::create_robot:
        return create_robot(action);
      case ActionKind::update_robot:
        return say("PUT", fmt::format("/robots/{}", action.id), action.body, 200);
      case ActionKind::refresh_robot:
        return refresh_robot(action);
      case ActionKind::renew_robot:
        BP_CHECK(remove(fmt::format("/robots/{}", action.id)));
        return create_robot(action);
      case ActionKind::delete_robot:
        // The file first: while the robot is there, the next run comes here again.
        BP_CHECK(session_.folder.remove(action.robot_key, session_.spec.url));
        return remove(fmt::format("/robots/{}", action.id));
      case ActionKind::write_secret:
        return write_secret(*action.robot, robot_name(*action.robot), action.id,
                            observed_.secrets.at(action.robot->key()).secret);
      case ActionKind::set_retention:
        return set_retention(action);
      case ActionKind::create_immutable:
        return say("POST", rules_of(action), action.body, 201, true);
      case ActionKind::enable_immutable:
        return say("PUT", fmt::format("{}/{}", rules_of(action), action.id), action.body, 200,
                   true);
      case ActionKind::delete_immutable:
        return remove(fmt::format("{}/{}", rules_of(action), action.id), true);
      case ActionKind::mark_rules:
        return mark_rules(action);
    }
    return fail(ErrorKind::internal, "an action of no known kind");
  }

 private:
  Result<void> say(std::string method, std::string path, Json body, int wanted,
                   bool by_name = false) {
    BP_CHECK(api_.expect({.method = std::move(method),
                          .path = std::move(path),
                          .body = std::move(body),
                          .by_name = by_name},
                         {wanted}));
    return {};
  }

  /// What is gone already was deleted by an earlier run.
  Result<void> remove(std::string path, bool by_name = false) {
    BP_CHECK(
        api_.expect({.method = "DELETE", .path = std::move(path), .by_name = by_name}, {200, 404}));
    return {};
  }

  static std::string rules_of(const Action& action) {
    return fmt::format("/projects/{}/immutabletagrules", action.project);
  }
  std::string robot_name(const RobotSpec& robot) const {
    return observed_.robot_prefix() + robot.key();
  }

  Result<void> set_configuration(const Action& action) {
    auto body = action.body;
    if (action.client_secret) body["oidc_client_secret"] = session_.client_secret;
    const Call call{.method = "PUT", .path = "/configurations", .body = std::move(body)};
    BP_TRY(const auto answer, api_.send(call));
    if (answer.status == 400 && action.body.contains("auth_mode")) {
      auto error = api_.refusal(call, answer);
      error.kind = ErrorKind::conflict;
      error.hint =
          "Harbor changes auth_mode only while admin is its one user: delete the others "
          "(Administration, Users), then apply again";
      return fail(std::move(error));
    }
    if (answer.status != 200) return fail(api_.refusal(call, answer));
    if (!action.client_secret) return {};
    return session_.folder.remember(client_secret_owner(session_.spec), session_.client_secret);
  }

  Result<void> write_secret(const RobotSpec& robot, const std::string& name, std::int64_t id,
                            const std::string& secret) {
    return session_.folder.write(robot.key(),
                                 manifest_text(session_.spec, robot, name, id, secret));
  }

  Result<std::string> secret_in(const Json& body) {
    auto secret = json_string_or(body, "secret", "");
    if (secret.empty()) {
      return fail(ErrorKind::invalid, "Harbor's answer has no secret in it",
                  "apply again; if it stays, `bedplate harbor check` compares this Harbor with "
                  "what is expected of one");
    }
    api_.hide(secret);
    return secret;
  }

  Result<void> create_robot(const Action& action) {
    BP_TRY(const auto body,
           api_.object({.method = "POST", .path = "/robots", .body = action.body}, 201));
    BP_TRY(const auto secret, secret_in(body));
    const auto id = body.find("id");
    const auto name = json_string_or(body, "name", "");
    if (id == body.end() || !id->is_number_integer() || name.empty()) {
      return fail(ErrorKind::invalid, "Harbor's answer has no id or name in it",
                  "apply again: the robot is ours and gets a new secret");
    }
    return write_secret(*action.robot, name, id->get<std::int64_t>(), secret);
  }

  Result<void> refresh_robot(const Action& action) {
    // An empty secret asks Harbor to make one.
    BP_TRY(const auto body, api_.object({.method = "PATCH",
                                         .path = fmt::format("/robots/{}", action.id),
                                         .body = Json{{"secret", ""}}}));
    BP_TRY(const auto secret, secret_in(body));
    return write_secret(*action.robot, robot_name(*action.robot), action.id, secret);
  }

  Result<std::int64_t> project_id(const std::string& name) {
    const auto known = observed_.projects.find(name);
    if (known != observed_.projects.end()) return known->second.id;
    BP_TRY(const auto body, api_.object({.path = "/projects/" + name, .by_name = true}));
    const auto id = body.find("project_id");
    if (id != body.end() && id->is_number_integer()) return id->get<std::int64_t>();
    return fail(ErrorKind::invalid, fmt::format("Harbor tells no id of project {}", name),
                "`bedplate harbor check` compares this Harbor with what is expected of one");
  }

  Result<void> set_retention(const Action& action) {
    auto body = action.body;
    BP_TRY(body["scope"]["ref"], project_id(action.project));
    if (action.id == 0) return say("POST", "/retentions", std::move(body), 201);
    body["id"] = action.id;
    return say("PUT", fmt::format("/retentions/{}", action.id), std::move(body), 200);
  }

  Result<void> mark_rules(const Action& action) {
    BP_TRY(const auto project, project_id(action.project));
    auto id = action.id;
    if (id == 0) {  // an earlier step of the same plan may have made it
      const auto name = json_string_or(action.body, "name", "");
      BP_TRY(const auto labels, api_.list({.path = "/labels",
                                           .query = {{"scope", "p"},
                                                     {"project_id", std::to_string(project)},
                                                     {"name", name}}}));
      for (const auto& label : labels) {
        const auto found = label.find("id");
        if (json_string_or(label, "name", "") == name && found != label.end() &&
            found->is_number_integer()) {
          id = found->get<std::int64_t>();
        }
      }
    }
    auto body = action.body;
    body["project_id"] = project;
    body["color"] = "#808080";
    if (id == 0) return say("POST", "/labels", std::move(body), 201);
    return say("PUT", fmt::format("/labels/{}", id), std::move(body), 200);
  }

  const Session& session_;
  const Observed& observed_;
  Api& api_;
};

Result<Observed> look(const Session& session) {
  return observe(session.api, session.spec, session.folder, session.client_secret,
                 session.clock.now());
}

}  // namespace

Result<Plan> drift(const Session& session, const PlanOptions& options) {
  BP_TRY(const auto observed, look(session));
  return make_plan(session.spec, observed, options);
}

Result<Plan> apply(const Session& session, const ApplyOptions& options) {
  BP_CHECK_DURING("taking the folder of secrets", session.folder.lock());
  BP_TRY(const auto observed, look(session));
  BP_TRY(auto plan, make_plan(session.spec, observed, options.plan));
  if (!options.approved.empty() && plan.hash() != options.approved) {
    return fail(
        ErrorKind::conflict,
        fmt::format("the plan is {} now, not the approved {}", plan.hash(), options.approved),
        "Harbor or the document has changed: read the plan again with --dry-run");
  }
  if (!session.client_secret.empty()) session.api.hide(session.client_secret);
  Committer committer(session, observed);
  for (std::size_t i = 0; i < plan.actions.size(); ++i) {
    const auto& action = plan.actions[i];
    if (options.on_step) options.on_step(i + 1, plan.actions.size(), action);
    BP_CHECK_DURING(fmt::format("step {} of {}: {}", i + 1, plan.actions.size(), action.describe),
                    committer.commit(action));
  }
  if (plan.actions.empty()) return plan;
  BP_TRY_DURING(const auto left, "comparing afterwards", drift(session, options.plan));
  if (left.actions.empty()) return plan;
  std::string lines;
  for (const auto& action : left.actions) lines += "\n  " + action.describe;
  return fail(ErrorKind::conflict,
              "Harbor took every change and is still not as the document says:" + lines,
              "somebody else may be changing it, or this Harbor ignores what it does not know: "
              "take that out of the document");
}

}  // namespace bedplate::harbor
