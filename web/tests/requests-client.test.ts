import { expect, test } from "vitest";
import { paths, within } from "../src/ui/requests-client.ts";

test("paths name the project, the push and the request", () => {
  expect(paths.trigger("try", 1001)).toBe("/api/project/try/push/1001/trigger_runnable_jobs/");
  expect(paths.ofPush("try", 1001)).toBe("/api/project/try/push/1001/trigger_requests/");
  expect(paths.request("try", "01KAS4B0MRJ6WJ0RGDX8T0E4JQ")).toBe(
    "/api/project/try/trigger_requests/01KAS4B0MRJ6WJ0RGDX8T0E4JQ/",
  );
  expect(paths.mine()).toBe("/api/trigger_requests/?requester=me");
});

test.each([
  ["https://jobs.example.org/", "https://jobs.example.org/api/trigger_requests/?requester=me"],
  ["http://127.0.0.1:4566/_aws/id/", "http://127.0.0.1:4566/_aws/id/api/trigger_requests/?requester=me"],
])("a path is one below the API at %s", (trigger, address) => {
  expect(within({ trigger: new URL(trigger) }, paths.mine()).href).toBe(address);
});

test("without an API that takes requests, there is a sentence for people", () => {
  expect(() => within({ trigger: undefined }, paths.mine())).toThrow("takes no requests");
});
