// Runs in the page before its own scripts, and notes when what a person waits for is on the screen.
//
// A frame counts once its work on the main thread is done: a message that is posted in the last callback before the
// frame arrives after it.

window.probe = (() => {
  const afterFrame = (then) =>
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => then(performance.now());
      port2.postMessage(undefined);
    });

  // The first frames with jobs, and with jobs that ran.
  const drawn = {};
  const look = () => {
    const isDrawn = document.querySelector(".grid [data-part=group], .grid [data-part=job]") !== null;
    const hasRun = isDrawn && document.querySelector(".grid .ran") !== null;
    const isField = document.querySelector("input.filter")?.disabled === false;
    if (isDrawn && isField && drawn.jobs === undefined) afterFrame((at) => (drawn.jobs ??= at));
    if (hasRun && drawn.runs === undefined) afterFrame((at) => (drawn.runs ??= at));
    if (!hasRun) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);

  // The last key: when its frame was there, and the rows that were on the screen then.
  let frame;
  addEventListener(
    "keydown",
    (event) => {
      if (["Alt", "Control"].includes(event.key)) return;
      frame = undefined;
      afterFrame((at) => {
        const rows = [...document.querySelectorAll(".grid .row")].filter((row) => {
          const { top, bottom } = row.getBoundingClientRect();
          return top < innerHeight && bottom > 0;
        });
        frame = { milliseconds: at - event.timeStamp, rows: rows.map((row) => [row, row.innerHTML]) };
      });
    },
    true,
  );
  return {
    drawn,
    hasFrame: () => frame !== undefined,
    /** How long it took from the key to the frame, and how many rows on the screen were not right then. */
    key: () => ({
      milliseconds: frame.milliseconds,
      rows: frame.rows.length,
      wrong: frame.rows.filter(([row, html]) => row.isConnected && row.innerHTML !== html).length,
    }),
  };
})();
