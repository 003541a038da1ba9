from __future__ import annotations

import pytest

from alerts.secrets import resolve
from remora.config import parse
from remora.errors import UserError

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def config(**receiver: str):
    lines = "\n".join(f'    {name}: "{value}"' for name, value in ({"kind": "webhook"} | receiver).items())
    return parse(f"version: 1\nreceivers:\n  hook:\n{lines}\n")


def test_inline_file_and_environment_say_the_same(tmp_path):
    (tmp_path / "url").write_text("http://h.example/x\n")
    (tmp_path / "secret").write_text(SECRET + "\n")
    environment = {"HOOK": "http://h.example/x", "KEY": SECRET}
    targets = [
        resolve(config(url="http://h.example/x", secret=SECRET), {}),
        resolve(config(url_file=str(tmp_path / "url"), secret_file=str(tmp_path / "secret")), {}),
        resolve(config(url_env="HOOK", secret_env="KEY"), environment),
    ]
    assert [one["hook"].secrets() for one in targets] == [["http://h.example/x", SECRET]] * 3


@pytest.mark.parametrize(
    ("receiver", "what"),
    [
        ({"url_env": "HOOK"}, "url_env names HOOK, which is not set"),
        ({"url_file": "/none/url"}, "url_file /none/url cannot be read: No such file"),
        ({"url": "ftp://h.example"}, "not an http or https URL"),
        ({"url": "http://me:pw@h.example"}, "not an http or https URL"),
        ({"url": "http://[broken"}, "not an http or https URL"),
        ({"url": "http://h.example", "secret": "hidden"}, "its secret "),
    ],
)
def test_what_is_wrong_is_said_without_showing_it(receiver, what):
    with pytest.raises(UserError, match="receiver hook: ") as caught:
        resolve(config(**receiver), {})
    assert what in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "pw@" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "one\ntwo"])
def test_a_file_has_one_line(tmp_path, text):
    (tmp_path / "url").write_text(text)
    with pytest.raises(UserError, match="must hold one line with the url"):
        resolve(config(url_file=str(tmp_path / "url")), {})
