"""Measures the page in Chromium: a push with 30,000 jobs that can run, and 3,000 that ran.

    make bench PART=page

The lists come from `runnable-jobs serve`, which answers as the functions do, and what ran from the fake Treeherder, on
this machine. "to paint" is from the key to the end of the frame that shows its result; times by the processor are those
of the page's main thread, with rows that are drawn later. A ratio compares a figure with another of the same run.
"""

import gzip
import json
import os
import re
import statistics
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from localstack import chromium
from localstack.fakes.pushes import BUSY_PUSH, PUSH_ID
from localstack.fakes.taskcluster import RUNNABLE_JOBS, Control
from localstack.fakes.treeherder import Control as Treeherder
from tests.support.served import Served
from tests.support.stack import Stack
from tools.bench.function import fresh_for, lambda_environment, measured_stack, programs_in
from tools.bench.page_jobs import graph, runs
from tools.bench.source import say

PROJECT = "try"
LABELS, RUNS = 30_000, 3_000
VIEWS = 10
SELECTIONS = 10
# 50 keys: queries that people type, and what deletes them.
KEYS = (*"mochitest linux !asan", *["Backspace"] * 21, *"^test-wi")
PROBE = Path(__file__).with_name("page_probe.js").read_text()
MEMORY = ("--enable-precise-memory-info", "--js-flags=--expose-gc")
WINDOW = {"width": 1280, "height": 800}
# Nothing is drawn any more after this time.
SETTLED_MILLISECONDS = 400
PATH = f"?project={PROJECT}&push={PUSH_ID}"
# Draws as many buttons as the grid has, without a framework, and waits for the frame.
BUTTONS = """async count => {
  const row = Array.from({ length: 40 }, (_, n) => `<button type="button" title="job ${n}">bc${n}</button>`).join("");
  document.body.innerHTML = Array.from({ length: count / 40 }, () => `<div>${row}</div>`).join("");
  await new Promise(done => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(undefined);
  }));
}"""


def main() -> None:
    with measured_stack(__doc__) as (stack, built):
        fill(stack)
        environment = os.environ | lambda_environment(stack, "JOBS_FUNCTION") | fresh_for(3600)
        served = Served(programs_in(built).serve(), environment, stack.run / "serve.log")
        try:
            with sync_playwright() as playwright:
                arguments = [*chromium.ARGUMENTS, *MEMORY]
                browser = playwright.chromium.launch(executable_path=chromium.program(), args=arguments)
                one, five, fifteen = os.getloadavg()
                say("Chromium; load of the machine", f"{browser.version}; {one:.1f} {five:.1f} {fifteen:.1f}")
                measure(browser, served.url)
                transferred(browser, stack, served.url)
                browser.close()
        finally:
            served.stop()


def fill(stack: Stack) -> None:
    """Give a push its list and its runs."""
    labels = graph(LABELS)
    taskcluster, treeherder = Control(stack.env["TASKCLUSTER_URL"]), Treeherder(stack.env["TREEHERDER_URL"])
    task = taskcluster.add_decision_task(PROJECT, PUSH_ID)
    taskcluster.set_artifact(task, RUNNABLE_JOBS, json.dumps(labels).encode())
    treeherder.set_decision_task(PROJECT, PUSH_ID, task)
    treeherder.set_jobs(PROJECT, PUSH_ID, runs(labels, RUNS))


def measure(browser: Browser, url: str) -> None:
    """Measure what a person waits for."""
    opened(browser, url)  # The list of the push is made by the first use.
    cold = [opened(browser, url) for _ in range(VIEWS)]
    context = new_context(browser)
    view(context, url)
    warm = [view(context, url) for _ in range(VIEWS)]
    say_times(f"navigation to the jobs, cold: median, worst of {VIEWS}", (each["jobs"] for each in cold), 1000)
    say_times(f"navigation to the jobs, warm: median, worst of {VIEWS}", (each["jobs"] for each in warm), 1000)
    say_times("  with what ran, cold: median, worst", (each["runs"] for each in cold))
    loaded = statistics.median(each["processor"] for each in cold)
    say("  time by the processor, cold: median", f"{loaded:.0f} ms")

    page = context.new_page()
    session = processor_of(page)
    open_push(page, url)
    nodes = page.locator(".grid button").count()
    page.locator("input.filter").focus()
    keys = [press(page, session, key) for key in KEYS]
    say_times(f"key to paint: median, worst of {len(KEYS)}", (each["milliseconds"] for each in keys), 50, 100)
    used = [each["processor"] for each in keys]
    say("  time by the processor: median, worst", f"{statistics.median(used):.0f}, {max(used):.0f} ms")
    wrong, rows = sum(each["wrong"] for each in keys), sum(each["rows"] for each in keys)
    say("  rows on the screen; of these not right in the frame", f"{rows}; {wrong}", goal(wrong, 0, "none"))
    page.locator("input.filter").fill("")
    settle(page)
    all_selected = select_all(page, session, f"select all {LABELS:,}")
    heap(page, session)
    page.locator("input.filter").fill("mochitest linux")
    settle(page)
    select_all(page, session, "select all that match 'mochitest linux'")

    listed = read(f"{url}/api/project/{PROJECT}/runnable_jobs/?view=grid&{decision(page)}")
    page.close()
    parse, plain = references(context, listed, nodes)
    say("references by the processor: JSON.parse of the list", f"{parse:.0f} ms")
    say(f"  the grid's {nodes:,} buttons, drawn without a framework", f"{plain:.0f} ms")
    say("  navigation to the jobs / both", f"{loaded / (parse + plain):.1f}")
    say("  a key, select all / JSON.parse", f"{statistics.median(used) / parse:.1f}, {all_selected / parse:.1f}")
    context.close()


def references(context: BrowserContext, listed: bytes, buttons: int) -> tuple[float, float]:
    """What the processor needs to read the list, and to draw so many buttons, in the same browser."""
    page = context.new_page()
    page.bring_to_front()
    session = processor_of(page)

    def measured(script: str, value: object) -> float:
        before = processor(session)
        page.evaluate(script, value)
        return processor(session) - before

    # Passing the text to the page is not parsing it.
    page.evaluate("text => { window.text = text; }", listed.decode())
    parse = statistics.median(measured("() => { JSON.parse(window.text); }", None) for _ in range(VIEWS))
    plain = statistics.median(measured(BUTTONS, buttons) for _ in range(VIEWS))
    page.close()
    return parse, plain


def new_context(browser: Browser) -> BrowserContext:
    context = browser.new_context(viewport=WINDOW)
    context.add_init_script(PROBE)
    return context


def opened(browser: Browser, url: str) -> dict[str, float]:
    """Open the push in a browser that has nothing in its cache."""
    context = new_context(browser)
    found = view(context, url)
    context.close()
    return found


def view(context: BrowserContext, url: str) -> dict[str, float]:
    """Open the push in a new tab; how long it took until its jobs and its runs were on the screen."""
    page = context.new_page()
    session = processor_of(page)
    open_push(page, url)
    found = page.evaluate("probe.drawn()") | {"processor": processor(session)}
    page.close()
    return found


def open_push(page: Page, url: str) -> None:
    page.goto(f"{url}/{PATH}")
    page.evaluate("probe.drawn()")
    settle(page)


def settle(page: Page) -> None:
    page.wait_for_timeout(SETTLED_MILLISECONDS)


def press(page: Page, session: CDPSession, key: str) -> dict[str, float]:
    """Press a key; how long it took until the frame with its result."""
    before = processor(session)
    page.keyboard.press(key)
    page.evaluate("probe.framed()")
    settle(page)
    # What the probe does is not the page's.
    used = processor(session) - before
    return page.evaluate("probe.key()") | {"processor": used}


def select_all(page: Page, session: CDPSession, what: str) -> float:
    """Select all visible jobs, some times, by the key; what the processor needs, in milliseconds."""
    chosen = []
    for _ in range(SELECTIONS):
        press(page, session, "Alt+c")
        chosen.append(press(page, session, "Alt+a"))
    say_times(f"{what}: median, worst of {SELECTIONS}", (each["milliseconds"] for each in chosen), 100, 100)
    used = statistics.median(each["processor"] for each in chosen)
    say("  time by the processor: median", f"{used:.0f} ms")
    return used


def heap(page: Page, session: CDPSession) -> None:
    """The memory of the page's scripts after all that, and its nodes."""
    for _ in range(3):
        page.evaluate("gc()")
        settle(page)
    used = page.evaluate("performance.memory.usedJSHeapSize")
    buffers = session.send("Runtime.getHeapUsage").get("backingStorageSize", 0)
    megabytes = (used + buffers) / 1e6
    say("heap after that, with array buffers", f"{megabytes:.1f} MB", goal(megabytes, 60, "at most 60 MB"))
    say("nodes of the document", f"{page.evaluate('document.querySelectorAll(`*`).length'):,}")


def processor_of(page: Page) -> CDPSession:
    """A session that measures the time that a page's main thread has used."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


def processor(session: CDPSession) -> float:
    """The time that the main thread has used in its tasks, in milliseconds."""
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return metrics["TaskDuration"] * 1e3


def decision(page: Page) -> str:
    """The parameter that names the push's decision task, as the page asked for it."""
    asked = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    return next(found[0] for name in asked if (found := re.search(r"decision_task_id=[\w-]+", name)))


def transferred(browser: Browser, stack: Stack, url: str) -> None:
    """What goes over the wire: for the first view, and for the whole story of a request."""
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    bytes_of = sizes(page)
    page.goto(f"{url}/{PATH}")
    page.locator(".grid .ran").first.wait_for()
    settle(page)
    first = dict(bytes_of)
    context.close()
    ours = {path: size for path, size in first.items() if path.startswith(url)}
    scripts = {path: size for path, size in ours.items() if path.endswith(".js")}
    kilobytes = sum(scripts.values()) / 1e3
    say("JavaScript of the first view, gzip", f"{kilobytes:.1f} KB", goal(kilobytes, 20, "at most 20 KB"))
    for path, size in scripts.items():
        say(f"  {path.rpartition('/')[2]}", f"{size / 1e3:.1f} KB")
    treeherder = sum(len(gzip.compress(read(path), 6)) for path in first if path not in ours)
    total = (sum(ours.values()) + treeherder) / 1e3
    list_bytes = sum(size for path, size in ours.items() if "/runnable_jobs/" in path)
    say("all bytes of the first view", f"{total:.0f} KB", goal(total, 400, "at most 400 KB"))
    say(
        "  the list; Treeherder's answers (as gzip, which the fake lacks)",
        f"{list_bytes / 1e3:.0f}, {treeherder / 1e3:.0f} KB",
    )
    whole = story(browser, stack)
    gzipped = {name: len(read(f"{url}/assets/{name}", "gzip")) for name in whole}
    signed_in = [name for name in gzipped if f"{url}/assets/{name}" in scripts or name.startswith("oidc")]
    both = sum(gzipped[name] for name in signed_in) / 1e3
    say("JavaScript with sign-in", f"{both:.1f} KB", goal(both, 45, "at most 45 KB"))
    say("JavaScript of the whole story, to the outcome", f"{sum(gzipped.values()) / 1e3:.1f} KB")
    for name, length in gzipped.items():
        say(f"  {name}", f"{length / 1e3:.1f} KB")


def sizes(page: Page) -> dict[str, int]:
    """Fills up with the bytes of the body of each answer, as they went over the wire."""
    found: dict[str, int] = {}
    page.on("requestfinished", lambda request: found.__setitem__(request.url, request.sizes()["responseBodySize"]))
    return found


def story(browser: Browser, stack: Stack) -> list[str]:
    """The scripts that are loaded from the choice of a push to the outcome of a request, in their order."""
    context = browser.new_context(viewport=WINDOW)
    context.set_default_timeout(60_000)
    page = context.new_page()
    found: dict[str, None] = {}
    page.on("request", lambda sent: found.setdefault(sent.url.rpartition("/")[2]) if sent.url.endswith(".js") else None)
    page.goto(stack.env["PAGE_URL"])
    page.locator("a[href*='push=']").first.wait_for()
    page.goto(f"{stack.env['PAGE_URL']}?project={PROJECT}&push={BUSY_PUSH}&q=xpcshell")
    page.locator(".grid [data-part=row]").first.click()
    page.get_by_role("button", name="Preview").click()
    page.locator(".plan").get_by_role("button", name="Sign in").click()
    field = page.get_by_label("E-mail address")
    field.fill("someone@mozilla.com")
    field.press("Enter")
    page.get_by_role("button", name=re.compile(r"^Run [\d,]+ jobs?$")).click()
    page.locator("main.watch .stage").first.wait_for()
    context.close()
    return list(found)


def read(url: str, encoding: str = "identity") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": encoding})) as answer:
        return answer.read()


def say_times(what: str, times: Iterable[float], most: float = 0, worst: float = 0) -> float:
    """Print a median and a worst time against their goals; returns the median."""
    values = sorted(times)
    median = statistics.median(values)
    words = f"at most {most:g}, {worst:g} ms" if worst else f"at most {most:g} ms"
    is_met = median <= most and (not worst or values[-1] <= worst)
    say(what, f"{median:.0f}, {values[-1]:.0f} ms", f"{words}: {'met' if is_met else 'MISSED'}" if most else "")
    return median


def goal(value: float, most: float, words: str) -> str:
    return f"{words}: {'met' if value <= most else 'MISSED'}"


if __name__ == "__main__":
    main()
