/* What the page does in the browser by itself: draws a run's plots from the points that the server sends, and remembers
   the open tab in the address. The plots' divs are made once by ui/monitor_tab.py and are never replaced, so zoom stays.

   A feed is { run, seq, is_full, figures: { DIV_ID: { traces, layout } } }. A full feed carries everything, any other
   only the points after the last one; `seq` makes drawing the same feed twice harmless. */
(() => {
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  let plotly = null; // the library, fetched when it is first needed
  let drawn = { run: "", seq: -1 };
  let queue = Promise.resolve();

  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  const fetchLibrary = () =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = "page/plotly.min.js";
      script.onload = () => resolve(window.Plotly);
      script.onerror = reject;
      document.head.append(script);
    });

  // A connection that is away for a moment must not leave the plots empty: a feed comes only once.
  const library = async () => {
    while (!plotly) {
      try {
        plotly = await fetchLibrary();
      } catch {
        await pause(1000);
      }
    }
    return plotly;
  };

  // A tab that was never open has no divs yet, and a busy machine may take long to show them.
  const placed = async (ids) => {
    while (!ids.every((id) => document.getElementById(id)?.offsetWidth)) await pause(50);
  };

  const draw = async (feed) => {
    const ids = Object.keys(feed.figures);
    const Plotly = await library();
    await placed(ids);
    const isNext = feed.run === drawn.run && feed.seq > drawn.seq;
    if (!feed.is_full && !isNext) return;
    for (const id of ids) {
      const { traces, layout } = feed.figures[id];
      if (feed.is_full) {
        await Plotly.react(id, traces, layout, config);
      } else {
        const indices = traces.map((_, index) => index).filter((index) => traces[index].x.length);
        if (indices.length) {
          const x = indices.map((index) => traces[index].x);
          const y = indices.map((index) => traces[index].y);
          await Plotly.extendTraces(id, { x, y }, indices);
        }
      }
    }
    drawn = { run: feed.run, seq: feed.seq };
    document.getElementById("monitor-plots").dataset.seq = feed.seq;
  };

  window.mqDraw = (feed) => {
    if (feed?.figures) queue = queue.then(() => draw(feed)).catch((error) => console.warn(error));
  };

  // The open tab survives a refresh.
  const tabButton = (name) => document.getElementById(`tab-${name}-button`);
  document.addEventListener("click", (event) => {
    const name = event.target.closest?.('[role="tab"]')?.id.match(/^tab-(\w+)-button$/)?.[1];
    if (name) history.replaceState(null, "", `#${name}`);
  });
  // Until the page is fully alive a click may be lost, so it is repeated until the tab has stayed open for a moment.
  const reopen = (tries, seenOpen) => {
    const name = location.hash.slice(1);
    if (!/^\w+$/.test(name) || tries === 0 || seenOpen === 3) return;
    const button = tabButton(name);
    const isOpen = button?.getAttribute("aria-selected") === "true";
    if (button && !isOpen) button.click();
    setTimeout(() => reopen(tries - 1, isOpen ? seenOpen + 1 : 0), 100);
  };
  // What the door says of a refused upload is a sentence; Gradio shows it with the answer's number, and as an error.
  const NUMBER = /^\s*HTTP \d{3}: /;
  const tellPlainly = (added) => {
    const said = added.querySelector?.('[data-testid="toast-text"]');
    if (said && NUMBER.test(said.textContent)) {
      said.textContent = said.textContent.replace(NUMBER, "");
      added.querySelector(".toast-title").textContent = "Not taken";
    }
    const state = added.querySelector?.('[data-testid="status-tracker"] .error') ?? added;
    if (state.matches?.("#dataset-file .error")) state.textContent = "Not taken";
  };
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach(tellPlainly);
  }).observe(document.body, { childList: true, subtree: true });

  // A rater's link ends with #review: it opens Compare with the blind review.
  const openReview = (tries, seenOpen) => {
    if (tries === 0 || seenOpen === 3) return document.getElementById("review")?.scrollIntoView({ block: "start" });
    const button = document.querySelector("#review > button");
    const isOpen = Boolean(document.getElementById("review-begin")?.offsetWidth);
    if (button?.offsetWidth && !isOpen) button.click();
    setTimeout(() => openReview(tries - 1, isOpen ? seenOpen + 1 : 0), 150);
  };
  if (location.hash === "#review") {
    history.replaceState(null, "", "#compare");
    openReview(200, 0);
  }
  reopen(150, 0);
})();
