"""Liveness, readiness and metrics."""
import re

from people import Person, create, expect_problem
from raw_http import RawConnection, eventually, request

SAMPLE = re.compile(r'^[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? '
                    r'[0-9.e+-]+$')


def test_the_process_says_that_it_lives_and_that_it_is_ready(server):
    for path, text in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
        answer = server.request("GET", path, token=None)
        assert answer.status == 200 and answer.body == text
        answer = server.request("HEAD", path, token=None)
        assert answer.status == 200 and answer.body == b""


def test_the_text_is_what_prometheus_reads(server):
    function = create(Person(server), "measured")
    answer = server.request("GET", "/metrics", token=None)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    types, seen = {}, set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in types
            types[name] = kind
        elif not line.startswith("# HELP "):
            assert SAMPLE.match(line), line
            sample = line.rsplit(" ", 1)[0]
            assert sample not in seen, f"twice: {sample}"
            seen.add(sample)
            family = re.sub(r"_(bucket|sum|count)$", "", sample.split("{")[0])
            assert family in types or sample.split("{")[0] in types, line
    assert types == {
        "magpie_invocations_total": "counter", "magpie_invocation_duration_seconds": "histogram",
        "magpie_instances": "gauge", "magpie_waiters": "gauge",
        "magpie_shed_total": "counter", "magpie_prewarmed_instances_total": "counter",
        "magpie_stock_sandboxes": "gauge",
        "magpie_cold_starts_total": "counter", "magpie_cold_start_seconds": "histogram",
        "magpie_connections": "gauge", "magpie_connections_closed_for_room_total": "counter",
        "magpie_turns_waited_total": "counter",
        "magpie_loop_lag_seconds": "gauge", "magpie_build_info": "gauge",
        "magpie_uptime_seconds": "gauge", "process_open_fds": "gauge"}
    assert function


def test_invocations_are_counted_by_start_and_outcome_across_versions(server):
    person = Person(server)
    namespace = person.request("GET", "/api/v1/users/me").json()["namespace"]
    function = create(person, "counted")
    starts = [server.call(function, b"x", token=person.token).headers["Magpie-Start"]
              for _ in range(5)]
    person.request("PATCH", "/api/v1/functions/counted", {"env": {"A": "1"}})
    starts += [server.call(function, b"x", token=person.token).headers["Magpie-Start"]
               for _ in range(5)]
    metrics = server.metrics()
    label = f'function="{namespace}/counted"'
    for start in set(starts):
        sample = f'magpie_invocations_total{{{label},start="{start}",outcome="succeeded"}}'
        assert metrics[sample] == starts.count(start)
    assert metrics[f"magpie_invocation_duration_seconds_count{{{label}}}"] == 10
    assert metrics[f'magpie_invocation_duration_seconds_bucket{{{label},le="+Inf"}}'] == 10
    for family, labels in (("magpie_invocation_duration_seconds", label),
                           ("magpie_cold_start_seconds", 'runtime="python3",phase="total"')):
        buckets = [float(name.split('le="')[1].rstrip('"}')) for name in metrics
                   if name.startswith(f"{family}_bucket{{{labels},")]
        assert sum(bound < 0.001 for bound in buckets) >= 3, buckets
    assert metrics[f"magpie_waiters{{{label}}}"] == 0
    assert metrics['magpie_cold_start_seconds_count{runtime="python3",phase="total"}'] >= 2
    states = [metrics[f'magpie_instances{{{label},state="{state}"}}']
              for state in ("idle", "frozen", "busy", "starting", "ending")]
    assert sum(states) >= 1 and metrics["magpie_connections"] >= 1
    assert metrics['magpie_loop_lag_seconds{thread="0"}'] >= 0
    shown = person.request("GET", "/api/v1/functions/counted").json()["instances"]
    assert shown["idle"] + shown["frozen"] >= 1


def test_a_function_that_is_made_anew_goes_on_with_its_names_figures(server):
    """The old one's last call runs; each sample is there once, and no counter goes back."""
    label = 'function="admin/renewed"'
    sleeper = {"main": '#!/bin/sh\nsleep "$1"\n'}

    def figures():
        answer = server.request("GET", "/metrics").body.decode()
        samples = [line.rsplit(" ", 1) for line in answer.splitlines() if label in line]
        assert len({name for name, _ in samples}) == len(samples), samples
        return {name: float(value) for name, value in samples}

    def calls():
        return figures()[f"magpie_invocation_duration_seconds_count{{{label}}}"]

    def instances(*states):
        now = figures()
        return sum(now[f'magpie_instances{{{label},state="{state}"}}'] for state in states)

    old = server.deploy("renewed", "exec", sleeper)
    assert server.call(old, b"0").status == 201
    with RawConnection(server.port) as client:
        client.send(request("POST", f"/api/v1/functions/execute/{old}", b"4", server.token))
        eventually(lambda: instances("busy") == 1, "it runs")
        assert server.request("DELETE", f"/api/v1/functions/{old}").status == 200
        new = server.deploy("renewed", "exec", sleeper)
        assert server.call(new, b"0").status == 201
        eventually(lambda: instances("idle", "frozen") == 1, "the new one has answered")
        assert calls() == 2 and instances("busy") == 1
        assert client.read_answer().status == 201
    eventually(lambda: instances("busy", "ending") == 0, "the old one has ended")
    assert calls() == 3
    assert server.request("DELETE", f"/api/v1/functions/{new}").status == 200
    eventually(lambda: not figures(), "nothing of that name is left")


def test_unknown_paths_and_methods_are_told_apart(server):
    expect_problem(server.request("GET", "/api/v2"), 404, "not_found")
    expect_problem(server.request("GET", "/"), 404, "not_found")
    for method, path, allow in [
            ("POST", "/healthz", "GET, HEAD"), ("PUT", "/api/v1/users", "POST"),
            ("POST", "/api/v1/functions/me", "GET, HEAD, PATCH, DELETE"),
            ("GET", "/api/v1/functions/execute/x", "POST"),
            ("GET", "/api/v1/functions/x/invocations", "POST"),
            ("POST", "/api/v1/functions/x/code", "PUT"),
            ("OPTIONS", "/api/v1/users/me", "GET, HEAD, DELETE")]:
        answer = server.request(method, path)
        expect_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allow


def test_a_body_that_nobody_asked_for_is_bounded(server):
    answer = server.request("GET", "/healthz", body=b"x" * 1000)
    assert answer.status == 200
    answer = server.request("POST", "/api/v1/users/login", body=b" " * 100000)
    expect_problem(answer, 413, "payload.too_large")
