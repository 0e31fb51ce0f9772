"""When requests come: stages, ramps, think time, arrivals, and stalls that cannot hide."""
import json
import re
import signal
import time

import pytest

from command_line import CommandLine
from conftest import stopped


def moments(report):
    series = report["analysis"]["series"][0]["moments"]
    return list(zip(series["at"], series["level"], series["connections"]))


def test_stages_have_their_clients_and_no_more(lab, target):
    report = lab.run(target.url + "/delay/2", "--stages", "2:500ms,6:500ms,3:500ms")
    assert [stage["clients"] for stage in report["stages"]] == [2, 6, 3]
    assert [stage["duration"] for stage in report["stages"]] == [0.5, 0.5, 0.5]
    assert [stage["connections"]["peak"] for stage in report["stages"]][:2] == [2, 6]
    # The target saw the same, one stage after the other.
    peaks = target.counts()["peaks"]
    assert max(peaks) == 6
    first, last = peaks.index(6), len(peaks) - 1 - peaks[::-1].index(6)
    assert max(peaks[:first - 1]) == 2 and max(peaks[last + 2:]) == 3
    assert sum(stage["requests"] for stage in report["stages"]) == sum(target.counts()["paths"].values())


def test_a_ramp_brings_clients_one_after_the_other(lab, target):
    report = lab.run(target.url + "/delay/2", "--ramp", "0:10:1s")
    stage, = report["stages"]
    assert stage["clientsFrom"] == 0 and stage["clients"] == 10
    seen = [connections for at, _, connections in moments(report) if at <= 1]
    assert seen == sorted(seen) and seen[0] <= 2 and seen[-1] >= 9  # the last one comes with the end
    assert {3, 5, 7} & set(seen)


def test_a_ramp_may_go_on_at_its_end(lab, target):
    report = lab.run(target.url + "/delay/2", "--ramp", "4:1:300ms", "-d", "300ms")
    assert [stage["clients"] for stage in report["stages"]] == [1, 1]
    assert report["stages"][0]["clientsFrom"] == 4
    assert [connections for _, _, connections in moments(report)][-2] == 1
    # What a ramp measured belongs to no load, so there is nothing to compare.
    assert report["analysis"]["degradation"]["steps"] == []


def test_who_thinks_asks_less_often(lab, target):
    stage, = lab.run(target.url + "/ok", "-c", 5, "-d", "1s", "--think", "100ms")["stages"]
    # Each at most once in 100 ms; a busy machine can only make it less.
    assert 5 <= stage["requests"] <= 5 * 11


def test_an_open_loop_begins_exactly_as_many_as_it_should(lab, target):
    stage, = lab.run(target.url + "/ok", "--rate", 200, "-d", "1s")["stages"]
    assert stage["requests"] == 200 and stage["rate"] == 200
    times = target.counts()["times"]
    assert len(times) == 200
    # One every 5 ms: late they may be, by as much as the lab and the answers say, but not early.
    slack = (stage["lab"]["startLag"]["max"] + stage["max"]) / 1000
    assert all(at - times[0] >= i * 0.005 - slack for i, at in enumerate(times))


def test_rates_ramp_too(lab, target):
    report = lab.run(target.url + "/ok", "--rate-stages", "100:500ms,0:400:500ms")
    assert [stage["requests"] for stage in report["stages"]] == [50, 100]
    assert [stage["rate"] for stage in report["stages"]] == [100, 400]


def test_poisson_arrivals_are_uneven_and_the_same_for_a_seed(lab, target):
    def count(seed):
        return lab.run(target.url + "/ok", "--rate", 200, "-d", "1s", "--arrivals", "poisson",
                       "--seed", seed)["stages"][0]["requests"]

    first = count(1)
    assert first == count(1) and len({first, count(2), count(3), count(4)}) > 1
    assert 140 <= first <= 260  # four standard deviations


def test_a_rate_is_kept_until_the_end_though_the_last_request_comes_earlier(lab, target):
    stage, = lab.run(target.url + "/ok", "--rate", 1, "-d", "2s", "-t", 3)["stages"]
    assert stage["requests"] == 2 and stage["duration"] == 2
    assert stage["throughput"] == stage["goodput"] == 1
    assert stage["lab"]["cpu"] < 0.5  # the time until the end is slept through
    assert len(target.counts()["times"]) == 2


def test_an_open_loop_of_so_many_requests_ends_with_them(lab, target):
    stage, = lab.run(target.url + "/ok", "--rate", 0.5, "-n", 1, "-t", 2, "-d", "10m")["stages"]
    assert stage["requests"] == 1 and stage["duration"] < 600


def test_requests_that_nobody_could_send_are_of_those_that_were_wanted(lab, target):
    stage, = lab.run(target.url + "/delay/20", "--rate", 2000, "-n", 300, "-c", 1, "--total-timeout",
                     "100ms")["stages"]
    assert stage["requests"] == 300 and stage["errors"]["timeout"] > 100


def test_a_rate_below_one_is_shown_as_it_is(lab, target):
    ended = lab.raw(target.url + "/ok", "--rate", 0.5, "-d", "2s")
    assert ended.stdout_text.splitlines()[1].split()[:4] == ["0.5", "2.0", "s", "0.5"]


@pytest.mark.parametrize("columns, most", [(40, 39), (0, 79)])
def test_what_is_shown_for_a_moment_takes_one_row(target, tmp_path, columns, most):
    ended, seen = CommandLine(tmp_path).watch("bench", target.url + "/every/2", "--rate", 123.45,
                                              "-d", "700ms", columns=columns)
    shown = re.findall("\r\033\\[K(\\[[^\r]*)", seen)
    assert ended == 0 and len(shown) > 2
    assert max(map(len, shown)) <= most and "wanted/s" in shown[-1]


def test_stages_of_one_level_are_compared_in_their_order(lab, target):
    before = lab.run(target.url + "/ok", "--stages", "2:200ms,1:200ms,2:200ms")
    before["stages"][0]["p50"] /= 2
    before["stages"][2]["p50"] *= 1e6
    (lab.folder / "before.json").write_text(json.dumps(before))
    report = lab.run(target.url + "/delay/20", "--stages", "2:200ms,1:200ms,2:200ms,2:200ms",
                     "--baseline", "before.json")
    told = report["analysis"]["baseline"]
    assert [one["clients"] for one in told] == [2, 1, 2]
    assert told[0]["p50"] > 0 > told[2]["p50"] and told[1]["throughput"] < 0
    assert set(told[0]) == {"clients", "throughput", "p50", "p95", "p99", "p99_9"}


def test_goodput_is_what_was_answered_well_before_the_end(lab, target):
    # What is refused is refused at once, and what is good comes when the stage is over.
    stage, = lab.run("--url", target.url + "/status/429", "--url", target.url + "/delay/1500",
                     "--rate", 100, "-d", "1s")["stages"]
    assert stage["statuses"]["200"] > 0 and stage["statuses"]["429"] > 0
    assert stage["goodput"] == 0 < stage["throughput"]


def test_waiting_for_the_last_answers_is_no_rest_from_work(lab, target):
    def own_use(*more):
        stage, = lab.run("--url", f"100={target.url}/ok", "-c", 20, "-d", "300ms", "-t", 1, *more)["stages"]
        assert stage["lab"]["cpu"] == stage["lab"]["cpuBusiest"]  # one thread, one stage
        return stage["lab"]["cpu"] / stage["requests"]

    # A few of the twenty wait eight times as long as the stage was, and nobody has anything to do.
    waiting = own_use("--url", f"{target.url}/silent", "--timeout", "2400ms")
    assert waiting > own_use() / 3


def stall_of(lab, target, *arguments):
    """Runs, and stops the target for about a second in the middle: the report, and how long it was
    in truth, in milliseconds."""
    running = lab.start(target.url + "/ok", "-d", "3s", "-o", "json", *arguments)
    while not target.counts()["paths"]:
        pass
    while target.counts()["times"][-1] - target.counts()["times"][0] < 0.5:
        pass
    with stopped(target.process):
        began = time.monotonic()
        time.sleep(1)  # this is the stall itself, nothing is waited for
    stall_ms = (time.monotonic() - began) * 1000
    ended = lab.end(running)
    assert ended.returncode == 0, ended.stderr_text
    return json.loads(ended.stdout_text)["stages"][0], stall_ms


def test_an_open_loop_shows_a_stall_at_its_percentile(lab, target):
    stage, stall_ms = stall_of(lab, target, "--rate", 200, "-c", 300)
    assert stage["requests"] == 600 and sum(stage["errors"].values()) == 0
    # A third of the requests were due while nothing answered, the first of them for all of it.
    assert stage["max"] >= 0.95 * stall_ms
    assert stage["p99"] >= 0.85 * stall_ms
    assert stage["p90"] >= 0.5 * stall_ms
    assert stage["p50"] < 0.5 * stall_ms


def test_with_few_connections_the_open_loop_still_counts_from_when_it_was_due(lab, target):
    stage, stall_ms = stall_of(lab, target, "--rate", 200, "-c", 2)
    assert stage["requests"] == 600
    assert stage["p99"] >= 0.85 * stall_ms and stage["p90"] >= 0.5 * stall_ms


def test_a_closed_loop_hides_the_same_stall(lab, target):
    stage, stall_ms = stall_of(lab, target, "-c", 2, "--think", "5ms")
    # One request a client met it, of some hundreds.
    assert stage["max"] >= 0.9 * stall_ms
    assert stage["p99"] < 0.5 * stall_ms and stage["requests"] > 250


def test_ctrl_c_ends_it_early_and_tells_what_there_was(lab, target):
    running = lab.start(target.url + "/delay/1", "-c", 3, "-d", "10m", "-o", "json")
    while sum(target.counts()["paths"].values()) < 50:
        pass
    running.send_signal(signal.SIGINT)
    ended = lab.end(running)
    report = json.loads(ended.stdout_text)
    assert ended.returncode == 0 and report["analysis"]["run"]["stopped"] is True
    assert report["stages"][0]["requests"] >= 50
    assert report["stages"][0]["duration"] < 600


@pytest.mark.parametrize("arguments, sentence", [
    (["http://h/", "-c", "many"], "is not a number of clients"),
    (["http://h/", "--stages", "1:2"], "is not a duration"),
    (["http://h/", "--stages", "1:1s", "-c", "3"], "one or the other"),
    (["http://h/", "--stages", "1:1s", "--rate", "3"], "an open loop has --rate-stages"),
    (["http://h/", "--arrivals", "poisson"], "--arrivals needs --rate"),
    (["http://h/", "--rate", "5", "--arrivals", "odd"], "takes constant or poisson"),
    (["http://h/", "--rate", "5", "--think", "1s"], "nobody thinks in an open loop"),
    (["http://h/", "--timeout", "0s"], "leaves no time to answer"),
    (["http://h/", "-d", "0s"], "a duration of 0 leaves no time to ask"),
    (["extreme", "http://h/", "-d", "0ms"], "a duration of 0 leaves no time to ask"),
    (["http://h/", "-H", "nonsense"], "is not a header"),
    (["http://h/", "-H", "Connection: close"], "is said for you"),
    (["http://h/", "--fail-on", "p99"], "is no threshold"),
    (["http://h/", "--data", "@/nowhere"], "cannot open"),
    (["http://h/", "--baseline", "/nowhere"], "cannot open"),
    (["http://h/", "--url", "0=http://h/"], "a weight is a number"),
    (["http://h/", "--max-clients", "5"], "is for magpie bench extreme"),
    (["extreme", "http://h/", "--max-clients", "5", "--stages", "1:1s"], "one or the other"),
    (["extreme", "http://h/", "--rate", "5"], "extreme has its own plan"),
    (["extreme"], "whom?"),
    ([], "whom?"),
    (["http://h/", "http://i/"], "'http://i/'"),
    (["gopher://h/"], "neither http nor https"),
    (["http://h/", "-c", "0"], "there must be somebody"),
    (["http://h/", "-t", "0"], "--threads takes a number"),
])
def test_a_wrong_command_line_is_2_and_says_what_is_wrong(lab, arguments, sentence):
    refused = lab.raw(*arguments)
    assert refused.returncode == 2 and refused.stdout_text == ""
    assert sentence in refused.stderr_text
