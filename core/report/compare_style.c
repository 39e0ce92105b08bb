/* SPDX-License-Identifier: Apache-2.0
 *
 * What the page of a comparison has beyond that of a run: a colour for each method, a wide table,
 * intervals as bars.
 */
#include "report/compare_parts.h"

const char *const compare_style[] = {
    ":root{--k0:#1f7a45;--k1:#2f6fb7;--k2:#c77b12;--k3:#8a4fb0;--k4:#0c8585;--k5:#b3372f;"
    "--k6:#a3457a;--k7:#6c6f16}"
    "@media(prefers-color-scheme:dark){:root{--k0:#6fce95;--k1:#7db4f0;--k2:#e9a94a;--k3:#c59bea;"
    "--k4:#5fd0d0;--k5:#f0877d;--k6:#ec94c2;--k7:#c9cd62}}"
    ".verdict{font-size:1.08rem}.verdict p{margin:0 0 8px}.verdict p:last-child{margin:0}"
    ".verdict p:first-child{font-size:1.3rem;font-weight:600;line-height:1.35}"
    ".scroll{overflow-x:auto;padding:8px 20px}"
    ".scroll td,.scroll th{padding:7px 14px 7px 0;white-space:nowrap;vertical-align:top}"
    ".scroll .why{white-space:normal;min-width:18em}"
    ".small{display:block;color:var(--soft);font-size:.82rem}"
    ".dot{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:8px}"
    ".bar-k{display:grid;grid-template-columns:minmax(6em,11em) 1fr 4.6em;gap:12px;"
    "align-items:center;min-height:32px}"
    ".bar-k span{overflow-wrap:anywhere}.bar-k "
    "b{text-align:right;font-variant-numeric:tabular-nums}"
    ".track{position:relative;height:22px;border-left:1px solid var(--line);"
    "border-right:1px solid var(--line)}"
    ".track i{position:absolute;display:block}.track .reach{top:9px;height:4px;border-radius:2px;"
    "opacity:.45;min-width:2px}.track .at{top:5px;width:12px;height:12px;margin-left:-6px;"
    "border-radius:50%}.track .was-at{top:0;height:22px;width:2px;background:var(--soft)}"
    ".ends{display:flex;justify-content:space-between;color:var(--soft);font-size:.82rem;"
    "margin:4px 5.4em 0 calc(min(11em,32%) + 0px)}",
    ".off{stroke-dasharray:5 4;opacity:.75}.front{stroke:var(--soft);stroke-dasharray:3 4}"
    "circle.ring{fill:none;stroke:var(--ink);stroke-width:1.6}"
    "svg text.tag{font-size:12px;fill:var(--ink)}"
    ".k0,.k1,.k2,.k3,.k4,.k5,.k6,.k7{stroke-width:2;stroke-linejoin:round}"
    "path.k0{stroke:var(--k0)}path.k1{stroke:var(--k1)}path.k2{stroke:var(--k2)}"
    "path.k3{stroke:var(--k3)}path.k4{stroke:var(--k4)}path.k5{stroke:var(--k5)}"
    "path.k6{stroke:var(--k6)}path.k7{stroke:var(--k7)}"
    "circle.k0{fill:var(--k0)}circle.k1{fill:var(--k1)}circle.k2{fill:var(--k2)}"
    "circle.k3{fill:var(--k3)}circle.k4{fill:var(--k4)}circle.k5{fill:var(--k5)}"
    "circle.k6{fill:var(--k6)}circle.k7{fill:var(--k7)}"
    "i.k0{background:var(--k0)}i.k1{background:var(--k1)}i.k2{background:var(--k2)}"
    "i.k3{background:var(--k3)}i.k4{background:var(--k4)}i.k5{background:var(--k5)}"
    "i.k6{background:var(--k6)}i.k7{background:var(--k7)}"
    ".grid-answers{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:14px}"
    ".matrix td{font-variant-numeric:tabular-nums}"
    "@media(max-width:720px){.scroll{padding:6px 15px}.bar-k{grid-template-columns:1fr 4.6em}"
    ".bar-k .track{grid-column:1/-1;grid-row:2}.ends{margin:4px 0 0}svg text.tag{font-size:15px}}",
    NULL,
};
