// Treeherder's front end of 2018 against running functions. "Add new jobs" fetches the list, gives each job an id, sorts
// the jobs into platforms and groups, and selects those that are clicked. "Trigger" requests the selected jobs, and shows
// the answer.
//
//     BASE_URL=http://127.0.0.1:8000 node --test tests/e2e/client.test.mjs
//
// PROJECT is the project (default: try), PUSH_ID a push of it, DECISION_TASK_ID the push's decision task; without one the
// push is of Buildbot's years. KNOWN_JOBS is a file with the fields of jobs that the
// catalog contains. Jobs are triggered only if TRIGGER_BASE_URL has the address for that, and TOKEN signs a person in who
// may trigger them; the page of 2018 had a session instead of a token.
// The code is not Treeherder's: it reproduces the behaviour of its models of jobs and pushes, and of its filters.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";

const { BASE_URL, PROJECT = "try", PUSH_ID = "87268", KNOWN_JOBS, TRIGGER_BASE_URL, TOKEN } = process.env;
const DECISION_TASK = process.env.DECISION_TASK_ID ?? "";
assert.ok(BASE_URL, "BASE_URL is not set: the address of the API is expected, without a slash at the end");

const PAGE = 40;

// The order in which the page shows the options of a platform.
const OPTION_ORDER = { opt: 0, pgo: 1, asan: 2, tsan: 3, debug: 4, cc: 5, addon: 6 };

// The fields of a job that the page reads: to group it, to draw its button and title, to search it, and to request it.
const TEXTS = [
  "build_system_type", "job_group_name", "job_group_symbol", "job_type_name", "job_type_symbol", "platform",
  "platform_option", "ref_data_name", "result", "state",
];
// Those that are empty for a job of Taskcluster without a group or a platform.
const MAY_BE_EMPTY = ["job_group_name", "job_group_symbol", "platform"];
// Fields by which it recognizes a job that ran, and fields that it sets itself.
const ABSENT = ["id", "result_set_id", "failure_classification_id", "signature"];
const BUILDBOT = "buildbot";

const listUrl = (project, parameters) => {
  const query = parameters ? `?${new URLSearchParams(parameters)}` : "";
  return `${BASE_URL}/api/project/${project}/runnable_jobs/${query}`;
};

// The jobs in the answer to one request; with `everyPage`, also those of the next pages, as long as pages are full.
async function fetchJobs(project, parameters, { everyPage = false, log = [] } = {}) {
  const response = await fetch(listUrl(project, parameters));
  if (!response.ok) throw new Error(await response.text());
  const { meta, results } = await response.json();
  log.push({ meta, jobs: results.length });
  if (!everyPage || results.length !== meta.count) return results;
  const count = parseInt(meta.count);
  const offset = parseInt(meta.offset) + count;
  return [...results, ...await fetchJobs(project, { ...parameters, offset, count }, { everyPage, log })];
}

// The sign-in of a person.
const SIGNED_IN = { Authorization: `Bearer ${TOKEN}` };

// Triggers jobs on the push; returns the answer, and the text that the page shows.
async function triggerJobs(jobs, { decisionTask = DECISION_TASK, signedIn = SIGNED_IN } = {}) {
  const response = await fetch(`${TRIGGER_BASE_URL}/api/project/${PROJECT}/push/${PUSH_ID}/trigger_runnable_jobs/`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...signedIn },
    body: JSON.stringify({ requested_jobs: jobs, decision_task_id: decisionTask }),
  });
  const answer = await response.json();
  return { status: response.status, answer, shown: response.ok ? answer.message : answer.detail };
}

// Replaces the characters that the id of an element must not contain.
const escapeId = (text) => text.replace(/(:|\[|\]|\?|,|\.|\s+)/g, "-");

// A push of the page, to which jobs are added.
class Push {
  jobs = [];
  platforms = [];
  byId = new Map();
  selected = [];

  constructor(id) {
    this.id = id;
  }

  async addRunnableJobs(project) {
    const jobs = await fetchJobs(project, { decision_task_id: DECISION_TASK });
    for (const job of jobs) {
      job.result_set_id = this.id;
      job.id = escapeId(job.result_set_id + job.ref_data_name);
    }
    this.map(jobs);
    return jobs;
  }

  // Jobs that the push has already are replaced, by their ids.
  map(jobs) {
    const ids = new Set(jobs.map((job) => job.id));
    this.jobs = [...this.jobs.filter((job) => !ids.has(job.id)), ...jobs];
    this.platforms = [];
    for (const job of this.jobs) this.groupOf(job).jobs.push(job);
    this.sort();
    this.byId = new Map(this.platforms.flatMap((platform) =>
      platform.groups.flatMap((group) => group.jobs.map((job) => [String(job.id), job]))));
  }

  groupOf(job) {
    let platform = this.platforms.find(({ name, option }) => name === job.platform && option === job.platform_option);
    if (!platform) {
      platform = { name: job.platform, option: job.platform_option, groups: [] };
      this.platforms.push(platform);
    }
    // Ungrouped jobs of lower tiers stand behind all others.
    const symbol = job.tier > 1 && job.job_group_symbol === "?" ? "" : job.job_group_symbol;
    let group = platform.groups.find((group) => group.symbol === symbol && group.tier === job.tier);
    if (!group) {
      group = { name: job.job_group_name, symbol, tier: job.tier, jobs: [] };
      platform.groups.push(group);
    }
    return group;
  }

  sort() {
    // Numbers in symbols count as numbers of three digits: R2 before R10.
    const padded = (job) =>
      job.job_type_symbol.replace(/(\D*)(\d*)/g, (all, word, number) => number ? word + `00${number}`.slice(-3) : all);
    const by = (key) => (one, other) => (key(one) < key(other) ? -1 : Number(key(one) > key(other)));
    for (const platform of this.platforms) {
      for (const group of platform.groups) group.jobs.sort(by(padded));
      platform.groups.sort(by((group) => group.symbol));
    }
    this.platforms.sort(by((platform) => OPTION_ORDER[platform.option]));
  }

  find({ platform, platform_option, job_group_symbol, job_type_symbol }) {
    const row = this.platforms.find(({ name, option }) => name === platform && option === platform_option);
    const group = row?.groups.find(({ symbol }) => symbol === job_group_symbol);
    return group?.jobs.filter((job) => job.job_type_symbol === job_type_symbol) ?? [];
  }

  // What is asked for in the end are the names of the selected jobs.
  click(id) {
    const { state, ref_data_name: name } = this.byId.get(String(id));
    assert.equal(state, "runnable", "the page selects a job to run only if it is runnable");
    const place = this.selected.indexOf(name);
    if (place === -1) this.selected.push(name);
    else this.selected.splice(place, 1);
  }
}

// What a search on the page is held against.
function searchText(job) {
  const group = job.job_group_symbol === "?" ? "" : job.job_group_symbol;
  const symbols = `${group}(${job.job_type_symbol})`;
  const groupName = job.job_group_name === "unknown" ? undefined : job.job_group_name;
  const words = [job.platform, job.platform_option, groupName, job.job_type_name, symbols, job.ref_data_name];
  return words.filter((word) => typeof word !== "undefined").join(" ").toLowerCase();
}

describe(`"Add new jobs" on a push of ${PROJECT}`, () => {
  let push;
  let listed;

  before(async () => {
    push = new Push(PUSH_ID);
    listed = structuredClone(await push.addRunnableJobs(PROJECT));
    assert.ok(listed.length > 0, "the page says \"No new jobs available\"");
  });

  test("every job has what the page reads", async () => {
    for (const job of await fetchJobs(PROJECT)) {
      for (const field of TEXTS) {
        assert.equal(typeof job[field], "string", `${field} of ${job.ref_data_name}`);
        if (job.build_system_type !== BUILDBOT && MAY_BE_EMPTY.includes(field)) continue;
        assert.notEqual(job[field], "", `${field} of ${job.ref_data_name}`);
      }
      for (const field of ABSENT) assert.ok(!(field in job), `${field} of ${job.ref_data_name} stands in the way`);
      assert.equal(job.state, "runnable", job.ref_data_name);
      assert.equal(job.result, "runnable", job.ref_data_name);
      if (job.build_system_type !== BUILDBOT) {
        assert.ok([1, 2, 3].includes(job.tier), job.ref_data_name);
        continue;
      }
      assert.ok(!("tier" in job), job.ref_data_name);
      assert.ok(job.platform_option in OPTION_ORDER, `the page knows no place for option ${job.platform_option}`);
    }
  });

  test("every job has an id of its own", () => {
    const names = new Map();
    for (const { id, ref_data_name: name } of listed) {
      assert.ok(!names.has(id), `${name} and ${names.get(id)} have the same id`);
      assert.doesNotMatch(id, /[\s:[\]?,.]/);
      names.set(id, name);
    }
  });

  test("every job is on the page, once", () => {
    const shown = push.platforms.flatMap(({ groups }) => groups.flatMap(({ jobs }) => jobs));
    const names = (jobs) => jobs.map((job) => job.ref_data_name).sort();

    assert.deepEqual(names(shown), names(listed));
    assert.equal(push.byId.size, listed.length);
  });

  test("a group of a build system has one name", () => {
    const names = new Map();
    for (const { build_system_type: system, job_group_symbol, job_group_name: name, ref_data_name: job } of listed) {
      const symbol = `${system} ${job_group_symbol}`;
      assert.equal(name, names.get(symbol) ?? name, `${symbol}, the group of ${job}, has two names`);
      names.set(symbol, name);
    }
  });

  test("what the page knows nothing of is shown as such", () => {
    for (const { job_group_symbol: symbol, job_group_name: name, ref_data_name: job } of listed) {
      assert.equal(symbol === "?", name === "unknown", `the group of ${job}`);
    }
  });

  test("known jobs are where they were", { skip: KNOWN_JOBS ? false : "KNOWN_JOBS is not set" }, () => {
    const known = JSON.parse(readFileSync(KNOWN_JOBS, "utf8"));
    assert.ok(known.length > 0);
    for (const job of known) {
      const there = push.find(job).map(({ ref_data_name: name }) => name);
      assert.ok(there.includes(job.ref_data_name), `${JSON.stringify(job)}: in its place are ${there.join(", ")}`);
    }
  });

  test("known jobs are found by what people typed", { skip: KNOWN_JOBS ? false : "KNOWN_JOBS is not set" }, () => {
    for (const job of JSON.parse(readFileSync(KNOWN_JOBS, "utf8"))) {
      const { job_group_symbol: group, job_type_symbol: type } = job;
      const typed = [`${group === "?" ? "" : group}(${type})`, job.platform, job.platform_option];
      const found = listed.filter((job) => typed.every((word) => searchText(job).includes(word.toLowerCase())));
      assert.ok(found.some(({ ref_data_name: name }) => name === job.ref_data_name), typed.join(" "));
    }
  });

  test("a click on a job's button asks for that job, a second one no longer", () => {
    for (const { id } of listed) push.click(id);
    assert.deepEqual(push.selected, listed.map((job) => job.ref_data_name));
    for (const { id } of listed) push.click(id);
    assert.deepEqual(push.selected, []);
  });

  test("pressed again, it adds nothing", async () => {
    const again = await push.addRunnableJobs(PROJECT);

    assert.equal(again.length, listed.length);
    assert.equal(push.jobs.length, listed.length);
    assert.equal(push.byId.size, listed.length);
  });
});

describe("the list", () => {
  test("says what it contains", async () => {
    const { meta, results } = await (await fetch(listUrl(PROJECT))).json();

    assert.deepEqual(meta, { repository: PROJECT, offset: 0, count: results.length });
  });

  test("is the project's for a push without a decision task", async () => {
    const all = await fetchJobs(PROJECT);
    // The page's since June 2016, and those of SETA's client.
    for (const parameters of [
      { decisionTaskID: "" },
      { decisionTaskID: "", format: "json" },
      { decision_task_id: "" },
      { decision_task_id: "undefined", push_id: 417321 },
    ]) {
      assert.deepEqual(await fetchJobs(PROJECT, parameters), all);
    }
  });

  test("is the push's own for a push with one", { skip: !DECISION_TASK }, async () => {
    const ofPush = await fetchJobs(PROJECT, { decision_task_id: DECISION_TASK });
    for (const parameters of [
      { decisionTaskID: DECISION_TASK, format: "json" },
      { decision_task_id: DECISION_TASK, push_id: 417321 },
    ]) {
      assert.deepEqual(await fetchJobs(PROJECT, parameters), ofPush);
    }
    const isBuildbot = (job) => job.build_system_type === BUILDBOT;
    assert.deepEqual(ofPush.filter(isBuildbot), (await fetchJobs(PROJECT)).filter(isBuildbot));
    assert.ok(ofPush.some((job) => !isBuildbot(job)));
  });

  test("ends for a client that asks for the page behind each full one", async () => {
    const all = await fetchJobs(PROJECT);
    const log = [];
    assert.deepEqual(await fetchJobs(PROJECT, undefined, { everyPage: true, log }), all);
    assert.deepEqual(log.map(({ jobs }) => jobs), [all.length, 0]);
  });

  test("is whole, and in its order, for a client that asks page by page", async () => {
    const all = await fetchJobs(PROJECT);
    const log = [];
    assert.deepEqual(await fetchJobs(PROJECT, { count: PAGE }, { everyPage: true, log }), all);
    assert.deepEqual(log.map(({ meta }) => meta.offset), log.map((_, number) => number * PAGE));
    for (const { meta } of log) assert.equal(meta.count, PAGE);
  });

  test("is not sent again to a browser that holds it", async () => {
    for (const parameters of [undefined, { decision_task_id: DECISION_TASK }, { count: PAGE }]) {
      const first = await fetch(listUrl(PROJECT, parameters));
      const etag = first.headers.get("etag");
      await first.arrayBuffer();
      assert.ok(etag);

      const second = await fetch(listUrl(PROJECT, parameters), { headers: { "If-None-Match": etag } });
      assert.equal(second.status, 304);
      assert.equal(second.headers.get("etag"), etag);
      assert.equal(await second.text(), "");
    }
  });
});

describe("the grid", () => {
  // The function of docs/reference/api.md, as pages copy it.
  const document = readFileSync(new URL("../../docs/reference/api.md", import.meta.url), "utf8");
  const [, code] = document.match(/```js\n(function jobsOf[^]*?)```/);
  const jobsOf = new Function(`${code}; return jobsOf;`)();

  const grid = async (parameters) => {
    const response = await fetch(listUrl(PROJECT, { view: "grid", ...parameters }));
    assert.equal(response.status, 200);
    return response.json();
  };
  const expected = (job) => ({
    name: job.ref_data_name,
    platform: job.platform,
    option: job.platform_option,
    group: { name: job.job_group_name, symbol: job.job_group_symbol },
    symbol: job.job_type_symbol,
    tier: job.tier ?? null,
    buildSystem: job.build_system_type,
    build: job.upstream,
  });

  test("is read by the documented function to what the list says", async () => {
    const jobs = await fetchJobs(PROJECT);
    assert.deepEqual(jobsOf(await grid()), jobs.map(expected));
  });

  test("has the jobs that a search finds", async () => {
    const [{ platform }] = await fetchJobs(PROJECT);
    const found = await fetchJobs(PROJECT, { search: platform, platform });
    assert.deepEqual(jobsOf(await grid({ search: platform, platform })), found.map(expected));
  });

  test("takes no fields and no pages", async () => {
    for (const parameters of [{ fields: "platform" }, { count: 10 }, { offset: 0 }]) {
      const response = await fetch(listUrl(PROJECT, { view: "grid", ...parameters }));
      assert.equal(response.status, 400);
      const { code, parameter } = await response.json();
      assert.deepEqual([code, parameter], ["bad_parameter", Object.keys(parameters)[0]]);
    }
  });
});

describe("an error", () => {
  // The page shows the text of the body as it is.
  for (const [what, project, parameters, status] of [
    ["of an unknown project", "no-such-project", { decision_task_id: DECISION_TASK }, 404],
    ["of a wrong parameter", PROJECT, { count: "many" }, 400],
    ["of an unknown parameter", PROJECT, { colour: "red" }, 400],
  ]) {
    test(`${what} is a text that the page can show`, async () => {
      const response = await fetch(listUrl(project, parameters));
      assert.equal(response.status, status);
      assert.match(response.headers.get("content-type"), /^application\/problem\+json\b/);

      const { message } = await fetchJobs(project, parameters).then(() => assert.fail("no error"), (error) => error);
      assert.ok(message.length > 0 && message.length < 2000, message);
      const problem = JSON.parse(message);
      const { title, detail } = problem;
      assert.equal(problem.status, status);
      for (const text of [title, detail]) {
        assert.match(text, /\p{L}/u);
        assert.doesNotMatch(text, /[\p{Cc}<>]/u);
      }
    });
  }
});

const CANNOT_TRIGGER = TRIGGER_BASE_URL && TOKEN ? false : "TRIGGER_BASE_URL and TOKEN are not both set";

describe(`"Trigger" on a push of ${PROJECT}`, { skip: CANNOT_TRIGGER }, () => {
  let push;
  // Other jobs for each test: the same request again within a minute gets the answer of the first one.
  let unused;
  const some = (count) => unused.splice(0, count).map((job) => job.ref_data_name);

  before(async () => {
    push = new Push(PUSH_ID);
    unused = await push.addRunnableJobs(PROJECT);
  });

  test("asks for the jobs that were clicked on, and shows what came of it", async () => {
    for (const { id } of unused.splice(0, 2)) push.click(id);

    const { status, answer, shown } = await triggerJobs(push.selected);

    assert.equal(status, 202, shown);
    assert.equal(shown, `2 jobs are queued for push ${PUSH_ID} of ${PROJECT}.`);
    assert.deepEqual(answer.jobs, push.selected.map((name) => ({ name, state: "accepted", destination: "pulse" })));
  });

  test("works for a push that has no decision task", async () => {
    for (const decisionTask of ["", null, undefined]) {
      const { status, shown } = await triggerJobs(some(1), { decisionTask });
      assert.equal(status, 202, shown);
    }
  });

  test("pressed twice, asks for the jobs once, and says so", async () => {
    const jobs = some(2);
    const [first, second] = await Promise.all([triggerJobs(jobs), triggerJobs(jobs)]);

    assert.deepEqual([first.status, second.status], [202, 202], second.shown);
    assert.equal(second.answer.request_id, first.answer.request_id);
    const repeated = [first, second].filter(({ answer }) => answer.repeated);
    assert.equal(repeated.length, 1);
    assert.match(repeated[0].shown, /^The same was requested /);
  });

  test("shows what was wrong, and nothing else", async () => {
    for (const [what, status, outcome] of [
      ["a job that is gone", 422, await triggerJobs(["no such job"])],
      ["no job", 400, await triggerJobs([])],
      ["no sign-in", 401, await triggerJobs(some(1), { signedIn: {} })],
    ]) {
      assert.equal(outcome.status, status, what);
      assert.ok(outcome.shown.length < 500, outcome.shown);
      assert.match(outcome.shown, /\p{L}.*[.!?]$/u, what);
      assert.doesNotMatch(outcome.shown, /[\p{Cc}<>]/u, what);
    }
  });

  test("lets the page ask again and again what became of it, which is sent once", async () => {
    const { answer } = await triggerJobs(some(1));
    const ask = (held) => fetch(TRIGGER_BASE_URL + answer.status_url, { headers: { ...SIGNED_IN, ...held } });

    const first = await ask({});
    const { request_id: request, state } = await first.json();
    const etag = first.headers.get("etag");
    const again = await ask({ "If-None-Match": etag });

    assert.equal(first.status, 200);
    assert.deepEqual({ request, state }, { request: answer.request_id, state: "queued" });
    assert.equal(again.status, 304);
    assert.equal(again.headers.get("etag"), etag);
    assert.equal(await again.text(), "");
    // While the request is not finished, both say after how many seconds to ask again.
    for (const { headers } of [first, again]) assert.ok(Number(headers.get("retry-after")) > 0);
  });
});
