import { expect, test } from "vitest";
import { joinDryRuns, levelOf, readPlan } from "../src/model/plan.ts";
import type { RequestedJob, Triggered } from "../src/model/requests.ts";

function planOf(jobs: RequestedJob[], others: Partial<Triggered> = {}, buildOf?: (name: string) => string | undefined) {
  return readPlan({ message: "", request_id: null, status_url: null, state: "checked", ...others, jobs }, buildOf);
}

const names = (jobs: readonly RequestedJob[]) => jobs.map((job) => job.name);
const label = { destination: "taskcluster" };

test("each job is in one list, by its state and code", () => {
  const plan = planOf([
    { name: "goes", state: "accepted" },
    { name: "renamed", state: "accepted", code: "renamed", asked_as: "old" },
    { name: "needed", state: "accepted", code: "needed_build" },
    { name: "again", state: "accepted", code: "already_running" },
    { name: "waits", state: "waiting", code: "build_running" },
    { name: "left", state: "rejected", code: "already_running" },
    { name: "unknown", state: "rejected", code: "unknown_job" },
    { name: "label", state: "failed", code: "hook_missing", ...label },
    { name: "later", state: "of-a-newer-version" },
  ]);
  expect(names(plan.runs)).toEqual(["goes", "renamed"]);
  expect(names(plan.builds)).toEqual(["needed"]);
  expect(names(plan.again)).toEqual(["again"]);
  expect(plan.waits.map(({ jobs }) => names(jobs))).toEqual([["waits"]]);
  expect(names(plan.leftAlone)).toEqual(["left"]);
  expect(plan.refused.map(({ code, jobs }) => [code, names(jobs)])).toEqual([
    ["unknown_job", ["unknown"]],
    ["hook_missing", ["label"]],
    ["", ["later"]],
  ]);
  expect(names(plan.renamed)).toEqual(["renamed"]);
  expect(plan.requested).toBe(5);
});

test("waiting jobs are grouped by the build that they wait for", () => {
  const waits = (name: string, code: string): RequestedJob => ({
    name,
    state: "waiting",
    code,
    detail: `${name} waits`,
  });
  const jobs = [waits("a1", "build_running"), waits("b1", "build_requested"), waits("b2", "build_requested")];
  const plan = planOf(jobs, {}, (name) => `build-${name[0]}`);
  expect(plan.waits.map(({ code, build, jobs }) => [code, build, names(jobs)])).toEqual([
    ["build_requested", "build-b", ["b1", "b2"]],
    ["build_running", "build-a", ["a1"]],
  ]);
});

test("labels that wait for an action are grouped by what the API says", () => {
  const detail = "An action runs on the push.";
  const plan = planOf(["a", "b"].map((name) => ({ name, state: "waiting", detail, ...label })));
  expect(plan.waits).toMatchObject([{ code: "", detail, jobs: [{ name: "a" }, { name: "b" }] }]);
});

test("jobs are counted by the way that they go", () => {
  const plan = planOf([
    { name: "builder", state: "accepted", destination: "pulse" },
    { name: "label", state: "accepted", ...label },
    { name: "waiting label", state: "waiting", ...label },
    { name: "stored before destinations", state: "accepted" },
    { name: "refused label", state: "rejected", code: "not_triggerable", ...label },
  ]);
  expect(plan.ways).toEqual({ pulse: 1, taskcluster: 2 });
});

test("builds that Taskcluster starts by itself are named once", () => {
  const action = { hook: "group/hook", labels: ["label"], input_bytes: 80 };
  const actions = [["build-a"], ["build-a", "build-b"]].map((builds) => ({ ...action, also_starts: builds }));
  const plan = planOf([{ name: "label", state: "accepted", ...label }], { actions });
  expect(plan.alsoStarts).toEqual(["build-a", "build-b"]);
  expect(plan.actions).toHaveLength(2);
});

test.each(["unplanned", "taskcluster_unavailable"])("a plan with %s is not certain", (code) => {
  expect(planOf([{ name: "a", state: "accepted", code }])).toMatchObject({ isUncertain: true, requested: 1 });
  expect(planOf([{ name: "a", state: "accepted" }]).isUncertain).toBe(false);
});

test("dry runs of several requests are one plan, in which a build is added once", () => {
  const answer = (jobs: RequestedJob[], actions?: Triggered["actions"]): Triggered => ({
    message: "",
    state: "checked",
    jobs,
    ...(actions && { actions }),
  });
  const action = { hook: "group/hook", labels: ["label"], input_bytes: 80, also_starts: [] };
  const build: RequestedJob = { name: "build", state: "accepted", code: "needed_build" };
  const plan = readPlan(
    joinDryRuns([
      answer([{ name: "one", state: "waiting" }, build]),
      answer([{ name: "two", state: "waiting" }, build], [action]),
    ]),
  );
  expect(names(plan.builds)).toEqual(["build"]);
  expect(plan.requested).toBe(3);
  expect(plan.actions).toEqual([action]);
});

test("a hook's name has its level", () => {
  expect(levelOf("project-gecko/in-tree-action-3-generic/0123abcdef")).toBe("3");
  expect(levelOf("project-gecko/other")).toBeUndefined();
});
