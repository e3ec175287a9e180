// Runs in the page before its own scripts, and notes when what a person waits for is on the screen.
//
// A frame counts once its work on the main thread is done: a message that is posted in the last callback before the
// frame arrives after it.

window.probe = (() => {
  const afterThisFrame = (then) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => then(performance.now());
    port2.postMessage(undefined);
  };
  const afterFrame = (then) => requestAnimationFrame(() => afterThisFrame(then));

  // The first frames with jobs and the field that filters them, and with jobs that ran.
  const drawn = new Promise((done) => {
    const found = {};
    const look = () => {
      const isDrawn = document.querySelector(".grid [data-part=group], .grid [data-part=job]") !== null;
      const isField = document.querySelector("input.filter")?.disabled === false;
      if (isDrawn && isField) afterThisFrame((at) => (found.jobs ??= at));
      if (isDrawn && document.querySelector(".grid .ran")) afterThisFrame((at) => done({ ...found, runs: at }));
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });

  // The last key: when its frame was there, and the rows that were on the screen then.
  let frame;
  let framed = () => {};
  addEventListener(
    "keydown",
    (event) => {
      if (["Alt", "Control"].includes(event.key)) return;
      frame = new Promise((done) => (framed = done));
      afterFrame((at) => {
        const rows = [...document.querySelectorAll(".grid .row")].filter((row) => {
          const { top, bottom } = row.getBoundingClientRect();
          return top < innerHeight && bottom > 0;
        });
        framed({ milliseconds: at - event.timeStamp, rows: rows.map((row) => [row, row.innerHTML]) });
      });
    },
    true,
  );
  return {
    /** When the jobs and the runs were on the screen, in milliseconds from the navigation. */
    drawn: () => drawn,
    /** Waits for the frame of the last key. */
    framed: () => frame.then(() => undefined),
    /** How long it took from the key to its frame, and how many rows on the screen were not right then. */
    key: async () => {
      const { milliseconds, rows } = await frame;
      const wrong = rows.filter(([row, html]) => row.isConnected && row.innerHTML !== html).length;
      return { milliseconds, rows: rows.length, wrong };
    },
  };
})();
