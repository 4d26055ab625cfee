"""A page as HTML mail: one column, readable on a phone, in dark and in light, and without its styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby

from monitor.conversations import Kind
from monitor.notify.page import FIRST, Answer, PageContent

PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 0; padding: 16px; background: #fff; color: #1f2328; font: 16px/1.45 system-ui, sans-serif }}
main {{ max-width: 600px; margin: 0 auto }}
.state {{ display: inline-block; padding: 2px 10px; border-radius: 4px; color: #fff; font-weight: 700 }}
.page {{ background: #b3261e }} .ticket {{ background: #8a5300 }} .info {{ background: #0b57a4 }}
.resolved {{ background: #1e6b2e }} .acknowledged {{ background: #57606a }}
h1 {{ margin: 10px 0 4px; font-size: 20px; line-height: 1.3; overflow-wrap: anywhere }}
dl {{ margin: 0 }}
dt {{ margin-top: 10px; color: #57606a; font-size: 13px }}
dd {{ margin: 0; overflow-wrap: anywhere }}
dd + dd {{ margin-top: 4px }}
.first {{ margin-top: 16px; padding: 10px 12px; border-left: 4px solid #0b57a4; background: #eef4fb }}
.first dt {{ margin: 0 }}
.links {{ margin: 16px 0 }}
.links a {{ display: inline-block; margin: 0 8px 8px 0; padding: 10px 16px; border: 1px solid #0b57a4;
  border-radius: 6px; color: #0b57a4; text-decoration: none; font-weight: 600 }}
.small {{ color: #57606a; font-size: 13px; overflow-wrap: anywhere }}
code {{ font: 13px/1.4 ui-monospace, monospace }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #15181c; color: #e6e8eb }}
  dt, .small {{ color: #a3abb5 }}
  .first {{ background: #1b2734; border-color: #6cb0f5 }}
  .links a {{ color: #8cc2fa; border-color: #8cc2fa }}
}}
</style></head>
<body><main>
<p style="margin:0"><span class="state {colour}">{state}</span> {severity}</p>
<h1>{what}</h1>
{body}
</main></body></html>
"""


def as_html(page: PageContent) -> str:
    """All that is said is escaped; nothing is loaded from anywhere."""
    colour = page.kind if page.kind in (Kind.RESOLVED, Kind.ACKNOWLEDGED) else page.severity
    return PAGE.format(
        title=escape(page.headline),
        colour=escape(colour),
        state=escape(page.kind.upper()),
        severity=escape(page.severity),
        what=escape(page.summary),
        body="\n".join(_parts(page)),
    )


def _parts(page: PageContent) -> Iterator[str]:
    answers = list(page.answers)
    yield f"<dl>{''.join(_rows(each for each in answers if each.label not in ('Value', FIRST)))}</dl>"
    if first := [each for each in answers if each.label == FIRST]:
        yield f'<dl class="first">{"".join(_rows(first))}</dl>'
    if links := [f'<a href="{escape(address)}">{label}</a>' for label, address in page.links]:
        yield f'<p class="links">{"".join(links)}</p>'
    yield from (f'<p class="small">{each}</p>' for each in _small_print(page))


def _rows(answers: Iterable[Answer]) -> Iterator[str]:
    for label, group in groupby(answers, key=lambda answer: answer.label):
        yield f"<dt>{escape(label)}</dt>" + "".join(f"<dd>{escape(text)}</dd>" for _, text in group)


def _small_print(page: PageContent) -> Iterator[str]:
    if page.description:
        yield escape(page.description)
    if page.runbook and not page.runbook.startswith(("https://", "http://")):
        yield f"Runbook: {escape(page.runbook)}"
    if page.firing and page.silence:
        yield f"To silence it: <code>{escape(page.silence)}</code>"
    yield f"{escape(page.alert)} of {escape(page.target)}, incident {escape(page.dedup_key)}"
