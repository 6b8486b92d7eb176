/** The style of the page. Its hash is in the policy of the page, so there is no attribute `style` anywhere. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #f6f7f9; --sheet: #fff; --ink: #16202e; --faint: #566072; --line: #d5dae2;
  --good: #11703c; --bad: #b3261e; --calm: #38506e; --accepted: #b9c6d8; --sent: #1257b0; --dropped: #9a5b00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #10151d; --sheet: #19212c; --ink: #e7ecf3; --faint: #a3afc0; --line: #323d4d; --good: #5fd693; --bad: #ff8d82;
    --calm: #a8c0e0; --accepted: #465872; --sent: #7ab8ff; --dropped: #f0b35a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: .75rem 1rem; }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
section { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; min-width: 0; }
section.wide { grid-column: 1 / -1; }
h1 { font-size: 1.1rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
#spool-heading { margin-top: 1rem; }
p { margin: 0 0 .5rem; }
footer, small, dt, .note { color: var(--faint); font-size: .875rem; }
code { font: .9em ui-monospace, monospace; }
#state { font-size: 1.75rem; font-weight: 600; line-height: 1.2; margin-bottom: .25rem; }
.good { color: var(--good); fill: var(--good); }
.bad { color: var(--bad); fill: var(--bad); }
.calm { color: var(--calm); fill: var(--calm); }
#link { margin: .5rem 0 0; }
#link[data-lost] { color: var(--bad); font-size: 1rem; }
.warnings { margin: .5rem 0 0; padding-left: 1.2rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
dl { margin: 0; }
dl > div { padding: .3rem 0; border-top: 1px solid var(--line); }
dl > div:first-child { border-top: 0; }
dd { margin: 0; }
dd small { display: block; }
#facts > div { display: grid; grid-template-columns: 8.5rem 1fr; gap: .5rem; }
#totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .5rem; }
#totals > div { border: 0; }
#totals dd { font-size: 1.35rem; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .925rem; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-top: 1px solid var(--line); vertical-align: top; font-weight: 400; }
thead th { border-top: 0; color: var(--faint); font-size: .875rem; }
th:last-child, td:last-child, #minutes td { text-align: right; padding-right: 0; }
#minutes th + th { text-align: right; padding-right: 0; }
svg { display: block; width: 100%; height: auto; }
svg.bar { height: .9rem; margin-bottom: .4rem; border-radius: .25rem; }
svg text { fill: var(--faint); font-size: 13px; }
.track, .accepted { fill: var(--accepted); }
.grid { stroke: var(--line); }
polyline.sent { fill: none; stroke: var(--sent); stroke-width: 2.5; stroke-linejoin: round; }
rect.failed { fill: var(--bad); }
rect.dropped { fill: var(--dropped); }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: .25rem 0 .75rem; padding: 0; font-size: .875rem; }
.key svg { display: inline-block; width: 1.4rem; height: .8rem; margin-right: .35rem; vertical-align: -.05rem; }
summary { cursor: pointer; padding: .3rem 0; }
details[id] { border-top: 1px solid var(--line); }
.fields { padding: 0 0 .5rem 1rem; }
@media (max-width: 30rem) {
  #facts > div { display: block; }
  svg text { font-size: 20px; }
}
@media (min-width: 45rem) {
  svg text { font-size: 9px; }
}
:focus-visible { outline: 3px solid var(--sent); outline-offset: 2px; border-radius: .2rem; }
`;
