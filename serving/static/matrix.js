// A table of how often each class was taken for each.

import { formatNumber, formatPercent, say } from "./live.js";

function makeCell(tag, text, scope) {
  const cell = document.createElement(tag);
  cell.textContent = text;
  if (scope) cell.scope = scope;
  return cell;
}

/** Fill a table, a row a label and a column a prediction; return the commonest mistake, `{count, truth, prediction, of}`. */
export function fillMatrix(table, classes, counts) {
  const head = document.createElement("tr");
  head.append(makeCell("th", say("label"), "col"), ...classes.map((name) => makeCell("th", name, "col")), makeCell("th", say("recall"), "col"));
  const worst = { count: 0 };
  const rows = counts.map((row, i) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const line = document.createElement("tr");
    line.append(makeCell("th", classes[i], "row"), ...row.map((count, j) => {
      const cell = makeCell("td", count ? formatNumber(count) : "·");
      if (i === j) cell.className = "right";
      else if (count) {
        cell.className = "wrong";
        // At most a third: the number must stay legible in both colour schemes.
        cell.style.setProperty("--share", `${Math.round(35 * Math.min(1, 4 * count / total))}%`);
        if (count > worst.count) Object.assign(worst, { count, truth: classes[i], prediction: classes[j], of: total });
      }
      return cell;
    }), makeCell("td", total ? formatPercent(row[i] / total) : "–"));
    return line;
  });
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...rows);
  return worst;
}
