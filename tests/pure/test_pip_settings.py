"""tools/pip_settings.py: what pip is told, told to uv."""

import io
import sys

from tools import pip_settings

PRINTED = """\
:env:.find-links='/wheels'
global.cert='/etc/ssl/mirror.pem'
global.find-links='/other/wheels'
global.index-url='https://mirror.example/simple'
global.timeout='60'
install.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/simple'
freeze.index-url='https://wrong.example'
"""


def test_pips_settings_are_uvs_variables(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(PRINTED))
    monkeypatch.setattr(pip_settings.os, "environ", {"SSL_CERT_FILE": "/kept.pem"})
    pip_settings.main()
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "UV_DEFAULT_INDEX=https://mirror.example/simple",
        "UV_FIND_LINKS=/wheels",
        "UV_INDEX=https://one.example/simple https://two.example/simple",
    ]


def test_no_settings_say_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    pip_settings.main()
    assert capsys.readouterr().out == ""
