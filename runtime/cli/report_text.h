// What a report's page has in words, style and script.
#ifndef USERPAGER_CLI_REPORT_TEXT_H_
#define USERPAGER_CLI_REPORT_TEXT_H_

namespace userpager::cli {

inline constexpr char kAddressNote[] =
    "Each row is a piece of the memory that was touched, in the order of addresses; what was never"
    " touched has no row. Click on a region to see it alone.";

inline constexpr char kMemoryNote[] =
    "Working set: pages that can be touched without a fault. In memory: these, parked pages and"
    " buffers, all that counts against the limit.";

inline constexpr char kRegionsNote[] =
    "A region is one reservation of address space (of a preloaded program: a mapping, or what"
    " malloc took for many blocks); of a reservation larger than 1 GiB, a part of it.";

inline constexpr char kNoCallersNote[] =
    "Which code asked for them was not recorded; userpager record --callers does that.";

inline constexpr char kCallersNote[] =
    "Who asked for a region is who asked for the largest part of it at once, and of such the first:"
    " of a region of malloc's, that is the call for which it was made, or a large block; what is"
    " given to small blocks later is not recorded. Callers are found by the tables that compilers"
    " write for exceptions, and end before code that has none. Names come from the symbol tables of"
    " the files as they are now, where the build-id is the same, or from debugging symbols in"
    " /usr/lib/debug.";

inline constexpr char kMissNote[] =
    "How this is estimated: a recording shows faults, not every access. To the right of the limit"
    " it assumes that more memory would have kept the pages that were dropped last: a page that was"
    " read back would still have been there if few enough others were dropped after it. That is"
    " exact for reads of the page file as long as pages leave in the same order; how much would"
    " have been read ahead may differ. To the left it assumes that less memory would have dropped"
    " the pages that were parked for longest; pages that were never parked are not seen, so the"
    " curve ends there, and is too low before. The miss ratio is faults that wait for the page"
    " file, divided by all touches that were seen: faults of all kinds and pages of readahead that"
    " were used.";

inline constexpr char kLimitChangedNote[] =
    "The memory limit changed while this was recorded: the curve is drawn from the last one, and"
    " its distances are right rather than its places.";

inline constexpr char kPageStyle[] = R"css(
:root{--back:#fff;--text:#1f2328;--quiet:#59636e;--edge:#d0d7de;--tile:#f6f8fa;--pick:#ddf4ff}
@media (prefers-color-scheme:dark){
:root{--back:#0d1117;--text:#e6edf3;--quiet:#9198a1;--edge:#30363d;--tile:#151b23;--pick:#12325a}}
body{background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif;
max-width:1000px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}h2{font-size:17px;margin:32px 0 8px}
.quiet{color:var(--quiet);font-size:13px;margin:4px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:10px;
margin:18px 0}
.tile{background:var(--tile);border:1px solid var(--edge);border-radius:8px;padding:10px 12px}
.tile b{display:block;font-size:20px;font-variant-numeric:tabular-nums}
.tile span{display:block}.tile small{color:var(--quiet);display:block;line-height:1.35}
#advice li{margin:6px 0}#advice em{color:var(--quiet)}
figure{margin:18px 0 0}figure svg{display:block;width:100%;height:auto}
[hidden]{display:none}
#picked{position:sticky;top:0;background:var(--back);border-bottom:1px solid var(--edge);
padding:6px 0;margin:24px 0 0;z-index:1}
#picked button{font:inherit;margin-left:8px;color:inherit;background:var(--tile);
border:1px solid var(--edge);border-radius:6px;cursor:pointer}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:5px 6px;text-align:right;border-bottom:1px solid var(--edge);white-space:nowrap}
th{color:var(--quiet);font-weight:500;white-space:normal}
td.address,th:nth-child(2){text-align:left}.plain th,.plain td{text-align:right}
td.code,th.code{text-align:left}td.code{white-space:normal;overflow-wrap:anywhere;min-width:180px}
#callers details{margin:6px 0;font-size:13px}#callers ol{margin:4px 0;overflow-wrap:anywhere}
#callers summary{cursor:pointer;overflow-wrap:anywhere}
tr[data-pick]{cursor:pointer}tr[data-pick]:hover,tr.picked{background:var(--pick)}
.band{cursor:pointer}.band rect{fill:transparent}
.band:hover rect,.band:focus-visible rect{fill:var(--text);fill-opacity:.08}
.band.dim rect{fill:var(--back);fill-opacity:.78}
)css";

inline constexpr char kPageScript[] = R"js('use strict';
function pick(group) {
  if (!document.querySelector('[data-for="' + group + '"]')) group = '0';
  document.body.dataset.pick = group;
  for (const one of document.querySelectorAll('[data-for]')) one.hidden = one.dataset.for !== group;
  for (const band of document.querySelectorAll('.band')) {
    band.classList.toggle('dim', group !== '0' && band.dataset.pick !== group);
  }
  for (const row of document.querySelectorAll('tr[data-pick]')) {
    row.classList.toggle('picked', row.dataset.pick === group);
  }
  const picked = document.getElementById('picked');
  const row = document.querySelector('tr[data-pick="' + group + '"] .address');
  picked.firstElementChild.textContent =
      group === '0' ? 'all memory' : 'region ' + group + ': ' + row.textContent;
  picked.lastElementChild.hidden = group === '0';
}
function pickedBy(event) {
  const by = event.target.closest('[data-pick]:not(body)');
  if (!by) return;
  pick(by.dataset.pick === document.body.dataset.pick ? '0' : by.dataset.pick);
  history.replaceState(null, '', '#' + document.body.dataset.pick);
}
document.addEventListener('click', pickedBy);
document.addEventListener('keydown', event => {
  if (event.key !== 'Enter' && event.key !== ' ') return;
  // A button makes a click of its own of it; elsewhere the page would scroll.
  if (event.target.tagName === 'BUTTON' || !event.target.closest('[data-pick]:not(body)')) return;
  event.preventDefault();
  pickedBy(event);
});
window.addEventListener('hashchange', () => pick(location.hash.slice(1)));
if (/^#\d+$/.test(location.hash)) pick(location.hash.slice(1));
)js";

}  // namespace userpager::cli

#endif  // USERPAGER_CLI_REPORT_TEXT_H_
