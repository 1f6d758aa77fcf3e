"""The style of the page: a light and a dark one, for screens of any width and for paper. Text alone."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root{color-scheme:light dark;--paper:#ffffff;--card:#f7f9fb;--ink:#131c2b;--pale:#52606f;--edge:#d9e0e8;--link:#1d4ed8;
--good:#15803d;--bad:#b91c1c;--odd:#b45309;--cool:#2563eb;--soft:#eef2f7;--system:#6d28d9;--user:#1d4ed8;--answer:#15803d;--tool:#0f766e;
--bar:#93b4f5;--wait:#e2b36b;--fail:#e58f8f;--reuse:#86cfa3}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--card:#151b23;--ink:#e6edf3;--pale:#9aa7b5;--edge:#2c3643;--link:#7aa7ff;
--good:#4ac26b;--bad:#ff7b72;--odd:#e3a341;--cool:#6ea8fe;--soft:#1c2430;--system:#b794f6;--user:#7aa7ff;--answer:#4ac26b;--tool:#2dd4bf;
--bar:#3f6fc9;--wait:#a9762a;--fail:#b4474a;--reuse:#2f7d4c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:1.6rem;line-height:1.25;margin:0 12px 0 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:36px 0 12px;padding-top:12px;border-top:1px solid var(--edge)}
.title{display:flex;flex-wrap:wrap;align-items:center;gap:8px}
.pill{display:inline-block;padding:1px 10px;border-radius:99px;border:1px solid currentColor;font-size:.85rem;
font-weight:600;white-space:nowrap}
.succeeded{color:var(--good)}.failed{color:var(--bad)}.interrupted,.rejected,.cut{color:var(--odd)}.running{color:var(--cool)}.skipped,.plain{color:var(--pale)}
.where{color:var(--pale);margin:6px 0 0;overflow-wrap:anywhere}
nav{margin:14px 0 0;display:flex;flex-wrap:wrap;gap:4px 18px}
a{color:var(--link)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:10px;margin:20px 0 0;padding:0}
.facts div{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:8px 12px}
.facts dt{color:var(--pale);font-size:.8rem}
.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.facts .fact{display:block;font-weight:400}
.trouble{border-left:4px solid var(--bad);background:var(--card);padding:10px 14px;margin:16px 0;border-radius:0 8px 8px 0;
overflow-wrap:anywhere}
.trouble.odd{border-color:var(--odd)}
.trouble b{color:var(--bad)}
.trouble.odd b{color:var(--odd)}
.picture{overflow-x:auto;max-width:100%;border:1px solid var(--edge);border-radius:8px;background:var(--paper)}
.picture svg{display:block;margin:0 auto;flex:none}
.picture.times svg{min-width:1000px;width:100%;height:auto}
.times text{font-size:12px;fill:var(--ink)}
.times .t-pale{fill:var(--pale);font-size:11px}
.times .t-grid{stroke:var(--edge)}
.times .t-span{fill:var(--soft);stroke:var(--edge)}
.times .t-ok{fill:var(--bar)}.times .t-fail{fill:var(--fail)}.times .t-wait{fill:var(--wait)}.times .t-reuse{fill:var(--reuse)}
.times .t-gap{stroke:var(--odd);stroke-dasharray:3 3}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;color:var(--pale);font-size:.85rem;margin:8px 2px 0;padding:0;list-style:none}
.key i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:6px;border:1px solid var(--edge)}
.k-ok{background:var(--bar)}.k-fail{background:var(--fail)}.k-wait{background:var(--wait)}.k-reuse{background:var(--reuse)}.k-span{background:var(--soft)}
details{margin:0}
summary{cursor:pointer;list-style-position:outside}
summary:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:4px}
.step{border:1px solid var(--edge);border-radius:8px;margin:10px 0;background:var(--card)}
.step>summary{padding:10px 14px;display:flex;flex-wrap:wrap;gap:2px 10px;align-items:baseline}
.step>summary::-webkit-details-marker{display:none}
.step>summary::before{content:"\\25B8";color:var(--pale)}
.step[open]>summary::before{content:"\\25BE"}
.step>summary b{font-size:1.02rem;overflow-wrap:anywhere}
.inner{padding:0 14px 12px}
.fact{color:var(--pale);font-size:.86rem;overflow-wrap:anywhere}
.item{border-left:2px solid var(--edge);margin:8px 0;padding:0 0 0 12px}
.item>summary{padding:2px 0}
.asked{border-top:1px dashed var(--edge);margin-top:12px;padding-top:8px}
.asked:first-child{border-top:0;margin-top:0}
.head{margin:2px 0 6px}
.said{margin:6px 0;border-left:3px solid var(--edge);padding-left:10px}
.said>summary{display:flex;gap:10px;align-items:baseline;min-width:0}
.said>summary::-webkit-details-marker{display:none}
.said>summary::before{content:"\\25B8";color:var(--pale);font-size:.8em}
.said[open]>summary::before{content:"\\25BE"}
.said>summary .fact{white-space:nowrap}
.who{font-weight:600;font-size:.86rem;white-space:nowrap}
.peek{color:var(--pale);font-size:.86rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;min-width:0}
details[open]>summary>.peek{display:none}
.system{border-color:var(--system)}.system>summary .who{color:var(--system)}
.user{border-color:var(--user)}.user>summary .who{color:var(--user)}
.answer{border-color:var(--answer)}.answer>summary .who{color:var(--answer)}
.tool{border-color:var(--tool)}.tool>summary .who{color:var(--tool)}
.wrong{border-color:var(--bad)}.wrong>summary .who{color:var(--bad)}
pre{margin:4px 0;padding:10px 12px;background:var(--soft);border-radius:6px;overflow:auto;max-height:70vh;white-space:pre-wrap;
overflow-wrap:anywhere;
font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;tab-size:4;content-visibility:auto}
table{border-collapse:collapse;width:100%;font-size:.86rem;margin:8px 0}
.wide{overflow-x:auto}
th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--edge);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--pale);font-weight:600;white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap}
.nothing{color:var(--pale);margin:4px 0}
footer{color:var(--pale);font-size:.85rem;margin-top:40px;padding-bottom:40px}
@media (min-width:900px){.of3{grid-template-columns:repeat(3,1fr)}.of4{grid-template-columns:repeat(4,1fr)}
.of5{grid-template-columns:repeat(5,1fr)}.of6{grid-template-columns:repeat(6,1fr)}
.of7{grid-template-columns:repeat(7,1fr)}}
@media (max-width:640px){main,header,footer{padding-left:14px;padding-right:14px}}
@media print{pre{max-height:none}.picture{overflow:visible}nav{display:none}}
"""
