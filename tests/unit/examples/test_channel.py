from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

AT = datetime(2013, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold* and `code`", "<b>bold</b> and <code>code</code>"),
        ("*<https://x.example/a|a &lt; b>*", '<b><a href="https://x.example/a" rel="noreferrer">a &lt; b</a></b>'),
        ("since <!date^1362657600^{date_short_pretty} {time}|2013-03-07 12:00 UTC>",
         "since <span>2013-03-07 12:00 UTC</span>"),
        ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
        ("at 12:00:00 and :unknown_face:", "at 12:00:00 and :unknown_face:"),
        ("\x000\x00", "0"),
    ],
)  # fmt: skip
def test_mark_up_is_shown_as_slack_shows_it(text, html):
    from channel import mrkdwn

    assert mrkdwn(text) == html


def test_emoji_are_drawn_and_not_spelt():
    from channel import mrkdwn

    shown = mrkdwn(":red_circle: *fell*")
    assert shown.startswith('<span class="face-of" style="background:#d92d20"')
    assert shown.endswith("</span> <b>fell</b>")


def test_a_page_shows_what_slack_and_the_pager_were_told_and_runs_nothing_of_it(tmp_path):
    from channel import Channel, page

    channel = Channel(tmp_path / "messages.jsonl")
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": ":red_circle: <script>"}},
        {"type": "actions", "elements": [{"text": {"text": "Alert"}, "url": "javascript:alert(1)"}]},
    ]
    channel.add("slack", {"text": "x", "blocks": blocks}, AT)
    channel.add("pager", {"type": "incident.opened", "data": {"title": "</pre><b>"}}, AT)
    shown = page(channel.messages())
    assert "<script>" not in shown
    assert "javascript:" not in shown
    assert shown.index("incident.opened") < shown.index('face-of" style'), "the newest stands first"
    assert "<h3>&lt;/pre&gt;&lt;b&gt;</h3>" in shown
    assert [json.loads(line)["kind"] for line in (tmp_path / "messages.jsonl").read_text().splitlines()] == [
        "slack",
        "pager",
    ]
