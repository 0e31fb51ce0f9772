"""Where does it break, how fast is it back, what runs out first? Servers whose limits are known."""
import json
import re
import resource

import pytest
from command_line import CommandLine
from conftest import Target


@pytest.fixture
def narrow_target():
    """It may have 96 descriptors, of which it needs eight for itself."""
    made = Target(descriptors=96)
    yield made
    made.stop()


def test_the_breaking_point_is_the_stage_that_the_server_was_made_to_break_at(lab, target):
    report = lab.run("extreme", target.url + "/first/30", "--stages",
                     "10:300ms,25:300ms,50:800ms,75:800ms,100:1s", "-d", "100ms")
    analysis = report["analysis"]
    assert [stage["served"] for stage in report["stages"]] == [10, 25, 30, 30]
    assert analysis["sustained"] == 25 and analysis["breakingPoint"] == analysis["searchedTo"] == 75
    assert analysis["sustainedConnections"] == 25


def test_degradation_is_that_of_a_queue(lab, target):
    """One at a time: each has to wait for all others, so p99 grows as the clients do."""
    report = lab.run(target.url + "/queue/10", "--stages", "5:500ms,10:600ms,20:1s,40:2s")
    found = report["analysis"]["degradation"]
    p99 = [stage["p99"] for stage in report["stages"]]
    assert p99 == sorted(p99) and found["shape"] not in ("unknown", "flat")
    assert [step["growth"] for step in found["steps"]] == [2, 2, 2]
    for step, before, after in zip(found["steps"], p99, p99[1:]):
        assert step["ratio"] == pytest.approx(after / before / 2, abs=0.001)


def test_after_a_blast_that_nobody_could_bear_it_is_normal_again(lab, target):
    report = lab.run("extreme", target.url + "/up-to/15", "--stages", "5:500ms,20:800ms", "-d", "400ms")
    analysis = report["analysis"]
    assert analysis["sustained"] == 5 and analysis["breakingPoint"] == 20
    blast = analysis["blast"]
    assert blast["clients"] == 40 and blast["during"]["errorRate"] > 0.5
    assert blast["during"]["served"] < 20  # those who were there before may have had one more
    assert blast["before"]["served"] == 5
    recovery = blast["recovery"]
    assert recovery["recovered"] is True and 0 <= recovery["after"] < blast["afterwards"]["duration"]
    assert recovery["normalUpTo"] == pytest.approx(max(5, 2 * recovery["quietP99"]))


def allow_86_clients():
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))


def test_what_runs_out_while_clients_come_in_twenty_steps_is_told(lab, narrow_target):
    ended = lab.raw("extreme", narrow_target.url + "/limit/40", "--stages", "10:300ms,86:600ms",
                    "-d", "300ms", "--pid", narrow_target.process.pid, "-o", "json",
                    preexec_fn=allow_86_clients)
    analysis = json.loads(ended.stdout_text)["analysis"]
    assert analysis["breakingPoint"] == 86 and len(analysis["ramp"]) == 20
    found, = [one for one in analysis["exhausted"] if one["resource"] == "descriptors"]
    assert found["limit"] == 96 and 92 <= found["value"] <= 96
    assert found["evidence"] == f"a process had {found['value']:.0f} of 96 descriptors open"
    assert 78 <= found["clients"] <= 86  # of steps of four
    assert analysis["firstBottleneck"] == min(analysis["exhausted"], key=lambda one: one["at"])


def test_the_extreme_experiments_find_a_known_limit(lab, target):
    made = lab.folder / "report.html"
    report = lab.run("extreme", target.url + "/limit/10", "--max-clients", 20, "-d", "400ms",
                     "--pid", target.process.pid, "--html", made)
    assert [stage["clients"] for stage in report["stages"]] == [2, 5, 10, 15]
    analysis = report["analysis"]
    assert analysis["sustained"] == 10 and analysis["breakingPoint"] == 15
    assert analysis["run"]["kind"] == "extreme"
    blast = analysis["blast"]
    assert blast["clients"] == 30 and blast["during"]["errorRate"] > 0.5
    assert blast["before"]["errorRate"] == 0 and blast["recovery"]["recovered"] is True
    assert len(analysis["ramp"]) == 20
    steps = [max(1, round(0.75 * i + 1e-9)) for i in range(1, 21)]
    assert [stage["clients"] for stage in analysis["ramp"]] == steps
    assert [one["name"] for one in analysis["series"]] == ["stages", "blast", "ramp"]
    for one in analysis["series"]:
        resources = one["resources"]
        assert {"cpuUser", "cpuSystem", "memory", "descriptors", "machineCpu"} <= set(resources)
        assert all(len(values) == len(resources["at"]) for values in resources.values())
    memory = [value for value in analysis["series"][0]["resources"]["memory"] if value]
    assert min(memory) > 1 << 20
    descriptors = [value for value in analysis["series"][1]["resources"]["descriptors"] if value]
    assert max(descriptors) >= 30


def test_a_server_that_breaks_at_the_first_stage_is_told_to_break_there(lab, target):
    ended = lab.raw("extreme", target.url + "/status/503", "--max-clients", 20, "-d", "400ms")
    assert "sustained: 0 clients" in ended.stdout_text
    assert "what is normal nobody knows" in ended.stdout_text
    assert "breaking point: 2 clients, where more than half failed" in ended.stdout_text


def test_a_server_that_bears_all_has_no_breaking_point(lab, target):
    ended = lab.raw("extreme", target.url + "/ok", "--max-clients", 8, "-d", "200ms")
    assert ended.returncode == 0, ended.stderr_text
    assert "breaking point: none up to 8 clients" in ended.stdout_text
    assert re.search(r"blast of 16: .* failed; ", ended.stdout_text)
    assert "first bottleneck: " in ended.stdout_text


def test_who_is_never_served_counts_though_the_others_ask_a_thousand_times(lab, target):
    ended = lab.raw(target.url + "/first/10", "--stages", "5:300ms,8:300ms,40:800ms", "--timeout", "500ms")
    assert "sustained: 8 clients" in ended.stdout_text
    assert "breaking point: 40 clients" in ended.stdout_text
    assert "starved: 30 of 40 clients got no good answer" in ended.stdout_text


def test_who_is_served_is_counted_by_clients_and_not_by_requests(lab, target):
    report = lab.run(target.url + "/first/10", "--stages", "8:300ms,12:800ms,8:300ms", "--timeout", "400ms")
    assert [stage["served"] for stage in report["stages"]] == [8, 10, 8]
    assert report["stages"][1]["errorRate"] < 0.5
    # 83 %: more than half, and not nearly all.
    assert report["analysis"]["sustained"] == 8 and report["analysis"]["breakingPoint"] is None
    assert report["analysis"]["sustainedConnections"] == 8


def test_who_thinks_through_a_stage_is_not_starved(lab, target):
    report = lab.run(target.url + "/ok", "--stages", "3:400ms,3:400ms", "--think", "10s")
    assert [stage["served"] for stage in report["stages"]] == [3, 3]
    assert report["analysis"]["breakingPoint"] is None


def test_served_is_unknown_where_a_stage_was_cut_short_or_has_no_clients_of_its_own(lab, target):
    for arguments in (["-c", 9, "-n", 5], ["--rate", 50, "-d", "300ms"], ["--ramp", "1:5:300ms"]):
        report = lab.run(target.url + "/ok", *arguments)
        assert report["stages"][0]["served"] is None and report["analysis"]["breakingPoint"] is None


def test_a_server_that_fell_silent_is_broken_where_it_did_and_not_where_the_time_outs_come(lab, target):
    report = lab.run(target.url + "/up-to/6", "--stages", "5:400ms,20:400ms,21:400ms,22:400ms",
                     "--timeout", "1500ms")
    silent = report["stages"][2]
    assert silent["requests"] == 0 and silent["errorRate"] == 1 and silent["served"] == 0
    assert report["analysis"]["sustained"] == 5 and report["analysis"]["breakingPoint"] == 20


def test_a_stage_of_an_open_loop_in_which_nothing_came_back_has_failed(lab, target):
    report = lab.run(target.url + "/silent", "--rate-stages", "20:800ms,30:800ms", "--timeout", "1s")
    assert [stage["errorRate"] for stage in report["stages"]] == [1, 1]
    assert report["stages"][0]["requests"] == 0 and report["analysis"]["breakingPoint"] == 20


def test_what_the_stages_left_behind_is_not_the_blasts_quiet_time(lab, target):
    """A queue that has grown long takes its time to be worked off."""
    report = lab.run("extreme", target.url + "/queue/30", "--stages", "2:500ms,15:600ms", "-d", "400ms",
                     "--timeout", "3s")
    blast = report["analysis"]["blast"]
    assert blast["before"]["served"] > 0 and blast["before"]["errorRate"] == 0
    assert blast["recovery"]["quietP99"] == report["stages"][0]["p99"]
    assert blast["recovery"]["recovered"] is True


def test_without_a_quiet_time_it_is_not_known_what_is_normal(lab, target):
    report = lab.run("extreme", target.url + "/status/503", "--max-clients", 20, "-d", "400ms")
    recovery = report["analysis"]["blast"]["recovery"]
    assert recovery["recovered"] is recovery["quietP99"] is recovery["normalUpTo"] is None


def test_progress_tells_of_last_answers_when_there_are_no_others_to_come(lab, target, tmp_path):
    code, seen = CommandLine(tmp_path).watch("bench", "extreme", target.url + "/limit/10",
                                             "--max-clients", 20, "-d", "300ms")
    steps = re.findall(r"ramp, (\d+) clients: .*?, \d+ failed  ([a-z0-9 ]+)", seen)
    assert code == 0 and len(steps) > 5
    assert not [step for step in steps if step[1] == "last answers" and 0 < int(step[0]) < 13]


def test_a_search_that_found_the_breaking_point_was_not_ended_early(lab, target):
    report = lab.run("extreme", target.url + "/limit/10", "--stages", "5:500ms,20:500ms,30:500ms",
                     "-d", "200ms")
    assert [stage["clients"] for stage in report["stages"]] == [5, 20]
    assert report["analysis"]["breakingPoint"] == 20 and report["analysis"]["run"]["stopped"] is False


def test_a_target_that_dies_is_told_of_and_what_is_left_is_skipped(lab, target):
    running = lab.start("extreme", target.url + "/delay/2", "--stages", "3:400ms,6:20s,9:20s", "-d", "10s",
                        "--pid", target.process.pid, "-o", "json")
    while target.counts()["peaks"][-1:] != [6]:
        pass
    target.process.kill()
    analysis = json.loads(lab.end(running).stdout_text)["analysis"]
    assert analysis["sustained"] == 3 and analysis["breakingPoint"] == 6 and analysis["searchedTo"] == 6
    assert f"process {target.process.pid}, which was watched, ended" in analysis["warnings"][0]
    assert "blast" not in analysis and "ramp" not in analysis
