/*
 * Brings the page up to date every two seconds, while it is seen: texts only, and no elements.
 *
 * Where a supervisor does not answer, each request keeps the web server busy for a while, so there
 * are fewer of them.
 */
"use strict";

(() => {
    const INTERVAL = 2000;
    const INTERVAL_WITH_PROBLEM = 10000;
    const PATIENCE = 15000;
    const page = document.querySelector(".prodserver");
    const problem = document.getElementById("prodserver-problem");
    const summary = document.getElementById("prodserver-summary");
    const lines = document.getElementById("prodserver-lines");
    const rows = new Map();
    let timer = null;
    let asking = false;

    for (const row of page.querySelectorAll("tr[data-name]")) {
        rows.set(row.dataset.name, row);
    }

    function setText(element, text) {
        // A text that is the same may be selected.
        if (element && element.textContent !== text) {
            element.textContent = text;
        }
    }

    function showProblem(text) {
        setText(problem, text);
        problem.hidden = !text;
        page.classList.toggle("prodserver-outdated", Boolean(text));
    }

    function showRow(row) {
        const shown = rows.get(row.name);
        shown.dataset.mood = row.mood;
        for (const cell of shown.querySelectorAll("td[data-column]")) {
            setText(cell, row.cells[cell.dataset.column]);
        }
        for (const button of shown.querySelectorAll("button")) {
            button.disabled = !row.verbs.includes(button.value);
        }
    }

    function showLines(text) {
        const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 4;
        setText(lines, text);
        if (atEnd) {
            lines.scrollTop = lines.scrollHeight;
        }
    }

    function show(seen) {
        showProblem(seen.problem || "");
        if (seen.problem) {
            return;
        }
        const names = seen.rows.map((row) => row.name);
        if (names.join() !== [...rows.keys()].join()) {
            // Rows have come or gone, or there was nobody to ask until now.
            location.assign(page.dataset.pageUrl);
            return;
        }
        setText(summary, seen.summary);
        seen.rows.forEach(showRow);
        if (lines) {
            showLines(seen.lines);
        }
    }

    async function refresh() {
        timer = null;
        asking = true;
        let next = INTERVAL;
        try {
            const response = await fetch(page.dataset.refreshUrl, {
                cache: "no-store",
                signal: AbortSignal.timeout(PATIENCE),
            });
            if (response.redirected || response.status === 403) {
                // No longer logged in, or no longer allowed to see this.
                location.assign(page.dataset.pageUrl);
                return;
            }
            const seen = await response.json();
            next = seen.problem ? INTERVAL_WITH_PROBLEM : INTERVAL;
            show(seen);
        } catch {
            showProblem("The web server does not answer; this page tries again.");
        } finally {
            asking = false;
        }
        plan(next);
    }

    function plan(after) {
        if (timer === null && !asking && !document.hidden) {
            timer = setTimeout(refresh, after);
        }
    }

    document.addEventListener("visibilitychange", () => {
        clearTimeout(timer);
        timer = null;
        plan(0);
    });
    // To load it again is not to send a request again.
    history.replaceState(history.state, "", page.dataset.pageUrl);
    if (lines) {
        lines.scrollTop = lines.scrollHeight;
    }
    plan(INTERVAL);
})();
