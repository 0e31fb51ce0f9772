"""What the lab counts against what the target knows that it did."""
import json
import os
import socket
import subprocess

import pytest

ERRORS = {"refused", "connectTimeout", "tls", "reset", "timeout", "non2xx", "shortBody", "protocol",
          "local"}


def only(stage, **expected):
    """Exactly these errors, and no other."""
    assert {name: count for name, count in stage["errors"].items() if count} == expected


def test_every_answer_is_counted_once(lab, target):
    stage, = lab.run(target.url + "/ok", "-c", 7, "-n", 500)["stages"]
    assert stage["requests"] == 500 and stage["statuses"] == {"200": 500}
    only(stage)
    counts = target.counts()
    assert counts["paths"] == {"/ok": 500}
    assert counts["connections"] == 7 + 1 + 1  # the lab's own first look, and ours


@pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 8),
                    reason="the kernel takes every second port there, whatever it is asked for")
def test_no_port_is_left_out(lab, target):
    """Else half of them are gone after 14,000 connections, and each one more takes milliseconds."""
    lab.run(target.url + "/ok", "-c", 40, "-n", 400)
    odd = sum(port % 2 for port in target.counts()["ports"])
    assert 10 <= odd <= 32  # of 42


def test_threads_share_the_requests_and_lose_none(lab, target):
    report = lab.run(target.url + "/ok", "-c", 5, "-n", 333, "-t", 3)
    assert report["stages"][0]["requests"] == 333 and target.counts()["paths"] == {"/ok": 333}
    assert report["analysis"]["run"]["threads"] == 3


@pytest.mark.parametrize("path", ["/chunked", "/large/200000", "/dribble", "/continue",
                                  "/until-close", "/polite-close"])
def test_bodies_of_every_framing_are_read_to_their_end(lab, target, path):
    stage, = lab.run(target.url + path, "-c", 3, "-n", 30)["stages"]
    only(stage)
    assert stage["requests"] == 30
    if path == "/large/200000":
        assert stage["bytes"]["received"] > 30 * 200000


@pytest.mark.parametrize("path, errors", [
    ("/status/404", {"non2xx": 20}), ("/status/503", {"non2xx": 20}), ("/short", {"shortBody": 20}),
    ("/reset", {"reset": 20}), ("/empty", {"reset": 20}), ("/garbage", {"protocol": 20}),
    ("/extra", {"protocol": 20})])
def test_failures_are_told_by_kind_and_counted_exactly(lab, target, path, errors):
    report = lab.run(target.url + path, "-c", 2, "-n", 20)
    stage, = report["stages"]
    only(stage, **errors)
    assert stage["requests"] == 20 and stage["errorRate"] == 1
    assert stage["p99"] is None and stage["mean"] is None
    if "non2xx" in errors:
        assert stage["statuses"] == {path[-3:]: 20} and stage["rejections"]["count"] == 20


def test_an_answer_that_never_comes_is_a_timeout(lab, target):
    stage, = lab.run(target.url + "/silent", "-c", 2, "-n", 4, "--timeout", "200ms")["stages"]
    only(stage, timeout=4)


def test_the_total_timeout_counts_from_when_it_was_due(lab, target):
    stage, = lab.run(target.url + "/silent", "--rate", 50, "-n", 10, "-c", 2, "--timeout", "30s",
                     "--total-timeout", "300ms")["stages"]
    only(stage, timeout=10)


def test_a_connection_that_is_not_accepted_is_a_connect_timeout(lab, target):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        # The queue has room for two: for ours, and for the lab's first look.
        with socket.create_connection(listener.getsockname()):
            ended = lab.raw(url, "-c", 3, "-n", 3, "--connect-timeout", "300ms", "-o", "json")
    stage, = json.loads(ended.stdout_text)["stages"]
    only(stage, connectTimeout=3)
    assert stage["connections"] == {"opened": 0, "failed": 3, "peak": 0}
    assert ended.returncode == 1 and "nobody could be reached" in ended.stderr_text


def test_nobody_there_is_1_and_says_where(lab):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        ended = lab.raw(f"http://127.0.0.1:{port}/", "-d", "1s")
    assert ended.returncode == 1 and ended.stdout_text == ""
    assert f"nothing answers at 127.0.0.1:{port}: Connection refused" in ended.stderr_text


def test_a_target_that_goes_away_is_refused_from_then_on(lab, target):
    running = lab.start(target.url + "/ok", "-c", 2, "-n", 400, "--rate", 400, "-o", "json")
    while sum(target.counts()["paths"].values()) < 100:
        pass
    target.process.kill()
    stage = json.loads(lab.end(running).stdout_text)["stages"][0]
    assert stage["requests"] == 400
    assert stage["errors"]["refused"] > 0 and stage["statuses"]["200"] >= 100
    assert stage["requests"] - stage["statuses"]["200"] == sum(stage["errors"].values())


def test_a_share_of_failures_is_that_share(lab, target):
    stage, = lab.run(target.url + "/every/4", "-c", 3, "-n", 400)["stages"]
    assert stage["statuses"] == {"200": 300, "503": 100}
    assert stage["errorRate"] == 0.25
    assert stage["throughput"] / stage["goodput"] == pytest.approx(4 / 3, rel=0.01)


def test_who_only_refuses_has_a_throughput_and_no_goodput(lab, target):
    ended = lab.raw(target.url + "/status/503", "-c", 1, "-n", 50, "--fail-on", "throughput<=0,goodput<=0")
    assert ended.returncode == 1
    assert "goodput<=0: it was 0.0" in ended.stderr_text and "throughput<=0:" not in ended.stderr_text


def test_latency_is_at_least_what_the_target_took(lab, target):
    stage, = lab.run(target.url + "/delay/50", "-c", 4, "-n", 40)["stages"]
    assert stage["min"] >= 49.5  # the target's own clock ticks in milliseconds
    assert stage["min"] <= stage["p50"] <= stage["p95"] <= stage["p99"] <= stage["max"]
    # Closed loop: four clients, each waits for its own (Little's law).
    assert stage["throughput"] * stage["mean"] / 1000 == pytest.approx(4, rel=0.15)


def test_without_keep_alive_each_request_has_its_connection(lab, target):
    stage, = lab.run(target.url + "/ok", "-c", 3, "-n", 60, "--no-keep-alive")["stages"]
    only(stage)
    counts = target.counts()
    assert stage["connections"]["opened"] == 60 and counts["connections"] == 62
    assert all("Connection: close" in head for head in counts["heads"])


def test_a_connection_that_the_server_closes_politely_is_opened_again(lab, target):
    stage, = lab.run(target.url + "/polite-close", "-c", 2, "-n", 20)["stages"]
    only(stage)
    assert stage["connections"]["opened"] == 20


def test_method_headers_and_body_arrive_as_they_were_said(lab, target):
    body = lab.folder / "body"
    body.write_bytes(bytes(range(256)) * 2000)
    lab.run(target.url + "/ok?x=1", "-c", 2, "-n", 8, "-X", "PUT", "-H", "X-Who: me",
            "-H", "Content-Type: a/b", "--data", f"@{body}")
    counts = target.counts()
    assert counts["methods"] == {"PUT": 8} and counts["body_bytes"] == 8 * 512000
    head = counts["heads"][0]
    assert head.startswith("PUT /ok?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "\r\nX-Who: me\r\n" in head and "\r\nContent-Type: a/b\r\n" in head
    assert "\r\nContent-Length: 512000\r\n" in head


def test_there_are_no_more_threads_than_clients(lab, target):
    closed = lab.run(target.url + "/ok", "-c", 1, "-n", 5, "-t", 3)
    only(closed["stages"][0])
    assert closed["analysis"]["run"]["threads"] == 1
    assert target.counts()["paths"] == {"/ok": 5}
    opened = lab.run(target.url + "/ok", "--rate", 200, "-c", 2, "-d", "500ms", "-t", 4)
    only(opened["stages"][0])
    assert opened["analysis"]["run"]["threads"] == 2


def test_head_has_no_body_to_wait_for(lab, target):
    stage, = lab.run(target.url + "/ok", "-c", 1, "-n", 5, "-X", "HEAD")["stages"]
    only(stage)
    assert target.counts()["methods"] == {"HEAD": 5}


def test_urls_are_asked_by_their_weights(lab, target):
    lab.run(target.url + "/ok", "-c", 5, "-n", 2000, "--url", f"3={target.url}/status/200")
    paths = target.counts()["paths"]
    assert sum(paths.values()) == 2000
    # 1,500 expected; the seed is fixed, four standard deviations are 77.
    assert 1400 <= paths["/status/200"] <= 1600


def test_two_origins_have_a_connection_each(lab, target, tls_target):
    report = lab.run(target.url + "/ok", "--url", tls_target.url + "/ok", "-c", 4, "-n", 200, "-k")
    only(report["stages"][0])
    assert target.counts()["paths"]["/ok"] + tls_target.counts()["paths"]["/ok"] == 200
    assert report["stages"][0]["connections"]["opened"] == 8


def test_tls_checks_who_it_is(lab, tls_target, certificate):
    stage, = lab.run(tls_target.url + "/ok", "-c", 3, "-n", 30,
                     SSL_CERT_FILE=str(certificate[0]))["stages"]
    only(stage)
    stage, = lab.run(f"https://localhost:{tls_target.port}/ok", "-c", 1, "-n", 3,
                     SSL_CERT_FILE=str(certificate[0]))["stages"]
    only(stage)
    stage, = lab.run(tls_target.url + "/ok", "-c", 3, "-n", 30, "--insecure")["stages"]
    only(stage)


def test_a_certificate_that_nobody_vouches_for_is_a_failure_of_tls(lab, tls_target):
    ended = lab.raw(tls_target.url + "/ok", "-c", 1, "-n", 2)
    assert ended.returncode == 1  # not one connection was made
    assert "2  TLS failed" in ended.stdout_text
    assert "the TLS handshake failed on every connection" in ended.stderr_text
    assert "SSL_CERT_FILE" in ended.stderr_text and "-k" in ended.stderr_text
    assert "nobody" not in ended.stderr_text


def test_a_large_answer_over_tls_is_whole(lab, tls_target):
    stage, = lab.run(tls_target.url + "/large/300000", "-c", 2, "-n", 10, "-k")["stages"]
    only(stage)
    assert stage["bytes"]["received"] > 10 * 300000


def test_a_plain_server_is_no_tls_server(lab, target):
    ended = lab.raw(target.url.replace("http", "https") + "/ok", "-c", 1, "-n", 2, "-k",
                    "--connect-timeout", "1s")
    assert ended.returncode == 1 and "nobody could be reached" in ended.stderr_text


def test_more_clients_than_descriptors_are_refused_before_anything_is_sent(lab, target):
    ended = subprocess.run(["bash", "-c", 'ulimit -n 200; exec "$0" "$@"', lab.program, "bench",
                            target.url + "/ok", "-c", "1000"], capture_output=True, text=True,
                           env=os.environ, timeout=60)
    assert ended.returncode == 2
    assert "1000 clients need more descriptors" in ended.stderr and "136 are the most" in ended.stderr
    assert target.counts()["paths"] == {}
