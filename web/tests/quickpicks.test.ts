import { describe, expect, test } from "vitest";
import { failedHere, inProject, ranThereNotHere, testsOfBuilds, type Pick } from "../src/model/quickpicks.ts";
import { readRuns, Runs, type Run } from "../src/model/runs.ts";
import { gridOf, job, readGrid } from "./support/labels.ts";

let lastId = 0;

/** A run of a job of Taskcluster; `running` and the like are states, other words results. */
function run(name: string, status: string, others: object = {}): Run {
  const isResult = !["unscheduled", "pending", "running"].includes(status);
  const state = isResult ? { state: "completed", result: status } : { state: status, result: "unknown" };
  const type = { build_system_type: "taskcluster", job_type_name: name };
  return readRuns({ results: [{ id: ++lastId, ...type, ...state, ...others }] })[0];
}

function buildbotRun(name: string, status: string): Run {
  return run("", status, { build_system_type: "buildbot", ref_data_name: name });
}

const LISTED = readGrid(
  gridOf([
    job("build-a"),
    job("build-b"),
    job("test-a1", { build: "build-a" }),
    job("test-a2", { build: "build-a" }),
    job("test-b1", { build: "build-b" }),
    job("test-c1", { build: "build-c" }),
  ]),
);

function runsOf(ran: Run[], listed = LISTED): Runs {
  return new Runs(listed.with(ran), ran);
}

function names(runs: Runs, pick: Pick): string[] {
  return pick.jobs.map((number) => runs.jobs.name(number));
}

describe("the jobs that failed here", () => {
  test("are those with a failure as their last result", () => {
    const runs = runsOf([
      run("build-a", "busted"),
      run("build-b", "success"),
      run("test-a1", "testfailed"),
      run("test-a1", "usercancel"),
      run("test-a2", "exception"),
      run("test-a2", "success"),
      run("test-b1", "superseded"),
    ]);
    expect(names(runs, failedHere(runs))).toEqual(["build-a", "test-a1"]);
  });

  test("leave out jobs that run again, and jobs that cannot run", () => {
    const runs = runsOf([
      run("test-a1", "testfailed"),
      run("test-a1", "pending"),
      run("Action: something", "busted"),
      run("test-b1", "testfailed"),
    ]);
    const pick = failedHere(runs);
    expect(names(runs, pick)).toEqual(["test-b1"]);
    expect(pick.underway.map((number) => runs.jobs.name(number))).toEqual(["test-a1"]);
    expect(pick.notListed).toEqual(["Action: something"]);
  });

  test("can be limited to unclassified failures", () => {
    const runs = runsOf([
      run("test-a1", "testfailed", { failure_classification_id: 4 }),
      run("test-a2", "testfailed", { failure_classification_id: 1 }),
      run("test-b1", "testfailed", { failure_classification_id: 6 }),
    ]);
    expect(names(runs, failedHere(runs, { unclassifiedOnly: true }))).toEqual(["test-a2", "test-b1"]);
  });
});

describe("the jobs that another push ran and this one did not", () => {
  test("are its jobs without those that ran here too", () => {
    const runs = runsOf([run("build-a", "success"), run("test-a1", "usercancel"), run("test-b1", "running")]);
    const there = ["build-a", "test-a1", "test-a2", "test-a2", "test-b1"].map((name) => run(name, "testfailed"));
    const pick = ranThereNotHere(runs, [...there, run("test-c1", "superseded"), run("test-z", "success")]);
    expect(names(runs, pick)).toEqual(["test-a1", "test-a2"]);
    expect(pick.notListed).toEqual(["test-z"]);
  });

  test("do not include jobs that cannot run, such as the decision task", () => {
    const runs = runsOf([run("Gecko Decision Task", "retry")]);
    const pick = ranThereNotHere(runs, [run("Gecko Decision Task", "success")]);
    expect([pick.jobs, pick.notListed]).toEqual([[], ["Gecko Decision Task"]]);
  });

  test("have the names of builders in this project", () => {
    const listed = readGrid(gridOf([job("Linux x86-64 try build", { buildSystem: "buildbot" })], "try"));
    const runs = runsOf([], listed);
    const there = [buildbotRun("Linux x86-64 mozilla-central build", "success")];
    expect(names(runs, ranThereNotHere(runs, there, "mozilla-central"))).toEqual(["Linux x86-64 try build"]);
    expect(inProject("Linux try-server try build", "try", "ash")).toBe("Linux try-server ash build");
  });
});

describe("the tests of the builds that exist here", () => {
  const ran = [
    run("build-a", "busted"),
    run("build-a", "success"),
    run("build-b", "running"),
    run("test-a1", "success"),
  ];

  test("are those of builds that succeeded", () => {
    const runs = runsOf(ran);
    expect(names(runs, testsOfBuilds(runs))).toEqual(["test-a1", "test-a2"]);
  });

  test("can be limited to tests that have not run", () => {
    const runs = runsOf(ran);
    expect(names(runs, testsOfBuilds(runs, { missingOnly: true }))).toEqual(["test-a2"]);
  });

  test("are also those of a build of Buildbot whose own tests failed", () => {
    const buildbot = { buildSystem: "buildbot" };
    const listed = readGrid(gridOf([job("build", buildbot), job("test", { ...buildbot, build: "build" })]));
    const runs = runsOf([buildbotRun("build", "testfailed")], listed);
    expect(names(runs, testsOfBuilds(runs))).toEqual(["test"]);
    const taskcluster = runsOf([run("build-a", "testfailed")]);
    expect(testsOfBuilds(taskcluster).jobs).toEqual([]);
  });

  test("leave out tests that have not ended", () => {
    const runs = runsOf([run("build-a", "success"), run("test-a2", "pending")]);
    const pick = testsOfBuilds(runs);
    expect(names(runs, pick)).toEqual(["test-a1"]);
    expect(pick.underway).toEqual([3]);
  });

  test("do not count a build that another run stands for", () => {
    const runs = runsOf([run("build-a", "success", { job_coalesced_to_guid: "another" })]);
    expect(testsOfBuilds(runs).jobs).toEqual([]);
  });
});
