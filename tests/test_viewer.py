"""Who may look at a viewer, and what a browser may do with what it is shown."""

import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from browsing import SECRET, viewer
from finished_run import finished_run
from swirl.viewer.access import HEADERS


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with viewer(finished_run(tmp_path_factory.mktemp("view") / "mine")) as found:
        yield found


def ask(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, "http.client.HTTPMessage", str]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.putrequest(method, path, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    found = (answer.status, answer.headers, answer.read().decode())
    connection.close()
    return found


def cookie(address: str) -> str:
    _, headers, _ = ask(address, f"/?token={SECRET}")
    return headers["set-cookie"].partition(";")[0]


def test_nobody_sees_a_run_without_the_token(address: str) -> None:
    for path in ("/", "/runs/mine", "/runs/mine?token=wrong", "/static/view.js", "/runs/mine?token="):
        status, _, text = ask(address, path)
        assert status == 403
        assert "`swirl view` printed" in text


def test_the_token_becomes_a_cookie_that_scripts_cannot_read_and_addresses_stay_as_they_are(address: str) -> None:
    status, headers, _ = ask(address, f"/runs/mine/trajectories?q=a%20b&token={SECRET}&page=2")
    assert (status, headers["location"]) == (303, "/runs/mine/trajectories?q=a+b&page=2")
    assert "HttpOnly" in headers["set-cookie"]
    assert SECRET not in headers["location"]
    assert ask(address, "/runs/mine", cookie=cookie(address))[0] == 200


def test_the_way_in_leads_to_no_other_site(address: str) -> None:
    _, headers, _ = ask(address, f"//example.org/?token={SECRET}")
    assert headers["location"] == "/example.org/"


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:80", "127.0.0.1.example.org", "", "[::1", "localhost@example.org:x"]
)
def test_a_name_of_another_site_is_not_answered(address: str, host: str) -> None:
    assert ask(address, "/runs/mine", host=host, cookie=cookie(address))[0] in (400, 421)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_there_is_nothing_to_write(address: str, method: str) -> None:
    assert ask(address, "/runs/mine", method, cookie=cookie(address))[0] == 405


@pytest.mark.parametrize(
    "path", ["/", "/runs/mine", "/runs/none", "/static/view.css", "/runs/mine?format=json", "/nowhere"]
)
def test_every_answer_says_what_a_browser_may_do(address: str, path: str) -> None:
    for secret in (cookie(address), "none=1"):
        _, headers, _ = ask(address, path, cookie=secret)
        assert {name: headers[name] for name in HEADERS} == dict(HEADERS)
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/runs/../../etc/passwd",
        "/runs/..%2f..%2fetc",
        "/runs/mine%2f..%2f..",
        "/static/view.js%00",
    ],
)
def test_no_path_leads_out_of_what_is_served(address: str, path: str) -> None:
    status, _, text = ask(address, path, cookie=cookie(address))
    assert status == 404
    assert "root:" not in text
    assert "import" not in text


def test_what_is_not_there_is_named_and_escaped(address: str) -> None:
    status, _, text = ask(address, "/runs/%3Cscript%3E", cookie=cookie(address))
    assert status == 404
    assert "no run is called &#39;&lt;script&gt;&#39; here" in text


def test_an_unchanged_page_is_not_made_again(address: str) -> None:
    secret = cookie(address)
    status, tag = 200, '""'
    for _ in range(20):  # while the run is being read, the page changes
        status, headers, _ = ask(address, "/runs/mine", cookie=secret, if_none_match=tag)
        if status == 304:
            break
        tag = headers["etag"]
    assert status == 304
    assert ask(address, "/runs/mine/judge", cookie=secret, if_none_match=tag)[0] == 200


def test_an_unchanged_list_of_runs_is_not_sent_again(tmp_path: Path) -> None:
    with viewer(finished_run(tmp_path / "one"), finished_run(tmp_path / "two")) as address:
        secret = cookie(address)
        _, headers, _ = ask(address, "/", cookie=secret)
        assert ask(address, "/", cookie=secret, if_none_match=headers["etag"])[0] == 304
        assert ask(address, "/", cookie=secret, if_none_match='"other"')[0] == 200


def test_looking_writes_nothing(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "mine")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with viewer(run) as address:
        secret = cookie(address)
        for path in ("", "/trajectories", "/training", "/evaluation", "/judge"):
            assert ask(address, f"/runs/mine{path}", cookie=secret)[0] == 200
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_folder_of_runs_is_opened_and_what_comes_to_be_in_it_is_taken_in(tmp_path: Path) -> None:
    finished_run(tmp_path / "runs" / "one")
    with viewer(tmp_path / "runs") as address:
        secret = cookie(address)
        assert ask(address, "/", cookie=secret)[1]["location"] == "/runs/runs-one"
        finished_run(tmp_path / "runs" / "two")
        finished_run(tmp_path / "runs" / "one" / "rounds" / "2")
        seconds = iter(range(200))
        while ask(address, "/runs/runs-two", cookie=secret)[0] == 404 and next(seconds, None) is not None:
            time.sleep(0.1)
        assert ask(address, "/runs/runs-two", cookie=secret)[0] == 200
        assert ask(address, "/runs/runs-one-rounds-2", cookie=secret)[0] == 200
        text = ask(address, "/", cookie=secret)[2]
    assert "/runs/runs-one" in text
    assert "/runs/runs-two" in text


def test_a_run_that_is_named_twice_is_shown_once(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "mine")
    with viewer(run, run) as address:
        assert ask(address, "/", cookie=cookie(address))[1]["location"] == "/runs/mine"
